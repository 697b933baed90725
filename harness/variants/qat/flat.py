"""Models within models, laid out as one: TFMOT quantizes layers of one model only."""

from __future__ import annotations

from typing import Any

from harness.workloads.keras.env import import_tf


def flattened(model: Any) -> Any:
    """A model with the layers of models within this one in their place; it has the same weights and answers.

    A layer's name gets the inner model's in front where another layer has it already. Batch normalization in a model that
    was called with `training=False`, as frozen backbones are, is frozen.

    Args:
        model: a built Sequential or functional tf_keras model.
    """
    _, keras = import_tf()
    if not any(_is_model(layer) for layer in model.layers):
        return model
    sources = [
        keras.Input(batch_shape=tuple(tensor.shape), dtype=tensor.dtype, name=tensor.name.split(":")[0])
        for tensor in model.inputs
    ]
    taken: set[str] = set()
    answers = _Layout(taken).run(model, sources, prefix="")
    flat = keras.Model(
        sources[0] if len(sources) == 1 else sources, answers[0] if len(answers) == 1 else answers, name=model.name
    )
    # A fresh one, whose layers remember these calls only and not those inside the models that they came from.
    clone = keras.models.clone_model(flat)
    clone.set_weights(flat.get_weights())
    return clone


def _is_model(layer: Any) -> bool:
    _, keras = import_tf()
    return isinstance(layer, keras.Model)


class _Layout:
    """Calls the layers of a model again, one after the other, on tensors of another one."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self._renamed: set[int] = set()

    def run(self, model: Any, tensors: list[Any], prefix: str) -> list[Any]:
        """The tensors that a model gives for these, by the order in which Keras itself would run it."""
        tf, _ = import_tf()
        known = {id(tensor): given for tensor, given in zip(model.inputs, tensors, strict=True)}
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if node.is_input or not all(id(tensor) in known for tensor in node.keras_inputs):
                    continue
                arguments, settings = _replaced((list(node.call_args), dict(node.call_kwargs)), known)
                answers = self._call(node.layer, arguments, settings, prefix)
                known |= dict(zip(map(id, tf.nest.flatten(node.outputs)), answers, strict=True))
        return [known[id(tensor)] for tensor in model.outputs]

    def _call(self, layer: Any, arguments: list[Any], settings: dict[str, Any], prefix: str) -> list[Any]:
        tf, keras = import_tf()
        if not _is_model(layer):
            self._name(layer, prefix)
            return list(tf.nest.flatten(layer(*arguments, **settings)))
        if settings.get("training") is False:
            for inner in layer._flatten_layers():
                if isinstance(inner, keras.layers.BatchNormalization):
                    inner.trainable = False
        return self.run(layer, tf.nest.flatten(arguments[0]), f"{prefix}{layer.name}_")

    def _name(self, layer: Any, prefix: str) -> None:
        """Makes the layer's name the only one of its kind; a layer that is called again keeps its own."""
        if id(layer) in self._renamed:
            return
        if layer.name in self._taken:
            layer._name = f"{prefix}{layer.name}"
        self._renamed.add(id(layer))
        self._taken.add(layer.name)


def _replaced(structure: Any, known: dict[int, Any]) -> Any:
    """The arguments of a call with the tensors that stand for those of the model that is laid out."""
    tf, _ = import_tf()
    return tf.nest.map_structure(lambda value: known.get(id(value), value), structure)
