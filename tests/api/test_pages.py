"""The page of the API and its worked examples, as they stand, in an empty folder."""

import re
import runpy

import pytest

import harness
from harness.core.files import sha256_file
from tests.support.places import ROOT

EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_RESULTS_DIR", raising=False)
    monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)
    return tmp_path


def test_the_page_is_true(empty_folder, capfd):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/reference/python-api.md").read_text(), re.DOTALL)
    assert len(blocks) >= 5
    names: dict = {}
    for block in blocks:
        exec(compile(block, "python-api.md", "exec"), names)
    assert capfd.readouterr() == ("", "")
    assert names["run"].outcomes == {"ok": 2} and names["shipped"].is_file()
    assert len(names["changed"]) < 20 and names["median_ns"] > 0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, empty_folder, capfd):
    assert path.read_text().startswith("# %% [markdown]")
    names = runpy.run_path(str(path))
    assert capfd.readouterr() == ("", "")
    CHECKS[path.stem](names)


def five_minutes(names):
    assert names["run"].project.startswith("harness.toml: model digits.h5, data digits.npz")
    assert names["run"].outcomes == {"ok": 3} and names["cells"]["score"].min() > 0.8
    recipe = names["recipe"]
    assert names["answer"].picks == {("digits", "host-litert"): recipe}
    assert names["why"].answer and {"CONV_2D", "FULLY_CONNECTED"} <= set(names["why"].to_frame()["op"])
    assert names["tuned"].recipe and names["tuned"].project.startswith("harness.toml: model digits.h5")
    assert set(names["tuned"].to_frame()["stage"]) == {"before", "after"}
    exported, record = names["exported"], names["run"].record(f"digits/{recipe}/host-litert/cpu")
    assert sha256_file(exported.folder / "model.tflite") == record.artifact_sha256
    assert "PASS" in names["selftest"].stdout.splitlines()


def your_own_metric(names):
    cell = names["cell"]
    assert cell.metric == "neighbour" and cell.outcome == "ok" and cell.score > 0.9
    right = (names["answers"]["answer"] == names["answers"]["label"]).mean()
    assert cell.score == pytest.approx(right + len(names["forgiven"]) / len(names["answers"]))


def two_nights(names):
    assert [v.quantity for v in names["comparison"].worse] and names["nights"]["size_ratio"].iloc[0] > 3
    assert isinstance(names["comparison"].worse[0].reason, str)


CHECKS = {"five_minutes": five_minutes, "your_own_metric": your_own_metric, "two_nights": two_nights}


def test_every_example_is_checked_and_named_on_the_page():
    assert {path.stem for path in EXAMPLES} == CHECKS.keys()
    assert "docs/examples/" in (ROOT / "docs/reference/python-api.md").read_text()
    assert harness.__version__
