"""The float model with the weights that quantization-aware training gave it, without what the training wrapped around them.

A `mixed[...]` recipe takes ranges from calibration, whatever trained the weights: those that a short training leaves behind start
at -6..6 and hardly move. Runs in build workers with Keras 2 only.
"""

from __future__ import annotations

from typing import Any

from harness.core.errors import UnsupportedError

_PREFIX = "quant_"


def strip(trained: Any, plain: Any) -> Any:
    """Puts the weights of a wrapped model into a plain one of the same layers.

    Args:
        trained: what `harness.variants.qat.wrapping.quantize` made, trained.
        plain: the tf_keras model that it was made of, laid out flat.

    Returns:
        `plain`, with the trained weights.

    Raises:
        UnsupportedError: a layer has no counterpart (TFMOT makes others of separable convolutions).
    """
    wrapped = {_plain_name(layer.name): layer for layer in trained.layers}
    for layer in plain.layers:
        if not layer.weights:
            continue
        source = wrapped.get(layer.name)
        found = None if source is None else _weights(source)
        names = [_short(weight.name) for weight in layer.weights]
        if found is None or any(name not in found for name in names):
            raise UnsupportedError(
                f"layer '{layer.name}' ({layer.__class__.__name__}) has no counterpart in the trained model, so its weights "
                "cannot be taken over",
                hint="leave it out of qat=, or take a qat recipe",
            )
        layer.set_weights([found[name] for name in names])
    return plain


def _plain_name(name: str) -> str:
    return name.removeprefix(_PREFIX)


def _weights(layer: Any) -> dict[str, Any]:
    """Name -> value of what a layer has, wrapped or not. Names of what the wrapper added are none of the layer's."""
    return {_short(weight.name): weight.numpy() for weight in layer.weights}


def _short(name: str) -> str:
    return name.split(":")[0].split("/")[-1]
