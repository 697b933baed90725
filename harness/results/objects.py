"""Arrays kept by content: sample ids, outputs, raw latency samples of every cell, and what judging it again needs.

An object is a .npz file (readable with `numpy.load`) below `results/objects/`, named by the SHA-256 of what is in it:
for every array in the order of names, its name and its bytes in the .npy format. Equal arrays are stored once,
however they were compressed, and every read checks the content against the name.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import HarnessError, UserInputError
from harness.core.files import atomic_file
from harness.results.faults import CorruptStoreError, storage_faults
from harness.results.place import place_of

OBJECTS_NAME = "objects"
#: the name inside the file of what `put_array` stores
SINGLE = "array"
#: the same of what belongs to a cell's further outputs, with their number behind it
FURTHER = "further_"
#: the same of `put_json`: the text's bytes
JSON = "json"
#: what reading a damaged archive raises; OSError: a place in it that is negative
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    MemoryError,
)
#: what an object is named by
SHA = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def open_objects(results: Path) -> ObjectStore:
    """The objects of a results folder: in there, in another folder, or in a shared database, as this process's environment says.

    Raises:
        UserInputError: `HARNESS_STORE` is no URL of a PostgreSQL database.
    """
    place = place_of(results)
    if place.shared and place.objects is None:
        from harness.results.shared_objects import SharedObjects

        return SharedObjects(place)
    return ObjectStore(place.results, root=place.objects)


class ObjectStore:
    """Content-addressed arrays in a folder. Safe for several processes at once.

    `open_objects` opens those of a results folder, wherever they are.
    """

    def __init__(self, results_dir: Path, *, root: Path | None = None) -> None:
        """Args: results_dir: the results folder. root: the folder of the objects, where it is not the one in there."""
        self.root = Path(results_dir).absolute() / OBJECTS_NAME if root is None else Path(root).absolute()

    def put_array(self, array: np.ndarray) -> str:
        """Stores one array and returns its SHA-256. See `put_arrays`."""
        return self.put_arrays({SINGLE: array})

    def get_array(self, sha256: str) -> np.ndarray:
        """The array that `put_array` stored, same shape and dtype. See `get_arrays` for errors."""
        arrays = self.get_arrays(sha256)
        if list(arrays) != [SINGLE]:
            raise HarnessError(
                f"object {sha256[:12]} holds the arrays {', '.join(arrays)}, not one", where=str(self.path(sha256))
            )
        return arrays[SINGLE]

    def put_arrays(self, arrays: Mapping[str, np.ndarray]) -> str:
        """Stores named arrays as one object, atomically, and returns its SHA-256.

        Args:
            arrays: any shapes; numbers, booleans or fixed-width text. Python objects are refused.

        Raises:
            ValueError: no array, an object array, or an unusable name.
            UserInputError: the folder cannot be written.
            HarnessError: the disk is full; no part of a file stays.
        """
        if not arrays:
            raise ValueError("an object needs at least one array")
        encoded = {name: _encode(name, arrays[name]) for name in sorted(arrays)}
        sha256 = _digest(encoded)
        path = self.path(sha256)
        if self._intact(sha256):
            with contextlib.suppress(OSError):
                os.utime(path)  # as young as a new one, so that nobody prunes it now
        else:
            with storage_faults(path), atomic_file(path) as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                    for name, data in encoded.items():
                        # ZipInfo's own date is constant, so equal arrays give equal files.
                        archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data, zipfile.ZIP_DEFLATED)
        return sha256

    def get_arrays(self, sha256: str) -> dict[str, np.ndarray]:
        """The arrays of an object, by name.

        Raises:
            UserInputError: no such object.
            CorruptStoreError: the file is damaged; nothing of it is returned.
        """
        path = self.path(sha256)
        try:
            with storage_faults(path):
                stored = path.read_bytes()
        except HarnessError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise UserInputError(
                    f"there is no stored object {sha256[:12]}",
                    where=str(path),
                    hint="copy results/objects/ together with store.sqlite, or give its folder with --objects",
                ) from error
            raise
        try:
            with zipfile.ZipFile(io.BytesIO(stored)) as archive:
                encoded = {info.filename.removesuffix(".npy"): archive.read(info) for info in archive.infolist()}
        except _DAMAGED as error:
            raise self._corrupt(sha256, str(error)) from error
        if _digest({name: encoded[name] for name in sorted(encoded)}) != sha256:
            raise self._corrupt(sha256, "its content does not match its name")
        return {name: np.load(io.BytesIO(data), allow_pickle=False) for name, data in encoded.items()}

    def put_json(self, value: Any) -> str:
        """Stores a JSON value in canonical form (sorted keys) as one object and returns its SHA-256."""
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return self.put_arrays({JSON: np.frombuffer(text.encode(), np.uint8)})

    def get_json(self, sha256: str) -> Any:
        """The value that `put_json` stored. See `get_arrays` for errors."""
        arrays = self.get_arrays(sha256)
        if list(arrays) != [JSON]:
            raise HarnessError(f"object {sha256[:12]} holds no JSON value", where=str(self.path(sha256)))
        return json.loads(arrays[JSON].tobytes())

    def path(self, sha256: str) -> Path:
        """Where an object lies, whether or not it is there."""
        if not SHA.fullmatch(sha256):
            raise UserInputError(f"'{sha256}' is not the SHA-256 of a stored object")
        return self.root / sha256[:2] / f"{sha256}.npz"

    def has(self, sha256: str) -> bool:
        """Whether the object is there, whole or damaged."""
        return self.path(sha256).is_file()

    def send(self, sha256: str) -> None:
        """Makes sure that whoever shares the store has the object. In a folder it is there already.

        Raises:
            UserInputError: it is not.
        """
        if not self.has(sha256):
            raise UserInputError(f"there is no stored object {sha256[:12]}", where=str(self.path(sha256)))

    def _intact(self, sha256: str) -> bool:
        """A damaged copy is written anew, now that the content is at hand."""
        if not self.path(sha256).is_file():
            return False
        try:
            self.get_arrays(sha256)
        except CorruptStoreError:
            return False
        return True

    def _corrupt(self, sha256: str, why: str) -> CorruptStoreError:
        return CorruptStoreError(
            f"stored object {sha256[:12]} is damaged: {why}",
            where=str(self.path(sha256)),
            hint="delete the file and run the cell again; the numbers in store.sqlite are not affected",
        )


def _encode(name: str, array: np.ndarray) -> bytes:
    """The array as .npy bytes in C order."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"'{name}' cannot name an array in an object")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)
    return buffer.getvalue()


def _digest(encoded: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, data in encoded.items():
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()
