"""Where the ranges behind a .tflite's scales were recorded: matching tensors with the layers of a training summary."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.tflite.arithmetic import weights_of
from harness.tflite.graph import Graph, Node, Tensor
from harness.variants.audit.summary import short_name
from harness.workloads.input_names import names_in_order

#: why a weight's scale is not the one it was trained with: the end of "BatchNormalization folded in"
FOLDED = "folded in"
FAKE_QUANTIZED = "fake-quantized kernel"

#: last parts of variable names that bound an output: (lower, upper), in the order in which they apply
_OUTPUT_RANGES = (
    ("output_min", "output_max"),
    ("post_activation_min", "post_activation_max"),
    ("pre_activation_min", "pre_activation_max"),
    ("quantize_layer_min", "quantize_layer_max"),
)

#: layers that multiply by constants, which the converter folds into the kernel before or behind them
_SCALING = frozenset(
    {
        "BatchNormalization",
        "GroupNormalization",
        "Lambda",
        "LayerNormalization",
        "Multiply",
        "Normalization",
        "Rescaling",
        "SyncBatchNormalization",
        "TFOpLambda",
    }
)
#: layers that a constant factor commutes with, or that are nothing in inference: it is folded across them
_PASSED = frozenset(
    {
        "ActivityRegularization",
        "Cropping1D",
        "Cropping2D",
        "Dropout",
        "Flatten",
        "GaussianDropout",
        "GaussianNoise",
        "InputLayer",
        "Permute",
        "Reshape",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "ZeroPadding1D",
        "ZeroPadding2D",
    }
)
#: layers that join branches
_MERGES = frozenset({"Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"})


@dataclass(frozen=True, kw_only=True)
class RecordedRange:
    """A range as a training recorded it: arrays of one value, or of one per output channel."""

    low: np.ndarray
    high: np.ndarray
    source: str
    narrow_range: bool = False
    symmetric: bool = True


class RecordedRanges:
    """The ranges of a training summary (`harness.variants.qat.summary`), found by tensor or node.

    The converter names tensors after the layers they come from, joined with `;` where it fused some. A tensor whose name
    it dropped (the model's outputs) is found through the weights of the node that writes it.
    """

    def __init__(self, summary: dict[str, Any], graph: Graph) -> None:
        self.layers: list[dict[str, Any]] = summary["layers"]
        self.graph = graph
        self._position = {layer["name"]: i for i, layer in enumerate(self.layers)}

    def layers_of(self, tensor: Tensor) -> list[dict[str, Any]]:
        """The layers that a tensor's name mentions, in the model's order."""
        names = {part for part in re.split(r"[/;]", tensor.name) if part in self._position}
        return sorted(
            (self.layers[self._position[name]] for name in names), key=lambda layer: self._position[layer["name"]]
        )

    def layer_of_weights(self, node: Node) -> dict[str, Any] | None:
        """The layer whose kernel a node's weights are."""
        weights = weights_of(self.graph, node)
        if weights is None:
            return None
        owners = [layer for layer in self.layers_of(weights) if _kernel(layer)]
        return owners[0] if owners else None

    def weights(self, node: Node, channels: int) -> RecordedRange | str:
        """The range behind a node's weights, stored with `channels` scales; or in words why there is none."""
        layer = self.layer_of_weights(node)
        if layer is None:
            return "no layer of that name"
        scaling = self.folded_scaling(layer)
        if scaling is not None:
            return f"{scaling} {FOLDED}"
        learned, extremes = _learned_weights(layer), _kernel_extremes(layer)
        if learned is not None and learned.low.size in (1, channels) and (learned.low.size == channels or not extremes):
            return learned
        if extremes is None or extremes.low.size < channels:
            return learned or "kernel not recorded"
        if learned is not None and learned.low.size == 1:
            # The converter saw a fake-quantized kernel, whose values lie on the learned grid, and measured it anew.
            extremes = _snapped(extremes, learned, layer)
        if channels == 1:
            return replace(extremes, low=extremes.low.min(keepdims=True), high=extremes.high.max(keepdims=True))
        return extremes

    def learned_weights(self, tensor: Tensor) -> RecordedRange | None:
        """The range that a weight quantizer kept, for a tensor that is named after its layer."""
        for layer in self.layers_of(tensor):
            if _kernel(layer):
                return _learned_weights(layer)
        return None

    def folded_scaling(self, layer: dict[str, Any]) -> str | None:
        """The class of a layer that only scales, right before or behind this one: the stored kernel then is not the trained one.

        In a model with branches the order of the layers does not tell what follows what; there any layer may have one.
        """
        if any(other["class"] in _MERGES for other in self.layers):
            return next((other["class"] for other in self.layers if other["class"] in _SCALING), None)
        position = self._position[layer["name"]]
        behind = self.layers[position + 1 :] if layer["activation"] in (None, "linear") else []
        before = self.layers[:position][::-1]
        return _next_scaling(behind) or _next_scaling(before)

    def activation(self, tensor: Tensor) -> RecordedRange | None:
        """The learned range of what a tensor holds."""
        producer = self.graph.producers.get(tensor.index)
        if producer is None:
            return self._input_range(tensor.index)
        if producer.op == "QUANTIZE" and producer.inputs[0] in self.graph.inputs:
            return self._input_range(producer.inputs[0])
        for layer in self.layers_of(tensor):
            found = _output_range(layer)
            if found is not None:
                return found
        owner = self.layer_of_weights(producer)
        if owner is None:
            return None
        position = self._position[owner["name"]]
        for layer in self.layers[position:]:
            if layer is not owner and _kernel(layer):
                return None
            found = _output_range(layer)
            if found is not None:
                return found
        return None

    def _input_range(self, index: int) -> RecordedRange | None:
        """The learned range of an input, of several by its name."""
        found = [layer for layer in self.layers if layer["class"] == "QuantizeLayer"]
        if len(self.graph.inputs) == 1:
            return _output_range(found[0]) if found else None
        names = [layer.get("reads", "") for layer in found]
        if index not in self.graph.inputs or len(names) != len(self.graph.inputs) or "" in names:
            return None
        name = names_in_order(self.graph, names)[self.graph.inputs.index(index)]
        return _output_range(found[names.index(name)])


def _next_scaling(layers: list[dict[str, Any]]) -> str | None:
    """The class of the first layer that does something, where all it does is to scale.

    Args:
        layers: from a weighted layer away, nearest first.
    """
    for layer in layers:
        if layer["class"] in _SCALING:
            return layer["class"] if layer["activation"] in (None, "linear") else None
        # What quantization wraps, or quantizes, stands between the factor and the kernel.
        if layer["class"] not in _PASSED or layer["output_quantizer"] is not None:
            return None
    return None


def _kernel(layer: dict[str, Any]) -> dict[str, Any] | None:
    for variable in layer["variables"]:
        if not variable["added"] and short_name(variable["name"]).endswith("kernel"):
            return variable
    return None


def _learned_weights(layer: dict[str, Any]) -> RecordedRange | None:
    """The range that the layer's weight quantizer kept."""
    pair = _pair(layer, "kernel_min", "kernel_max") or _pair(layer, "depthwise_kernel_min", "depthwise_kernel_max")
    if pair is None:
        return None
    quantizer = layer["weight_quantizer"] or {}
    return RecordedRange(
        low=pair[0],
        high=pair[1],
        source=f"{layer['name']}: kernel_min/max",
        narrow_range=bool(quantizer.get("narrow_range")),
        symmetric=quantizer.get("symmetric") is not False,
    )


def _kernel_extremes(layer: dict[str, Any]) -> RecordedRange | None:
    """The extremes of the layer's float kernel, one per output channel."""
    kernel = _kernel(layer) or {}
    low, high = kernel.get("channel_min"), kernel.get("channel_max")
    if low is None or high is None or not _numbers(low, high):
        return None
    return RecordedRange(
        low=np.asarray(low, dtype=np.float64),
        high=np.asarray(high, dtype=np.float64),
        source=f"{layer['name']}: float kernel",
    )


def _snapped(extremes: RecordedRange, learned: RecordedRange, layer: dict[str, Any]) -> RecordedRange:
    """Extremes of a kernel after fake quantization with a learned symmetric per-tensor range."""
    bits = (layer["weight_quantizer"] or {}).get("num_bits") or 8
    step = max(-float(learned.low[0]), float(learned.high[0])) / (2 ** (bits - 1) - 1)
    if step <= 0:
        return extremes
    low, high = (
        np.clip(np.rint(end / step) * step, learned.low[0], learned.high[0]) for end in (extremes.low, extremes.high)
    )
    return replace(extremes, low=low, high=high, source=f"{layer['name']}: {FAKE_QUANTIZED}")


def _output_range(layer: dict[str, Any]) -> RecordedRange | None:
    for low_name, high_name in _OUTPUT_RANGES:
        pair = _pair(layer, low_name, high_name)
        if pair is not None:
            return RecordedRange(
                low=pair[0], high=pair[1], source=f"{layer['name']}: {low_name}/{high_name.split('_')[-1]}"
            )
    return None


def _pair(layer: dict[str, Any], low_name: str, high_name: str) -> tuple[np.ndarray, np.ndarray] | None:
    values = {short_name(v["name"]): v.get("value") for v in layer["variables"] if v["added"]}
    # The QuantizeLayer names its variables after itself, also where Keras has numbered it.
    if low_name == "quantize_layer_min":
        low = next((v for k, v in values.items() if k.endswith("_min")), None)
        high = next((v for k, v in values.items() if k.endswith("_max")), None)
        low, high = (low, high) if layer["class"] == "QuantizeLayer" else (None, None)
    else:
        low, high = values.get(low_name), values.get(high_name)
    if low is None or high is None or not _numbers(low, high):
        return None
    return np.atleast_1d(np.asarray(low, dtype=np.float64)), np.atleast_1d(np.asarray(high, dtype=np.float64))


def _numbers(*values: Any) -> bool:
    """True when there is no None among the numbers (a training that diverged)."""
    return all(item is not None for value in values for item in (value if isinstance(value, list) else [value]))
