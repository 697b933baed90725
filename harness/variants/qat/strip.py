"""The float model with the weights that quantization-aware training gave it, without what the training wrapped around them.

A `mixed[...]` recipe takes ranges from calibration, whatever trained the weights: those that a short training leaves behind start
at -6..6 and hardly move. Runs in build workers with Keras 2 only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.core.errors import UnsupportedError

_PREFIX = "quant_"


def strip(trained: Any, plain: Any) -> Any:
    """Puts the weights of a wrapped model into a plain one of the same layers.

    Args:
        trained: what `harness.variants.qat.wrapping.quantize` made, trained.
        plain: the tf_keras model that it was made of, laid out flat, with the weights from before the training.

    Returns:
        `plain`, with the trained weights.

    Raises:
        UnsupportedError: a layer has no counterpart.
    """
    wrapped = {_plain_name(layer.name): layer for layer in trained.layers}
    pairs = _separable_pairs(trained, {layer.name for layer in plain.layers})
    for layer in plain.layers:
        if not layer.weights:
            continue
        source = wrapped.get(layer.name)
        found = _of_pair(layer, pairs) if source is None else _weights(source)
        names = [_short(weight.name) for weight in layer.weights]
        if found is None or any(name not in found for name in names):
            raise UnsupportedError(
                f"layer '{layer.name}' ({layer.__class__.__name__}) has no counterpart in the trained model, so its weights "
                "cannot be taken over",
                hint="leave it out of qat=, or take a qat recipe",
            )
        layer.set_weights([found[name] for name in names])
    return plain


def _separable_pairs(trained: Any, plain_names: set[str]) -> list[dict[str, Any]]:
    """The weights of each separable convolution that TFMOT made two layers of, by the names that the one layer has for them."""
    found = []
    for first in trained.layers:
        if _kind(first) != "DepthwiseConv2D" or _plain_name(first.name) in plain_names:
            continue
        for node in first.outbound_nodes:
            second = node.outbound_layer
            if _kind(second) == "Conv2D" and _plain_name(second.name) not in plain_names:
                weights = _weights(second)
                found.append({**_weights(first), **weights, "pointwise_kernel": weights["kernel"]})
    return found


def _of_pair(layer: Any, pairs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The pair that a separable convolution became, which no other layer gets any more. TFMOT gives the two names of its own, so
    of several that fit it is the one whose weights are nearest to those from before the training."""
    if layer.__class__.__name__ != "SeparableConv2D":
        return None
    depthwise, pointwise = layer.get_weights()[:2]
    fitting = [
        pair
        for pair in pairs
        if pair["depthwise_kernel"].shape == depthwise.shape and pair["pointwise_kernel"].shape == pointwise.shape
    ]
    if not fitting:
        return None
    nearest = min(
        fitting,
        key=lambda pair: (
            float(np.square(pair["depthwise_kernel"] - depthwise).sum())
            + float(np.square(pair["pointwise_kernel"] - pointwise).sum())
        ),
    )
    pairs[:] = [pair for pair in pairs if pair is not nearest]
    return nearest


def _kind(layer: Any) -> str:
    """The class of a layer, of a wrapped one what is inside."""
    return getattr(layer, "layer", layer).__class__.__name__


def _plain_name(name: str) -> str:
    return name.removeprefix(_PREFIX)


def _weights(layer: Any) -> dict[str, Any]:
    """Name -> value of what a layer has, wrapped or not. Names of what the wrapper added are none of the layer's."""
    return {_short(weight.name): weight.numpy() for weight in layer.weights}


def _short(name: str) -> str:
    return name.split(":")[0].split("/")[-1]
