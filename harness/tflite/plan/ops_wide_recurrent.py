"""UNIDIRECTIONAL_SEQUENCE_LSTM of 16-bit activations with 8-bit weights, as TensorFlow Lite Micro has it and no other runtime.

Its multipliers are made in float64; what the gates add up has steps of 2^-12.
Source: TensorFlow Lite Micro, kernels/lstm_eval_common.cc.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.core.errors import UnsupportedError
from harness.tflite import quantized_params as qp
from harness.tflite.plan.ops_more import MOST_WIDE_SHIFT
from harness.tflite.plan.ops_recurrent import cell_fields, has_input_gate, read_gates, read_sequences, read_state
from harness.tflite.plan.ops_wide_more import wide_target
from harness.tflite.plan.rule import NodeRule
from harness.tflite.plan.values import Value, operand_of
from harness.tflite.quantized_tables import sigmoid_16_table

_GATES = 4
_GATE_STEP, _UNIT_STEP = 2.0**-12, 2.0**-15


def lstm(rule: NodeRule) -> None:
    """One step per sequence position inside the kernel; the state lasts until a reset."""
    source = rule.wide(0)
    sequences = read_sequences(rule, source)
    if not has_input_gate(rule):
        raise UnsupportedError("int16 activations without an input gate", hint="build it of the plain LSTM layer")
    hidden, cell, state = read_state(rule, "int16", sequences)
    target = wide_target(rule, (*source.shape[:2], sequences.units))
    if hidden.scale != target.scale:
        raise UnsupportedError(
            f"its output has scale {target.scale:g} and its hidden state {hidden.scale:g}", hint="convert again"
        )

    def rate(kept: bool, weights: Value) -> qp.Multiplier:
        made = qp.convolution_multiplier(hidden.scale if kept else source.scale, weights.scale, _GATE_STEP)
        if made.shift > MOST_WIDE_SHIFT:
            raise UnsupportedError(f"weights of the scale {weights.scale:g}", hint="the model is damaged")
        return made

    constants = read_gates(rule, _GATES, sequences, rate, "int64")
    output = qp.quantize_multiplier(_UNIT_STEP * _UNIT_STEP / hidden.scale)
    rule.emit(
        "LSTM_16",
        target,
        {"input": operand_of(source), "state": state, **constants, "table": sigmoid_16_table()},
        {
            **sequences.fields(),
            "hidden_multiplier": output.multiplier,
            "hidden_shift": output.shift,
            **cell_fields(rule, cell),
        },
    )


RULES: dict[str, Callable[[NodeRule], None]] = {"UNIDIRECTIONAL_SEQUENCE_LSTM": lstm}
