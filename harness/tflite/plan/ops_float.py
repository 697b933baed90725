"""Float32 ops with weights, windows and state: the same shapes and places as their integer namesakes, without scales."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite.plan.ops_recurrent import (
    BIASES,
    CELL_STATE,
    HIDDEN_STATE,
    INPUT_WEIGHTS,
    RECURRENT_WEIGHTS,
    has_input_gate,
    read_sequences,
)
from harness.tflite.plan.ops_simple import pool_places
from harness.tflite.plan.ops_weighted import checked_weights, read_convolution
from harness.tflite.plan.ops_wide import transposed_output, transposed_places
from harness.tflite.plan.rule import NodeRule
from harness.tflite.plan.values import Operand, Value, operand_of

#: words of a record with weights that float32 has no use for
_UNUSED = {"folded": None, "multipliers": None, "shifts": None}
_ZEROS = {"per_channel": 0, "input_offset": 0, "weights_offset": 0, "output_offset": 0, "rounding": 0}
_ACTIVATIONS = {
    "NONE": (-math.inf, math.inf),
    "RELU": (0.0, math.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


def span_of(rule: NodeRule) -> tuple[float, float]:
    """The range of values that the fused activation leaves.

    Raises:
        UnsupportedError: an activation that is no range.
    """
    name = str(rule.option("fused_activation_function", "NONE"))
    if name not in _ACTIVATIONS:
        raise UnsupportedError(f"a fused {name}", hint="convert it as an op of its own")
    return _ACTIVATIONS[name]


def _limits(rule: NodeRule) -> dict[str, float]:
    low, high = span_of(rule)
    return {"activation_min": low, "activation_max": high}


def _operands(source: Value, weights: np.ndarray, bias: np.ndarray | None) -> dict[str, Operand]:
    return {"input": operand_of(source), "weights": weights, "bias": bias, **_UNUSED}


def _bias(rule: NodeRule, position: int, channels: int) -> np.ndarray | None:
    bias = rule.optional(position)
    if bias is None:
        return None
    if bias.data is None or bias.dtype != "float32" or bias.elements != channels:
        raise UnsupportedError(
            f"its bias is {bias.dtype} {list(bias.shape)}" + ("" if bias.is_constant else ", not constant"),
            hint=f"the kernels take {channels} constants of float32",
        )
    return bias.data.reshape(-1)


def conv_2d(rule: NodeRule) -> None:
    _convolution(rule, depthwise=False)


def depthwise_conv_2d(rule: NodeRule) -> None:
    _convolution(rule, depthwise=True)


def _convolution(rule: NodeRule, *, depthwise: bool) -> None:
    made = read_convolution(rule, rule.real(0), depthwise=depthwise)
    shape, weights = made.shape, made.weights.data
    assert weights is not None
    if depthwise and shape["input_channels"] == 1:
        # Every output channel has a filter of its own over the same input, which CONV_2D fetches once for several.
        weights, shape, depthwise = (
            np.ascontiguousarray(weights.transpose(3, 1, 2, 0)),
            {**shape, "filter_channels": 1},
            False,
        )
    rule.emit(
        "FLOAT_DEPTHWISE_CONV_2D" if depthwise else "FLOAT_CONV_2D",
        rule.real_target(made.output_shape),
        _operands(made.source, weights, _bias(rule, 2, shape["output_channels"])),
        {**_ZEROS, **made.params, **_limits(rule), **shape},
    )


def fully_connected(rule: NodeRule) -> None:
    """A convolution of one pixel: the inputs are its channels."""
    source, weights = rule.real(0), checked_weights(rule, "float32")
    if len(weights.shape) != 2 or rule.option("weights_format", 0) != 0:
        raise UnsupportedError(f"weights of shape {list(weights.shape)}, or stored shuffled", hint="convert again")
    outputs, inputs = weights.shape
    keep = bool(rule.option("keep_num_dims", False))
    if source.elements % inputs or (keep and source.shape[-1] != inputs):
        raise UnsupportedError(f"weights of shape {list(weights.shape)} do not fit an input of {list(source.shape)}")
    batches = source.elements // inputs
    ones = ("stride", "dilation")
    assert weights.data is not None
    rule.emit(
        "FLOAT_CONV_2D",
        rule.real_target((*source.shape[:-1], outputs) if keep else (batches, outputs)),
        _operands(source, weights.data, _bias(rule, 2, outputs)),
        {
            **_ZEROS,
            **{f"{what}_{axis}": 1 for what in ones for axis in ("height", "width")},
            "pad_top": 0,
            "pad_left": 0,
            **_limits(rule),
            "batches": batches,
            **{f"{what}_{axis}": 1 for what in ("input", "filter", "output") for axis in ("height", "width")},
            "input_channels": inputs,
            "filter_channels": inputs,
            "output_channels": outputs,
        },
    )


def transpose_conv(rule: NodeRule) -> None:
    """TRANSPOSE_CONV (output shape, weights, input, bias)."""
    source, asked, weights = rule.real(2), transposed_output(rule), checked_weights(rule, "float32")
    places = transposed_places(rule, source, weights, asked)
    assert weights.data is not None
    rule.emit(
        "FLOAT_TRANSPOSE_CONV",
        rule.real_target(asked),
        _operands(source, weights.data, _bias(rule, 3, asked[3])),
        {**_ZEROS, **places.params, **_limits(rule), **places.shape},
    )


def pool(rule: NodeRule) -> None:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""
    source = rule.real(0)
    shape, fields = pool_places(rule, source)
    rule.emit(
        f"FLOAT_{rule.node.op}",
        rule.real_target(shape),
        {"input": operand_of(source)},
        {**fields, **_limits(rule), "is_uint8": 0},
    )


def svdf(rule: NodeRule) -> None:
    """SVDF (input, feature weights, time weights, bias, state)."""
    source = rule.real(0)
    feature, time = _constants(rule, 1), _constants(rule, 2)
    rank = int(rule.option("rank", 0))
    shapes = feature.ndim == time.ndim == len(source.shape) == 2
    if not shapes or feature.shape != (time.shape[0], source.shape[1]) or rank < 1 or feature.shape[0] % rank:
        raise UnsupportedError(
            f"weights of shapes {list(feature.shape)} and {list(time.shape)} of rank {rank} do not fit an input of "
            f"{list(source.shape)}"
        )
    batches, (filters, memory) = source.shape[0], time.shape
    low, high = span_of(rule)
    _, kept = rule.state(4, "float32", (batches, memory * filters))
    rule.emit(
        "FLOAT_SVDF",
        rule.real_target((batches, filters // rank)),
        {
            "input": operand_of(source),
            "state": kept,
            "feature_weights": feature,
            "time_weights": time,
            "bias": _bias(rule, 3, filters // rank),
        },
        {
            "batches": batches,
            "inputs": source.shape[1],
            "filters": filters,
            "rank": rank,
            "memory": memory,
            "low": low,
            "high": high,
        },
    )


def _constants(rule: NodeRule, position: int, shape: tuple[int, ...] | None = None) -> np.ndarray:
    found = rule.input(position)
    if found.data is None or found.dtype != "float32" or (shape is not None and found.shape != shape):
        raise UnsupportedError(
            f"its input {position} is {found.dtype} {list(found.shape)}",
            hint=f"it takes constants of float32{'' if shape is None else f' {list(shape)}'}",
        )
    return np.asarray(found.data, np.float32)


def lstm(rule: NodeRule) -> None:
    """One step per sequence position inside the kernel; the state lasts until a reset."""
    source = rule.real(0)
    sequences = read_sequences(rule, source)
    batches, inputs, units = sequences.batches, sequences.inputs, sequences.units
    gates = 4 if has_input_gate(rule) else 3
    rule.variable_tensor(HIDDEN_STATE, "float32", (batches, units))
    cell = rule.variable_tensor(CELL_STATE, "float32", (batches, units))
    state = rule.state_of(CELL_STATE, 2 * cell.size_bytes)
    zeros = np.zeros(units, np.float32)
    biases = [_bias(rule, place, units) for place in BIASES[:gates]]
    rule.emit(
        "FLOAT_LSTM",
        rule.real_target((*source.shape[:2], units)),
        {
            "input": operand_of(source),
            "state": state,
            "input_weights": np.stack([_constants(rule, place, (units, inputs)) for place in INPUT_WEIGHTS[:gates]]),
            "recurrent_weights": np.stack(
                [_constants(rule, place, (units, units)) for place in RECURRENT_WEIGHTS[:gates]]
            ),
            "bias": np.stack([zeros if bias is None else bias for bias in biases]),
        },
        {
            **sequences.fields(),
            "gates": gates,
            "cell_clip": float(rule.option("cell_clip", 0.0)),
        },
    )


RULES: dict[str, Callable[[NodeRule], None]] = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "FULLY_CONNECTED": fully_connected,
    "TRANSPOSE_CONV": transpose_conv,
    "MAX_POOL_2D": pool,
    "AVERAGE_POOL_2D": pool,
    "SVDF": svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm,
}
