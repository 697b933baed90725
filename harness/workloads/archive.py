"""An .npz that somebody else made, read without trusting it: sizes are checked against headers before anything is read.

A zip of .npy files. What a header claims and what the archive holds must agree, arrays of Python objects are never loaded
(that runs code), and an array that is large is read in blocks, so that no file decides how much memory is taken.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from harness.core.errors import UserInputError
from harness.core.files import open_regular
from harness.core.memory import require_memory, size_text

SUFFIX = ".npy"
#: how much of an array is in memory at a time while it is read in blocks
BLOCK_BYTES = 8 << 20
#: more than any header of a plain array needs
_MAX_HEADER_BYTES = 10_000
#: deflate packs at most 1032 bytes into one (zlib's technical notes)
_DEFLATE_LIMIT = 1032
#: an array above this size that packs better than that is a decompression bomb, or says nothing
_BOMB_BYTES, _BOMB_RATIO = 1 << 30, 200
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_AGAIN = "it is truncated or damaged; write it again with numpy.savez, or download it again"

#: what zipfile, zlib and numpy raise about content that is not what it claims
READ_FAULTS = (
    ValueError,
    EOFError,
    OSError,
    KeyError,
    TypeError,
    SyntaxError,
    RecursionError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, kw_only=True)
class ArrayHeader:
    """What a member says of its array. `header_bytes` is where its data begin."""

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    in_fortran_order: bool
    header_bytes: int

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def row_bytes(self) -> int:
        """Bytes of one entry along the first axis."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


class Archive:
    """An open .npz. `keys` are its arrays, `others` its members that are none. Use as a context manager.

    Raises:
        UserInputError: missing, no file, no .npz, damaged, or without a member.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)
        try:
            self._zip = zipfile.ZipFile(self._file)
            names = self._zip.namelist()
            if not names:
                raise UserInputError(
                    "has no arrays in it",
                    where=str(path),
                    hint="write it with numpy.savez(path, x_test=..., y_test=...)",
                )
            self._members = {name: self._zip.getinfo(name) for name in names}
        except UserInputError:
            self._file.close()
            raise
        except READ_FAULTS as error:
            self._file.close()
            raise UserInputError(
                f"is not an .npz file that can be read ({error})", where=str(path), hint=_AGAIN
            ) from error
        self.keys = sorted(name.removesuffix(SUFFIX) for name in self._members if name.endswith(SUFFIX))
        self.others = sorted(name for name in self._members if not name.endswith(SUFFIX))
        self._twice = {name for name in names if names.count(name) > 1} if len(names) > len(self._members) else set()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._file.close()

    def header(self, key: str) -> ArrayHeader:
        """What the member says of its array, checked against the archive's own sizes.

        Raises:
            UserInputError: no such array, no plain array, or sizes that cannot be.
        """
        info = self._info(key)
        with self._faults(key):
            with self._zip.open(info) as stream:
                header = _read_header(key, stream)
        if header.dtype.hasobject:
            raise self._error(f"array '{key}' holds pickled Python objects", "save plain numeric arrays")
        if header.dtype.fields is not None or header.dtype.subdtype is not None:
            raise self._error(f"array '{key}' holds records of type {header.dtype}", "save plain numeric arrays")
        self._check_sizes(info, header)
        return header

    def read(self, key: str) -> np.ndarray:
        """A whole array.

        Raises:
            UserInputError: as `header`, or it is damaged, or larger than half of the memory that is free.
        """
        header = self.header(key)
        self.require_memory(header, header.size_bytes)
        with self._faults(key):  # more axes, or longer ones, than an array can have
            array = np.empty(header.shape[::-1] if header.in_fortran_order else header.shape, header.dtype)
        flat = array.reshape(-1).view(np.uint8) if array.size else np.empty(0, np.uint8)
        begin = 0
        for piece in self._pieces(header, BLOCK_BYTES):
            flat[begin : begin + len(piece)] = np.frombuffer(piece, np.uint8)
            begin += len(piece)
        return array.T if header.in_fortran_order else array

    def blocks(self, key: str) -> Iterator[np.ndarray]:
        """An array of at least one axis in C order, some rows at a time, in their order. Raises as `read` does."""
        header = self.header(key)
        if header.in_fortran_order or not header.shape:
            raise self._error(f"array '{key}' is stored in Fortran order", "save numpy.ascontiguousarray(array)")
        rows = max(1, BLOCK_BYTES // max(header.row_bytes, 1))
        if not header.row_bytes:
            return
        for piece in self._pieces(header, rows * header.row_bytes):
            yield np.frombuffer(piece, header.dtype).reshape(-1, *header.shape[1:])

    def require_memory(self, header: ArrayHeader, size_bytes: int) -> None:
        """Raises UserInputError for an array whose content would take more memory than there is."""
        what = f"array '{header.key}' {list(header.shape)}"
        hint = "ask for fewer with --samples, or save fewer or smaller samples"
        require_memory(size_bytes, what, where=str(self.path), hint=hint)

    def _info(self, key: str) -> zipfile.ZipInfo:
        info = self._members.get(f"{key}{SUFFIX}")
        if info is None:
            beside = f", and '{key}', which is no array," if key in self._members else ""
            found = ", ".join(self.keys) or "none"
            raise self._error(f"has no array '{key}'", f"found the arrays {found}{beside} in it")
        if info.filename in self._twice:
            raise self._error(f"has several arrays '{key}'", "write it again with numpy.savez")
        if info.flag_bits & 1:
            raise self._error(f"array '{key}' is encrypted", "write it with numpy.savez")
        if info.compress_type not in _METHODS:
            raise self._error(f"array '{key}' is packed by an unusual method", "write it with numpy.savez_compressed")
        return info

    def _check_sizes(self, info: zipfile.ZipInfo, header: ArrayHeader) -> None:
        """The header's, the archive's and the packed size must be possible together."""
        key, size, packed = header.key, info.file_size, info.compress_size
        if header.header_bytes + header.size_bytes != size:
            what = f"array '{key}' should hold {list(header.shape)} of {header.dtype}, {size_text(header.size_bytes)}"
            held = size_text(max(0, size - header.header_bytes))
            raise self._error(f"{what}, and holds {held}", _AGAIN)
        limit = packed if info.compress_type == zipfile.ZIP_STORED else _DEFLATE_LIMIT * packed + _MAX_HEADER_BYTES
        if size > limit:
            raise self._error(f"array '{key}' claims {size_text(size)} in {size_text(packed)}, which cannot be", _AGAIN)
        if size > _BOMB_BYTES and size > _BOMB_RATIO * packed:
            raise self._error(
                f"array '{key}' unpacks {size_text(packed)} to {size_text(size)}: a decompression bomb, or all the same value",
                "if it is wanted, save it unpacked with numpy.savez",
            )

    def _pieces(self, header: ArrayHeader, size_bytes: int) -> Iterator[bytes]:
        """The array's bytes, `size_bytes` at a time; reading to the end proves the member's checksum."""
        left = header.size_bytes
        with self._faults(header.key):
            with self._zip.open(self._info(header.key)) as stream:
                stream.read(header.header_bytes)
                while left:
                    piece = stream.read(min(size_bytes, left))
                    if len(piece) != min(size_bytes, left):
                        raise EOFError("it ends early")
                    left -= len(piece)
                    yield piece
                stream.read(1)

    @contextlib.contextmanager
    def _faults(self, key: str) -> Iterator[None]:
        try:
            yield
        except READ_FAULTS as error:
            raise self._error(
                f"array '{key}' is truncated or corrupt ({error})", "write or download the file again"
            ) from error

    def _error(self, what: str, hint: str) -> UserInputError:
        return UserInputError(what, where=str(self.path), hint=hint)


def _open(path: Path) -> io.BufferedReader:
    """The file, once its first bytes are those of a zip."""
    where = str(path)
    try:
        if path.is_dir():
            raise UserInputError("is a folder, expected an .npz file", where=where)
        file = open_regular(path)
    except FileNotFoundError:
        raise UserInputError("no such file", where=where, hint="give the path of an .npz file") from None
    except PermissionError:
        raise UserInputError("not readable", where=where, hint="check the file's permissions") from None
    except (OSError, ValueError) as error:
        raise UserInputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", where=where) from None
    try:
        magic = file.read(6)
        if magic == b"\x93NUMPY":
            raise UserInputError(
                "holds one bare array (.npy), expected an .npz file of named arrays",
                where=where,
                hint="write it with numpy.savez(path, x_test=..., y_test=...)",
            )
        if magic[:2] != b"PK":
            raise UserInputError("is not an .npz file", where=where, hint="write one with numpy.savez")
        return file
    except BaseException:
        file.close()
        raise


def _read_header(key: str, stream: IO[bytes]) -> ArrayHeader:
    """The .npy header at the stream's beginning; raises one of READ_FAULTS. Its length is checked before it is read."""
    magic = stream.read(8)
    if magic[:6] != b"\x93NUMPY" or len(magic) < 8:
        raise ValueError("it is not in numpy's format")
    if magic[6] not in (1, 2):
        raise ValueError(f"it has the unknown format {magic[6]}.{magic[7]}")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > _MAX_HEADER_BYTES:
        raise ValueError(f"its header claims {length} bytes")
    text = stream.read(length)
    if len(text) != length:
        raise EOFError("its header ends early")
    whole = io.BytesIO(length.to_bytes(width, "little") + text)
    parse = np.lib.format.read_array_header_1_0 if magic[6] == 1 else np.lib.format.read_array_header_2_0
    try:
        shape, in_fortran_order, dtype = parse(whole, max_header_size=_MAX_HEADER_BYTES)
    except MemoryError:  # Python's parser says so of expressions nested too deeply
        raise ValueError("its header is nested too deeply") from None
    if any(isinstance(size, bool) or size < 0 for size in shape):
        raise ValueError(f"its shape is {shape}")
    return ArrayHeader(
        key=key,
        shape=shape,
        dtype=dtype,
        in_fortran_order=in_fortran_order and len(shape) > 1,
        header_bytes=8 + width + length,
    )
