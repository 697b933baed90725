"""What a saved Keras model says about itself, read without TensorFlow and without running anything from the file.

A .keras file is a zip with `config.json` and `model.weights.h5`; an .h5 file keeps the same JSON in an attribute; a
SavedModel folder keeps it in `keras_metadata.pb`. Models that carry code (Lambda layers hold marshalled Python) are refused.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.core.errors import MissingPartError, UserInputError
from harness.core.formats import HDF5, KERAS, ZIP, format_of_file
from harness.workloads.keras.protobuf import protobuf_fields
from harness.workloads.keras.safety import check_depth, class_names, drop_training_settings, refuse_code
from harness.workloads.keras.signature import Signature, read_signature, split_signature

_MAX_CONFIG_BYTES = 64 << 20
#: weights with their optimizer state; a .tflite holds at most 2 GiB, and Adam keeps three times the weights
_MAX_WEIGHTS_BYTES = 8 << 30
#: Keras stores weights as they are: what unpacks to more than this is made to fill a disk
_MAX_EXPANSION = 100
_SMALL_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class KerasFile:
    """A saved Keras model.

    Attributes:
        kind: `keras` (zip), `h5`, `saved_model` (folder) or `signature` (of a SavedModel: a graph without layers).
        config: the model as JSON: `class_name` and `config`; of a signature no more than that it is one.
        keras_major: 2 or 3, the Keras that wrote it; a signature is read beside Keras 3.
        signature: of a kind `signature`.
    """

    path: Path
    kind: Literal["keras", "h5", "saved_model", "signature"]
    config: dict[str, Any]
    keras_major: Literal[2, 3]
    signature: Signature | None = None


def read_keras_file(path: Path) -> KerasFile:
    """Reads a saved model's description.

    Args:
        path: a file or folder, or `FOLDER#SIGNATURE` of a SavedModel.

    Raises:
        UserInputError: missing, truncated or corrupt file, weights only, no model in it, or a model that carries code.
        MissingPartError: reading .h5 needs h5py.
    """
    where = str(path)
    kind: Literal["keras", "h5", "saved_model"]
    folder, named = split_signature(path)
    if folder.is_dir() and (named is not None or not (folder / "keras_metadata.pb").is_file()):
        signature = read_signature(folder, named)
        _require_batch(signature, where)
        config = {"class_name": "Signature", "config": {"name": signature.name}}
        return KerasFile(path=folder, kind="signature", config=config, keras_major=3, signature=signature)
    if not path.exists():
        raise UserInputError(
            "no such file", where=where, hint="give the path of a .keras or .h5 file or a SavedModel folder"
        )
    if not (path.is_dir() or path.is_file()):
        raise UserInputError("is neither a file nor a folder", where=where, hint="give the path of a saved model")
    if path.is_dir():
        kind, config, version = "saved_model", _saved_model_config(path), "2"
    elif (found := format_of_file(path)) is HDF5:
        kind, (config, version) = "h5", _h5_config(path)
    elif found is KERAS or (found in (None, ZIP) and path.suffix.lower() == ".keras"):
        kind, (config, version) = "keras", _zip_config(path)
    elif found is not None:
        raise UserInputError(f"is {found.words}, expected a .keras, .h5 or .tflite model", where=where, hint=found.hint)
    else:
        _readable(path)
        hint = "it is truncated, damaged or of another format; save the model again"
        raise UserInputError("is neither a .keras nor an .h5 file", where=where, hint=hint)
    if not isinstance(config, dict) or not isinstance(config.get("config"), (dict, list)) or "class_name" not in config:
        raise UserInputError("its model description is not one of a Keras model", where=where)
    check_depth(config, where)
    drop_training_settings(config)
    refuse_code(config, where)
    return KerasFile(path=path, kind=kind, config=config, keras_major=_major(version))


def _require_batch(signature: Signature, where: str) -> None:
    """Refuses a function of a bare sample, or of several at once: its first axis would be taken for that of the samples."""
    for tensor in (*signature.inputs, *signature.outputs):
        if tensor.shape is not None and tensor.shape[:1] not in ((-1,), (1,)):
            shape = ", ".join("any" if size == -1 else str(size) for size in tensor.shape)
            raise UserInputError(
                f"signature '{signature.name}': '{tensor.name}' is [{shape}], expected an open batch (or 1) as its first axis",
                where=where,
                hint="export a function of [None, ...]: tf.TensorSpec([None, ...]) in its input_signature",
            )


def _major(version: str) -> Literal[2, 3]:
    """The Keras of a version text; TensorFlow's own Keras 2 wrote `2.15.0`, and the oldest files say nothing."""
    digits = version.split(".")[0]
    return 3 if digits.isdigit() and int(digits) >= 3 else 2


def is_qat(file: KerasFile) -> bool:
    """Whether TFMOT has wrapped the model's layers for quantization-aware training."""
    return any(name.startswith("QuantizeWrapper") for name in class_names(file.config))


def _readable(path: Path) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise UserInputError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _zip_config(path: Path) -> tuple[Any, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            missing = [name for name in ("config.json", "metadata.json", "model.weights.h5") if name not in names]
            if missing:
                raise UserInputError(
                    f"has no {missing[0]} inside", where=str(path), hint="save the model with model.save()"
                )
            if archive.getinfo("config.json").file_size > _MAX_CONFIG_BYTES:
                raise UserInputError("its config.json is too large to be a model description", where=str(path))
            _check_size(archive.getinfo("model.weights.h5"), str(path))
            config, metadata = (json.loads(archive.read(name)) for name in ("config.json", "metadata.json"))
    # An encrypted member is a RuntimeError, an unknown compression a NotImplementedError, a nesting bomb a RecursionError.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        hint = "it is truncated, damaged or of another format; save the model again"
        raise UserInputError(f"is not a .keras file that can be read ({error})", where=str(path), hint=hint) from error
    return config, str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""


def _check_size(weights: zipfile.ZipInfo, where: str) -> None:
    """Refuses weights that no .tflite could hold, and those that unpack to far more than is stored."""
    size = weights.file_size
    if size > _MAX_WEIGHTS_BYTES:
        what = f"its weights take {size:,} bytes, and a .tflite holds at most 2 GiB"
        raise UserInputError(what, where=where, hint="give a smaller model")
    if size > _SMALL_BYTES and size > _MAX_EXPANSION * weights.compress_size:
        what = f"its weights unpack from {weights.compress_size:,} to {size:,} bytes, which no real ones do"
        raise UserInputError(what, where=where, hint="save the model again with model.save()")


def _h5_config(path: Path) -> tuple[Any, str]:
    try:
        import h5py
    except ImportError as error:
        hint = "pip install 'tflite-hil-harness[build]'"
        raise MissingPartError("reading .h5 models needs h5py", where=str(path), hint=hint) from error
    try:
        with h5py.File(path, "r") as file:
            config, version = (file.attrs.get(name, "") for name in ("model_config", "keras_version"))
            top = sorted(file)
        if not config:
            hint = "save the whole model with model.save(), not model.save_weights()"
            raise UserInputError(
                f"holds no model description, only {', '.join(top) or 'nothing'}", where=str(path), hint=hint
            )
        return json.loads(config), version.decode() if isinstance(version, bytes) else str(version)
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # RuntimeError: h5py's, and nesting bombs
        hint = "it is truncated or damaged; save the model again"
        raise UserInputError(f"is not an .h5 model that can be read ({error})", where=str(path), hint=hint) from error


def _saved_model_config(path: Path) -> Any:
    """The root model's JSON in `keras_metadata.pb` (message SavedMetadata: nodes = 1; node: path = 3, metadata = 5)."""
    if not (path / "saved_model.pb").is_file():
        hint = "give a .keras, .h5 or .tflite file, or the folder that holds saved_model.pb"
        raise UserInputError("is a folder without saved_model.pb", where=str(path), hint=hint)
    try:
        data = (path / "keras_metadata.pb").read_bytes()
    except OSError as error:
        raise UserInputError(f"keras_metadata.pb cannot be read: {error.strerror}", where=str(path)) from None
    try:
        for number, node in protobuf_fields(data):
            fields = dict(protobuf_fields(node)) if number == 1 and isinstance(node, bytes) else {}
            if fields.get(3) == b"root":
                metadata = fields[5]
                if not isinstance(metadata, bytes):
                    raise ValueError("the root's metadata is a number")
                # The rest says how the saved functions are called, which nothing here calls.
                read = json.loads(metadata, object_hook=_without_tuples)
                return {key: value for key, value in read.items() if key in ("class_name", "config")}
    except (ValueError, IndexError, KeyError, AttributeError, RecursionError) as error:
        raise UserInputError(f"keras_metadata.pb is damaged ({error})", where=str(path)) from error
    raise UserInputError("keras_metadata.pb describes no model", where=str(path), hint="save the model as .keras")


def _without_tuples(node: dict[str, Any]) -> Any:
    """A SavedModel writes shapes and kernel sizes as tuples, in a mapping that says so; every other file writes lists."""
    return node["items"] if node.get("class_name") == "__tuple__" and isinstance(node.get("items"), list) else node
