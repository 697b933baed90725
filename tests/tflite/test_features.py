"""What a model needs of a runtime, and predictions that are held against what the runtimes really do."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.envs.hostenv import ensure_runtime_env
from harness.tflite.arithmetic import node_arithmetic
from harness.tflite.features import (
    features,
    is_integer_model,
    known_runtimes,
    newest_runtimes,
    output_lsb,
    runtime_supports,
)
from harness.tflite.graph import read_graph
from harness.tflite.probe import minimal_model, probe
from harness.tflite.support import _FOLDER, _read
from tests.support.quantized_ops import make_case, run_cases

_OPS = ("FULLY_CONNECTED", "BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
CASES = [
    make_case(op, activation, weight, per_channel=per_channel, zero_point=zero_point, version=version)
    for op, activation, (weight, zero_point), per_channel in itertools.product(
        _OPS, ("float32", "int8", "int16"), (("int8", 0), ("int8", 20), ("int4", 0)), (False, True)
    )
    # Version 3 of each: known to both runtimes, and what their kernels do does not depend on the number.
    for version in (3,)
] + [make_case("DEQUANTIZE", "float32", w, per_channel=c, version=2) for w in ("int8", "int4") for c in (False, True)]


def kinds(graph) -> dict[str, str]:
    return {node.op: node_arithmetic(graph, node) for node in graph.nodes}


@pytest.mark.parametrize(
    ("recipe", "conv", "dense"),
    [
        ("ptq-float32", "float", "float"),
        ("ptq-float16", "weight-only", "weight-only"),
        ("ptq-wo8", "weight-only", "weight-only"),
        ("ptq-default", "float", "hybrid"),
        ("ptq-aeq-dyn4", "hybrid", "hybrid"),
        ("ptq-int8-io", "integer", "integer"),
        ("ptq-int16x8", "integer", "integer"),
        ("qat-default", "integer", "integer"),
        ("qat-dense-default", "float", "float"),
    ],
)
def test_arithmetic_follows_from_the_types(audit_models, recipe, conv, dense):
    graph = audit_models.graph("mnist-cnn", recipe)
    found = kinds(graph)
    assert (found["CONV_2D"], found["FULLY_CONNECTED"]) == (conv, dense)
    assert is_integer_model(graph) == (conv == dense == "integer")


def test_shape_ops_of_a_dynamic_batch_compute_nothing(audit_models):
    graph = audit_models.graph("mnist-cnn", "ptq-int8-io-dynbatch")
    found = kinds(graph)
    assert {found["SHAPE"], found["STRIDED_SLICE"], found["PACK"]} == {"index"}
    assert "dynamic-shapes" in features(graph).flags
    assert is_integer_model(graph)


@pytest.mark.parametrize(
    ("recipe", "flag"),
    [
        ("ptq-default", "per-channel-dense-hybrid"),
        ("ptq-int8-io", "per-channel-dense-integer"),
        ("ptq-aeq-dyn4", "int4"),
        ("ptq-float16", "float16-weights"),
        ("ptq-int16x8", "int16-activations"),
    ],
)
def test_features_that_runtimes_differ_in_are_flagged(audit_models, recipe, flag):
    assert flag in features(audit_models.graph("mnist-cnn", recipe)).flags
    assert flag not in features(audit_models.graph("mnist-cnn", "ptq-float32")).flags


def test_asymmetric_weights_are_flagged():
    assert (
        "asymmetric-weights"
        in features(
            read_graph(make_case("FULLY_CONNECTED", "int8", "int8", per_channel=False, zero_point=20).model)
        ).flags
    )
    assert "asymmetric-weights" not in features(read_graph(CASES[0].model)).flags


def test_an_output_step_is_the_scale_of_what_comes_out(audit_models):
    quantized = audit_models.graph("mnist-cnn", "ptq-int8-io")
    assert output_lsb(quantized) == (quantized.tensors[quantized.outputs[0]].scales[0],)
    behind_dequantize = audit_models.graph("mnist-cnn", "qat-default")
    producer = behind_dequantize.producers[behind_dequantize.outputs[0]]
    assert producer.op == "DEQUANTIZE"
    assert output_lsb(behind_dequantize) == (behind_dequantize.tensors[producer.inputs[0]].scales[0],)
    assert output_lsb(audit_models.graph("mnist-cnn", "ptq-float32")) == (None,)


@pytest.fixture(scope="module")
def verdicts():
    """What every known runtime makes of every case: (runtime, version, case, kernels) -> right, wrong or refused."""
    return {
        (*runtime, *key): verdict
        for runtime in known_runtimes()
        for key, verdict in run_cases(str(ensure_runtime_env("==".join(runtime)).python), CASES).items()
    }


@pytest.mark.parametrize("kernels", ["reference", "no-default-delegate", "default"])
@pytest.mark.parametrize(("runtime", "version"), known_runtimes())
def test_predictions_are_what_the_runtimes_do(verdicts, runtime, version, kernels):
    missed = {}
    for case in CASES:
        support = runtime_supports(runtime, version, read_graph(case.model), kernels=kernels)
        predicted = "refused" if support.loads is False else {True: "right", False: "wrong", None: "?"}[support.right]
        seen = verdicts[runtime, version, case.key, kernels]
        if predicted != seen:
            missed[case.key] = (predicted, seen, support.reasons)
    assert missed == {}


def test_the_silent_failures_are_among_the_cases(verdicts):
    key = "FULLY_CONNECTED float32 x int8 per-channel zp 0"
    assert verdicts["tflite-runtime", "2.14.0", key, "reference"] == "wrong"
    assert verdicts["ai-edge-litert", "2.3.0", key, "reference"] == "right"


@pytest.mark.slow
@pytest.mark.parametrize(("runtime", "version"), known_runtimes())
def test_op_versions_in_the_data_files_are_those_of_the_runtimes(runtime, version):
    told = probe(str(ensure_runtime_env(f"{runtime}=={version}").python), runtime, version)
    stored = _read(_FOLDER / f"{runtime}-{version}.json")
    assert stored["op_versions"] == told["op_versions"]
    assert stored["tensor_types"] == told["tensor_types"]


@pytest.mark.parametrize(
    ("recipe", "loads", "right"),
    [
        ("ptq-float32", True, True),
        ("ptq-default", False, None),
        ("ptq-default-pt", True, True),
        ("ptq-aeq-dyn8", True, False),
        ("ptq-aeq-dyn4", True, False),
        ("ptq-wo8", True, True),
        ("ptq-int8-io", True, True),
        ("ptq-int16x8", True, True),
        ("ptq-float16", True, True),
    ],
)
def test_the_old_runtime_is_predicted_for_every_conversion(audit_models, recipe, loads, right):
    support = runtime_supports("tflite-runtime", "2.14.0", audit_models.graph("mnist-cnn", recipe))
    assert (support.loads, support.right) == (loads, right)
    assert bool(support.reasons) == (right is not True)
    newer = runtime_supports("ai-edge-litert", "2.3.0", audit_models.graph("mnist-cnn", recipe))
    assert (newer.loads, newer.right, newer.reasons) == (True, True, [])


def test_reasons_name_op_version_and_node(audit_models):
    support = runtime_supports("tflite-runtime", "2.14.0", audit_models.graph("mnist-cnn", "ptq-default"))
    assert support.reasons[0] == "FULLY_CONNECTED version 12: this runtime's reference kernels have versions 1 to 9"
    assert support.reasons[1].startswith("node 4 FULLY_CONNECTED: the hybrid kernel uses the first channel's scale")


def test_reference_kernels_of_the_old_runtime_know_fewer_versions():
    model = read_graph(make_case("FULLY_CONNECTED", "int8", "int8", per_channel=False, version=10).model)
    assert runtime_supports("tflite-runtime", "2.14.0", model, kernels="reference").loads is False
    assert runtime_supports("tflite-runtime", "2.14.0", model, kernels="default").loads is True


def test_types_a_runtime_does_not_know_are_refused():
    support = runtime_supports("tflite-runtime", "2.14.0", read_graph(minimal_model(tensor_type=18)))
    assert support.loads is False
    assert support.reasons == ["tensor 0 'x': the runtime does not know the type bfloat16"]


def test_what_nobody_tried_is_not_predicted(audit_models):
    graph = audit_models.graph("mnist-cnn", "ptq-float32")
    support = runtime_supports("ai-edge-litert", "9.9.9", graph)
    assert (support.loads, support.right) == (None, None)
    assert "no data about ai-edge-litert 9.9.9" in support.reasons[0]


def test_an_unknown_runtime_is_an_error_with_the_nearest_name(audit_models):
    with pytest.raises(UserInputError, match="did you mean tflite-runtime"):
        runtime_supports("tflite-runtim", "2.14.0", audit_models.graph("mnist-cnn", "ptq-float32"))


def test_the_runtimes_of_the_profiles_are_the_newest_known():
    assert newest_runtimes() == (("ai-edge-litert", "2.3.0"), ("tflite-runtime", "2.14.0"))
    assert set(newest_runtimes()) < set(known_runtimes())


def test_asking_a_python_without_a_runtime_is_an_error(tmp_path):
    with pytest.raises(UserInputError, match="could not be asked"):
        probe(str(tmp_path / "python"), "tflite-runtime", "2.14.0")


def test_cases_tell_wrong_scales_from_right_ones():
    # If one scale fitted all channels, a runtime that confuses them would pass.
    case = next(c for c in CASES if c.per_channel and c.op == "FULLY_CONNECTED" and c.activation == "float32")
    scales = np.array(read_graph(case.model).tensors[1].scales)
    assert scales.max() / scales.min() > 10
