"""Models that the plan runtime cannot run: every reason, in words, before anything is pushed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np
import pytest

from harness.core.errors import UnsupportedError
from harness.tflite.plan import PlanUnsupported, check, make_plan
from tests.support import tiny_model
from tests.support.kernel_cases import Quantized
from tests.support.op_models import Tensor
from tests.support.plan_net import Net

FLOAT = "use a recipe such as ptq-int8-io"


def net(dtype: str = "int8") -> Net:
    return Net(np.random.default_rng(6), dtype)


def hybrid() -> bytes:
    n = net()
    source = n.raw(Tensor(shape=(1, 8), dtype="float32"))
    weights = n.raw(Tensor(shape=(4, 8), dtype="int8", scales=[0.1], zero_points=[0], data=np.ones((4, 8), np.int8)))
    target = n.raw(Tensor(shape=(1, 4), dtype="float32"))
    n.node("FULLY_CONNECTED", [source, weights], [target], "FullyConnectedOptions")
    return n.build([source], [target])


def sixteen_bits() -> bytes:
    n = net()
    tensors = [n.raw(Tensor(shape=(1, 8), dtype="int16", scales=[0.1], zero_points=[0])) for _ in range(2)]
    n.node("HARD_SWISH", [tensors[0]], [tensors[1]])
    return n.build([tensors[0]], [tensors[1]])


def unknown_op() -> bytes:
    n = net()
    source = n.tensor((1, 8))
    target = n.tensor((1, 8))
    n.node("FLOOR", [source], [target])
    return n.build([source], [target])


def recurrent() -> bytes:
    n = net()
    source = n.tensor((1, 8))
    target = n.tensor((1, 8))
    n.node("UNIDIRECTIONAL_SEQUENCE_RNN", [source], [target])
    return n.build([source], [target])


def per_channel_activation() -> bytes:
    n = net()
    source = n.raw(Tensor(shape=(1, 2), dtype="int8", scales=[0.1, 0.2], zero_points=[0, 0], quantized_dimension=1))
    n.quantized[source] = Quantized(scale=np.float32(0.1), zero_point=0)
    return n.build([source], [n.unary("RELU", source)])


def no_scale() -> bytes:
    n = net()
    source = n.raw(Tensor(shape=(1, 2), dtype="int8"))
    n.quantized[source] = Quantized(scale=np.float32(0.1), zero_point=0)
    return n.build([source], [n.unary("RELU", source)])


def asymmetric_weights() -> bytes:
    n = net()
    image = n.tensor((1, 4, 4, 2))
    target = n.conv(image, 3)
    weights = n.nodes[0].inputs[1]
    n.tensors[weights] = dataclasses.replace(n.tensors[weights], zero_points=[5] * len(n.tensors[weights].scales))
    return n.build([image], [target])


def computed_permutation() -> bytes:
    n = net()
    source = n.tensor((2, 3))
    order = n.raw(Tensor(shape=(2,), dtype="int32"))
    target = n.tensor((3, 2), n.quantized[source])
    n.node("TRANSPOSE", [source, order], [target], "TransposeOptions")
    return n.build([source, order], [target])


def dynamic_image() -> bytes:
    n = net()
    image = n.tensor((1, 1, 1, 3))
    n.tensors[image] = dataclasses.replace(n.tensors[image], shape_signature=(-1, -1, -1, 3))
    return n.build([image], [n.unary("RELU", image)])


def half_floats() -> bytes:
    n = net()
    source = n.raw(Tensor(shape=(1, 2), dtype="float16"))
    return n.build([source], [source])


def deep_softmax() -> bytes:
    n = net()
    source = n.tensor((1, 5000))
    return n.build([source], [n.unary("SOFTMAX", source)])


def narrow_output_of_add() -> bytes:
    n = net()
    source = n.tensor((1, 8), Quantized(scale=np.float32(100.0), zero_point=0))
    target = n.tensor((1, 8), Quantized(scale=np.float32(1e-5), zero_point=0))
    n.node("ADD", [source, source], [target], "AddOptions")
    return n.build([source], [target])


def mixed_concatenation() -> bytes:
    n = net()
    parts = [n.tensor((1, 4)), n.tensor((1, 4))]
    target = n.tensor((1, 8), n.quantized[parts[0]])
    n.node("CONCATENATION", parts, [target], "ConcatenationOptions", Axis=1)
    return n.build(parts, [target])


def many_inputs() -> bytes:
    n = net()
    q = Quantized(scale=np.float32(0.1), zero_point=0)
    parts = [n.tensor((1, 1), q) for _ in range(33)]
    target = n.tensor((1, 33), q)
    n.node("CONCATENATION", parts, [target], "ConcatenationOptions", Axis=1)
    return n.build(parts, [target])


def wrong_shape() -> bytes:
    n = net()
    image = n.tensor((1, 4, 4, 2))
    target = n.conv(image, 3)
    n.tensors[target] = dataclasses.replace(n.tensors[target], shape=(1, 9, 4, 3))
    return n.build([image], [target])


CASES: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "hybrid": (hybrid, "FULLY_CONNECTED", f"hybrid: float activations with int8 weights.*{FLOAT}"),
    "16x8": (sixteen_bits, "HARD_SWISH", f"int16 activations.*{FLOAT}"),
    "unknown op": (unknown_op, "FLOOR", "has no such op.*ADD, ARG_MAX"),
    "recurrent": (recurrent, "UNIDIRECTIONAL_SEQUENCE_RNN", "keeps state.*convolution"),
    "per channel": (per_channel_activation, "RELU", "quantized per channel"),
    "no scale": (no_scale, "RELU", "int8 without a scale.*calibration"),
    "asymmetric weights": (asymmetric_weights, "CONV_2D", "zero point that is not 0.*symmetric"),
    "computed permutation": (computed_permutation, "TRANSPOSE", "permutation is not constant"),
    "dynamic image": (dynamic_image, "model", r"\[-1, -1, -1, 3\].*fixed shapes"),
    "half floats": (half_floats, "model", "is float16.*another input or output type"),
    "softmax": (deep_softmax, "SOFTMAX", "over 5000 values.*4095"),
    "narrow output": (narrow_output_of_add, "ADD", "output scale.*calibrate"),
    "concatenation": (mixed_concatenation, "CONCATENATION", "differ in scale"),
    "many inputs": (many_inputs, "CONCATENATION", "33 inputs.*32"),
    "wrong shape": (wrong_shape, "CONV_2D", r"declared as \[1, 9, 4, 3\], and \[1, 4, 4, 3\] follows"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_reason_names_the_node_and_what_to_do(name: str) -> None:
    make, op, text = CASES[name]
    reasons = check(make())
    found = [reason for reason in reasons if reason.op == op]
    assert found, reasons
    assert all((reason.node is None) == (op == "model") for reason in found)
    assert re.search(text, str(found[0])), found[0]
    with pytest.raises(PlanUnsupported):
        make_plan(make())


def test_floats_need_a_build_with_float_kernels_and_moves_do_not() -> None:
    model = tiny_model.float_mlp()
    assert check(model) == []
    reasons = check(model, floats=False)
    assert [reason.op for reason in reasons] == ["FULLY_CONNECTED", "FULLY_CONNECTED", "SOFTMAX"]
    assert all(
        re.search(f"float arithmetic, and this build has no float kernels.*{FLOAT}", str(one)) for one in reasons
    )
    with pytest.raises(PlanUnsupported, match="this build has no float kernels"):
        make_plan(model, floats=False)
    n = net()
    source = n.raw(Tensor(shape=(2, 3), dtype="float32"))
    order = n.raw(Tensor(shape=(2,), dtype="int32", data=np.array([1, 0], np.int32)))
    target = n.raw(Tensor(shape=(3, 2), dtype="float32"))
    n.node("TRANSPOSE", [source, order], [target], "TransposeOptions")
    assert check(n.build([source], [target]), floats=False) == []


def test_every_reason_is_given_at_once() -> None:
    """Nodes behind one that cannot run are looked at as well; what runs between them is not complained about."""
    n = net()
    source = n.tensor((1, 8))
    first, second = n.tensor((1, 8)), n.tensor((1, 8))
    n.node("FLOOR", [source], [first])
    middle = n.unary("RELU", first)
    n.node("COS", [middle], [second])
    n.node("ATAN2", [n.unary("RELU6", second), source], [n.tensor((1, 8))])
    target = n.nodes[-1].outputs[0]
    model = n.build([source], [target])
    assert [(reason.node, reason.op) for reason in check(model)] == [(0, "FLOOR"), (2, "COS"), (4, "ATAN2")]
    with pytest.raises(UnsupportedError, match="node 0 FLOOR: .* and 2 more") as caught:
        make_plan(model)
    assert isinstance(caught.value, PlanUnsupported)
    assert list(caught.value.reasons) == check(model)


def test_a_node_that_no_output_needs_is_not_complained_about() -> None:
    n = net()
    source = n.tensor((1, 8))
    n.node("FLOOR", [source], [n.tensor((1, 8))])
    assert check(n.build([source], [n.unary("RELU", source)])) == []


def test_a_model_beyond_what_a_plan_can_address_is_refused() -> None:
    n = net()
    inputs = [n.tensor((1, 500_000_000)) for _ in range(3)]
    with pytest.raises(PlanUnsupported, match="model: it needs 1,500,000,000 bytes of arena.*smaller model"):
        make_plan(n.build(inputs, [n.unary("RELU", one) for one in inputs]))


def test_what_runs_has_no_reasons() -> None:
    assert check(tiny_model.mnist_cnn()) == []
