"""Loads a saved Keras model: rebuilt from its description, then filled with its weights. Nothing from the file is run.

A file of Keras 2 is read by Keras 2 (tf_keras), a file of Keras 3 by Keras 3; one process has one of them. Only built-in layers
are looked up, by class name.
"""

from __future__ import annotations

import contextlib
import copy
import json
import tempfile
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, UserInputError
from harness.workloads.keras.env import import_keras3, import_tf
from harness.workloads.keras.file import KerasFile, is_qat, read_keras_file
from harness.workloads.keras.messages import explain
from harness.workloads.keras.precision import to_float32
from harness.workloads.keras.stateless import to_stateless
from harness.workloads.keras.storage import check_storage, extract_weights, plain_copy

_BOOKKEEPING = ("module", "registered_name", "build_config", "shared_object_id")
_DAMAGED = "the file is truncated or damaged, or was written by another Keras; save the model again"


def load_keras_model(path: Path) -> Any:
    """The model of a .keras or .h5 file or a SavedModel folder, uncompiled, in float32, in the Keras that wrote it. A
    signature of a SavedModel is a function that looks like one.

    Imports TensorFlow: only build workers call it. Models that TFMOT has wrapped for QAT load as such.

    Raises:
        UserInputError: the file is missing or damaged, carries code, or uses layers that cannot be rebuilt.
        HarnessError: this process has the other Keras.
    """
    file = read_keras_file(path)
    if file.signature is not None:
        from harness.workloads.keras.signature_model import SignatureModel

        return SignatureModel(file.path, file.signature)
    return _load_keras3(file) if file.keras_major == 3 else _load_keras2(file)


def _load_keras2(file: KerasFile) -> Any:
    path = file.path
    if is_qat(file) and file.kind == "keras":
        raise UserInputError(
            "is a quantization-aware model in the .keras format, whose wrapped weights Keras cannot read back",
            where=str(path),
            hint="save the quantization-aware model as .h5",
        )
    config = plain_description(file.config)
    if not is_qat(file):
        to_float32(config, where=str(path))
        to_stateless(config)
    model = rebuild_keras2(config, where=str(path), quantized=is_qat(file))
    try:
        _load_weights(model, file)
    except HarnessError:
        raise
    # Keras, TensorFlow, h5py and zipfile throw what they like over a file that does not fit or is damaged; so below.
    except Exception as error:
        raise UserInputError(f"its weights cannot be read: {explain(error)}", where=str(path), hint=_DAMAGED) from error
    return model


def _load_keras3(file: KerasFile) -> Any:
    """Keras 3 reads a copy that holds the checked description and weights alone, in its safe mode."""
    path = file.path
    config = copy.deepcopy(file.config)
    to_float32(config, where=str(path))
    to_stateless(config)
    keras = import_keras3().keras
    try:
        with tempfile.TemporaryDirectory(prefix="harness-model-") as folder:
            return keras.saving.load_model(plain_copy(file, config, Path(folder)), compile=False, safe_mode=True)
    except HarnessError:
        raise
    except Exception as error:
        raise UserInputError(
            f"cannot be loaded by Keras 3: {explain(error)}", where=str(path), hint=_DAMAGED
        ) from error


def rebuild_keras2(config: dict[str, Any], *, where: str, quantized: bool = False) -> Any:
    """A tf_keras model with fresh weights from a plain description.

    Raises:
        UserInputError: naming what Keras 2 does not know.
    """
    keras = import_tf().keras
    with contextlib.ExitStack() as stack:
        if quantized:
            import tensorflow_model_optimization as tfmot

            stack.enter_context(tfmot.quantization.keras.quantize_scope())
        try:
            return keras.models.model_from_json(json.dumps(config))
        except Exception as error:
            raise UserInputError(
                f"the model cannot be rebuilt from its description: {explain(error)}",
                where=where,
                hint="use built-in layers, or convert the model to .tflite and give that",
            ) from error


def plain_description(node: Any) -> Any:
    """A description of Keras 2 by class names only: without modules, so that no file can name one to import."""
    if isinstance(node, list):
        return [plain_description(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "class_name" in node and "config" in node:
        if node["class_name"] in ("DTypePolicy", "Policy") and isinstance(node["config"], dict):
            return node["config"]["name"]
        if node["class_name"] == "function":
            return node["config"]
    return {key: plain_description(value) for key, value in node.items() if key not in _BOOKKEEPING}


def _load_weights(model: Any, file: KerasFile) -> None:
    if file.kind == "saved_model":
        # A SavedModel's variables are a checkpoint of the object graph that the model has again.
        status = model.load_weights(str(file.path / "variables" / "variables"))
        status.assert_existing_objects_matched().expect_partial()
    elif file.kind == "h5" and file.path.suffix.lower() in (".h5", ".hdf5"):
        check_storage(file.path, where=str(file.path))
        model.load_weights(str(file.path))
    else:
        # Keras chooses the format by the file's ending, and wants a file of its own.
        with tempfile.TemporaryDirectory(prefix="harness-weights-") as folder:
            model.load_weights(str(extract_weights(file, Path(folder))))
