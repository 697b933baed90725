"""A TFLite Micro of the user's own that the Cortex-M firmware is built with in place of the plan runtime.

See docs/guides/tflite-micro.md.

The harness contains none of it: the user names the folders of its headers and its static library.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserInputError
from harness.core.files import sha256_file

#: environment variables: folders, separated as in PATH; a file; definitions, separated by spaces
INCLUDE_ENV, LIBRARY_ENV, DEFINES_ENV = "HARNESS_TFLM_INCLUDE", "HARNESS_TFLM_LIBRARY", "HARNESS_TFLM_DEFINES"
#: headers that the adapter includes, and what brings each
_HEADERS = {
    "tensorflow/lite/micro/micro_interpreter.h": "the folder of the TFLite Micro sources",
    "flatbuffers/flatbuffers.h": "the `include` folder of FlatBuffers",
}
#: of an archive that contains its objects; a thin one only names them
_ARCHIVE = b"!<arch>\n"
_DEFINE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(=[A-Za-z0-9_.+-]*)?")
#: a symbol that a library with CMSIS-NN kernels defines or asks for
_CMSIS_NN_SYMBOL = b"arm_fully_connected_s8"
#: the library is compiled without exceptions and RTTI; TF_LITE_STATIC_MEMORY changes the layout of its structures
_CXX = (
    "-std=c++17",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-DNDEBUG",
    "-DTF_LITE_STATIC_MEMORY",
)
_HINT = "docs/guides/tflite-micro.md shows how to build it and how to name its parts"


@dataclass(frozen=True, kw_only=True)
class TfliteMicro:
    """Where a TFLite Micro build lies; its parts exist.

    Attributes:
        include: folders of headers: TFLite Micro's, FlatBuffers', those of its other dependencies.
        library: the static library, compiled for the board's core and floating-point ABI.
        defines: what the library was compiled with beyond TF_LITE_STATIC_MEMORY, such as `USE_TFLM_COMPRESSION`.
    """

    include: tuple[Path, ...]
    library: Path
    defines: tuple[str, ...] = ()

    @property
    def build(self) -> str:
        """What a record says of it: whose kernels, and the first digits of the library's SHA-256."""
        return f"{self.kernels} {sha256_file(self.library)[:12]}"

    @property
    def flags(self) -> tuple[str, ...]:
        """Of the C++ compiler, for the adapter. The headers' own warnings are not the adapter's."""
        folders = [part for path in self.include for part in ("-isystem", str(path))]
        return (*_CXX, *(f"-D{name}" for name in self.defines), f'-DTFLM_BUILD="{self.build}"', *folders)

    @property
    def kernels(self) -> str:
        """`cmsis-nn` where the library has such kernels, else `reference`."""
        return "cmsis-nn" if _CMSIS_NN_SYMBOL in self.library.read_bytes() else "reference"


def tflite_micro(
    include: Sequence[str] = (),
    library: str | None = None,
    defines: Sequence[str] = (),
    *,
    where: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> TfliteMicro:
    """A checked build; what is not given comes from the environment.

    Args:
        include: folders; else $HARNESS_TFLM_INCLUDE.
        library: the static library; else $HARNESS_TFLM_LIBRARY.
        defines: NAME or NAME=VALUE; else $HARNESS_TFLM_DEFINES.
        where: who asks, for error messages: a profile's name.
        environ: instead of this process's environment.

    Raises:
        UserInputError: nothing is named, or a part is not there or is not what it should be.
    """
    environ = os.environ if environ is None else environ
    folders = list(include) or [part for part in environ.get(INCLUDE_ENV, "").split(os.pathsep) if part]
    archive = library or environ.get(LIBRARY_ENV) or None
    names = list(defines) or environ.get(DEFINES_ENV, "").split()
    if not folders or archive is None:
        missing = [
            f"{what} (runtime.tflite_micro.{field} or ${variable})"
            for there, what, field, variable in (
                (folders, "the folders of its headers", "include", INCLUDE_ENV),
                (archive, "its static library", "library", LIBRARY_ENV),
            )
            if not there
        ]
        raise UserInputError(f"no TFLite Micro is named: {' and '.join(missing)}", where=where, hint=_HINT)
    for name in names:
        if _DEFINE.fullmatch(name) is None:
            raise UserInputError(f"{name!r} is no definition: NAME or NAME=VALUE", where=where, hint=_HINT)
    paths = tuple(_folder(text, where) for text in folders)
    for header, owner in _HEADERS.items():
        if not any((path / header).is_file() for path in paths):
            raise UserInputError(
                f"none of the folders of TFLite Micro's headers has {header}: {', '.join(map(str, paths))}",
                where=where,
                hint=f"add {owner}; {_HINT}",
            )
    return TfliteMicro(include=paths, library=_library(archive, where), defines=tuple(names))


def _absolute(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _folder(text: str, where: str | None) -> Path:
    path = _absolute(text)
    if not path.is_dir():
        raise UserInputError(f"the folder of TFLite Micro's headers does not exist: {path}", where=where, hint=_HINT)
    return path


def _library(text: str, where: str | None) -> Path:
    path = _absolute(text)
    try:
        with open(path, "rb") as file:
            magic = file.read(8)
    except OSError as error:
        what = f"TFLite Micro's library cannot be read: {path}: {error.strerror or error}"
        raise UserInputError(what, where=where, hint=_HINT) from None
    if magic != _ARCHIVE:
        what = f"TFLite Micro's library is no static library that contains its objects: {path}"
        raise UserInputError(what, where=where, hint=_HINT)
    return path
