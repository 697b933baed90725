"""Number types of a model as it is converted: everything in float32, whatever precision it was trained in.

A .tflite computes in float32 or in integers. Layers of mixed precision would leave casts to types that no kernel takes, and an
input of uint8 pixels one that no quantized model starts with; the same numbers in float32 give the same answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.keras.safety import layer_text, objects
from harness.workloads.rows import Arrays, InputRows, by_input, same_kind

_POLICIES = ("DTypePolicy", "Policy")
_FLOATS = {"float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"}
#: every value of these types is a float32 of the same value
_SMALL_INTEGERS = {"int8", "uint8", "int16", "uint16", "bool"}
#: numbers of words, which an Embedding looks up: they stay whole numbers
_INDICES = {"int32", "int64", "uint32", "uint64"}


def input_names(model: Any) -> tuple[str, ...]:
    """What the inputs of a Keras model are called, in the order in which it takes them."""
    return tuple(tensor.name.split(":")[0] for tensor in model.inputs)


def typed(model: Any, samples: Arrays) -> Arrays:
    """Samples in the types of a Keras model's inputs: float32, or whole numbers for what an Embedding looks up."""
    rows = by_input(samples)
    names = input_names(model) if isinstance(samples, InputRows) else ("",)
    return same_kind(
        samples,
        {
            name: np.asarray(rows[name]).astype(getattr(tensor.dtype, "as_numpy_dtype", tensor.dtype), copy=False)
            for name, tensor in zip(names, model.inputs, strict=True)
        },
    )


def as_input(model: Any, samples: Arrays) -> Any:
    """What a Keras model is called with for samples: an array, or one per input, each in its type."""
    made = typed(model, samples)
    return as_called(model, [made.of[name] for name in input_names(model)]) if isinstance(made, InputRows) else made


def as_called(model: Any, tensors: list[Any]) -> Any:
    """One tensor for each of several inputs in the form that a Keras model is called with. Keras 3 takes no list where the model
    was made of a mapping.
    """
    structure = getattr(model, "_inputs_struct", None)
    if structure is None or isinstance(structure, list | tuple):
        return tensors
    from harness.workloads.keras.env import import_keras3

    return import_keras3().keras.tree.pack_sequence_as(structure, tensors)


def input_type(dtype: str) -> str:
    """The type in which a model with an input of a Keras type takes samples once it is loaded: float32 or int32."""
    return "int32" if dtype in _INDICES else "float32"


def to_float32(config: dict[str, Any], *, where: str) -> None:
    """Sets the number types of a model description, in place.

    Raises:
        UserInputError: an input of strings, or weights that Keras has quantized already.
    """
    for node in objects(config):
        name, inner = node.get("class_name"), node.get("config")
        if not isinstance(name, str) or not isinstance(inner, dict):
            continue
        if name in _POLICIES and inner.get("name") in _FLOATS:
            inner["name"] = "float32"
        elif name == "InputLayer":
            inner["dtype"] = _input_type(inner.get("dtype"), node, where)
        elif isinstance(inner.get("dtype"), str) and inner["dtype"] in _FLOATS:
            inner["dtype"] = "float32"
        if _is_quantized(name, inner):
            raise UserInputError(
                "its weights were quantized by Keras, so the float model that recipes start from is gone",
                where=where,
                hint="give the model as it was before model.quantize()",
            )


def _input_type(dtype: Any, node: dict[str, Any], where: str) -> Any:
    if isinstance(dtype, dict):  # a policy, which is an object of its own
        return dtype
    if dtype in _FLOATS or dtype in _SMALL_INTEGERS:
        return "float32"
    if dtype in _INDICES:
        return "int32"
    if dtype in (None, "float32"):
        return dtype
    raise UserInputError(
        f"input {layer_text(node)} takes values of type '{dtype}', which no .tflite of these recipes does",
        where=where,
        hint="give the part of the model behind it, which takes numbers",
    )


def _is_quantized(name: str, config: dict[str, Any]) -> bool:
    return name.startswith("Quantized") and name.endswith("Policy") and config.get("mode") is not None
