"""What is said before the push: loading, correctness, placement, memory, advice; and afterwards, where it was wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.boards.connect import backend_spec
from harness.boards.predict import predict
from harness.boards.registry import twin_kind
from harness.boards.resolve import get_profile, packaged_profile
from harness.core.errors import UserInputError
from harness.predict.compare import compare_prediction
from harness.predict.partitions import count_partitions
from harness.results.record import CellKey, CellRecord, FallbackOp, Fingerprint
from harness.tflite.graph import read_graph
from harness.tflite.memory import estimate_memory
from tests.support import tiny_model
from tests.support.defect_cases import dense, product, summed
from tests.support.quantized_ops import make_case

IMX = packaged_profile("imx8mp")
OLD = "tflite-runtime==2.14.0"


def prediction(model: bytes, *, backend: str = "npu", profile=IMX, **options):
    return predict(read_graph(model), len(model), profile, backend_spec(profile, backend), **options)


def test_an_integer_model_is_expected_to_run_whole_on_the_delegate():
    found = prediction(tiny_model.mnist_cnn(), runtime=OLD)
    assert (found.loads, found.right, found.delegate) == (True, True, "vx")
    assert (found.taken, found.total_nodes, found.partitions) == (3, 3, 1)
    assert (found.reasons, found.advice, found.fallback) == ((), (), ())


def test_an_op_too_new_is_refused_with_what_helps():
    model = make_case("FULLY_CONNECTED", "float32", "int8", per_channel=True, version=12).model
    found = prediction(model, runtime=OLD)
    assert found.loads is False
    assert any("version 12" in reason for reason in found.reasons)
    text = " ".join(found.advice)
    assert "ptq-default-pt" in text and "_experimental_disable_per_channel_quantization_for_dense_layers" in text
    assert "ai-edge-litert 2.3.0" in text


def test_a_model_that_loads_and_is_wrong_is_expected_to_be():
    model = make_case("FULLY_CONNECTED", "float32", "int8", per_channel=True, version=3).model
    assert (prediction(model, runtime=OLD).loads, prediction(model, runtime=OLD).right) == (True, False)
    newer = prediction(model, runtime="ai-edge-litert 2.3.0")
    assert (newer.loads, newer.right) == (True, True)


def test_a_version_that_nobody_stated_is_marked_as_assumed():
    model = tiny_model.int8_dense()
    assert prediction(model).runtime_assumed
    assert not prediction(model, runtime=OLD).runtime_assumed
    host = packaged_profile("host-litert")
    stated = prediction(model, profile=host, backend=next(iter(host.backends)))
    assert (stated.runtime, stated.runtime_assumed) == ("ai-edge-litert 2.3.0", False)


def test_a_twins_pinned_runtime_is_not_assumed():
    twin = get_profile("imx8mp@qemu", IMX.origin.path.parent)
    found = prediction(tiny_model.int8_dense(), profile=twin, backend="cpu")
    assert (found.runtime, found.runtime_assumed) == ("tflite-runtime 2.14.0", False)
    newer = IMX.model_copy(update={"emulation": {**IMX.emulation, "runtime": "ai-edge-litert==2.3.0"}})
    other = twin_kind(newer).twin(newer)
    assert prediction(tiny_model.int8_dense(), profile=other, backend="cpu").runtime == "ai-edge-litert 2.3.0"


def test_a_compilers_estimates_load_nothing(harness_cli, tmp_path):
    twin = get_profile("imx93@vela", IMX.origin.path.parent)
    found = prediction(tiny_model.float_mlp(), profile=twin)
    assert (found.runtime, found.loads, found.right, found.reasons) == ("none", None, None, ())
    assert found.nodes is not None
    (tmp_path / "model.tflite").write_bytes(tiny_model.mnist_cnn())
    result = harness_cli("check", tmp_path / "model.tflite", "--device", "imx93@vela", "--runtime", OLD)
    row = next(line for line in result.out.splitlines() if line.startswith("npu"))
    assert row.count("nothing runs") == 2 and "tflite-runtime" not in row


def test_a_backend_without_a_delegate_has_no_placement_to_predict():
    found = prediction(tiny_model.mnist_cnn(), backend="cpu-ref")
    assert (found.delegate, found.nodes, found.taken, found.partitions) == (None, None, None, None)


def test_a_delegate_without_a_table_is_said_to_be_unknown():
    spec = replace(backend_spec(IMX, "npu"), delegate_name="neutron")
    model = tiny_model.mnist_cnn()
    found = predict(read_graph(model), len(model), IMX, spec)
    assert found.nodes is None and "no table of what the delegate neutron takes" in found.reasons[0]


def test_the_delegates_own_options_count():
    spec = replace(backend_spec(IMX, "npu"), delegate_name="npu-standin", delegate_options={"refuse": "MAX_POOL_2D"})
    model = tiny_model.mnist_cnn()
    found = predict(read_graph(model), len(model), IMX, spec)
    assert (found.taken, found.partitions) == (2, 2)
    assert [node.op for node in found.fallback] == ["MAX_POOL_2D"]


def test_memory_counts_the_activations_that_live_together():
    model = tiny_model.mnist_cnn()
    estimate = estimate_memory(read_graph(model), len(model))
    conv, pool = 26 * 26 * 12, 13 * 13 * 12
    assert estimate.arena_bytes == sum(-(-n // 64) * 64 for n in (conv, pool))
    assert estimate.total_bytes == len(model) + estimate.arena_bytes


@pytest.mark.parametrize("ram_bytes, fits", [(None, None), (1 << 20, True), (20_000, False)])
def test_a_model_fits_when_the_profiles_limits_say_so(ram_bytes, fits):
    profile = IMX.model_copy(update={"limits": IMX.limits.model_copy(update={"ram_bytes": ram_bytes})})
    found = prediction(tiny_model.mnist_cnn(), profile=profile)
    assert found.fits is fits
    assert any("limits.ram_bytes" in reason for reason in found.reasons) == (fits is False)


def test_a_runtime_without_version_is_refused():
    with pytest.raises(UserInputError, match="NAME==VERSION"):
        prediction(tiny_model.int8_dense(), runtime="tflite-runtime")


def test_partitions_follow_the_runtimes_grouping():
    graph = read_graph(tiny_model.mnist_cnn())
    assert [count_partitions(graph, taken) for taken in (set(), {1}, {0, 2}, {0, 1}, {0, 1, 2})] == [0, 1, 2, 1, 1]


# -- afterwards


def record(**values) -> CellRecord:
    ops = [{"node": i, "op": op, "ran_on": "vx"} for i, op in enumerate(("CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED"))]
    base = dict(
        key=CellKey(workload="w", recipe="r", device="imx8mp", backend="npu", dataset="x", seed=0),
        run="run",
        outcome="ok",
        load_ns=1,
        delegate_name="vx",
        ops=ops,
        reference="tflite-runtime 2.14.0 BUILTIN_REF",
        fingerprint=Fingerprint(runtime="tflite-runtime 2.14.0"),
    )
    return CellRecord(**{**base, **values})


def codes(found, seen) -> list[str]:
    return [finding.code for finding in compare_prediction(found, seen)]


@pytest.fixture
def good():
    return prediction(tiny_model.mnist_cnn(), runtime=OLD)


@pytest.fixture
def refused():
    model = make_case("FULLY_CONNECTED", "float32", "int8", per_channel=True, version=12).model
    return prediction(model, runtime=OLD)


def test_what_happened_as_predicted_is_no_finding(good, refused):
    assert codes(good, record()) == []
    assert codes(refused, record(outcome="unsupported", reason="load: version 12", load_ns=None, ops=[])) == []


def test_a_failed_cell_contradicts_nothing(good, refused):
    for found in (good, refused):
        assert (
            codes(found, record(outcome="failed", reason="load: connection lost", load_ns=None, ops=[], reference=None))
            == []
        )


def test_a_model_that_did_not_load_against_the_prediction_is_a_finding(good):
    findings = compare_prediction(good, record(outcome="unsupported", reason="load: no such op", load_ns=None, ops=[]))
    assert [f.code for f in findings] == ["prediction-load"] and "load: no such op" in findings[0].what


def test_a_model_that_loaded_against_the_prediction_names_the_real_runtime(refused):
    seen = record(ops=[], fingerprint=Fingerprint(runtime="tflite-runtime 2.16.2"))
    findings = compare_prediction(refused, seen)
    assert [f.code for f in findings] == ["prediction-load"]
    assert "--runtime tflite-runtime==2.16.2" in findings[0].fix


def test_wrong_outputs_that_nothing_announced_are_an_error(good):
    findings = compare_prediction(good, record(outcome="wrong", reason="9 % differ"))
    assert [(f.code, f.severity) for f in findings] == [("prediction-right", "error")]


def test_right_outputs_against_the_prediction_count_only_beside_a_reference():
    found = prediction(make_case("FULLY_CONNECTED", "float32", "int8", per_channel=True, version=3).model, runtime=OLD)
    assert codes(found, record(ops=[])) == ["prediction-right"]
    assert codes(found, record(ops=[], reference=None)) == []


def test_placement_is_compared_node_by_node(good):
    seen = record()
    seen.ops[1]["ran_on"] = "cpu"
    seen.fallback = [FallbackOp(node=1, op="MAX_POOL_2D", reason="filter too large")]
    (finding,) = compare_prediction(good, seen)
    assert (finding.code, finding.where) == ("prediction-placement", "w/r/imx8mp/npu node 1")
    assert "MAX_POOL_2D: predicted on the delegate, ran on the CPU (filter too large)" in finding.what


def test_a_node_that_the_delegate_took_unexpectedly_is_a_finding():
    model = make_case("FULLY_CONNECTED", "float32", "int8", per_channel=False).model
    seen = record(ops=[{"node": 0, "op": "FULLY_CONNECTED", "ran_on": "vx"}])
    (finding,) = compare_prediction(prediction(model, runtime=OLD), seen)
    assert "predicted on the CPU (hybrid" in finding.what and "ran on the delegate" in finding.what


# -- the command


@pytest.fixture
def model_file(tmp_path):
    (tmp_path / "model.tflite").write_bytes(
        make_case("FULLY_CONNECTED", "float32", "int8", per_channel=True, version=12).model
    )
    return tmp_path / "model.tflite"


def test_harness_check_says_what_will_happen_and_what_helps(harness_cli, model_file):
    result = harness_cli("check", model_file, "--device", "imx8mp", "--runtime", OLD)
    assert result.code == 0
    npu = next(line for line in result.out.splitlines() if line.startswith("npu"))
    assert "NO" in npu and "vx 0/1" in npu
    assert "node 0 FULLY_CONNECTED stays on the CPU: hybrid" in result.out
    assert "ptq-default-pt" in result.out


def test_harness_check_says_whose_op_versions_a_model_exceeds(harness_cli, model_file):
    result = harness_cli("check", model_file, "--device", "imx8mp", "--runtime", OLD)
    words = " ".join(result.out.split())
    assert (
        "against it on cpu-ref: FULLY_CONNECTED version 12: this runtime's reference kernels have versions 1 to 9"
        in words
    )
    assert (
        "against it on cpu, npu: FULLY_CONNECTED version 12: this runtime's optimized kernels have versions 1 to 10"
        in words
    )


def test_harness_check_strict_fails_for_a_model_that_will_not_load(harness_cli, model_file, tmp_path):
    assert harness_cli("check", model_file, "--device", "imx8mp", "--runtime", OLD, "--strict").code == 1
    (tmp_path / "good.tflite").write_bytes(tiny_model.mnist_cnn())
    assert harness_cli("check", tmp_path / "good.tflite", "--device", "imx8mp", "--strict").code == 0


def test_harness_check_writes_json_on_stdout_and_nothing_else(harness_cli, model_file):
    result = harness_cli("check", model_file, "--device", "imx8mp", "--backend", "npu", "--runtime", OLD, "--json", "-")
    (entry,) = json.loads(result.out)["predictions"]
    (backend,) = entry["backends"]
    assert (backend["loads"], backend["taken"], backend["nodes"][0]["taken"]) == (False, 0, False)


@pytest.mark.parametrize(
    "target, words",
    [("model.keras", "neither a .tflite"), ("none.tflite", "cannot be read"), ("nobody:ptq-int8", "unknown workload")],
)
def test_harness_check_names_what_it_cannot_check(harness_cli, target, words):
    result = harness_cli("check", target, "--device", "imx8mp")
    assert result.code == 1 and words in result.err


@pytest.mark.parametrize(
    ("case", "runtime", "expected"),
    [
        (summed("int8"), OLD, {"cpu-ref": False, "cpu": True, "npu": True}),
        (dense("int8", per_channel=True), OLD, {"cpu-ref": False, "cpu": True, "npu": True}),
        (dense("int16", per_channel=True), OLD, {"cpu-ref": False, "cpu": False, "npu": False}),
        (product(5), "ai-edge-litert 2.0.3", {"cpu-ref": True, "cpu": False, "npu": True}),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_runtimes_defects_are_foretold_where_its_own_kernels_run(case, runtime, expected):
    """What the delegate takes is none of their business; int16 it leaves to them."""
    found = {backend: prediction(case.model, backend=backend, runtime=runtime).right for backend in expected}
    assert found == expected


def test_a_delegate_that_sums_in_float16_says_so(tmp_path):
    (tmp_path / "delegates").mkdir()
    table = "name: half\ntitle: half floats\nsource: this test\ntaken: [FULLY_CONNECTED]\nfloat16_accumulation: true\n"
    (tmp_path / "delegates" / "half.yaml").write_text(table)
    spec = replace(backend_spec(IMX, "npu"), delegate_name="half")
    for model, takes in ((tiny_model.int8_dense(), True), (summed("int8").model, False)):
        found = predict(read_graph(model), len(model), IMX, spec, runtime=OLD, devices_option=tmp_path)
        assert found.float16_accumulation is takes
