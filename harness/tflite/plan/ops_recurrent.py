"""UNIDIRECTIONAL_SEQUENCE_LSTM of int8 with a 16-bit cell state, as TensorFlow Lite quantizes Keras's LSTM layers.

The 24 inputs, their order and the five intermediates: TensorFlow Lite, kernels/lstm_shared.h. The multipliers are made in the
precision of kernels/lstm.cc (float32, and float64 for that of the hidden state).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite import quantized_params as qp
from harness.tflite.plan.ops_more import int8_activation, int8_target
from harness.tflite.plan.rule import NodeRule
from harness.tflite.plan.values import Buffer, Operand, Value, check_moved, operand_of

#: places of the gates' tensors in the order of kn_lstm: forget, cell, output, input
INPUT_WEIGHTS, RECURRENT_WEIGHTS, BIASES = (2, 3, 4, 1), (6, 7, 8, 5), (13, 14, 15, 12)
_INPUT_GATE_WEIGHTS = 1
#: what kernels with more parts than the plain one take
_MORE = {
    **dict.fromkeys((9, 10, 11), "peephole connections"),
    **dict.fromkeys((16, 17), "a projection"),
    **dict.fromkeys((20, 21, 22, 23), "layer normalization"),
}
_PLAIN = (
    "build it of keras.layers.LSTM, which has none of these, or run it on a Linux board: neither this runtime nor "
    "TensorFlow Lite Micro has such an LSTM"
)
HIDDEN_STATE, CELL_STATE = 18, 19
_HIDDEN = 4
#: a gate's sum is in Q3.12, what its function makes of it in Q0.15
_GATE_STEP, _UNIT_STEP = 2.0**-12, 2.0**-15
_MOST_INTEGER_BITS = 6


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """What an LSTM walks over, in the words of its record."""

    batches: int
    steps: int
    inputs: int
    units: int
    time_major: int

    def fields(self) -> dict[str, int]:
        return asdict(self)


def read_sequences(rule: NodeRule, source: Value) -> Sequences:
    """
    Raises:
        UnsupportedError: an LSTM with more parts than the plain one, or of another input.
    """
    for position, what in _MORE.items():
        if rule.optional(position) is not None:
            raise UnsupportedError(f"an LSTM with {what}", hint=_PLAIN)
    if rule.option("fused_activation_function", "TANH") != "TANH":
        raise UnsupportedError("an activation that is not tanh", hint="build it of the plain LSTM layer")
    if len(source.shape) != 3:
        raise UnsupportedError(f"its input has the shape {list(source.shape)}", hint="it takes three dimensions")
    time_major = bool(rule.option("time_major", False))
    batches, steps = source.shape[:2][:: -1 if time_major else 1]
    units = _units(rule)
    return Sequences(batches=batches, steps=steps, inputs=source.shape[2], units=units, time_major=int(time_major))


def has_input_gate(rule: NodeRule) -> bool:
    """Without one it is 1 less the forget gate."""
    return rule.optional(_INPUT_GATE_WEIGHTS) is not None


def read_gates(
    rule: NodeRule, gates: int, sequences: Sequences, rate: Callable[[bool, Value], qp.Multiplier], bias_dtype: str
) -> dict[str, Operand]:
    """The operands that hold the constants of so many gates.

    Args:
        rate: the multiplier of a product with weights: of the input (False), or of the hidden state (True).
    """
    units = sequences.units
    seen = [_weights(rule, place, (units, sequences.inputs)) for place in INPUT_WEIGHTS[:gates]]
    kept = [_weights(rule, place, (units, units)) for place in RECURRENT_WEIGHTS[:gates]]
    multipliers, shifts = qp.split_multipliers(
        [made for one, other in zip(seen, kept, strict=True) for made in (rate(False, one), rate(True, other))]
    )
    bias = np.stack([_bias(rule, place, units, bias_dtype) for place in BIASES[:gates]])
    return {
        "input_weights": np.stack([_int8(one) for one in seen]),
        "recurrent_weights": np.stack([_int8(one) for one in kept]),
        "bias": bias.view(np.int32),
        "multipliers": multipliers,
        "shifts": shifts,
    }


def lstm(rule: NodeRule) -> None:
    """One step per sequence position inside the kernel; the state lasts until a reset."""
    source = int8_activation(rule, 0)
    sequences = read_sequences(rule, source)
    units, gates = sequences.units, 4 if has_input_gate(rule) else 3
    hidden, cell, state = read_state(rule, "int8", sequences)
    target = int8_target(rule, (*source.shape[:2], units))
    constants = read_gates(
        rule, gates, sequences, lambda kept, w: _gate_multiplier(hidden.scale if kept else source.scale, w), "int32"
    )
    scale, zero_point = _hidden(rule)
    output = qp.quantize_multiplier(float(np.float32(_UNIT_STEP / float(np.float32(scale)) * _UNIT_STEP)))
    rule.emit(
        "LSTM",
        target,
        {
            "input": operand_of(source),
            "state": state,
            **constants,
        },
        {
            **sequences.fields(),
            "gates": gates,
            "input_offset": -source.zero_point,
            "state_zero_point": hidden.zero_point,
            "hidden_zero_point": zero_point,
            "hidden_multiplier": output.multiplier,
            "hidden_shift": output.shift,
            **cell_fields(rule, cell),
        },
    )


def _units(rule: NodeRule) -> int:
    """Units of an LSTM by its recurrent weights."""
    shape = rule.input(RECURRENT_WEIGHTS[0]).shape
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 1:
        raise UnsupportedError(f"recurrent weights of the shape {list(shape)}", hint="the model is damaged")
    return shape[0]


def read_state(rule: NodeRule, dtype: str, sequences: Sequences) -> tuple[Value, Value, Buffer]:
    """Hidden state (of `dtype`) and cell state as declared, and their one memory: 16 bits each, less their zero points."""
    shape = (sequences.batches, sequences.units)
    hidden = rule.variable_tensor(HIDDEN_STATE, dtype, shape)
    check_moved(hidden)
    cell = rule.variable_tensor(CELL_STATE, "int16", shape)
    if cell.zero_point:
        raise UnsupportedError("a cell state whose zero point is not 0", hint="convert again")
    return hidden, cell, rule.state_of(CELL_STATE, 2 * cell.size_bytes)


def _weights(rule: NodeRule, position: int, shape: tuple[int, int]) -> Value:
    found = rule.input(position)
    if found.data is None or found.dtype != "int8" or found.shape != shape or len(found.scales) != 1:
        raise UnsupportedError(
            f"its input {position} is {found.dtype} {list(found.shape)}",
            hint=f"it takes constants of int8 {list(shape)} of one scale: use a recipe such as ptq-int8-io",
        )
    if not found.scale > 0:
        raise UnsupportedError(f"a scale of {found.scale:g} of its weights", hint="the model is damaged")
    if any(found.zero_points):
        raise UnsupportedError("its weights have a zero point that is not 0", hint="quantize weights symmetrically")
    return found


def _int8(value: Value) -> np.ndarray:
    assert value.data is not None
    return np.asarray(value.data, np.int8)


def _bias(rule: NodeRule, position: int, units: int, dtype: str) -> np.ndarray:
    found = rule.optional(position)
    if found is None:
        return np.zeros(units, dtype)
    if found.data is None or found.dtype != dtype or found.elements != units:
        raise UnsupportedError(f"its bias is {found.dtype} {list(found.shape)}", hint=f"it takes {dtype} constants")
    return np.asarray(found.data, dtype).reshape(units)


def _gate_multiplier(scale: float, weights: Value) -> qp.Multiplier:
    """From a product of stored values to Q3.12."""
    return qp.quantize_multiplier(float(np.float32(weights.scale) * np.float32(scale) / np.float32(_GATE_STEP)))


def _hidden(rule: NodeRule) -> tuple[float, int]:
    """Scale and zero point by which the hidden state is written: those of the last intermediate."""
    found = rule.intermediate(_HIDDEN)
    if found is None or len(found.scales) != 1 or not found.scales[0] > 0:
        raise UnsupportedError("it does not say by which scale its hidden state is stored", hint="convert again")
    zero_point = int(found.zero_points[0]) if len(found.zero_points) else 0
    if not -128 <= zero_point <= 127:
        raise UnsupportedError(f"its hidden state has the zero point {zero_point}", hint="the model is damaged")
    return float(found.scales[0]), zero_point


def cell_fields(rule: NodeRule, cell: Value) -> dict[str, int]:
    """How the cell state is stored, and where it is clipped."""
    return {
        "cell_integer_bits": _integer_bits(cell.scale),
        "cell_clip": _clip(float(rule.option("cell_clip", 0.0)), cell.scale),
    }


def _integer_bits(scale: float) -> int:
    """Of a cell state whose scale is a power of two."""
    mantissa, exponent = math.frexp(scale)
    bits = exponent - 1 + 15
    if mantissa != 0.5 or not 0 <= bits <= _MOST_INTEGER_BITS:
        raise UnsupportedError(
            f"a cell state of the scale {scale:g}", hint="it takes 2^-15 to 2^-9: convert again with samples as in use"
        )
    return bits


def _clip(limit: float, scale: float) -> int:
    return int(min(max(limit / scale, 0.0), 32767.0))


RULES: dict[str, Callable[[NodeRule], None]] = {"UNIDIRECTIONAL_SEQUENCE_LSTM": lstm}
