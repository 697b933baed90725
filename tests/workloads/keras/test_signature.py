"""A SavedModel by its signature: read without TensorFlow, converted by TensorFlow, refused where it does more than compute."""

import json
import subprocess
import sys

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.run.plan import ModelRequest, prepare_requests
from harness.variants.build.build import BuildRequest, build_artifacts
from harness.variants.recipe import parse_recipe
from harness.workloads.datasets import DataSource
from harness.workloads.keras.env import worker_environment
from harness.workloads.keras.file import read_keras_file
from harness.workloads.keras.signature import read_signature, split_signature
from harness.workloads.user import model_ends, user_workload
from tests.support.signature_models import samples, scores


def run(verb, folder):
    environment = {**worker_environment(3), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.support.signature_models", verb, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def signatures(make_once):
    return make_once("signatures", lambda folder: run("save", folder))


@pytest.mark.slow
def test_ends_are_read_without_tensorflow(signatures):
    logits = read_signature(signatures / "model", "logits")
    assert (logits.inputs[0].name, logits.inputs[0].dtype, logits.inputs[0].shape) == ("x", "float32", (-1, 6))
    (scores,) = logits.outputs
    assert (scores.name, scores.shape, scores.squashed) == ("scores", (-1, 3), False)
    shares = read_signature(signatures / "model", "probabilities")
    assert (shares.inputs[0].dtype, shares.outputs[0].squashed) == ("uint8", True)
    several = model_ends(signatures / "model#several")
    assert [(one.name, one.units, one.squashed_by) for one in several.outputs] == [
        ("mean", 1, None),
        ("shares", 3, "softmax"),
    ]
    ends = model_ends(signatures / "model#probabilities")
    assert (ends.outputs[0].units, ends.is_logits(0), ends.signature) == (3, False, "probabilities")


@pytest.mark.slow
def test_which_signature_is_meant_must_be_clear(signatures):
    with pytest.raises(
        UserInputError, match="has the signatures both, logits, probabilities, several, and none is 'serving_default'"
    ):
        read_signature(signatures / "model", None)
    with pytest.raises(UserInputError, match="has no signature 'other'.*it has both, logits, probabilities, several"):
        read_signature(signatures / "model", "other")
    both = read_signature(signatures / "model", "both")
    assert [(one.name, one.shape) for one in both.inputs] == [("a", (-1, 6)), ("b", (-1, 6))]


@pytest.mark.slow
def test_signatures_are_converted_as_they_compute(signatures):
    found = json.loads(run("load", signatures).splitlines()[-1])
    for name in ("logits", "probabilities"):
        assert found[name] < 1e-5 and found[f"{name} ptq-float32"] < 1e-5
    assert found["logits ptq-int8"] < 0.1


@pytest.mark.slow
def test_a_signature_is_a_workload(signatures, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    np.savez(tmp_path / "s.npz", x_test=np.zeros((40, 6), np.uint8), y_test=np.arange(40) % 3)
    workload = user_workload(signatures / "model#logits", tmp_path / "s.npz")
    assert (workload.name, workload.metric.name, workload.from_logits) == ("model-logits", "top1", True)


@pytest.mark.slow
def test_a_signature_is_built_and_what_trains_is_refused(signatures, tmp_path):
    np.savez(tmp_path / "s.npz", x_test=np.arange(240).reshape(40, 6), y_test=np.arange(40) % 3)
    workload = user_workload(signatures / "model#logits", tmp_path / "s.npz")
    requests = [
        BuildRequest(workload=workload, recipe=parse_recipe(name), source=DataSource())
        for name in ("ptq-int8-io", "qat-int8-io")
    ]
    built, refused = build_artifacts(requests, jobs=1)
    assert built.path is not None and built.inputs[0].dtype == "int8"
    assert refused.path is None and "is a graph without layers: nothing of it can be trained" in refused.refused


@pytest.mark.slow
def test_several_outputs_of_a_signature_are_built_and_judged_by_name(signatures, tmp_path):
    x = samples().astype(np.uint8).repeat(5, axis=0)
    truth = scores(x.astype(np.float32))
    labels = {"y_test_mean": truth.mean(axis=1, keepdims=True), "y_test_shares": truth.argmax(axis=1)}
    np.savez(tmp_path / "s.npz", x_test=x, **labels)
    workload = user_workload(signatures / "model#several", tmp_path / "s.npz", "mean=rmse")
    (model,) = prepare_requests([ModelRequest(workload=workload, recipe="ptq-float32", seed=0)], DataSource())
    assert (model.output_name, [one.name for one in model.further]) == ("mean", ["shares"])
    outputs = model.reference.outputs
    order = model.sample_ids
    np.testing.assert_allclose(outputs[model.output], truth.mean(axis=1, keepdims=True)[order], atol=1e-4)
    np.testing.assert_array_equal(outputs[model.further[0].output].argmax(axis=1), truth.argmax(axis=1)[order])


@pytest.mark.slow
def test_several_inputs_and_several_outputs_of_a_signature_are_told_apart(signatures, tmp_path):
    a = samples().repeat(5, axis=0)
    b = np.roll(a, 3, axis=0) / 2
    classes = scores(a - b).argmax(axis=1)
    np.savez(tmp_path / "s.npz", x_test_b=b, x_test_a=a, y_test_sum=a + b, y_test_shares=classes)
    workload = user_workload(signatures / "model#both", tmp_path / "s.npz", "sum=rmse")
    requests = [ModelRequest(workload=workload, recipe=name, seed=0) for name in ("ptq-float32", "ptq-int8-io")]
    plain, quantized = prepare_requests(requests, DataSource())
    assert {plain.output_name, *(one.name for one in plain.further)} == {"sum", "shares"}
    places = {plain.output_name: plain.output} | {one.name: one.output for one in plain.further}
    order = plain.sample_ids
    np.testing.assert_allclose(plain.reference.outputs[places["sum"]], (a + b)[order], rtol=1e-5)
    np.testing.assert_array_equal(plain.reference.outputs[places["shares"]].argmax(axis=1), classes[order])
    assert [one.dtype for one in quantized.artifact.inputs] == ["int8", "int8"]
    assert (quantized.output_name, len(quantized.artifact.outputs)) == (plain.output_name, 2)


def field(number, value):
    """A field of a protobuf message: bytes or a number under 128."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def saved(folder, op, dtype=1, shape=None):
    """A SavedModel of one node between an input `x` and an output `y` of the signature `serve`; None: of an unknown rank."""
    node = field(1, b"n") + field(2, op) + field(3, b"x")
    end = field(1, b"n:0") + field(2, dtype)
    if shape is not None:
        end += field(3, b"".join(field(2, field(1, size)) for size in shape))
    function = field(1, field(1, b"x") + field(2, end)) + field(2, field(1, b"y") + field(2, end))
    meta = field(2, field(1, node)) + field(5, field(1, b"serve") + field(2, function))
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(field(2, meta))
    return folder


def test_a_graph_that_computes_is_read(tmp_path):
    signature = read_signature(saved(tmp_path / "m", b"Softmax"), None)
    assert (signature.name, signature.outputs[0].squashed, signature.inputs[0].shape) == ("serve", True, None)


@pytest.mark.parametrize(
    "op", [b"PyFunc", b"EagerPyFunc", b"WriteFile", b"ReadFile", b"TextLineReaderV2", b"RemoteCall"]
)
def test_a_graph_that_does_more_is_refused(tmp_path, op):
    with pytest.raises(UserInputError, match=f"node 'n' is the op {op.decode()}, which runs code or touches files"):
        read_signature(saved(tmp_path / "m", op), None)


def test_texts_are_no_samples(tmp_path):
    with pytest.raises(UserInputError, match="takes values of type string"):
        read_signature(saved(tmp_path / "m", b"Identity", dtype=7), None)


def test_texts_are_no_outputs(tmp_path):
    folder = saved(tmp_path / "m", b"Identity")
    data = (folder / "saved_model.pb").read_bytes()
    # The last type in the file is that of the signature's output.
    place = data.rindex(bytes([2 << 3, 1]))
    (folder / "saved_model.pb").write_bytes(data[: place + 1] + bytes([7]) + data[place + 2 :])
    with pytest.raises(UserInputError, match="signature 'serve' gives 'y' of type string"):
        read_signature(folder, None)


@pytest.mark.parametrize("shape, words", [((4,), "[4]"), ((), "[]"), ((8, 4), "[8, 4]"), ((1, 4), None), (None, None)])
def test_a_function_without_an_axis_of_samples_is_refused(tmp_path, shape, words):
    folder = saved(tmp_path / "m", b"Identity", shape=shape)
    if words is None:
        assert read_keras_file(folder).signature.inputs[0].shape == shape
        return
    with pytest.raises(UserInputError, match="expected an open batch") as caught:
        read_keras_file(folder)
    assert words in caught.value.what and "signature 'serve': 'x'" in caught.value.what


def test_damaged_files_are_told(tmp_path):
    whole = saved(tmp_path / "m", b"Identity") / "saved_model.pb"
    data = whole.read_bytes()
    for size in range(len(data)):
        whole.write_bytes(data[:size])
        with pytest.raises(UserInputError):
            read_signature(tmp_path / "m", None)


def test_a_name_with_the_mark_is_a_name_where_it_is_there(tmp_path):
    (tmp_path / "a#b").mkdir()
    assert split_signature(tmp_path / "a#b") == (tmp_path / "a#b", None)
    assert split_signature(tmp_path / "a#c") == (tmp_path / "a", "c")
