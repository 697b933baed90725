"""What quantization-aware training added to a Keras model, as plain JSON, to be explained without TensorFlow.

The summary is taken inside the build worker, stored with the training, and read by the audit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import isfinite, prod
from typing import Any

SUMMARY_VERSION = 2

#: recorded ranges with more values than this are left out of the summary
_MAX_RECORDED = 4096

#: the last part of a wrapper variable's name -> what it is for
_ROLES = {
    "optimizer_step": "step counter of the wrapper; nothing reads it at inference",
    "kernel_min": "lower end of the weight range",
    "kernel_max": "upper end of the weight range",
    "depthwise_kernel_min": "lower end of the weight range",
    "depthwise_kernel_max": "upper end of the weight range",
    "pre_activation_min": "lower end of the range before the activation",
    "pre_activation_max": "upper end of the range before the activation",
    "post_activation_min": "lower end of the range after the activation",
    "post_activation_max": "upper end of the range after the activation",
    "output_min": "lower end of the output range",
    "output_max": "upper end of the output range",
}


def describe(model: Any) -> dict[str, Any]:
    """Describes every layer of a Keras model and what its quantization wrapper is made of.

    Args:
        model: a built Keras model, quantized (`quantize_model`, `quantize_apply`; tf_keras) or plain. Layers of models within it
            stand for themselves, under their own names as long as these are the only ones.

    Returns:
        JSON-able: `version`; `layers`, each with `name`, `class` (of the layer inside the wrapper), `wrapped`,
        `quantize_config` (class name or None), `weight_quantizer`, `activation_quantizer`, `output_quantizer` (each
        `{"class", "num_bits", "per_axis", "symmetric", "narrow_range"}` or None), `activation` (name or None), `reads` (of what
        quantizes an input, the input's name),
        `variables` (each `{"name", "shape", "count", "role", "added"}`, with `value` for what the wrapper added, and
        `channel_min` and `channel_max`, one per output channel, for kernels), `float_params`, `added_params`, `params`; and
        `totals` with `float_params`, `added_params`, `params`, `added_by_role`, `wrapped_layers` and
        `layers_without_weight_quantizer` (wrapped layers that own a kernel which trains in plain float).
    """
    found = list(_layers(model))
    names = Counter(layer.name for _, layer in found)
    layers = [_describe_layer(layer) | {"name": path if names[layer.name] > 1 else layer.name} for path, layer in found]
    added: Counter[str] = Counter()
    for layer in layers:
        for variable in layer["variables"]:
            if variable["added"]:
                added[_short(variable["name"])] += variable["count"]
    float_params = sum(layer["float_params"] for layer in layers)
    added_params = sum(layer["added_params"] for layer in layers)
    return {
        "version": SUMMARY_VERSION,
        "layers": layers,
        "totals": {
            "float_params": float_params,
            "added_params": added_params,
            "params": float_params + added_params,
            "added_by_role": dict(sorted(added.items())),
            "wrapped_layers": sum(layer["wrapped"] for layer in layers),
            "layers_without_weight_quantizer": [
                layer["name"]
                for layer in layers
                if layer["wrapped"] and layer["weight_quantizer"] is None and _has_kernel(layer)
            ],
        },
    }


def layer_names(model: Any) -> list[str]:
    """The names of a model's layers in its order, those of models within it too, as they stand in the names of tensors."""
    return list(dict.fromkeys(layer.name for _, layer in _layers(model)))


def _layers(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every layer with its path, models within the model opened."""
    for layer in model.layers:
        if hasattr(layer, "layers") and hasattr(layer, "get_layer"):
            yield from _layers(layer, f"{prefix}{layer.name}/")
        elif layer.__class__.__name__ != "InputLayer":
            yield f"{prefix}{layer.name}", layer


def _describe_layer(layer: Any) -> dict[str, Any]:
    """One layer of the summary; see `describe`."""
    wrapped = hasattr(layer, "quantize_config") and hasattr(layer, "layer")
    inner = layer.layer if wrapped else layer
    own = {id(weight) for weight in inner.weights} if wrapped or not _is_input_quantizer(layer) else set()
    if wrapped:
        # A called wrapper puts the fake-quantized kernel in the layer's place, so the layer's own list may
        # lack the variable; what is being quantized tells it is the layer's.
        own |= {id(weight) for weight, _, _ in getattr(layer, "_weight_vars", ())}
    variables = [_describe_variable(weight, added=id(weight) not in own, layer=layer.name) for weight in layer.weights]
    config = layer.quantize_config if wrapped else None
    float_params = sum(v["count"] for v in variables if not v["added"])
    added_params = sum(v["count"] for v in variables if v["added"])
    return {
        "name": layer.name,
        "class": inner.__class__.__name__,
        "wrapped": wrapped,
        "quantize_config": config.__class__.__name__ if config is not None else None,
        "weight_quantizer": _first_quantizer(getattr(layer, "_weight_vars", ()), position=1) if wrapped else None,
        "activation_quantizer": _activation_quantizer(layer) if wrapped else None,
        "output_quantizer": _output_quantizer(layer, wrapped),
        "activation": _activation_name(inner),
        **({"reads": layer.input.name.split(":")[0]} if _is_input_quantizer(layer) else {}),
        "variables": variables,
        "float_params": float_params,
        "added_params": added_params,
        "params": float_params + added_params,
    }


def _describe_variable(weight: Any, *, added: bool, layer: str) -> dict[str, Any]:
    """A variable with its shape, its number of values, and what it is for."""
    shape = [int(size) for size in weight.shape]
    short = _short(weight.name)
    role = short
    if added:
        role = _ROLES.get(short, "")
        if not role and short.endswith(("_min", "_max")):
            # QuantizeLayer names its range after itself: quantize_layer/quantize_layer_min.
            role = f"{'lower' if short.endswith('_min') else 'upper'} end of the input range"
        role = role or f"added by the wrapper of {layer}"
    described = {"name": weight.name.split(":")[0], "shape": shape, "count": prod(shape), "role": role, "added": added}
    return described | _values(weight, added=added)


def _values(weight: Any, *, added: bool) -> dict[str, Any]:
    """What the audit recomputes scales from: recorded ranges as they are, kernels by their extremes per output channel."""
    if added and prod(weight.shape) <= _MAX_RECORDED:
        return {"value": _finite(weight.numpy())}
    short = _short(weight.name)
    if added or not short.endswith("kernel"):
        return {}
    # DepthwiseConv2D: (height, width, channels, multiplier) has channels x multiplier output channels.
    kept = 2 if short == "depthwise_kernel" else 1
    array = weight.numpy().reshape(-1, prod(weight.shape[-kept:]))
    return {"channel_min": _finite(array.min(axis=0)), "channel_max": _finite(array.max(axis=0))}


def _finite(array: Any) -> Any:
    """A number or nested lists of numbers; None for those that JSON cannot hold (a training that diverged)."""
    if isinstance(array, (list, tuple)):
        return [_finite(item) for item in array]
    value = array.tolist() if hasattr(array, "tolist") else array
    if isinstance(value, list):
        return _finite(value)
    return value if isfinite(value) else None


def describe_quantizer(quantizer: Any) -> dict[str, Any] | None:
    """A TFMOT quantizer's class and settings; None for none. Settings a class does not have are None."""
    if quantizer is None:
        return None
    return {
        "class": quantizer.__class__.__name__,
        "num_bits": getattr(quantizer, "num_bits", None),
        "per_axis": getattr(quantizer, "per_axis", None),
        "symmetric": getattr(quantizer, "symmetric", None),
        "narrow_range": getattr(quantizer, "narrow_range", None),
    }


def _first_quantizer(rows: Any, *, position: int) -> dict[str, Any] | None:
    rows = list(rows)
    return describe_quantizer(rows[0][position]) if rows else None


def _activation_quantizer(layer: Any) -> dict[str, Any] | None:
    """The quantizer around the layer's own activation; None when that activation is left alone (NoOpActivation)."""
    for aware in getattr(layer, "_quantize_activations", ()):
        if hasattr(aware, "_pre_activation_vars") or hasattr(aware, "_post_activation_vars"):
            return describe_quantizer(aware.quantizer)
    return None


def _output_quantizer(layer: Any, wrapped: bool) -> dict[str, Any] | None:
    if wrapped:
        quantizers = getattr(layer, "_output_quantizers", None) or []
        return describe_quantizer(quantizers[0]) if quantizers else None
    return describe_quantizer(layer.quantizer) if _is_input_quantizer(layer) else None


def _is_input_quantizer(layer: Any) -> bool:
    return layer.__class__.__name__ == "QuantizeLayer"


def _activation_name(layer: Any) -> str | None:
    """The name of the layer's activation function, also when a wrapper has put its own object in its place."""
    activation = getattr(layer, "activation", None)
    if activation is None:
        return None
    activation = getattr(activation, "activation", activation)
    return getattr(activation, "__name__", activation.__class__.__name__)


def _has_kernel(layer: dict[str, Any]) -> bool:
    return any(_short(v["name"]).endswith("kernel") for v in layer["variables"] if not v["added"])


def _short(name: str) -> str:
    return name.split(":")[0].split("/")[-1]
