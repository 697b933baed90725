"""What a file is by its first bytes, so that one of another format is told by its name and by what to do with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserInputError
from harness.core.files import open_regular

#: where a FlatBuffer names its schema, and the name of TFLite's
TFLITE_IDENTIFIER = b"TFL3"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
#: how Python's pickle protocols 2 to 5 begin
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
#: how many bytes `format_of` looks at
HEAD_BYTES = 512

_LARGEST_IR_VERSION = 32  # of ONNX; 13 is the newest
_TFLITE_SUFFIX = ".tflite"
_KERAS_HINT = "`harness run --workload FILE --data samples.npz` quantizes it and measures what comes out"
_TORCH_HINT = "export it to a .tflite, by litert-torch (once ai-edge-torch) or by torch.onnx and onnx2tf, and give that"
_ONNX_HINT = "convert it, for instance by onnx2tf, which writes a SavedModel and a .tflite, and give one of these"
_JAX_HINT = "build the model and save it by model.save('model.keras'), or convert it to a .tflite"


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format that a file is in.

    Attributes:
        words: what the file is, such as `an ONNX model`.
        hint: what to do where something else was expected.
    """

    words: str
    hint: str


_DAMAGED = "it is damaged, or of another format; save or download it again"
_EMPTY = Format(words="empty", hint=_DAMAGED)
TFLITE = Format(words="a .tflite file", hint="give it an ending of .tflite")
HDF5 = Format(words="an HDF5 file", hint=f"an .h5 that model.save() wrote is a float model: {_KERAS_HINT}")
KERAS = Format(words="a .keras file", hint=_KERAS_HINT)
#: beginning -> the format
_BEGINNINGS: tuple[tuple[bytes, Format], ...] = (
    (HDF5_MAGIC, HDF5),
    *(
        (
            magic,
            Format(
                words="a Python pickle (PyTorch and scikit-learn write such files), which is never loaded",
                hint=_TORCH_HINT,
            ),
        )
        for magic in PICKLES
    ),
    (
        b"GGUF",
        Format(
            words="a GGUF file of llama.cpp", hint="quantized language models are no .tflite; none can be made of it"
        ),
    ),
    (
        b"version https://git-lfs",
        Format(words="a Git LFS pointer, not the file itself", hint="fetch the file: git lfs pull"),
    ),
    (b"\x93NUMPY", Format(words="an array (.npy)", hint="samples are given by --data")),
    (b"\x1f\x8b", Format(words="packed by gzip", hint="unpack it, and give what is inside")),
    (b"7z\xbc\xaf", Format(words="a 7z archive", hint="unpack it, and give what is inside")),
    (b"\xfd7zXZ", Format(words="packed by xz", hint="unpack it, and give what is inside")),
    (b"BZh", Format(words="packed by bzip2", hint="unpack it, and give what is inside")),
    (b"\x7fELF", Format(words="a program (ELF)", hint="give the model's file")),
)
#: a zip of which the first member says no more
ZIP = Format(words="a zip archive", hint="unpack it, and give the model that is inside")
#: piece of the name of a zip's first member -> the format
_ZIPS: tuple[tuple[bytes, Format], ...] = (
    (b"data.pkl", Format(words="a PyTorch file", hint=_TORCH_HINT)),
    (b"metadata.json", KERAS),
    (b"config.json", KERAS),
    (b".npy", Format(words="an .npz of arrays", hint="samples are given by --data")),
)
#: ending of a name -> the format, where the bytes do not tell
_ENDINGS: dict[str, Format] = {
    ".onnx": Format(words="an ONNX model", hint=_ONNX_HINT),
    ".pt": Format(words="a PyTorch file", hint=_TORCH_HINT),
    ".pth": Format(words="a PyTorch file", hint=_TORCH_HINT),
    ".ckpt": Format(words="a checkpoint", hint=_JAX_HINT),
    ".safetensors": Format(words="a safetensors file, which holds weights and no model", hint=_JAX_HINT),
    ".mlmodel": Format(words="a Core ML model", hint="convert the model that it was made from to a .tflite"),
    ".pb": Format(words="a graph of TensorFlow", hint="give the folder of the SavedModel that holds saved_model.pb"),
}


def format_of(beginning: bytes, name: str = "") -> Format | None:
    """What a file is, as far as its first bytes or the ending of its name tell.

    Args:
        beginning: its first `HEAD_BYTES` bytes, fewer where it is shorter.
        name: the file's.

    Returns:
        None where neither tells anything.
    """
    if not beginning:
        return _EMPTY
    if beginning[4:8] == TFLITE_IDENTIFIER:
        return TFLITE
    for magic, found in _BEGINNINGS:
        if beginning.startswith(magic):
            return found
    if beginning.startswith(b"PK\x03\x04"):
        return _zip(beginning)
    if _is_onnx(beginning):
        return _ENDINGS[".onnx"]
    if (found_by_name := _ENDINGS.get(os.path.splitext(name)[1].lower())) is not None:
        return found_by_name
    return _text(beginning)


def format_of_file(path: Path) -> Format | None:
    """`format_of` a file; None also for one that cannot be read, which whoever reads it says better."""
    try:
        with open_regular(path) as file:
            return format_of(file.read(HEAD_BYTES), path.name)
    except (OSError, ValueError, UserInputError):
        return None


def has_tflite_name(path: Path | str) -> bool:
    """Whether a name ends as finished models do, in letters of either case."""
    return os.path.splitext(str(path))[1].lower() == _TFLITE_SUFFIX


def _zip(beginning: bytes) -> Format:
    length = int.from_bytes(beginning[26:28], "little")  # of the name, behind the local header's 30 bytes
    first = beginning[30 : 30 + length]
    return next(
        (found for piece, found in _ZIPS if piece in first),
        ZIP,
    )


def _is_onnx(beginning: bytes) -> bool:
    """ModelProto: ir_version (field 1, a number), then a text: the producer's name (2), its version (3) or the domain (4)."""
    if len(beginning) < 4 or beginning[0] != 0x08 or not 1 <= beginning[1] <= _LARGEST_IR_VERSION:
        return False
    length = beginning[3]
    text = beginning[4 : 4 + length]
    return (
        beginning[2] in (0x12, 0x1A, 0x22)
        and 0 < length < 0x80
        and text.isascii()
        and text.decode("ascii").isprintable()
    )


def _text(beginning: bytes) -> Format | None:
    """A page, JSON or plain words: what a download that went wrong leaves behind."""
    if b"\0" in beginning:
        return None
    try:
        text = beginning[: HEAD_BYTES - 4].decode("utf-8", errors="strict" if len(beginning) < HEAD_BYTES else "ignore")
    except UnicodeDecodeError:
        return None
    start = text.lstrip("\ufeff \r\n\t")
    if start[:1] == "<":
        return Format(
            words="a page (HTML or XML), such as a download that failed leaves", hint="download the file again"
        )
    if start[:1] in ("{", "["):
        return Format(
            words="a text (JSON)", hint="a description alone has no weights; save the whole model by model.save()"
        )
    return Format(words="a text", hint=_DAMAGED) if all(c.isprintable() or c in "\r\n\t" for c in start) else None
