"""Weights as they lie on a disk: checked before anything reads them, and taken out of their archive.

HDF5 can point to other files and declare more than it holds; a reader that follows would hand over what it finds there, or
run out of memory.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

from harness.core.errors import UserInputError
from harness.workloads.keras.file import KerasFile

#: a dataset may be smaller on the disk than in memory, since zeros compress; not by this factor
_MAX_EXPANSION = 1000
_SMALL_BYTES = 64 << 20
_WEIGHTS = "model.weights.h5"


def extract_weights(file: KerasFile, folder: Path) -> Path:
    """The weights of a .keras or .h5 file as a file of their own with the ending that Keras tells formats by.

    Raises:
        UserInputError: they point outside the file, or declare more than they hold.
        OSError, zipfile.BadZipFile, zlib.error: the file is damaged.
    """
    if file.kind == "h5":
        copy = folder / "model.h5"
        shutil.copyfile(file.path, copy)
    else:
        copy = folder / _WEIGHTS
        with zipfile.ZipFile(file.path) as archive, archive.open(_WEIGHTS) as source, open(copy, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    check_storage(copy, where=str(file.path))
    return copy


def plain_copy(file: KerasFile, config: dict[str, Any], folder: Path) -> Path:
    """A copy of a .keras or .h5 file that holds this description, the weights, and nothing else that could be loaded.

    Raises:
        as `extract_weights`.
    """
    weights = extract_weights(file, folder)
    if file.kind == "h5":
        import h5py

        with h5py.File(weights, "r+") as archive:
            archive.attrs["model_config"] = json.dumps(config)
            archive.attrs.pop("training_config", None)
        return weights
    copy = folder / "model.keras"
    with zipfile.ZipFile(file.path) as source, zipfile.ZipFile(copy, "w") as archive:
        archive.writestr("metadata.json", source.read("metadata.json"))
        archive.writestr("config.json", json.dumps(config))
        archive.write(weights, _WEIGHTS)
    weights.unlink()
    return copy


def check_storage(path: Path, *, where: str) -> None:
    """Refuses an HDF5 file whose contents lie elsewhere, or are larger than the file can hold.

    Args:
        path: the HDF5 file.
        where: the user's file, for the message.

    Raises:
        UserInputError: naming the group or dataset.
    """
    import h5py

    with h5py.File(path, "r") as file:
        groups: list[Any] = [file]
        seen: set[Any] = set()
        while groups:
            group = groups.pop()
            for key in group:
                name = f"{group.name.rstrip('/')}/{key}"
                if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                    raise _foreign(name, "points to another place", where)
                item = group[key]
                if isinstance(item, h5py.Dataset):
                    _check_dataset(item, name, where)
                elif _address(item) not in seen:  # a group may hold itself
                    seen.add(_address(item))
                    groups.append(item)


def _address(item: Any) -> int:
    """Where an object lies in its file: equal for the same one under two names."""
    import h5py

    return h5py.h5o.get_info(item.id).addr


def _check_dataset(data: Any, name: str, where: str) -> None:
    if data.is_virtual or data.external:
        raise _foreign(name, "keeps its values in another file", where)
    size = data.size * data.dtype.itemsize if data.shape is not None else 0
    if size > _SMALL_BYTES and size > _MAX_EXPANSION * data.id.get_storage_size():
        raise _foreign(name, f"declares {size:,} bytes and holds {data.id.get_storage_size():,}", where)


def _foreign(name: str, what: str, where: str) -> UserInputError:
    return UserInputError(f"its weights cannot be trusted: '{name}' {what}", where=where, hint="save the model again")
