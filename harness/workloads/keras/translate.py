"""A Keras 3 model description in the words of Keras 2, which TensorFlow Model Optimization needs. Nothing is imported here.

What Keras 2 has no counterpart for is refused by the layer's name. A translation is never believed because it went through:
whoever loads it compares its outputs with those of Keras 3 (`copy.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.core.errors import UnsupportedError, UserInputError
from harness.workloads.keras.operations import layer_for
from harness.workloads.keras.safety import layer_text

#: activations of one name and one meaning; `hard_sigmoid` is another function in each, and the rest Keras 2 does not know
_SAME_ACTIVATIONS = {
    "elu", "exponential", "gelu", "leaky_relu", "linear", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
    "softmax", "softplus", "softsign", "swish", "tanh",
}  # fmt: skip
#: layers that change samples in training only. Their copies do nothing: fine-tuning and QAT go without augmentation.
_AUGMENTATION = {
    "AugMix", "CutMix", "MixUp", "RandAugment", "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter",
    "RandomContrast", "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale",
    "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation",
    "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom",
}  # fmt: skip
#: settings of another name in Keras 2
_RENAMED: dict[str, dict[str, str]] = {
    "LeakyReLU": {"negative_slope": "alpha"},
    "InputLayer": {"batch_shape": "batch_input_shape"},
}
#: what a layer calls its arguments, for those that take several tensors one by one
_ARGUMENTS = {"MultiHeadAttention": ("query", "value", "key")}
_BOOKKEEPING = ("module", "registered_name", "build_config", "compile_config", "shared_object_id")
_MODELS = ("Sequential", "Functional", "Model")
#: settings that mean nothing, or what Keras 2 does anyway: they may be left out where it does not have them
_NEUTRAL = (None, False, "channels_last")
_NEUTRAL_OF = {"Resizing": {"fill_mode": "constant", "fill_value": 0.0}}
#: settings that Keras 2 wants to read
_ADDED = {"MultiHeadAttention": {"query_shape": None, "key_shape": None, "value_shape": None}}

#: the settings that a class of Keras 2 has; None where it has no such class
Settings = Callable[[str], "frozenset[str] | None"]


class CopyRefusedError(UnsupportedError):
    """A Keras 3 model has no copy in Keras 2 that computes the same."""


def refused(layer: dict[str, Any] | str | None, why: str) -> CopyRefusedError:
    """The refusal of a copy in one sentence: which layer, why, and what works all the same.

    Args:
        layer: its description, its name, or None where no single layer is to blame.
        why: such as `uses hard_sigmoid, which ...`; a sentence of its own without a layer.
    """
    which = f"layer {layer_text(layer)}" if isinstance(layer, dict) else f"layer '{layer}'" if layer else "the model"
    return CopyRefusedError(
        f"{which} {why}, so there is no copy in Keras 2, which quantization-aware training needs",
        hint="ptq recipes start from Keras 3 and work",
    )


def to_keras2(config: dict[str, Any], *, where: str, settings: Settings | None = None) -> dict[str, Any]:
    """A model description of Keras 3 in the plain form that Keras 2 reads (class names only, no modules).

    Args:
        config: the description; it is left as it is.
        where: the file, for messages.
        settings: says what the classes of Keras 2 know; None takes every setting over.

    Raises:
        CopyRefusedError: it uses something that Keras 2 has no counterpart for.
        UserInputError: it is damaged.
    """
    try:
        return _Translation(settings).model(config)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, RecursionError) as error:
        what = f"its model description is damaged ({type(error).__name__}: {error})"
        raise UserInputError(what, where=where, hint="save the model again") from error


class _Translation:
    """One model's translation; `_layer` is the one that messages name."""

    def __init__(self, settings: Settings | None) -> None:
        self._settings: Settings = settings or (lambda name: None)
        self._is_checked = settings is not None
        self._layer: dict[str, Any] = {}

    def model(self, node: dict[str, Any]) -> dict[str, Any]:
        """A Sequential or Functional model, or one within another."""
        config = node["config"]
        layers = config if isinstance(config, list) else config["layers"]
        plain: Any = [self.layer(layer) for layer in layers]
        if isinstance(config, dict):
            rest = {key: self._value(value) for key, value in config.items() if key not in (*_BOOKKEEPING, "layers")}
            plain = {**rest, "layers": plain}
            for key in ("input_layers", "output_layers"):
                if key in plain:
                    plain[key] = _as_list(plain[key])
            if node["class_name"] != "Sequential":
                _number_calls(plain, {layer.get("name"): layer for layer in layers})
        return self._with_calls({"class_name": node["class_name"], "config": plain}, node)

    def layer(self, node: dict[str, Any]) -> dict[str, Any]:
        """A layer, or an operation as the layer that does the same."""
        if node["class_name"] in _MODELS:
            return self.model(node)
        self._layer = node
        replaced = layer_for(node)
        if replaced is None:
            raise refused(node, "is an operation that Keras 2 has no layer for")
        if replaced["class_name"] in _AUGMENTATION:
            name = replaced["config"].get("name")
            replaced = {**replaced, "class_name": "Dropout", "config": {"name": name, "rate": 0.0}}
        if self._is_checked and self._settings(replaced["class_name"]) is None:
            raise refused(node, "is a kind of layer that Keras 2 does not have")
        return self._with_calls(self._object(replaced), replaced)

    def _with_calls(self, plain: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
        if "name" in node:
            plain["name"] = node["name"]
        if "inbound_nodes" in node:
            plain["inbound_nodes"] = [self._call(call) for call in node["inbound_nodes"]]
        return plain

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "class_name" in value and "config" in value:
            return self._object(value)
        return {key: self._value(item) for key, item in value.items()}

    def _object(self, node: dict[str, Any]) -> Any:
        """One serialized object: a layer, an initializer, a dtype policy, a function."""
        name: str = node["class_name"]
        config = node["config"]
        if name in _MODELS:
            return self.model(node)  # inside a wrapper such as TimeDistributed
        if name in ("DTypePolicy", "Policy"):
            return config["name"]
        if name == "function":
            return config
        if not isinstance(config, dict):
            return {"class_name": name, "config": self._value(config)}
        renamed = _RENAMED.get(name, {})
        plain: dict[str, Any] = {}
        for key, value in config.items():
            if key not in _BOOKKEEPING:
                plain[renamed.get(key) or key] = self._value(value)
        self._check_activations(plain)
        return {"class_name": name, "config": self._known(name, plain)}

    def _check_activations(self, config: dict[str, Any]) -> None:
        for key in ("activation", "recurrent_activation"):
            value = config.get(key)
            if value == "hard_sigmoid":
                raise refused(self._layer, "uses hard_sigmoid, which is another function in Keras 2 than in Keras 3")
            if isinstance(value, str) and value not in _SAME_ACTIVATIONS:
                raise refused(self._layer, f"uses the activation {value}, which Keras 2 does not have")

    def _known(self, name: str, config: dict[str, Any]) -> dict[str, Any]:
        """The settings that Keras 2 has, where the others mean nothing."""
        known = self._settings(name)
        if known is None:
            return config
        neutral = _NEUTRAL_OF.get(name, {})
        for key, value in config.items():
            if key not in known and value not in _NEUTRAL and (key not in neutral or neutral[key] != value):
                raise refused(self._layer, f"has the setting {key}={value}, which {name} of Keras 2 does not have")
        return {key: value for key, value in config.items() if key in known} | _ADDED.get(name, {})

    def _call(self, call: Any) -> Any:
        """One call of a layer: Keras 3's {args, kwargs} as Keras 2's [[layer, node, tensor, kwargs], ...]."""
        if not isinstance(call, dict):
            return call
        arguments = call["args"]
        constants = {key: value for key, value in call.get("kwargs", {}).items() if value is not None}
        names = _ARGUMENTS.get(self._layer["class_name"], ())
        if len(arguments) > 1 and len(arguments) <= len(names):
            constants |= dict(zip(names[1:], arguments[1:], strict=False))
            arguments = arguments[:1]
        tensors = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else arguments
        if len(arguments) != 1 or not all(_is_tensor(tensor) for tensor in tensors):
            raise refused(self._layer, "is called with several arguments, which Keras 2 writes in another way")
        plain = {key: _history(value) if _is_tensor(value) else value for key, value in constants.items()}
        if any(isinstance(value, dict) for value in plain.values()):
            raise refused(self._layer, "is called with settings that Keras 2 writes in another way")
        return [[*_history(tensor), dict(plain)] for tensor in tensors]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"


def _history(tensor: dict[str, Any]) -> list[Any]:
    return list(tensor["config"]["keras_history"])


def _as_list(ends: Any) -> Any:
    """`input_layers` and `output_layers`: [name, 0, 0] (Keras 3, one) as [[name, 0, 0]]."""
    return [ends] if isinstance(ends, list) and ends and isinstance(ends[0], str) else ends


def _number_calls(config: dict[str, Any], layers: dict[Any, dict[str, Any]]) -> None:
    """Counts calls of models within the model as Keras 2 does, in place: the first is 1, its making was 0.

    With Keras 3's numbers Keras 2 waits for ever for a call that never comes.
    """

    def renumber(history: Any) -> None:
        if isinstance(history, list) and len(history) >= 3 and _has_first_call(layers.get(history[0])):
            history[1] += 1

    for layer in config["layers"]:
        for call in layer.get("inbound_nodes", []):
            for tensor in call:
                renumber(tensor)
                for value in tensor[3].values() if len(tensor) > 3 and isinstance(tensor[3], dict) else ():
                    renumber(value)
    for key in ("input_layers", "output_layers"):
        for history in config.get(key, []):
            renumber(history)


def _has_first_call(layer: dict[str, Any] | None) -> bool:
    """Whether making this model counts as a call in Keras 2 (as `_should_skip_first_node` of its functional.py says)."""
    if layer is None or layer["class_name"] not in _MODELS:
        return False
    inner = layer["config"] if isinstance(layer["config"], list) else layer["config"]["layers"]
    return layer["class_name"] != "Sequential" or bool(inner) and inner[0]["class_name"] == "InputLayer"
