"""A SavedModel's signature in the form of a Keras model that is called and converted, without layers."""

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
        inputs: a specification of each, with the batch open, of the type that samples are given in.
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
        self.inputs = []
        for source in signature.inputs:
            if source.shape is None:
                of = f"its input '{source.name}'" if len(signature.inputs) > 1 else "its input"
                what = f"signature '{signature.name}' does not say the shape of {of}"
                raise UserInputError(what, where=str(folder), hint="export it with an input_signature of a fixed shape")
            sizes = [None if size == -1 else size for size in source.shape[1:]]
            self.inputs.append(tf.TensorSpec([None, *sizes], FED_AS[source.dtype], name=source.name))

    def __call__(self, x: Any, training: bool = False) -> Any:
        """The output of the signature, of several a list in the signature's order; `x` is of the type of `inputs`, a list of them
        where there are several.
        """
        given = x if isinstance(x, list | tuple) else [x]
        sources = zip(self._signature.inputs, given, strict=True)
        found = self._function(**{source.name: self._tf.cast(values, source.dtype) for source, values in sources})
        outputs = [found[output.name] for output in self._signature.outputs]
        return outputs[0] if len(outputs) == 1 else outputs
