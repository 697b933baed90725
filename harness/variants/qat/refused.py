"""Why TFMOT does not quantize a model: the layer that is in its way, found by looking at the model, and what works."""

from __future__ import annotations

import re
from typing import Any

from harness.core.errors import UnsupportedError
from harness.core.reasons import plain_reason
from harness.variants.recipe import Training

_UNSUPPORTED = re.compile(r"Layer (?P<name>[^:\s]+):<class '[\w.]*?(?P<kind>\w+)'> is not supported")
_BARE_FUNCTIONS = ("TFOpLambda", "SlicingOpLambda")
#: what TFMOT does not quantize by itself, in the words of what to do instead
_INSTEAD = {
    "BatchNormalization": "TFMOT quantizes it right behind a layer that is called once, a convolution or Dense, only",
    "Conv1D": "TFMOT quantizes Conv2D only: as Conv2D over [1, n] it is quantized",
    "Rescaling": "TFMOT has no scheme for it: scale the samples instead",
    "Normalization": "TFMOT has no scheme for it: normalise the samples instead",
    "Resizing": "TFMOT has no scheme for it: resize the samples instead",
}


def quantizing_refused(model: Any, training: Training, error: BaseException) -> UnsupportedError:
    """The refusal of a model that TFMOT threw over.

    Args:
        model: the tf_keras model, before it was wrapped.
        training: what was asked for.
        error: what TFMOT or Keras threw.
    """
    why = _named_layer(str(error)) or _bare_function(model) or _activation(model, str(error)) or _integer_input(model)
    if why is None:
        reason = plain_reason(str(error)) or type(error).__name__
        why = f"TFMOT cannot quantize this model: {reason}"
    return UnsupportedError(why, hint=what_works(model, training))


def training_refused(model: Any, reason: str) -> UnsupportedError:
    """The refusal of a model that Keras cannot train, wrapped or not."""
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)
        if hasattr(layer, "quantize_config") and getattr(inner, "activity_regularizer", None) is not None:
            return UnsupportedError(
                f"layer {_text(inner)} has an activity_regularizer, which does not train in TFMOT's wrapper",
                hint="save the model without it; ptq recipes take it as it is",
            )
    return UnsupportedError(f"Keras cannot train this model: {reason}", hint="ptq recipes take it as it is")


def what_works(model: Any, training: Training) -> str:
    """The recipes that a model can be built by where TFMOT's scheme does not take all of it."""
    if any(_is_loop(layer) for layer in model.layers):
        return "ptq-float32 and ptq-default build it"
    has_dense = any(layer.__class__.__name__ == "Dense" for layer in model.layers)
    if training.scope != "dense" and has_dense:
        return "ptq recipes quantize it without training, and qat-dense trains its Dense layers with quantization"
    return "ptq recipes quantize it without training"


def _is_loop(layer: Any) -> bool:
    """A recurrent layer that a .tflite keeps as a loop, which no conversion calibrates; an LSTM becomes one op."""
    inner = getattr(layer, "forward_layer", layer)
    kind = inner.__class__.__name__
    return (kind in ("GRU", "RNN", "SimpleRNN") or kind.startswith("ConvLSTM")) and not getattr(inner, "unroll", False)


def _named_layer(message: str) -> str | None:
    found = _UNSUPPORTED.search(message)
    if found is None:
        return None
    name, kind = found["name"], found["kind"]
    shown = f"'{name}' ({kind})"
    return f"layer {shown} cannot be trained with quantization: {_INSTEAD.get(kind, 'TFMOT has no scheme for such layers')}"


def _bare_function(model: Any) -> str | None:
    """A TensorFlow function between the layers; TFMOT loses its shapes and blames whichever layer comes next."""
    for layer in model.layers:
        if layer.__class__.__name__ in _BARE_FUNCTIONS:
            return (
                f"'{layer.name}' is a TensorFlow function and no layer, so TFMOT can neither quantize nor copy it; "
                "a layer that does the same (Rescaling, Reshape, Cropping2D, Add, ...) would do"
            )
    return None


def _activation(model: Any, message: str) -> str | None:
    if "Only some Keras activations" not in message:
        return None
    from tensorflow_model_optimization.python.core.quantization.keras.quantize_aware_activation import (
        QuantizeAwareActivation as Aware,
    )

    known = Aware._PRE_QUANT_ACTIVATIONS | Aware._POST_QUANT_ACTIVATIONS | Aware._NO_QUANTIZE_ACTIVATIONS
    for layer in model.layers:
        activation = getattr(layer, "activation", None)
        name = getattr(activation, "__name__", activation.__class__.__name__)
        if activation is not None and name not in known:
            return (
                f"layer {_text(layer)} uses the activation {name}, which TFMOT cannot quantize; "
                f"it knows {', '.join(sorted(known - Aware._NO_QUANTIZE_ACTIVATIONS))}"
            )
    return None


def _integer_input(model: Any) -> str | None:
    if all(tensor.dtype.is_floating for tensor in model.inputs):
        return None
    return "the model takes whole numbers, such as indices of words, and TFMOT would quantize them as if they were measurements"


def _text(layer: Any) -> str:
    return f"'{layer.name}' ({layer.__class__.__name__})"
