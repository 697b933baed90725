"""The pinned references: which one answers for which model, and what happens when they disagree. Real runtimes."""

import dataclasses

import numpy as np
import pytest

from harness.boards.base import BackendSpec, Deadlines, WorkerFailure
from harness.core.files import sha256_bytes
from harness.measure.reference import LITERT_REF, TFLITE_REF, TWIN_IDENTITY, References, reference_count
from harness.prepare.prepared import PreparedModel, random_inputs, with_graph_facts
from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import read_tree, write_tree
from harness.tflite.dimensions import with_possible_dimensions
from harness.tflite.graph import read_graph
from harness.tflite.support import known_runtimes, runtime_supports
from harness.variants.build.build import artifact_from_file
from tests.support import tiny_model
from tests.support.defect_cases import dense, summed
from tests.support.small_nets import Net
from tests.support.small_quantizer import calibrate, quantize
from tests.support.tiny_model import Node, Tensor


def hybrid_dense(seed=0):
    """float32 [1, 8] -> FULLY_CONNECTED with int8 weights of one scale -> float32 [1, 4]."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (4, 8)).astype(np.int8)
    tensors = [
        Tensor(name="x", shape=(1, 8), dtype="float32"),
        Tensor(name="w", shape=(4, 8), dtype="int8", scale=0.01, data=weights),
        Tensor(name="b", shape=(4,), dtype="float32", data=np.arange(4, dtype=np.float32)),
        Tensor(name="y", shape=(1, 4), dtype="float32"),
    ]
    node = Node(op="FULLY_CONNECTED", inputs=(0, 1, 2), outputs=(3,), options="FullyConnectedOptions")
    return tiny_model.build(tensors, [node], inputs=(0,), outputs=(3,)), weights


def prepared(tmp_path, content):
    path = tmp_path / f"{sha256_bytes(content)[:8]}.tflite"
    path.write_bytes(content)
    artifact = artifact_from_file(path)
    inputs = random_inputs(artifact.inputs, 64, 0)
    base = PreparedModel(
        workload="w", metric=None, recipe="as-is", seed=0, artifact=artifact,
        dataset_name="random", dataset_note="", dataset_digest="d", inputs=inputs, sample_ids=np.arange(64),
    )  # fmt: skip
    return with_graph_facts(base)


@pytest.fixture(scope="module")
def references():
    with References() as references:
        yield references


def test_integer_models_are_judged_by_their_float_twin_and_have_exact_outputs_beside_it(references, tmp_path):
    model = references.add_reference(prepared(tmp_path, tiny_model.int8_dense()))
    assert (model.reference.identity, model.reference.kind) == (TWIN_IDENTITY, "twin")
    assert model.reference.outputs[0].dtype == model.reference.companions[0].dtype == np.float32
    assert model.exact.identity == TFLITE_REF.identity == "tflite-runtime 2.14.0 BUILTIN_REF"
    assert model.exact.outputs[0].dtype == np.int8
    assert model.findings == ()
    scale, zero = model.artifact.outputs[0].scale, model.artifact.outputs[0].zero_point
    exact = (model.exact.outputs[0].astype(float) - zero) * scale
    assert np.abs(model.reference.outputs[0] - exact).max() <= 1.01 * scale
    assert 0 < np.abs(model.reference.outputs[0] - model.reference.companions[0]).max() <= 0.51 * scale


def test_a_bias_with_an_axis_that_it_has_not_is_read_with_the_one_that_it_has(references, tmp_path):
    """The runtimes refuse the file, and `harness check` says so; a copy that means the same answers for it."""
    tree = read_tree(tiny_model.int8_dense())
    [bias] = [t for t in tree.rows("subgraphs")[0].rows("tensors") if t.text("name") == "b"]
    bias["quantization"]["quantized_dimension"] = 3
    odd = write_tree(tree)
    for name, version in known_runtimes():
        support = runtime_supports(name, version, read_graph(odd))
        assert support.loads is False and "'b': its quantized_dimension is 3" in support.reasons[0]
    found = references.add_reference(prepared(tmp_path, odd))
    plain = references.add_reference(prepared(tmp_path, tiny_model.int8_dense()))
    assert found.exact.identity == TFLITE_REF.identity and found.findings == ()
    assert np.array_equal(found.exact.outputs[0], plain.exact.outputs[0])
    assert np.array_equal(found.reference.outputs[0], plain.reference.outputs[0])
    with pytest.raises(WorkerFailure, match="quantized_dimension must be in range"):
        board = references._board(TFLITE_REF)
        artifact = prepared(tmp_path, odd).artifact
        board.ensure_file(artifact.file, artifact.file_sha256)
        worker = board.open_worker(BackendSpec(name="cpu"), Deadlines())
        try:
            worker.load(artifact.file_sha256)
        finally:
            worker.close()


def test_an_axis_that_could_be_any_is_left_alone():
    tree = read_tree(tiny_model.int8_dense())
    [weights] = [t for t in tree.rows("subgraphs")[0].rows("tensors") if t.text("name") == "w"]
    weights["quantization"]["scale"] = np.full(10, 0.01, np.float32)
    weights["quantization"]["zero_point"] = np.zeros(10, np.int64)
    weights["quantization"]["quantized_dimension"] = 7
    odd = write_tree(tree)
    assert with_possible_dimensions(read_graph(odd), odd) is None
    assert with_possible_dimensions(read_graph(tiny_model.int8_dense()), tiny_model.int8_dense()) is None


def test_float_models_are_answered_by_litert(references, tmp_path):
    model = references.add_reference(prepared(tmp_path, tiny_model.float_mlp()))
    assert (model.reference.identity, model.reference.kind) == (LITERT_REF.identity, "twin")
    assert model.reference.companions is None and model.exact is None
    samples = np.load(model.inputs[0].path)
    assert np.allclose(model.reference.outputs[0].reshape(64, -1), tiny_model.float_mlp_reference(samples), atol=1e-5)


def test_hybrid_models_are_answered_without_a_hybrid_kernel(references, tmp_path):
    content, weights = hybrid_dense()
    model = references.add_reference(prepared(tmp_path, content))
    assert model.reference.identity == TWIN_IDENTITY and model.exact is None
    assert model.reference.companions is not None  # what rounding the input costs is known, too
    samples = np.load(model.inputs[0].path).astype(np.float64)
    expected = samples @ (weights.astype(np.float64) * 0.01).T + np.arange(4)
    assert np.allclose(model.reference.outputs[0].reshape(64, 4), expected, atol=1e-5)


def test_reference_kernels_that_differ_from_the_twin_are_not_exact(references, tmp_path, monkeypatch):
    model = prepared(tmp_path, tiny_model.int8_dense())
    ask = References._ask

    def off(self, oracle, model, count, findings):
        (outputs,) = ask(self, oracle, model, count, findings)
        return (np.clip(outputs.astype(int) + 5, -128, 127).astype(np.int8),)

    monkeypatch.setattr(References, "_ask", off)
    model = references.add_reference(model)
    assert model.exact is None and model.reference.identity == TWIN_IDENTITY
    (finding,) = [f for f in model.findings if f.code == "references-disagree"]
    assert "differs from float twin" in finding.what and "tflite-runtime" in finding.what


def test_kernels_that_are_known_to_err_are_not_exact(references, tmp_path):
    for case in (summed("int8"), dense("int8", per_channel=True)):
        model = references.add_reference(prepared(tmp_path, case.model))
        assert model.reference.kind == "twin" and model.exact is None, case.name
        assert model.findings == ()


def test_a_model_without_a_twin_is_answered_by_a_runtime_and_says_why(references, tmp_path):
    editor = Editor()
    x = editor.tensor("x", (1, 4), "int8", scales=[0.1])
    y = editor.tensor("y", (1, 4), "int32")
    editor.add("CAST", [x], [y], options="CastOptions", fields={"in_data_type": 9, "out_data_type": 2})
    model = references.add_reference(prepared(tmp_path, write_tree(editor.finish([x], [y]))))
    assert (model.reference.kind, model.reference.companions) == ("runtime", None)
    assert "CAST reads stored integers" in model.reference.why
    assert [f.code for f in model.findings] == ["no-float-twin"]


def test_a_choice_has_the_scores_behind_it(references, tmp_path, litert):
    net = Net((8, 8, 3))
    choice = net.model(net.arg_max(net.conv(net.conv(net.inputs[0], 8), 4, activation=None)))
    samples = np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype(np.float32)
    model = references.add_reference(prepared(tmp_path, quantize(choice, calibrate(choice, [samples], litert))))
    assert np.issubdtype(model.reference.outputs[0].dtype, np.integer)
    scores = model.scores
    assert scores.reference.kind == "twin" and scores.reference.outputs[0].dtype == np.float32
    assert scores.artifact.outputs[0].dtype == "int8" and scores.lsb[0] > 0 and scores.inputs == model.inputs
    assert np.array_equal(scores.reference.outputs[0].argmax(-1), model.reference.outputs[0])


def test_large_outputs_have_fewer_reference_samples(tmp_path):
    model = prepared(tmp_path, tiny_model.int8_dense())
    assert reference_count(model) == 64
    wide = dataclasses.replace(model.artifact.outputs[0], shape=(1, 512, 512, 4))
    many = dataclasses.replace(model.inputs[0], count=1000)
    large = dataclasses.replace(model, artifact=dataclasses.replace(model.artifact, outputs=(wide,)), inputs=(many,))
    assert reference_count(large) == 64
    assert reference_count(dataclasses.replace(model, inputs=(many,))) == 256


def test_a_model_that_no_reference_can_run_says_so(references, tmp_path):
    model = references.add_reference(prepared(tmp_path, tiny_model.float_mlp(version=99)))
    assert model.reference is None
    assert {f.code for f in model.findings} == {"no-reference", "reference-unavailable", "no-float-twin"}


def test_answers_are_cached_by_content(references, tmp_path, monkeypatch):
    model = prepared(tmp_path, tiny_model.int8_dense())
    first = references.add_reference(model).reference
    monkeypatch.setattr(References, "_run", lambda *_: pytest.fail("asked again"))
    again = references.add_reference(dataclasses.replace(model)).reference
    assert np.array_equal(first.outputs[0], again.outputs[0]) and first.identity == again.identity
    assert np.array_equal(first.companions[0], again.companions[0])


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"", lambda data: data[:60] + b"\xff" + data[61:]]
)
def test_damaged_files_of_the_cache_are_made_again_and_blame_nobody(references, tmp_path, monkeypatch, damage):
    monkeypatch.setattr("harness.measure.reference.cache_dir", lambda: tmp_path / "cache")
    content, _ = hybrid_dense(seed=7)
    model = prepared(tmp_path, content)
    first = references.add_reference(model).reference
    cached = [p for p in (tmp_path / "cache").rglob("*") if p.suffix in (".npz", ".tflite")]
    assert sorted(path.suffix for path in cached) == [".npz", ".tflite", ".tflite"]
    for path in cached:
        path.write_bytes(damage(path.read_bytes()))
    again = references.add_reference(model)
    assert np.array_equal(again.reference.outputs[0], first.outputs[0]) and again.findings == ()
