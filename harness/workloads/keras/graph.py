"""What a Keras model description says about the model's inputs and outputs: shape, units, last activation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.core.errors import UserInputError
from harness.workloads.keras.file import KerasFile
from harness.workloads.keras.shapes import Shape, shape_behind
from harness.workloads.keras.signature import Output, Signature

_MODELS = ("Sequential", "Functional", "Model")
_SQUASHING: dict[str | None, Literal["softmax", "sigmoid"]] = {"softmax": "softmax", "sigmoid": "sigmoid"}
#: layers that move values about or leave those in 0..1 as they are, so that what squashes them may stand before
_PASSING = {
    "AlphaDropout", "Concatenate", "Cropping1D", "Cropping2D", "Dropout", "Flatten", "GaussianDropout", "GaussianNoise",
    "GetItem", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "Identity",
    "Permute", "ReLU", "Relu", "Reshape", "SlicingOpLambda", "SpatialDropout1D", "SpatialDropout2D", "Squeeze", "Transpose",
    "UpSampling2D",
}  # fmt: skip
#: the same as functions: of Activation layers, and of TensorFlow in Keras 2
_PASSING_FUNCTIONS = {"concat", "expand_dims", "identity", "linear", "relu", "relu6", "reshape", "squeeze", "transpose"}


@dataclass(frozen=True, kw_only=True)
class KerasOutput:
    """One output of a model.

    Attributes:
        name: of the layer that gives it.
        shape: of one sample, -1 where any size fits; None when the description does not say.
        units: size of the last axis; None when the description does not say it plainly.
        squashed_by: softmax or sigmoid at its end; None where it is neither.
    """

    name: str
    shape: tuple[int, ...] | None
    units: int | None
    squashed_by: Literal["softmax", "sigmoid"] | None


@dataclass(frozen=True, kw_only=True)
class KerasInput:
    """One input of a model.

    Attributes:
        name: of its input layer; of a signature, its own.
        dtype: as the description says it.
        shape: of one sample, -1 where any size fits; None when the description does not say.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class KerasEnds:
    """The ends of a model.

    Attributes:
        inputs: at least one.
        outputs: in the model's order, at least one.
    """

    inputs: tuple[KerasInput, ...]
    outputs: tuple[KerasOutput, ...]


def keras_ends(file: KerasFile) -> KerasEnds:
    """Reads input and outputs off a model description.

    Raises:
        UserInputError: the model has no input or no output, or is not Sequential or Functional.
    """
    where = str(file.path)
    if file.signature is not None:
        return _signature_ends(file.signature)
    try:
        return _ends(file.config, where)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, RecursionError) as error:
        what = f"its model description is damaged ({type(error).__name__}: {error})"
        raise UserInputError(what, where=where, hint="save the model again") from error


def _signature_ends(signature: Signature) -> KerasEnds:
    inputs = tuple(
        KerasInput(name=source.name, dtype=source.dtype, shape=None if source.shape is None else source.shape[1:])
        for source in signature.inputs
    )
    return KerasEnds(inputs=inputs, outputs=tuple(_signature_output(output) for output in signature.outputs))


def _signature_output(output: Output) -> KerasOutput:
    shape = None if output.shape is None else output.shape[1:]
    units = shape[-1] if shape and shape[-1] != -1 else None
    return KerasOutput(name=output.name, shape=shape, units=units, squashed_by=output.squashed_by)


def _ends(model: dict[str, Any], where: str) -> KerasEnds:
    graph = _Graph.of(model, where)
    for what, ends in (("input", graph.inputs), ("output", graph.outputs)):
        if not ends:
            raise UserInputError(f"the model has no {what}", where=where, hint="save the model again")
    inputs = tuple(
        KerasInput(name=name, dtype=_dtype(graph.layers[name]), shape=graph.input_shape(name)) for name in graph.inputs
    )
    return KerasEnds(inputs=inputs, outputs=tuple(_output(graph, name, inputs) for name in graph.outputs))


def _dtype(layer: dict[str, Any]) -> str:
    dtype = layer["config"].get("dtype") if isinstance(layer["config"], dict) else None
    return dtype if isinstance(dtype, str) else "float32"


def _output(graph: _Graph, name: str, inputs: Sequence[KerasInput]) -> KerasOutput:
    output = graph.shape(name, {one.name: one.shape for one in inputs})
    units = output[-1] if output else None
    return KerasOutput(
        name=name,
        shape=output,
        units=None if units == -1 else units,
        squashed_by=graph.squashed_by(name),
    )


@dataclass(frozen=True, kw_only=True)
class _Graph:
    """A model as layers by name and what each of them reads; a Sequential model is a chain.

    Only a layer's first call is looked at: shared layers give the same shape and activation every time.
    """

    layers: dict[str, dict[str, Any]]
    before: dict[str, list[str]]
    inputs: list[str]
    outputs: list[str]
    where: str
    build_shape: Shape = None

    @staticmethod
    def of(model: dict[str, Any], where: str) -> _Graph:
        name, config = model["class_name"], model["config"]
        if name == "Sequential":
            return _Graph._of_chain(config, where)
        if name in _MODELS and isinstance(config, dict) and "layers" in config:
            layers = {layer.get("name") or layer["config"]["name"]: layer for layer in config["layers"]}
            return _Graph(
                layers=layers,
                before={key: _inbound(layer) for key, layer in layers.items()},
                inputs=_layer_names(config["input_layers"]),
                outputs=_output_names(config["output_layers"], where),
                where=where,
            )
        shown = model.get("registered_name") or name
        raise UserInputError(
            f"the model is of the class '{shown}', which is code of your own and in no file; "
            "only Sequential and Functional models can be rebuilt",
            where=where,
            hint="build it with keras.Sequential or keras.Model(inputs, outputs), or convert it to .tflite and give that",
        )

    @staticmethod
    def _of_chain(config: Any, where: str) -> _Graph:
        chain = config if isinstance(config, list) else config["layers"]
        if not chain:
            raise UserInputError("the model has no layers", where=where)
        names = [str(position) for position in range(len(chain))]
        return _Graph(
            layers=dict(zip(names, chain, strict=True)),
            before={name: names[max(0, position - 1) : position] for position, name in enumerate(names)},
            inputs=names[:1],
            outputs=names[-1:],
            where=where,
            build_shape=_sample_shape(config.get("build_input_shape")) if isinstance(config, dict) else None,
        )

    def input_shape(self, name: str) -> Shape:
        """Of one sample, as the layer of an input says."""
        first = self.layers[name]
        shape = _batch_shape(first) or self.build_shape
        if shape is None and first["class_name"] in _MODELS:
            inner = _Graph.of(first, self.where)
            return inner.input_shape(inner.inputs[0])
        return shape or _sample_shape((first.get("build_config") or {}).get("input_shape"))

    def shape(self, name: str, known: dict[str, Shape]) -> Shape:
        """The output shape of the layer `name`; what stands in `known` is the input's, and is filled on the way."""
        for current in self._in_order(name):
            layer = self.layers[current]
            if layer["class_name"] == "InputLayer":
                known.setdefault(current, _batch_shape(layer))
                continue
            before = self.before[current]
            # The first layer of a chain without InputLayer reads the model's input.
            shapes = [known.get(key) for key in before] if before else [known.get(current)]
            known[current] = self._behind(layer, [_stored_shape(layer) or shape for shape in shapes])
        return known[name]

    def _behind(self, layer: dict[str, Any], shapes: list[Shape]) -> Shape:
        if layer["class_name"] not in _MODELS:
            return shape_behind(layer, shapes)
        inner = _Graph.of(layer, self.where)
        return inner.shape(inner.outputs[0], dict(zip(inner.inputs, shapes, strict=False)))

    def _in_order(self, name: str) -> Iterator[str]:
        """The layers that `name` depends on and itself, each after what it reads."""
        seen: set[str] = set()
        stack = [(name, False)]
        while stack:
            current, ready = stack.pop()
            if ready:
                yield current
            elif current not in seen:
                seen.add(current)
                stack.append((current, True))
                stack += [(key, False) for key in self.before[current]]

    def squashed_by(self, name: str) -> Literal["softmax", "sigmoid"] | None:
        """Whether softmax or sigmoid is the last thing that changes the values, and which; sigmoid where several parts differ."""
        layer = self.layers[name]
        if layer["class_name"].startswith("QuantizeWrapper"):
            layer = layer["config"]["layer"]
        if layer["class_name"] in _MODELS:
            inner = _Graph.of(layer, self.where)
            return inner.squashed_by(inner.outputs[0])
        function = _function(layer)
        if function in _SQUASHING:
            return _SQUASHING[function]
        is_function = layer["class_name"] in ("Activation", "TFOpLambda")
        if layer["class_name"] not in _PASSING and not (is_function and function in _PASSING_FUNCTIONS):
            return None
        before = {self.squashed_by(key) for key in self.before[name]}
        if not before or None in before:
            return None
        return before.pop() if len(before) == 1 else "sigmoid"


def _function(layer: dict[str, Any]) -> str | None:
    """The name of the activation that a layer ends in, or of the function that it is."""
    name, config = layer["class_name"], layer["config"]
    if name in ("Softmax", "Sigmoid"):
        return name.lower()
    if not isinstance(config, dict):
        return None
    if name == "TFOpLambda":
        return str(config.get("function", "")).split(".")[-1]
    value = config.get("activation")
    if isinstance(value, dict):
        inner = value.get("config")
        return inner if isinstance(inner, str) else str(value.get("class_name", "")).lower()
    return value


def _output_names(value: Any, where: str) -> list[str]:
    """Names in `output_layers`.

    Raises:
        UserInputError: a mapping of several outputs, whose order the file and the converter do not share.
    """
    if isinstance(value, dict) and len(value) > 1:
        names = ", ".join(f"'{name}'" for name in value)
        raise UserInputError(
            f"the model gives a mapping of outputs, {names}, and a .tflite has them in an order",
            where=where,
            hint="make it of a list: keras.Model(inputs, [a, b]); each output is called like its layer",
        )
    return _layer_names(value)


def _layer_names(value: Any) -> list[str]:
    """Names in `input_layers` or `output_layers`: [name, 0, 0] (Keras 3, one), [[name, 0, 0], ...], or a mapping of these."""
    if isinstance(value, dict):
        value = list(value.values())
    if value and isinstance(value[0], str):
        return [value[0]]
    return [name for entry in value for name in _layer_names(entry)]


def _inbound(layer: dict[str, Any]) -> list[str]:
    """The layers that a layer's first call reads, in the format of Keras 2 or 3."""
    nodes = layer.get("inbound_nodes") or []
    if not nodes:
        return []
    if isinstance(nodes[0], dict):
        return [tensor["config"]["keras_history"][0] for tensor in _keras_tensors(nodes[0].get("args", []))]
    return [entry[0] for entry in nodes[0]] if isinstance(nodes[0][0], list) else [nodes[0][0]]


def _keras_tensors(arguments: Any) -> list[dict[str, Any]]:
    """The tensors among a call's arguments, in order."""
    if isinstance(arguments, dict):
        return [arguments] if arguments.get("class_name") == "__keras_tensor__" else []
    if isinstance(arguments, list):
        return [tensor for item in arguments for tensor in _keras_tensors(item)]
    return []


def _stored_shape(layer: dict[str, Any]) -> Shape:
    """The input shape that Keras 3 wrote beside a layer of one input; None where it did not, or for several inputs."""
    nodes = layer.get("inbound_nodes") or []
    if nodes and isinstance(nodes[0], dict):
        tensors = _keras_tensors(nodes[0].get("args", []))
        return _sample_shape(tensors[0]["config"].get("shape")) if len(tensors) == 1 else None
    return _sample_shape((layer.get("build_config") or {}).get("input_shape"))


def _batch_shape(layer: dict[str, Any]) -> Shape:
    config = layer["config"]
    if not isinstance(config, dict):
        return None
    return _sample_shape(config.get("batch_input_shape") or config.get("batch_shape"))


def _sample_shape(batch_shape: Any) -> Shape:
    """The shape of one sample from a shape with the batch in front; null becomes -1."""
    if not isinstance(batch_shape, Sequence) or not batch_shape or isinstance(batch_shape[0], (list, str)):
        return None
    return tuple(-1 if size is None else int(size) for size in batch_shape[1:])
