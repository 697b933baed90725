"""A SavedModel's signature in the form of a Keras model that is called and converted: one input, no layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.core.errors import UserInputError
from harness.workloads.keras.env import import_this_keras
from harness.workloads.keras.messages import explain
from harness.workloads.keras.signature import FED_AS, Signature


class SignatureModel:
    """What is asked of a model that is converted.

    Attributes:
        inputs: one specification, with the batch open, of the type that samples are given in.
        layers: none: a graph has no layers, and nothing of it is trained.
    """

    layers: tuple[Any, ...] = ()

    def __init__(self, folder: Path, signature: Signature) -> None:
        """Loads it; imports TensorFlow.

        Raises:
            UserInputError: TensorFlow cannot load it.
        """
        tf, _ = import_this_keras()
        try:
            # Kept, because a signature does not keep the variables alive that it reads.
            self._loaded = tf.saved_model.load(str(folder))
            self._function = self._loaded.signatures[signature.name]
        # TensorFlow throws what it likes over files that are damaged.
        except Exception as error:
            what = f"cannot be loaded by TensorFlow: {explain(error)}"
            raise UserInputError(what, where=str(folder), hint="save the model again") from error
        self._tf, self._signature = tf, signature
        shape = signature.input.shape
        sizes = None if shape is None else [None if size == -1 else size for size in shape[1:]]
        if sizes is None:
            what = f"signature '{signature.name}' does not say the shape of its input"
            raise UserInputError(what, where=str(folder), hint="export it with an input_signature of a fixed shape")
        self.inputs = [tf.TensorSpec([None, *sizes], FED_AS[signature.input.dtype], name="x")]

    def __call__(self, x: Any, training: bool = False) -> Any:
        """The output of the signature, of several a list in the signature's order; `x` is of the type of `inputs`."""
        source = self._signature.input
        given = self._function(**{source.name: self._tf.cast(x, source.dtype)})
        outputs = [given[output.name] for output in self._signature.outputs]
        return outputs[0] if len(outputs) == 1 else outputs
