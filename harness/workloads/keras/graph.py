"""What a Keras model description says about the model's one input and one output: shape, units, last activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.core.errors import UserInputError
from harness.workloads.keras.file import KerasFile

#: layers that leave the size of the last axis alone, so that the layer before them tells it
_SAME_SIZE = {"Activation", "Softmax", "ReLU", "LeakyReLU", "Dropout", "BatchNormalization", "GlobalAveragePooling2D"}
_SQUASHING = {"softmax", "sigmoid"}


@dataclass(frozen=True, kw_only=True)
class KerasEnds:
    """The two ends of a model.

    Attributes:
        input_shape: of one sample, -1 where any size fits; None when the description does not say.
        output_units: size of the output's last axis; None when the description does not say it plainly.
        from_logits: no softmax or sigmoid at the end.
    """

    input_shape: tuple[int, ...] | None
    output_units: int | None
    from_logits: bool


def keras_ends(file: KerasFile) -> KerasEnds:
    """Reads input and output off a model description.

    Raises:
        UserInputError: the model has several inputs or outputs, or is not Sequential or Functional.
    """
    try:
        return _model_ends(file.config, str(file.path))
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        what = f"its model description is damaged ({type(error).__name__}: {error})"
        raise UserInputError(what, where=str(file.path), hint="save the model again") from error


def _model_ends(model: dict[str, Any], where: str) -> KerasEnds:
    name, config = model["class_name"], model["config"]
    if name == "Sequential":
        layers = config if isinstance(config, list) else config["layers"]
        if not layers:
            raise UserInputError("the model has no layers", where=where)
        first = layers[0]
        shape = _batch_shape(first)
        if shape is None and isinstance(config, dict):
            shape = _sample_shape(config.get("build_input_shape"))
        if shape is None and _is_model(first):
            shape = _model_ends(first, where).input_shape
        chain = [layer for layer in layers if layer["class_name"] != "InputLayer"]
    elif name in ("Functional", "Model") and isinstance(config, dict) and "layers" in config:
        by_name = {layer.get("name") or layer["config"]["name"]: layer for layer in config["layers"]}
        inputs, outputs = _layer_names(config["input_layers"]), _layer_names(config["output_layers"])
        for what, names in (("inputs", inputs), ("outputs", outputs)):
            if len(names) != 1:
                raise UserInputError(f"the model has {len(names)} {what}, expected one", where=where)
        shape = _batch_shape(by_name[inputs[0]])
        chain = _chain_before(by_name, outputs[0])
    else:
        raise UserInputError(
            f"the model is a {name}, expected Sequential or Functional: a class of one's own cannot be rebuilt from a file",
            where=where,
            hint="build it with keras.Sequential or keras.Model(inputs, outputs), or give a .tflite",
        )
    units, logits = _output(chain, where)
    return KerasEnds(input_shape=shape, output_units=units, from_logits=logits)


def _is_model(layer: dict[str, Any]) -> bool:
    return layer["class_name"] in ("Sequential", "Functional", "Model")


def _layer_names(value: Any) -> list[str]:
    """Names in `input_layers` or `output_layers`: [name, 0, 0] (Keras 3, one) or [[name, 0, 0], ...]."""
    if isinstance(value, dict):
        value = list(value.values())
    if value and isinstance(value[0], str):
        return [value[0]]
    return [entry[0] for entry in value]


def _chain_before(by_name: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The layers that lead to `name` as long as each has one input, first layer first."""
    chain: list[dict[str, Any]] = []
    while len(chain) < len(by_name):
        layer = by_name[name]
        chain.insert(0, layer)
        before = _inbound(layer)
        if len(before) != 1:
            break
        name = before[0]
    return chain


def _inbound(layer: dict[str, Any]) -> list[str]:
    """The layers that a layer's first call reads, in the format of Keras 2 or 3."""
    nodes = layer.get("inbound_nodes") or []
    if not nodes:
        return []
    if isinstance(nodes[0], dict):
        histories: list[str] = []
        stack = [nodes[0].get("args", [])]
        while stack:
            item = stack.pop()
            if isinstance(item, dict) and item.get("class_name") == "__keras_tensor__":
                histories.append(item["config"]["keras_history"][0])
            elif isinstance(item, list):
                stack.extend(item)
        return histories
    return [entry[0] for entry in nodes[0]] if isinstance(nodes[0][0], list) else [nodes[0][0]]


def _batch_shape(layer: dict[str, Any]) -> tuple[int, ...] | None:
    config = layer["config"]
    return (
        _sample_shape(config.get("batch_input_shape") or config.get("batch_shape"))
        if isinstance(config, dict)
        else None
    )


def _sample_shape(batch_shape: Any) -> tuple[int, ...] | None:
    """The shape of one sample from a shape with the batch in front; null becomes -1."""
    if not isinstance(batch_shape, list) or not batch_shape or isinstance(batch_shape[0], list):
        return None
    return tuple(-1 if size is None else int(size) for size in batch_shape[1:])


def _output(chain: list[dict[str, Any]], where: str) -> tuple[int | None, bool]:
    """Units and whether the output is logits, from the last layers."""
    logits, decided = True, False
    for layer in reversed(chain):
        if layer["class_name"].startswith("QuantizeWrapper"):
            layer = layer["config"]["layer"]
        name, config = layer["class_name"], layer["config"]
        if _is_model(layer):
            inner = _model_ends(layer, where)
            return inner.output_units, logits if decided else inner.from_logits
        activation = "softmax" if name == "Softmax" else _activation(config.get("activation"))
        if not decided and (activation in _SQUASHING):
            logits, decided = False, True
        units = config.get("units", config.get("filters"))
        if isinstance(units, int):
            return units, logits
        if name not in _SAME_SIZE:
            return None, logits
        # What comes before an activation that is no squashing one does not make the output a probability.
        decided = decided or activation not in (None, "linear")
    return None, logits


def _activation(value: Any) -> str | None:
    """An activation's name; Keras writes it as text, or as an object with `config` or `class_name`."""
    if isinstance(value, dict):
        inner = value.get("config")
        return inner if isinstance(inner, str) else str(value.get("class_name", "")).lower()
    return value
