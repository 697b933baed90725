"""The shape of one sample behind a layer, from the layer's description alone. No TensorFlow.

A shape is that of one sample, -1 where any size fits or nothing is known; None where not even the rank is.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

Shape = tuple[int, ...] | None

_LIKE_INPUT = {
    "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dropout", "ELU", "GaussianDropout",
    "GaussianNoise", "GroupNormalization", "Identity", "LayerNormalization", "LeakyReLU", "Masking", "Normalization", "PReLU",
    "RMSNormalization", "RandomBrightness", "RandomContrast", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom",
    "ReLU", "Rescaling", "Softmax", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "ThresholdedReLU",
    "UnitNormalization",
    # operations of Keras 3 and functions of TensorFlow that a functional model may call
    "Sigmoid", "Relu", "Relu6", "Tanh", "Silu", "HardSigmoid", "HardSilu", "Gelu", "Exp", "Cast",
}  # fmt: skip
_MERGING = {"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract", "Divide", "TrueDivide"}
_RECURRENT = {"GRU", "LSTM", "SimpleRNN"}


def shape_behind(layer: dict[str, Any], inputs: Sequence[Shape]) -> Shape:
    """The output shape of a layer that is no model itself.

    Args:
        layer: its description.
        inputs: the shapes of what it is called with.
    """
    name, config = layer["class_name"], layer["config"]
    before = inputs[0] if inputs else None
    if name.startswith("QuantizeWrapper"):
        return shape_behind(config["layer"], inputs)
    if name in _LIKE_INPUT:
        return before
    if name in _MERGING:
        return next((shape for shape in inputs if shape is not None), None)
    if name == "Concatenate":
        return _concatenated(config.get("axis", -1), inputs)
    if name == "Flatten":
        return (_count(before),)
    if name == "Reshape":
        return _reshaped(config.get("target_shape") or (config.get("newshape") or [])[1:], before)
    if name == "Permute" and before is not None:
        return tuple(before[int(axis) - 1] for axis in config["dims"])
    if name.startswith(("GlobalAveragePooling", "GlobalMaxPooling")):
        return _pooled_away(bool(config.get("keepdims")), before)
    if name in _RECURRENT:
        return (
            (_size_of(before, 0), int(config["units"])) if config.get("return_sequences") else (int(config["units"]),)
        )
    if name == "Bidirectional":
        return _both_ways(config, inputs)
    return _with_last_axis(name, config, before)


def _with_last_axis(name: str, config: dict[str, Any], before: Shape) -> Shape:
    """Layers that say the size of their last axis and leave the rank alone."""
    last = config.get("units", config.get("filters", config.get("output_dim")))
    if isinstance(last, int):
        if name == "Embedding":
            return (*(before or ()), last)
        if before is None:
            return (last,)
        others = before[:-1] if name == "Dense" else (-1,) * (len(before) - 1)
        return (*others, last)
    # Pooling, padding and the like change the sizes in between only.
    if (
        name.startswith(("AveragePooling", "MaxPooling", "ZeroPadding", "UpSampling", "Cropping", "Resizing"))
        and before
    ):
        return (*((-1,) * (len(before) - 1)), before[-1])
    return None


def _size_of(shape: Shape, axis: int) -> int:
    return shape[axis] if shape else -1


def _count(shape: Shape) -> int:
    return prod(shape) if shape is not None and -1 not in shape else -1


def _reshaped(target: Sequence[int], before: Shape) -> Shape:
    sizes = [-1 if size is None else int(size) for size in target]
    known = prod(size for size in sizes if size != -1)
    if sizes.count(-1) == 1 and _count(before) != -1 and known:
        sizes[sizes.index(-1)] = _count(before) // known
    return tuple(sizes)


def _pooled_away(keep: bool, before: Shape) -> Shape:
    if before is None:
        return None
    return (*((1,) * (len(before) - 1)), before[-1]) if keep else (before[-1],)


def _concatenated(axis: int, inputs: Sequence[Shape]) -> Shape:
    first = inputs[0] if inputs else None
    if first is None or any(shape is None or len(shape) != len(first) for shape in inputs):
        return None
    position = axis if axis < 0 else axis - 1 - len(first)  # the batch is axis 0, and stands in no shape here
    sizes = [shape[position] for shape in inputs if shape is not None]
    joined = list(first)
    joined[position] = -1 if -1 in sizes else sum(sizes)
    return tuple(joined)


def _both_ways(config: dict[str, Any], inputs: Sequence[Shape]) -> Shape:
    inner = shape_behind(config["layer"], inputs)
    if inner is None or config.get("merge_mode", "concat") != "concat":
        return inner
    return (*inner[:-1], inner[-1] if inner[-1] == -1 else 2 * inner[-1])
