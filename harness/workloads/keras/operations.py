"""Operations of Keras 3 (`x + y`, `keras.ops.relu(x)`) as layers that do the same in Keras 2."""

from __future__ import annotations

import math
from typing import Any

_MERGING = {"Add": "Add", "Subtract": "Subtract", "Multiply": "Multiply", "Maximum": "Maximum", "Minimum": "Minimum"}
_ACTIVATIONS = {
    "Sigmoid": "sigmoid", "Softmax": "softmax", "Tanh": "tanh", "Silu": "silu", "Elu": "elu", "Selu": "selu",
    "Softplus": "softplus", "Softsign": "softsign", "LogSoftmax": "log_softmax", "Exp": "exponential", "Mish": "mish",
    "Relu": "relu", "Relu6": "relu6",
}  # fmt: skip
#: what these activations are set to where Keras 2 has no setting for it
_DEFAULTS: dict[str, dict[str, Any]] = {"Softmax": {"axis": -1}, "LogSoftmax": {"axis": -1}, "Elu": {"alpha": 1.0}}


def layer_for(node: dict[str, Any]) -> dict[str, Any] | None:
    """The layer that does what an operation does, with its calls in the form of Keras 3.

    Args:
        node: a layer's or an operation's description, in which operations keep their class name.

    Returns:
        The node itself where it is a layer; None for an operation without counterpart.
    """
    if not _is_operation(node):
        return node
    name, config = node["class_name"], dict(node["config"])
    calls = node.get("inbound_nodes", [])
    arguments = calls[0]["args"] if len(calls) == 1 else []
    if name in (*_MERGING, "TrueDivide", "Divide"):
        return _arithmetic(node, arguments)
    if name in _ACTIVATIONS and all(config.get(key, value) == value for key, value in _DEFAULTS.get(name, {}).items()):
        return _layer(node, "Activation", activation=_ACTIVATIONS[name])
    if name == "Concatenate":
        return _layer(node, "Concatenate", axis=config.get("axis", -1))
    if name == "Reshape":
        shape = config.get("newshape") or [None]
        return _layer(node, "Reshape", target_shape=shape[1:]) if shape[0] in (-1, None) else None
    if name == "Transpose":
        axes = config.get("axes") or [None]
        return _layer(node, "Permute", dims=axes[1:]) if axes[0] == 0 else None
    if name in ("Mean", "Max"):
        return _global_pool(node, config, "Average" if name == "Mean" else "Max")
    return None


def _is_operation(node: dict[str, Any]) -> bool:
    """Operations name their module; an .h5 file leaves it out, and there they are told by how they are called."""
    module = node.get("module")
    if isinstance(module, str):
        return ".ops." in module
    calls = node.get("inbound_nodes") or []
    is_call = len(calls) == 1 and isinstance(calls[0], dict)
    return is_call and node["class_name"] in _MERGING and len(calls[0].get("args", [])) == 2


def _layer(node: dict[str, Any], class_name: str, **config: Any) -> dict[str, Any]:
    name = node["config"].get("name") or node.get("name")
    return {**node, "module": "keras.layers", "class_name": class_name, "config": {"name": name, **config}}


def _arithmetic(node: dict[str, Any], arguments: list[Any]) -> dict[str, Any] | None:
    """`x + y` as a merging layer, `2 * x + 1` as Rescaling."""
    if len(arguments) != 2:
        return None
    name, (first, second) = node["class_name"], arguments
    if isinstance(first, dict) and isinstance(second, dict):
        if name not in _MERGING or not all(item.get("class_name") == "__keras_tensor__" for item in (first, second)):
            return None
        return _called(_layer(node, _MERGING[name]), [first, second])
    number, tensor = (first, second) if _is_number(first) else (second, first)
    factors = _factors(name, number, number_first=number is first)
    if factors is None or not isinstance(tensor, dict):
        return None
    return _called(_layer(node, "Rescaling", scale=factors[0], offset=factors[1]), tensor)


def _called(layer: dict[str, Any], argument: Any) -> dict[str, Any]:
    return {**layer, "inbound_nodes": [{"args": [argument], "kwargs": {}}]}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _factors(name: str, number: Any, *, number_first: bool) -> tuple[float, float] | None:
    """(scale, offset) of an operation with one number, or None where it is not linear."""
    if not _is_number(number):
        return None
    if name == "Add":
        return 1.0, float(number)
    if name == "Subtract":
        return (-1.0, float(number)) if number_first else (1.0, -float(number))
    if name == "Multiply":
        return float(number), 0.0
    if name in ("TrueDivide", "Divide") and not number_first and number:
        return 1.0 / float(number), 0.0
    return None


def _global_pool(node: dict[str, Any], config: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """A mean or maximum over all places of an image or sequence."""
    axis = config.get("axis")
    axes: list[Any] = axis if isinstance(axis, list) else [axis]
    if axes not in ([1], [1, 2], [1, 2, 3]):
        return None
    rank = len(node["inbound_nodes"][0]["args"][0]["config"]["shape"])
    if rank != len(axes) + 2:
        return None
    return _layer(node, f"Global{kind}Pooling{len(axes)}D", keepdims=bool(config.get("keepdims")))
