"""`harness diff`: files, cells and recipes; the terminal, the page and the JSON; its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.core.files import sha256_bytes
from harness.diff.score import stored_score
from harness.diff.side import Side, stored_side
from harness.results.objects import ObjectStore
from harness.results.store import Store
from tests.diff.nets import renamed, residual
from tests.support import question_models, tiny_model
from tests.support.answered_store import RUN, answered_store, model_file
from tests.support.pages import Page


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    one, two = tmp_path / "one.tflite", tmp_path / "two.tflite"
    one.write_bytes(residual())
    two.write_bytes(renamed(residual(filters=16, extra=True)))
    return one, two


def test_side_by_side_in_the_terminal_as_a_page_and_as_json(models, harness_cli, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    one, two = models
    html, document = tmp_path / "diff.html", tmp_path / "diff.json"
    done = harness_cli("diff", one, two, "--device", "imx8mp", "--html", html, "--json", document)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith(f"A: {one}, {one.stat().st_size:,} bytes, SHA-256 {sha256_bytes(one.read_bytes())[:12]}")
    assert lines[2] == "nodes: 3 changed, 1 added, 7 the same"
    assert any(
        "CONV_2D" in line and "float32 [1, 4, 4, 8]" in line and "float32 [1, 4, 4, 16]" in line for line in lines
    )
    assert "and 7 nodes that are the same (--all shows them)" in done.out
    assert "expected on imx8mp" in done.out
    page = Page(html.read_text())
    assert not page.all("script") and "http://" not in html.read_text()
    states = [e.text for e in page.all("td") if (e.get("class") or "").startswith("d-")]
    assert sorted(states) == ["added"] + ["changed"] * 3 + ["same"] * 7
    value = json.loads(document.read_text())
    assert (value["schema"], value["sameness"]) == (1, "different") and len(value["nodes"]) == 11
    assert value["a"]["sha256"] == sha256_bytes(one.read_bytes())
    assert {row["backend"] for row in value["placement"]["backends"]} == {"cpu-ref", "cpu", "npu"}
    alone = harness_cli("diff", one, two, "--json", "-")
    assert json.loads(alone.out)["verdict"] == "nodes: 3 changed, 1 added, 7 the same"


def test_what_a_microcontroller_makes_of_both(harness_cli, tmp_path: Path):
    one, two = tmp_path / "float.tflite", tmp_path / "int8.tflite"
    one.write_bytes(tiny_model.float_mlp())
    two.write_bytes(tiny_model.int8_dense())
    done = harness_cli("diff", one, two, "--device", "cortex-m0", "--json", "-")
    (backend,) = json.loads(done.out)["placement"]["backends"]
    assert backend["facts"]["loads"] == {"a": "NO", "b": "yes"}
    assert (
        any("node 0 FULLY_CONNECTED" in reason for reason in backend["against_a_alone"])
        and not backend["against_b_alone"]
    )


def test_models_that_do_not_differ_say_so(models, harness_cli, tmp_path: Path):
    one, _ = models
    same = harness_cli("diff", one, one, "--exit-code")
    assert same.code == 0 and "identical: both files have the SHA-256" in same.out
    other = tmp_path / "renamed.tflite"
    other.write_bytes(renamed(one.read_bytes()))
    same = harness_cli("diff", one, other, "--exit-code")
    assert same.code == 0 and "the same model: the files differ in names" in same.out
    assert harness_cli("diff", *models, "--exit-code").code == 3


def test_names_in_a_file_cannot_get_into_page_or_terminal(models, harness_cli, tmp_path: Path):
    one, two = models
    hostile = tmp_path / "<script>alert(1)<s>.tflite"
    hostile.write_bytes(two.read_bytes())
    html = tmp_path / "diff.html"
    assert harness_cli("diff", one, hostile, "--html", html).code == 0
    assert "<script" not in html.read_text() and "&lt;script&gt;" in html.read_text()


def test_scores_of_two_files_on_the_same_samples(harness_cli, tmp_path: Path, runtime_cache):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 4)).astype(np.float32)
    right = tiny_model.float_mlp_reference(x).argmax(1)
    one, two = tmp_path / "one.tflite", tmp_path / "two.tflite"
    one.write_bytes(tiny_model.float_mlp())
    two.write_bytes(_worse(tiny_model.float_mlp()))
    data = tmp_path / "data.npz"
    np.savez(data, x_test=x, y_test=right)
    done = harness_cli("diff", one, two, "--data", data)
    assert done.code == 3, done.err
    assert (
        "accuracy: A 1.0000, B 0." in done.out
        and "on the same 400 samples (this machine, ai-edge-litert 2.3.0)" in done.out
    )
    assert "B is worse" in done.out and "exact McNemar" in done.out
    back = harness_cli("diff", two, one, "--data", data)
    assert back.code == 0 and "B is better" in back.out
    np.savez(data, x_test=x)
    assert "no labels to score by" in harness_cli("diff", one, two, "--data", data).err


def test_each_output_that_both_are_judged_by_has_its_score(harness_cli, tmp_path: Path, runtime_cache):
    """The second output alone differs, and it alone has labels in the second file of samples."""
    x = question_models.vectors(200)
    scores = question_models.scores(x)
    one, two = tmp_path / "one.tflite", tmp_path / "two.tflite"
    one.write_bytes(model := question_models.classifier("two"))
    weights = question_models.WEIGHTS
    two.write_bytes(model.replace(weights.tobytes(), (weights * np.float32(1.5)).tobytes()))
    data, asked = tmp_path / "data.npz", ("--metric", "scores=rmse", "--json", "-")
    np.savez(data, x_test=x, y_test_shares=scores.argmax(1), y_test_scores=scores)
    both = harness_cli("diff", one, two, "--data", data, *asked)
    found = json.loads(both.out)["score"]
    assert (found["output"], found["title"], found["a"], found["b"]) == ("shares", "accuracy", 1.0, 1.0)
    (further,) = found["further"]
    assert both.code == 3 and further["output"] == "scores" and further["worse"] and further["a"] < 1e-6 < further["b"]
    assert "scores, RMSE: A 0.0000" in harness_cli("diff", one, two, "--data", data, "--metric", "scores=rmse").out
    np.savez(data, x_test=x, y_test_scores=scores)
    alone = json.loads(harness_cli("diff", one, two, "--data", data, *asked).out)["score"]
    assert (alone["output"], alone["worse"], alone["further"]) == ("scores", True, [])


def _worse(model: bytes) -> bytes:
    """The model with its last bias moved to the first class."""
    old, new = np.ones(3, np.float32).tobytes(), np.array([3, 1, 1], np.float32).tobytes()
    assert model.count(old) == 1
    return model.replace(old, new)


def test_scores_of_two_cells_are_what_their_devices_answered(tmp_path: Path):
    (tmp_path / "files").mkdir()
    records = {r.key.recipe: r for r in answered_store(tmp_path / "results", tmp_path / "files", devices=("board",))}
    objects = ObjectStore(tmp_path / "results")
    sides = [Side(name=n, data=b"", record=records[n]) for n in ("ptq-float32", "qat-int8-io")]
    found = stored_score(*sides, objects)
    assert found.samples == 400 and found.a == 1 - 16 / 400 and found.b == 1 - 11 / 400
    assert found.delta == pytest.approx(5 / 400) and found.low < found.delta < found.high
    assert (found.only_a_right, found.only_b_right) == (0, 5) and not found.worse and found.ran_on == "board/cpu"


def test_a_cell_and_a_recipe_of_a_run_are_the_files_that_were_measured(tmp_path: Path):
    (tmp_path / "files").mkdir()
    answered_store(tmp_path / "results", tmp_path / "files")
    objects = ObjectStore(tmp_path / "results")
    with Store.open(tmp_path / "results", create=False) as store:

        def side(text: str, **options: str) -> Side:
            return stored_side(store, objects, text, **{"run": None, "workload": None, "device": None, **options})

        recipe, cell = side("ptq-int8-io"), side("w/ptq-int8-io/other/cpu", run=RUN)
        assert recipe.data == cell.data == model_file("ptq-int8-io")
        assert (recipe.name, cell.name) == ("w/ptq-int8-io/board/cpu", "w/ptq-int8-io/other/cpu")
        assert side("ptq-int8-io", device="other").name == cell.name
        with pytest.raises(UserInputError, match=f"unknown file, cell, or recipe of run {RUN} 'ptq-int8'"):
            side("ptq-int8")
        with pytest.raises(UserInputError, match="unknown cell of run"):
            side("w/ptq-int8-io/none/cpu", run=RUN)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("{one}", "{tmp}/none.tflite"), "No such file"),
        (("{one}", "{tmp}/text.tflite"), "is not a .tflite file"),
        (("{one}", "ptq-int8-io", "--results", "{tmp}/r"), "there is no results store here"),
        (("{one}", "{one}", "--device", "nosuch"), "unknown device"),
        (("{one}", "{one}", "--metric", "top1"), "add --data"),
        (("{one}", "{one}", "--html", "{tmp}/none/x.html"), "there is no folder"),
    ],
)
def test_what_cannot_be_compared_is_told(arguments, words, models, harness_cli, tmp_path: Path):
    (tmp_path / "text.tflite").write_text("no model")
    done = harness_cli("diff", *(a.format(one=models[0], tmp=tmp_path) for a in arguments))
    assert done.code == 1 and words in done.err, done.err
