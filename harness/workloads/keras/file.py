"""What a saved Keras model says about itself, read without TensorFlow and without running anything from the file.

A .keras file is a zip with `config.json` and `model.weights.h5`; an .h5 file keeps the same JSON in an attribute; a
SavedModel folder keeps it in `keras_metadata.pb`. Models that carry code (Lambda layers hold marshalled Python) are refused.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.core.errors import MissingPartError, UserInputError

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_MAX_CONFIG_BYTES = 64 << 20
_LAMBDAS = {"Lambda", "__lambda__"}
#: what a functional model may call as a bare TensorFlow function; a TFOpLambda layer names it, and could name others
_SAFE_FUNCTIONS = ("math.", "nn.", "image.", "linalg.", "__operators__.", "compat.v1.nn.", "compat.v1.image.")
_SAFE_BARE_FUNCTIONS = {
    "cast",
    "clip_by_value",
    "concat",
    "convert_to_tensor",
    "expand_dims",
    "gather",
    "identity",
    "pad",
    "reshape",
    "shape",
    "slice",
    "split",
    "squeeze",
    "stack",
    "strided_slice",
    "tile",
    "transpose",
    "unstack",
    "where",
    "zeros_like",
    "ones_like",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class KerasFile:
    """A saved Keras model.

    Attributes:
        kind: `keras` (zip), `h5` or `saved_model` (folder).
        config: the model as JSON: `class_name` and `config`.
        keras_major: 2 or 3, the Keras that wrote it.
    """

    path: Path
    kind: Literal["keras", "h5", "saved_model"]
    config: dict[str, Any]
    keras_major: int


def read_keras_file(path: Path) -> KerasFile:
    """Reads a saved model's description.

    Raises:
        UserInputError: missing, truncated or corrupt file, weights only, no model in it, or a model that carries code.
        MissingPartError: reading .h5 needs h5py.
    """
    where = str(path)
    if not path.exists():
        raise UserInputError(
            "no such file", where=where, hint="give the path of a .keras or .h5 file or a SavedModel folder"
        )
    if path.is_dir():
        kind, config, version = "saved_model", _saved_model_config(path), "2"
    elif _starts_with(path, _HDF5_MAGIC):
        kind, (config, version) = "h5", _h5_config(path)
    elif path.suffix.lower() == ".keras":
        kind, (config, version) = "keras", _zip_config(path)
    else:
        hint = "it is truncated, damaged or of another format; save the model again"
        raise UserInputError("is not an HDF5 file", where=where, hint=hint)
    if not isinstance(config, dict) or not isinstance(config.get("config"), (dict, list)) or "class_name" not in config:
        raise UserInputError("its model description is not one of a Keras model", where=where)
    _refuse_code(config, where)
    major = 3 if version.startswith("3") else 2
    return KerasFile(path=path, kind=kind, config=config, keras_major=major)  # type: ignore[arg-type]


def class_names(config: Any) -> Iterator[str]:
    """Every class name in a model description, nested ones included."""
    for node in _objects(config):
        if isinstance(node.get("class_name"), str):
            yield node["class_name"]


def is_qat(file: KerasFile) -> bool:
    """Whether TFMOT has wrapped the model's layers for quantization-aware training."""
    return any(name.startswith("QuantizeWrapper") for name in class_names(file.config))


def _starts_with(path: Path, magic: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(magic)) == magic
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
            config, metadata = (json.loads(archive.read(name)) for name in ("config.json", "metadata.json"))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        hint = "it is truncated, damaged or of another format; save the model again"
        raise UserInputError(f"is not a .keras file that can be read ({error})", where=str(path), hint=hint) from error
    return config, str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""


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
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        hint = "it is truncated or damaged; save the model again"
        raise UserInputError(f"is not an .h5 model that can be read ({error})", where=str(path), hint=hint) from error


def _saved_model_config(path: Path) -> Any:
    """The root model's JSON in `keras_metadata.pb` (message SavedMetadata: nodes = 1; node: path = 3, metadata = 5)."""
    if not (path / "saved_model.pb").is_file():
        hint = "give a .keras, .h5 or .tflite file, or the folder that holds saved_model.pb"
        raise UserInputError("is a folder without saved_model.pb", where=str(path), hint=hint)
    try:
        data = (path / "keras_metadata.pb").read_bytes()
    except OSError:
        raise UserInputError(
            "is a SavedModel without Keras metadata: a bare graph, which cannot be trained further or annotated for QAT",
            where=str(path),
            hint="save the model as .keras (model.save), or convert it to .tflite and give that",
        ) from None
    try:
        for number, node in _protobuf_fields(data):
            fields = dict(_protobuf_fields(node)) if number == 1 and isinstance(node, bytes) else {}
            if fields.get(3) == b"root":
                metadata = fields[5]
                if not isinstance(metadata, bytes):
                    raise ValueError("the root's metadata is a number")
                return json.loads(metadata)
    except (ValueError, IndexError, KeyError) as error:
        raise UserInputError(f"keras_metadata.pb is damaged ({error})", where=str(path)) from error
    raise UserInputError("keras_metadata.pb describes no model", where=str(path), hint="save the model as .keras")


def _protobuf_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message, (number, varint or bytes), as the wire format encodes them."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while position < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or (varint() if key & 7 == 2 else -1)
        if size < 0 or position + size > len(data):
            raise ValueError("truncated message")
        yield key >> 3, data[position : position + size]
        position += size


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in a model description, without recursion: the file decides the depth."""
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, dict):
            yield current
            stack.extend(current.values())
        elif isinstance(current, list):
            stack.extend(current)


def _refuse_code(config: dict[str, Any], where: str) -> None:
    """Raises UserInputError for a model that carries code, or that names functions outside the mathematical ones."""
    for node in _objects(config):
        name = node.get("class_name")
        if name in _LAMBDAS:
            layer = node.get("name") or (node["config"].get("name") if isinstance(node.get("config"), dict) else None)
            raise UserInputError(
                f"layer '{layer or name}' is a Lambda: it carries Python code, which is never run from a model file",
                where=where,
                hint="replace it by built-in layers (Rescaling, Reshape, Activation, ...) and save again",
            )
        if name in ("TFOpLambda", "SlicingOpLambda") and isinstance(node.get("config"), dict):
            function = str(node["config"].get("function", ""))
            if not function.startswith(_SAFE_FUNCTIONS) and function not in _SAFE_BARE_FUNCTIONS:
                raise UserInputError(
                    f"the model calls the TensorFlow function '{function}', which is not one that is accepted from a file",
                    where=where,
                    hint="replace it by built-in layers and save again",
                )
