"""Tables of functions of one quantized value: int8 with 256 entries, int16 with 513 and straight lines between them.

Precisions and roundings are those of TensorFlow Lite 2.14 where it has the op for the type; the others (SQRT, NEG, LOG of int8)
are the function's value in float32, rounded half away from zero (docs/internals/kernels.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.tflite import quantized_params as qp

#: steps of the int16 table
_STEPS = 512


@dataclass(frozen=True, kw_only=True)
class Scales:
    """What an input is stored with and what the output is to be: scales in real units per step, int8 zero points."""

    input_scale: float
    input_zero_point: int
    output_scale: float
    output_zero_point: int


def table_8(op: str, scales: Scales) -> np.ndarray:
    """int8 [256], index = value + 128.

    Raises:
        KeyError: no table for the op.
    """
    if op in _INTEGER:
        one = _INTEGER[op](scales)
        return np.array([max(-128, min(127, one(v - scales.input_zero_point))) for v in range(-128, 128)], np.int8)
    inverse = np.float32(1.0) / np.float32(scales.output_scale)
    table = np.empty(256, np.int8)
    for value in range(-128, 128):
        real = float(np.float32(scales.input_scale) * np.float32(value - scales.input_zero_point))
        scaled = float(np.float32(_FLOAT[op](real)) * inverse)
        table[value + 128] = max(-128, min(127, _round(max(-1e6, min(1e6, scaled))) + scales.output_zero_point))
    return table


def table_16(
    function: Callable[[float], float],
    input_scale: float,
    low: int,
    output_scale: float,
    real: type[np.float32] | type[np.float64] = np.float64,
) -> np.ndarray:
    """int16 [513] of a function over 65,536 inputs from `low` steps of `input_scale` on, computed in `real`.

    Between two entries the kernel draws a line; each entry is moved by half of what that line is off in its middle.
    """
    least = real(input_scale) * real(low)
    step = (real(input_scale) * real(low + 65535) - least) / real(_STEPS)
    per_step = real(65536) / (real(output_scale) * real(32767) - real(output_scale) * real(-32768))

    def scaled(position: np.floating) -> np.floating:
        return real(function(float(position))) * per_step

    table = []
    for i in range(_STEPS):
        here = real(_round(float(scaled(least + real(i) * step))))
        ahead = scaled(least + real(i + 1) * step)
        middle = _round(float(scaled(least + real(i) * step + step / real(2))))
        off = _round(float((ahead + here) / real(2))) - middle
        table.append(int(here) - _round(off / 2))
    table.append(_round(float(scaled(least + real(_STEPS) * step))))
    return np.clip(table, -32768, 32767).astype(np.int16)


def sigmoid_16_table() -> np.ndarray:
    """LOGISTIC and TANH of int16: sigmoid(i / 24) in steps of 2^-16, uint16 [256].

    Each entry is moved by half of what the line to the next one is off in its middle; the last one is the largest number.
    """

    def sigmoid(position: float) -> float:
        return 65536 / (1 + math.exp(-position / 24))

    entries = [sigmoid(i) - ((sigmoid(i) + sigmoid(i + 1)) / 2 - sigmoid(i + 0.5)) / 2 for i in range(255)]
    return np.array([*map(round, entries), 65535], np.uint16)


def softmax_16_tables() -> tuple[np.ndarray, np.ndarray]:
    """SOFTMAX of int16: exp of [-10, 0], and 1 / (1 + x) of [0, 1]; int16 [513] each."""
    return (
        table_16(math.exp, 10 / 65535, -65535, 2 / 65535),
        table_16(lambda x: 1 / (1 + x), 1 / 65535, 0, 2 / 65535),
    )


@dataclass(frozen=True, kw_only=True)
class SigmoidParams:
    """LOGISTIC and TANH of int16: value * multiplier / 2^right_shift has steps of 1 / (3 * 4096)."""

    multiplier: int
    right_shift: int


def sigmoid_16_params(input_scale: float) -> SigmoidParams:
    """The multiplier is truncated, not rounded, and has at most 15 bits; input scales 2^-12 and 2^-11 are exact."""
    fraction, exponent = math.frexp(float(np.float32(input_scale)))
    if fraction == 0.5 and exponent - 1 in (-12, -11):
        return SigmoidParams(multiplier=3 << (exponent - 1 + 12), right_shift=0)
    multiplier, shift = float(np.float32(input_scale)) * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        multiplier, shift = multiplier * 2.0, shift + 1
    return SigmoidParams(multiplier=int(multiplier), right_shift=shift)


def inverse_sqrt(value: int) -> qp.Multiplier:
    """1 / sqrt(value) of an integer >= 0, to the bit as kn_inverse_sqrt of devices/kernels/inverse_sqrt.h; of 0 as of 1."""
    if value <= 1:
        return qp.Multiplier(multiplier=2**31 - 1, shift=0)
    right = 11
    while value >= 1 << 29:
        value, right = value // 4, right + 1
    while value < 1 << 27:
        value, right = value * 4, right - 1
    half, x = _halve(value >> 1, 1), 1 << 28
    for _ in range(5):
        cube = _saturate(_high(_high(x, x), x) << 6)
        x = _saturate((_high((1 << 28) + (1 << 27), x) - _high(half, cube)) << 3)
    x = _high(x, 1518500250)
    return qp.Multiplier(multiplier=x << max(-right, 0), shift=-max(right, 0))


def _absolute(scales: Scales) -> Callable[[int], int]:
    ratio = qp.relu_multiplier(scales.input_scale, scales.output_scale)
    same = np.float32(scales.input_scale) == np.float32(scales.output_scale)
    return lambda v: (abs(v) if same else _requantize(abs(v), ratio)) + scales.output_zero_point


def _reciprocal_root(scales: Scales) -> Callable[[int], int]:
    """Inputs below their zero point have no root; they answer with the largest value, as 0 does."""
    fine = 20
    real = 1.0 / float(np.sqrt(np.float32(scales.input_scale)) * np.float32(scales.output_scale))
    ratio = qp.quantize_multiplier(real)
    last = qp.Multiplier(multiplier=ratio.multiplier, shift=ratio.shift - fine)

    def one(value: int) -> int:
        if value <= 0:
            return 127
        root = inverse_sqrt(value)
        found = _requantize(1, qp.Multiplier(multiplier=root.multiplier, shift=root.shift + fine))
        return _requantize(found, last) + scales.output_zero_point

    return one


def _requantize(value: int, by: qp.Multiplier) -> int:
    """kn_requantize, rounding twice; right shifts of more than 31 leave nothing."""
    if by.shift > 0:
        return _high(_wrap(value << by.shift), by.multiplier)
    return _halve(_high(value, by.multiplier), -by.shift)


def _wrap(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def _high(a: int, b: int) -> int:
    return (a * b + (1 << 30)) >> 31


def _halve(value: int, exponent: int) -> int:
    """value / 2^exponent, half away from zero."""
    if exponent == 0:
        return value
    size = (abs(value) + (1 << (exponent - 1))) >> exponent
    return size if value >= 0 else -size


def _saturate(value: int) -> int:
    return max(-(2**31), min(2**31 - 1, value))


def _round(value: float) -> int:
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


_INTEGER: dict[str, Callable[[Scales], Callable[[int], int]]] = {"ABS": _absolute, "RSQRT": _reciprocal_root}
_FLOAT: dict[str, Callable[[float], float]] = {
    "EXP": lambda x: math.exp(min(x, 20.0)),
    "ELU": lambda x: math.expm1(x) if x < 0 else x,
    "LOG": lambda x: math.log(x) if x > 0 else -1e30,
    "SQRT": lambda x: math.sqrt(max(x, 0.0)),
    "NEG": lambda x: -x,
}
TABLE_OPS = (*_INTEGER, *_FLOAT)
