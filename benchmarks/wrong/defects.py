"""Defects to plant in one layer of a model: in what its op computes with, or in what it gives.

A defect of the first kind is another model of the op (its weights negated); one of the second kind changes the op's outputs (one
step added). Sizes as in docs/internals/wrong.md: `gross`, `medium`, `small`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.tflite.arithmetic import WEIGHTED_OPS
from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import Record, op_name, read_tree, write_tree
from harness.tflite.fakequant.values import LIMITS, stored_values
from harness.tflite.schema import type_name


@dataclass(frozen=True, kw_only=True)
class Defect:
    """A way in which a device may err at one layer.

    Attributes:
        edit: changes the tree of the one-op model; None for a defect of the outputs.
        change: from the layer's right outputs [n, ...] to wrong ones, as real as they are stored; None for one of the op.
    """

    name: str
    size: str
    edit: Callable[[Layer], None] | None = None
    change: Callable[[np.ndarray, tuple[int, int]], np.ndarray] | None = None


class Layer:
    """The tree of a one-op model, for edits."""

    def __init__(self, model: bytes) -> None:
        self.tree = read_tree(model)
        self.editor = Editor(self.tree)
        self.operator = self.editor.subgraph.rows("operators")[-1]
        self.op = op_name(self.tree, self.operator)
        inputs = self.operator.indices("inputs")
        data, weights = WEIGHTED_OPS[self.op]
        self.data, self.weights = self.editor.tensors[inputs[data]], self.editor.tensors[inputs[weights]]
        place = 3 if self.op == "TRANSPOSE_CONV" else 2
        bias = inputs[place] if len(inputs) > place else -1
        self.bias = self.editor.tensors[bias] if bias >= 0 else None

    def values(self, tensor: Record) -> np.ndarray:
        raw = self.tree.rows("buffers")[tensor.number("buffer")]["data"]
        return np.array(stored_values(tensor, raw))

    def store(self, tensor: Record, values: np.ndarray) -> None:
        made = self.editor.tensor("changed", values.shape, type_name(tensor.number("type")), data=values)
        tensor["buffer"] = self.editor.tensors.pop(made)["buffer"]

    def model(self) -> bytes:
        return write_tree(self.tree)

    def scale_by(self, factor: float) -> None:
        """Multiplies what is accumulated, bias included."""
        for tensor in (self.weights, self.bias):
            if tensor is not None and tensor["quantization"] is not None:
                quantization = tensor["quantization"] = tensor["quantization"].copy()
                quantization["scale"] = (np.asarray(quantization["scale"]) * factor).astype(np.float32)


def _negate_weights(layer: Layer) -> None:
    values = layer.values(layer.weights).astype(np.int64)
    low, high = LIMITS[type_name(layer.weights.number("type"))]
    zero = int(layer.weights["quantization"]["zero_point"][0])
    layer.store(layer.weights, np.clip(2 * zero - values, low, high).astype(np.int8 if low < 0 else np.uint8))


def _first_scale_for_all(layer: Layer) -> None:
    for tensor in (layer.weights, layer.bias):
        if tensor is not None and tensor["quantization"] is not None:
            quantization = tensor["quantization"] = tensor["quantization"].copy()
            quantization["scale"] = np.full_like(quantization["scale"], quantization["scale"][0])


def _drop_activation(layer: Layer) -> None:
    layer.operator["builtin_options"]["fused_activation_function"] = 0


def _mirror_kernel(layer: Layer) -> None:
    values = layer.values(layer.weights)
    layer.store(layer.weights, values[:, ::-1, ::-1] if values.ndim == 4 else values[:, ::-1])


def _no_bias(layer: Layer) -> None:
    if layer.bias is not None:
        layer.store(layer.bias, np.zeros_like(layer.values(layer.bias)))


def _shift_input_zero_point(by: int) -> Callable[[Layer], None]:
    def edit(layer: Layer) -> None:
        quantization = layer.data["quantization"] = layer.data["quantization"].copy()
        low, high = LIMITS[type_name(layer.data.number("type"))]
        zero = int(quantization["zero_point"][0])
        if type_name(layer.data.number("type")) != "int16":  # whose kernels demand 0
            moved = zero + by if zero + by <= high else zero - by
            quantization["zero_point"] = np.array([moved], np.int64)

    return edit


def _zero_largest_weight(layer: Layer) -> None:
    values = layer.values(layer.weights)
    zero = int(layer.weights["quantization"]["zero_point"][0])
    values.flat[int(np.abs(values.astype(np.int64) - zero).argmax())] = zero
    layer.store(layer.weights, values)


def _clip(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    limits = np.iinfo(like.dtype)
    return np.clip(values, limits.min, limits.max).astype(like.dtype)


def _swap(first: int, second: int) -> Callable[[np.ndarray, tuple[int, int]], np.ndarray]:
    def change(y: np.ndarray, _: tuple[int, int]) -> np.ndarray:
        """Swaps two channels, counted from the one that varies most."""
        flat = y.reshape(-1, y.shape[-1])
        order = np.argsort(-flat.astype(np.float64).std(axis=0))
        if len(order) < 2:
            return y
        a, b = order[first % len(order)], order[second % len(order)]
        changed = y.copy()
        changed[..., a], changed[..., b] = y[..., b], y[..., a]
        return changed

    return change


def _negate_channel(y: np.ndarray, zero: tuple[int, int]) -> np.ndarray:
    changed = y.copy()
    channel = int(np.argsort(-y.reshape(-1, y.shape[-1]).astype(np.float64).std(axis=0))[y.shape[-1] // 2])
    changed[..., channel] = _clip(2 * zero[0] - y[..., channel].astype(np.int64), y)
    return changed


def _some_samples(y: np.ndarray, _: tuple[int, int]) -> np.ndarray:
    """Every twentieth sample gets the outputs of the one before it."""
    changed = y.copy()
    changed[7::20] = y[6::20][: len(changed[7::20])]
    return changed


def _add(steps: int) -> Callable[[np.ndarray, tuple[int, int]], np.ndarray]:
    return lambda y, _: _clip(y.astype(np.int64) + steps * (256 if y.dtype == np.int16 else 1), y)


DEFECTS = (
    Defect(name="all-zero output", size="gross", change=lambda y, zero: np.zeros_like(y)),
    Defect(name="output stuck", size="gross", change=lambda y, _: np.repeat(y[:1], len(y), axis=0)),
    Defect(name="output of the sample before", size="gross", change=lambda y, _: np.roll(y, 1, axis=0)),
    Defect(name="channels rolled by one", size="gross", change=lambda y, _: np.roll(y, 1, axis=-1)),
    Defect(name="two outputs swapped", size="gross", change=_swap(0, 1)),
    Defect(name="weights negated", size="gross", edit=_negate_weights),
    Defect(name="first channel's scale for all", size="gross", edit=_first_scale_for_all),
    Defect(name="activation dropped", size="gross", edit=_drop_activation),
    Defect(name="kernel mirrored", size="gross", edit=_mirror_kernel),
    Defect(name="two channels swapped", size="medium", change=_swap(2, 5)),
    Defect(name="one channel negated", size="medium", change=_negate_channel),
    Defect(name="bias 0", size="medium", edit=_no_bias),
    Defect(name="input zero point + 8", size="medium", edit=_shift_input_zero_point(8)),
    Defect(name="output + 8 LSB", size="medium", change=_add(8)),
    Defect(name="multiplier x 1.3", size="medium", edit=lambda layer: layer.scale_by(1.3)),
    Defect(name="5 % of samples wrong", size="medium", change=_some_samples),
    Defect(name="output + 1 LSB", size="small", change=_add(1)),
    Defect(name="output + 2 LSB", size="small", change=_add(2)),
    Defect(name="output + 4 LSB", size="small", change=_add(4)),
    Defect(name="input zero point + 2", size="small", edit=_shift_input_zero_point(2)),
    Defect(name="multiplier x 1.01", size="small", edit=lambda layer: layer.scale_by(1.01)),
    Defect(name="multiplier x 1.03", size="small", edit=lambda layer: layer.scale_by(1.03)),
    Defect(name="multiplier x 1.1", size="small", edit=lambda layer: layer.scale_by(1.1)),
    Defect(name="largest weight zeroed", size="small", edit=_zero_largest_weight),
)
