"""Quantization wrappers around a model's layers, as a recipe's training asks. Runs in build workers with Keras 2 only."""

from __future__ import annotations

import re
from typing import Any

from harness.core.errors import UnsupportedError
from harness.variants.qat import quantizers
from harness.variants.qat.around import quantize_around, quantize_layers
from harness.variants.qat.flat import flattened
from harness.variants.qat.refused import quantizing_refused
from harness.variants.recipe import Quantizer, Training
from harness.workloads.keras.env import import_tf

#: numbers of layers beyond this are not caught up with
_MOST_NAMES = 10_000


def quantize(model: Any, training: Training) -> Any:
    """The model with quantization wrappers as the training asks, its float weights copied in.

    Args:
        model: a built Sequential or functional tf_keras model.
        training: with `base` "qat".

    Raises:
        UnsupportedError: TFMOT refuses the model or the quantizer; the reason is TFMOT's, explained where known.
    """
    from tensorflow_model_optimization.python.core.quantization.keras import quantize as tfmot

    if training.scope == "dense" and training.quantizer is None:
        _require_dense(model)
    try:
        if training.scope == "dense" and training.quantizer is None:
            return tfmot.quantize_apply(_annotate_dense(model))
        model = flattened(model)
        _reserve_names(model)
        if training.quantizer is not None:
            return _quantize_named(model, training.quantizer)
        if training.scope == "layers":
            return quantize_layers(model, training.layers)
        return _quantize_all(model, training)
    except UnsupportedError:
        raise
    # TFMOT and the layers that it makes again throw what they like.
    except Exception as error:
        quantizer = training.quantizer
        if isinstance(error, AssertionError) and quantizer and quantizer.kind == "movavg" and quantizer.per_channel:
            raise UnsupportedError(quantizers.MOVAVG_PER_AXIS_REASON) from error
        raise quantizing_refused(model, training, error) from error


def _quantize_all(model: Any, training: Training) -> Any:
    """Every layer that TFMOT takes. Where it refuses the model as a whole, its layers are annotated around what is in the way.

    Raises:
        UnsupportedError: no layer with weights is left to train.
    """
    from tensorflow_model_optimization.python.core.quantization.keras import quantize as tfmot

    try:
        return tfmot.quantize_model(model)
    # TFMOT and the layers that it makes again throw what they like.
    except Exception as error:
        refused = quantizing_refused(model, training, error)
        try:
            around = quantize_around(model)
        except Exception:
            raise refused from error
        if around is None:
            raise refused from error
        return around


def _require_dense(model: Any) -> None:
    _, keras = import_tf()
    if not any(type(layer) is keras.layers.Dense for layer in model.layers):
        raise UnsupportedError(
            "the model has no Dense layer of its own, and qat-dense quantizes nothing else",
            hint="take qat or a ptq recipe",
        )


def _reserve_names(model: Any) -> None:
    """Keeps Keras from giving layers that TFMOT makes of a separable convolution names that the model has already.

    Keras numbers names by counters of the process, which every new layer moves on.
    """
    _, keras = import_tf()
    if not any(layer.__class__.__name__.startswith("Separable") for layer in model.layers):
        return
    for kind, make in (("conv2d", keras.layers.Conv2D), ("depthwise_conv2d", keras.layers.DepthwiseConv2D)):
        numbers = [re.fullmatch(rf"{kind}(?:_(\d+))?", layer.name) for layer in model.layers]
        last = max((int(number[1] or 0) for number in numbers if number), default=-1)
        settings = {"filters": 1, "kernel_size": 1} if kind == "conv2d" else {"kernel_size": 1}
        while int(make(**settings).name.removeprefix(kind).removeprefix("_") or 0) < min(last, _MOST_NAMES):
            pass


def _annotate_dense(model: Any) -> Any:
    """The model with its Dense layers annotated and nothing else, as TFMOT's guide does to quantize some layers."""
    _, keras = import_tf()
    from tensorflow_model_optimization.python.core.quantization.keras import quantize as tfmot

    def annotate(layer):
        return tfmot.quantize_annotate_layer(layer) if type(layer) is keras.layers.Dense else layer

    return keras.models.clone_model(model, clone_function=annotate)


def _quantize_named(model: Any, quantizer: Quantizer) -> Any:
    """Conv2D and Dense get the named weight quantizer; everything else keeps TFMOT's 8-bit scheme."""
    _, keras = import_tf()
    from tensorflow_model_optimization.python.core.quantization.keras import quantize as tfmot

    wanted = quantizers.PER_CHANNEL_LAYERS if quantizer.per_channel else quantizers.NAMED_LAYERS
    if not any(layer.__class__.__name__ in wanted for layer in model.layers):
        what = f"the model has no {' or '.join(wanted)} layer that quantizer '{quantizer.text}' applies to"
        raise UnsupportedError(what, hint="take qat or a ptq recipe")
    configs = named_configs(model, quantizer)

    def annotate(layer):
        return tfmot.quantize_annotate_layer(layer, quantize_config=configs.get(layer.name))

    annotated = keras.models.clone_model(model, clone_function=annotate)
    # clone_model makes new variables only for layers it copies; `annotate` wraps the layers themselves.
    classes = (
        quantizers.named_config_class(),
        quantizers.activation_bits_config_class(),
        quantizers.all_values_per_channel_class(),
    )
    with tfmot.quantize_scope({cls.__name__: cls for cls in classes}):
        return tfmot.quantize_apply(annotated, scheme=keeping_scheme(configs, quantizer.activation_bits))


def named_configs(model: Any, quantizer: Quantizer) -> dict[str, Any]:
    """Layer name -> the QuantizeConfig for it, where it is not TFMOT's own choice.

    Follows the places of TFMOT's scheme: in Conv + BatchNormalization + ReLU, which TFLite folds into one op, only the
    last layer's output is quantized.
    """
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_configs as defaults,
    )
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_registry as registry_module,
    )

    registry = registry_module.Default8BitQuantizeRegistry()
    bits = quantizer.activation_bits
    configs: dict[str, Any] = {}
    for layer in model.layers:
        if layer.__class__.__name__ in quantizers.NAMED_LAYERS:
            chain = folded_followers(layer)
            own_activation = None if chain else quantizers.make_activation_quantizer(bits)
            weights = quantizers.make_weight_quantizer(quantizer, layer.__class__.__name__)
            configs[layer.name] = quantizers.named_config_class()(weights, own_activation)
            for follower in chain:
                if follower.__class__.__name__ == "BatchNormalization":
                    last = follower is chain[-1]
                    configs[follower.name] = (
                        defaults.Default8BitOutputQuantizeConfig() if last else defaults.NoOpQuantizeConfig()
                    )
    if bits != 8:
        for layer in model.layers:
            config = configs.get(layer.name)
            if isinstance(config, quantizers.named_config_class()):
                continue
            if config is None and registry.supports(layer):
                config = registry.get_quantize_config(layer)
            if config is not None:
                configs[layer.name] = quantizers.activation_bits_config_class()(config, bits)
    return configs


def folded_followers(layer: Any) -> list[Any]:
    """The BatchNormalization and ReLU layers right behind a linear layer, which TFLite folds into it."""
    if getattr(layer.activation, "__name__", "") != "linear":
        return []
    chain: list[Any] = []
    current = layer
    while len(current.outbound_nodes) == 1:
        current = current.outbound_nodes[0].layer
        kind = current.__class__.__name__
        is_relu = kind == "ReLU" or (kind == "Activation" and current.activation.__name__ in ("relu", "relu6"))
        if kind == "BatchNormalization" and not chain:
            chain.append(current)
        elif is_relu:
            chain.append(current)
            break
        else:
            break
    return chain


def keeping_scheme(configs: dict[str, Any], activation_bits: int) -> Any:
    """TFMOT's 8-bit scheme, except that named configs survive its graph transforms.

    LayerReluActivationQuantize overwrites the config of a Conv2D or Dense before a separate ReLU with a no-op, custom or
    not (the separate-activation trap): the quantizer that the recipe names would silently not be there.
    """
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_layout_transform as layout,
    )
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_scheme as scheme,
    )

    class KeepingTransform(layout.Default8BitQuantizeLayoutTransform):
        def apply(self, model, layer_quantize_map):
            transformed, quantize_map = super().apply(model, layer_quantize_map)
            for name, config in configs.items():
                if name in quantize_map:
                    quantize_map[name]["quantize_config"] = config
            for layer in transformed.layers:
                if layer.__class__.__name__ == "QuantizeLayer" and layer.quantizer is not None:
                    layer.quantizer.num_bits = activation_bits
            return transformed, quantize_map

    class KeepingScheme(scheme.Default8BitQuantizeScheme):
        def get_layout_transformer(self):
            return KeepingTransform()

    return KeepingScheme()
