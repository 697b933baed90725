"""What an integer LSTM makes of its hidden state, which a file may quantize in three ways at once.

The kernel computes h, stores it as q = h / S_h + Z_h by the quantization of the intermediate tensor `effective_hidden_scale`, and
copies these bytes both to the state and to the output (TensorFlow Lite, kernels/lstm_eval.cc:
CalculateLstmOutputInteger8x8_16). What reads the state takes them for numbers of the state tensor's quantization, what reads the
output for those of the output tensor's. Converters are to make the three the same, and calibrate them apart: a zero point that
differs by one shifts every output by a step, in every runtime and in each time step again. That is what the model says, so a
device that computes it is right. With h computed in floats,

    what comes back = a h + b,    a = S_state / S_h,    b = S_state (Z_h - Z_state)
    the output      = k h + d,    k = S_out / S_h,      d = S_out (Z_h - Z_out)

The first is folded into the recurrent weights and the biases (W (a h + b) = (a W) h + W b), the second are two ops behind the
node. The state of the very first step is 0 there and here, so b is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.tflite.fakequant.values import Quantization

#: ops whose integer kernel does so; places in their inputs, outputs and intermediates (schema of TensorFlow Lite, lstm_shared.h)
OPS = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM")
STATE, HIDDEN = 18, 4
PROJECTION = (16,)
NORMALIZATION = (20, 21, 22, 23)
#: recurrent weights and the bias of each gate
GATES = ((5, 12), (6, 13), (7, 14), (8, 15))


@dataclass(frozen=True, kw_only=True)
class HiddenState:
    """The two affine maps of a hidden state: of what comes back, and of what comes out."""

    a: float
    b: float
    k: float
    d: float

    @property
    def is_plain(self) -> bool:
        """All three quantizations are the same."""
        return (self.a, self.b, self.k, self.d) == (1.0, 0.0, 1.0, 0.0)


def hidden_state(
    hidden: Quantization | None, state: Quantization | None, output: Quantization | None
) -> HiddenState | None:
    """The maps of an LSTM node; None where it is no integer one, or one that keeps its state otherwise.

    Args:
        hidden, state, output: quantization of the intermediate, of the state, of the output.
    """
    if hidden is None or state is None or output is None:
        return None
    if {hidden.dtype, state.dtype, output.dtype} != {"int8"} or max(
        q.scales.size for q in (hidden, state, output)
    ) != 1:
        return None
    s_h, z_h = float(hidden.scales[0]), float(hidden.zero_points[0])
    s_s, z_s = float(state.scales[0]), float(state.zero_points[0])
    s_o, z_o = float(output.scales[0]), float(output.zero_points[0])
    if not s_h:
        return None
    return HiddenState(a=s_s / s_h, b=s_s * (z_h - z_s), k=s_o / s_h, d=s_o * (z_h - z_o))


def folded(weights: np.ndarray, bias: np.ndarray, maps: HiddenState) -> tuple[np.ndarray, np.ndarray]:
    """Recurrent weights [units, units] and bias [units], float32, of a gate that is fed h in the place of a h + b."""
    wide = weights.astype(np.float64)
    return (maps.a * wide).astype(np.float32), (bias + maps.b * wide.sum(axis=1)).astype(np.float32)
