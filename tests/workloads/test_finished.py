"""`FILE.tflite#SIGNATURE` through the commands: what runs is named with both hashes, and two signatures are two models."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import UserInputError
from harness.core.files import sha256_bytes, sha256_file
from harness.init.create import create_project
from harness.project.project import load_project
from harness.run.measured import measure_plan
from harness.run.options import RunOptions
from harness.workloads.finished import finished_model, names_file
from harness.workloads.project import project_workload
from harness.workloads.user import model_ends, workload_name
from tests.support import question_models, tiny_model
from tests.support.signed_models import signed

COUNT = 40


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A .tflite with two signatures of one input shape, and samples with labels."""
    folder = tmp_path_factory.mktemp("signed")
    models = {"classify": question_models.classifier("two"), "scores": question_models.classifier("logits")}
    (folder / "two.tflite").write_bytes(signed(models))
    x = question_models.vectors(COUNT)
    np.savez(folder / "s.npz", x_test=x, y_test=question_models.scores(x).argmax(axis=1))
    return folder / "two.tflite"


def prepared(path, **options):
    options = RunOptions(workloads=(str(path),), devices=("host-litert",), samples=16, **options)
    (model,) = measure_plan(options, 16).prepare(lambda *_: None)
    return model


def test_what_runs_is_a_file_of_its_own_and_says_of_which(two):
    models = {name: prepared(two.with_name(f"two.tflite#{name}")) for name in ("classify", "scores")}
    assert [model.workload for model in models.values()] == ["two-classify", "two-scores"]
    for facts in ("model_sha256", "dataset_digest"):
        assert len({getattr(model, facts) for model in models.values()}) == 2
    for name, model in models.items():
        (finding,) = [f for f in model.findings if f.code == "signature-cut-out"]
        assert finding.severity == "info" and f"signature '{name}' alone" in finding.what
        assert sha256_file(two) in finding.what and model.artifact.sha256 in finding.what
        assert sha256_file(model.artifact.path) == model.artifact.sha256
        assert "signatures-not-run" not in {f.code for f in model.findings}


def test_with_samples_the_outputs_are_the_signatures(two):
    model = prepared(two.with_name("two.tflite#classify"), data=str(two.with_name("s.npz")))
    assert model.workload == "two-classify" and model.metric.name == "top1" and model.output_name == "shares"
    assert model.metric.score(model.metric.answers(model.reference.outputs[0]), model.labels).value == 1


def test_several_inputs_and_outputs_of_a_signature_are_called_by_their_names(tmp_path):
    models = {"pair": tiny_model.sum_and_softmax(), "scores": question_models.classifier("logits")}
    (tmp_path / "m.tflite").write_bytes(signed(models))
    a, b = np.random.default_rng(0).standard_normal((2, COUNT, 4)).astype(np.float32)
    classes = (a + b).argmax(axis=1)
    np.savez(tmp_path / "s.npz", x_test_b=b, x_test_a=a, y_test_sum=a + b, y_test_softmax=classes)
    path = tmp_path / "m.tflite#pair"
    assert [one.name for one in model_ends(path).several] == ["a", "b"]
    model = prepared(path, data=str(tmp_path / "s.npz"))
    assert model.workload == "m-pair" and "signature-cut-out" in {finding.code for finding in model.findings}
    assert (model.output_name, [one.name for one in model.further]) == ("sum", ["softmax"])
    for file, values in zip(model.inputs, (a, b), strict=True):
        np.testing.assert_array_equal(np.load(file.path), values[model.sample_ids])
    (softmax,) = model.further
    np.testing.assert_array_equal(softmax.labels, classes[model.sample_ids])
    assert softmax.metric.score(softmax.metric.answers(model.reference.outputs[1]), softmax.labels).value == 1
    assert len(prepared(path).inputs) == 2


def test_a_project_of_several_inputs_and_outputs_takes_the_labels_of_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = {"pair": tiny_model.sum_and_softmax(), "scores": question_models.classifier("logits")}
    (tmp_path / "m.tflite").write_bytes(signed(models))
    (tmp_path / "mydata.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    a, b = np.random.default_rng(0).standard_normal((2, 40, 4)).astype(np.float32)\n"
        "    return {'a': a, 'b': b}, {'sum': a + b, 'softmax': (a + b).argmax(axis=1)}\n"
    )
    create_project("m.tflite#pair", "mydata:load", ask=False)
    workload = project_workload(tmp_path / "harness.toml")
    assert (workload.output_name, [one.name for one in workload.further]) == ("sum", ["softmax"])


def test_without_a_name_the_question_says_how_one_is_named(two):
    (finding,) = [f for f in prepared(two).findings if f.code == "signatures-not-run"]
    assert "model.tflite#NAME" in finding.fix


def test_the_only_signature_is_the_file_itself(tmp_path):
    (tmp_path / "one.tflite").write_bytes(signed({"serve": tiny_model.int8_dense()}))
    model = finished_model(tmp_path / "one.tflite#serve")
    assert model.path == tmp_path / "one.tflite" and model.findings("") == ()


def test_a_file_in_the_cache_that_is_another_is_not_believed(two, monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    first = finished_model(two.with_name("two.tflite#scores")).path
    good = first.read_bytes()
    first.write_bytes(b"nonsense")
    from harness.workloads import finished

    finished._cut.cache_clear()
    assert finished_model(two.with_name("two.tflite#scores")).path.read_bytes() == good


@pytest.mark.parametrize(
    "name, found",
    [("a.tflite", True), ("a.TFLITE#b", True), ("a/b/c/d", False), ("mnist-cnn:ptq-int8", False), ("m.keras#b", False)],
)
def test_files_are_told_from_cells_and_recipes(name, found):
    assert names_file(name) == found


def test_commands_take_it(two, tmp_path):
    """What they say of the signature is what they say of the model that it was made of."""
    one = tmp_path / "logits.tflite"
    one.write_bytes(question_models.classifier("logits"))
    run = CliRunner()
    named = f"{two}#scores"
    checked = run.invoke(cli, ["check", named, "--device", "imx8mp", "--json", str(tmp_path / "c.json")])
    assert checked.exit_code == 0 and "#scores on imx8mp" in checked.output
    audited = run.invoke(cli, ["audit", named, "--json", str(tmp_path / "a.json"), "--all-findings"])
    assert audited.exit_code == 0 and "signature-cut-out" in audited.output
    (cell,) = json.loads((tmp_path / "a.json").read_text())["cells"]
    assert cell["artifact_sha256"] == sha256_file(finished_model(two.with_name("two.tflite#scores")).path)
    compared = run.invoke(cli, ["diff", named, str(one), "--json", str(tmp_path / "d.json")])
    assert compared.exit_code == 0
    document = json.loads((tmp_path / "d.json").read_text())
    assert document["b"]["sha256"] == sha256_bytes(one.read_bytes()) and {r["state"] for r in document["nodes"]} == {
        "same"
    }
    refused = run.invoke(cli, ["explain", f"{two}#nix", "--device", "host-litert"])
    assert "has no signature 'nix'" in str(refused.exception) and "classify, scores" in str(refused.exception)


def test_a_project_names_it(two, tmp_path):
    text = f'[model]\npath = "{two}"\nsignature = "{{}}"\n[data]\npath = "{two.with_name("s.npz")}"\n'
    (tmp_path / "harness.toml").write_text(text.format("scores"))
    project = load_project(tmp_path / "harness.toml")
    assert project.named_model.name == "two.tflite#scores"
    workload = project_workload(project.path)
    assert workload.name == "two-scores" and workload.from_logits
    (tmp_path / "harness.toml").write_text(text.format("nix"))
    with pytest.raises(UserInputError, match="has no signature 'nix'"):
        project_workload(project.path)
    (tmp_path / "harness.toml").write_text('[model]\npath = "m.keras"\nsignature = "a"\n')
    (tmp_path / "m.keras").write_bytes(b"")
    with pytest.raises(UserInputError, match="it has no signatures") as caught:
        project_workload(project.path)
    assert caught.value.where == f"{project.path}:3:13"


def test_init_writes_it(two, tmp_path):
    made = create_project(f"{two}#classify", two.with_name("s.npz"), folder=tmp_path, ask=False)
    text = made.project.path.read_text()
    assert made.project.named_model.name == "two.tflite#classify"
    assert 'signature = "classify"' in text and "the signature 'classify' of a finished .tflite" in text
    assert model_ends(two.with_name("two.tflite#classify")).outputs[0].squashed


def test_names_keep_the_signature(tmp_path):
    assert workload_name(tmp_path / "m.tflite#serving default") == "m-serving-default"
    assert workload_name(tmp_path / "folder.v2#sign") == "folder-sign"
