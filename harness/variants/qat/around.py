"""Quantization-aware training around layers that TFMOT has no scheme for, and of some layers only. Needs Keras 2.

What TFMOT can train is annotated; the rest of the model trains in float, gets its ranges from calibration where the conversion
calibrates, and is named by the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.core.errors import UnsupportedError
from harness.variants.recipe import Quantizer
from harness.workloads.keras.env import import_tf

#: layers whose weights training can quantize, by themselves or as what TFMOT makes of them
_WEIGHTED = ("Conv2D", "DepthwiseConv2D", "Dense", "Conv2DTranspose", "SeparableConv1D", "SeparableConv2D")
#: of these a normalization and a ReLU behind them are folded in
_FOLDING = ("Conv2D", "DepthwiseConv2D", "Dense")
_MOST_NAMED = 12


def quantize_around(model: Any) -> Any | None:
    """The model with a wrapper on every layer that TFMOT can train; None where no layer with weights is among them.

    Args:
        model: a built Sequential or functional tf_keras model without models in it.
    """
    chosen = _annotatable(model, [layer for layer in model.layers if _has_scheme(layer)])
    if not any(layer.__class__.__name__ in _WEIGHTED for layer in model.layers if layer.name in chosen):
        return None
    try:
        return _quantized(model, chosen, {})
    # TFMOT makes the model again from its description, in which TensorFlow's bare functions lose their arguments.
    except Exception:
        return _wrapped(model, chosen)


def quantize_layers(model: Any, names: Sequence[str]) -> Any:
    """The model with wrappers on these layers, and on the normalization and ReLU that are folded into them.

    Weights get the range of the last step, one per output channel of a convolution, also where TFMOT's scheme would leave them
    without one because a separate activation follows.

    Raises:
        UnsupportedError: a name that no layer has, or a layer that cannot be trained so.
    """
    from harness.variants.qat.wrapping import named_configs

    by_name = {layer.name: layer for layer in model.layers}
    for name in names:
        _require_trainable(name, by_name)
    chosen = _annotatable(model, [by_name[name] for name in names])
    configs = named_configs(model, Quantizer(kind="last", per_channel=True))
    return _quantized(model, chosen, {name: config for name, config in configs.items() if name in chosen})


def _require_trainable(name: str, by_name: dict[str, Any]) -> None:
    weighted = [
        layer.name for layer in by_name.values() if layer.__class__.__name__ in _WEIGHTED and _has_scheme(layer)
    ]
    if name in weighted:
        return
    shown = ", ".join(weighted[:_MOST_NAMED]) + (
        f" and {len(weighted) - _MOST_NAMED} more" * (len(weighted) > _MOST_NAMED)
    )
    hint = f"those that can are {shown}" if weighted else "no layer of this model can; leave qat= out"
    if name not in by_name:
        raise UnsupportedError(f"the recipe trains the layer '{name}', and the model has none of that name", hint=hint)
    kind = by_name[name].__class__.__name__
    raise UnsupportedError(f"layer '{name}' ({kind}) cannot be trained with quantization by itself", hint=hint)


def _has_scheme(layer: Any) -> bool:
    """Whether TFMOT's 8-bit scheme takes a layer as it is."""
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_registry as registry_module,
    )
    from tensorflow_model_optimization.python.core.quantization.keras.quantize_aware_activation import (
        QuantizeAwareActivation as Aware,
    )

    known = Aware._PRE_QUANT_ACTIVATIONS | Aware._POST_QUANT_ACTIVATIONS | Aware._NO_QUANTIZE_ACTIVATIONS
    activation = getattr(layer, "activation", None)
    if activation is not None and getattr(activation, "__name__", activation.__class__.__name__) not in known:
        return False
    if getattr(layer, "activity_regularizer", None) is not None:  # does not train in TFMOT's wrapper
        return False
    separable = layer.__class__.__name__ in ("SeparableConv1D", "SeparableConv2D")
    return separable or registry_module.Default8BitQuantizeRegistry().supports(layer)


def _annotatable(model: Any, layers: Sequence[Any]) -> set[str]:
    """The names of layers with those that are folded into them; layers that are called several times are left out."""
    from harness.variants.qat.wrapping import folded_followers

    once = [layer for layer in layers if len(layer.inbound_nodes) == 1]
    chosen = {layer.name for layer in once}
    for layer in once:
        if layer.__class__.__name__ in _FOLDING:
            chosen |= {follower.name for follower in folded_followers(layer) if len(follower.inbound_nodes) == 1}
    return chosen


def _wrapped(model: Any, chosen: set[str]) -> Any:
    """The model with wrappers around the chosen layers as they stand, without TFMOT's changes to the graph."""
    _, keras = import_tf()
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_registry as registry_module,
    )
    from tensorflow_model_optimization.python.core.quantization.keras.quantize_wrapper import QuantizeWrapperV2

    from harness.variants.qat.wrapping import named_configs

    registry = registry_module.Default8BitQuantizeRegistry()
    # A copy: a wrapper puts its own tensors in the place of its layer's kernel.
    fresh = keras.models.clone_model(model)
    fresh.set_weights(model.get_weights())
    configs = named_configs(fresh, Quantizer(kind="last", per_channel=True))

    def wrap(layer: Any) -> Any:
        config = configs.get(layer.name) if layer.name in chosen else None
        if config is None and layer.name in chosen and registry.supports(layer):
            config = registry.get_quantize_config(layer)
        return layer if config is None else QuantizeWrapperV2(layer, config)

    return keras.models.clone_model(fresh, clone_function=wrap)


def _quantized(model: Any, chosen: set[str], configs: dict[str, Any]) -> Any:
    """The model with wrappers around the chosen layers, by TFMOT's scheme but for the layers with a config of their own."""
    _, keras = import_tf()
    from tensorflow_model_optimization.python.core.quantization.keras import quantize as tfmot

    from harness.variants.qat import quantizers
    from harness.variants.qat.wrapping import keeping_scheme

    def annotate(layer: Any) -> Any:
        if layer.name not in chosen:
            return layer
        return tfmot.quantize_annotate_layer(layer, quantize_config=configs.get(layer.name))

    annotated = keras.models.clone_model(model, clone_function=annotate)
    own = quantizers.named_config_class()
    with tfmot.quantize_scope({own.__name__: own}):
        return tfmot.quantize_apply(annotated, scheme=keeping_scheme(configs, 8))
