"""From what a user has to the .npz that everything behind reads: parts, layout, values; kept in the cache."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.core import paths
from harness.core.errors import UserInputError
from harness.core.files import atomic_file, exists, open_regular, sha256_json, short_name
from harness.project.settings import DataSettings, PreprocessingSettings
from harness.workloads.archive import READ_FAULTS
from harness.workloads.digest import arrays_digest
from harness.workloads.sources import arrays, function, images, sound, table
from harness.workloads.sources.parts import PARTS, Found, Part, PartName, Wanted
from harness.workloads.sources.split import cut_calibration, split, without_overlap

#: the member of an .npz that says where its samples came from
ABOUT = "about.json"
#: raise it when the same files become other arrays
_VERSION = 1
_MOST_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Samples as an .npz.

    Attributes:
        path: of the .npz.
        source: what it was made of.
        note: what they are, for the note under every table.
        evidence: key of the project file -> what was seen that decides it.
        classes: names of the classes in the order of their numbers; empty where there are none.
        counts: samples per part.
        split: whether the parts were made here.
    """

    path: Path
    source: str
    note: str
    evidence: dict[str, str]
    classes: tuple[str, ...]
    counts: dict[str, int]
    split: bool


def is_plain_npz(path: Path) -> bool:
    """Whether a path is read as an .npz by itself: whatever is no folder, table or function."""
    return not (os.path.isdir(path) or path.suffix.lower() in (*table.SUFFIXES, *_SINGLE) or function.is_function(path))


#: a single sample is no data set
_SINGLE = (*images.SUFFIXES, *sound.SUFFIXES)


def import_data(
    path: Path, wanted: Wanted, data: DataSettings, preprocessing: PreprocessingSettings, *, labels: bool = True
) -> Imported:
    """Reads samples in any form and keeps them as an .npz in the cache.

    Args:
        path: an .npz, .csv, folder or `FOLDER/module:function`; absolute.
        wanted: what the model takes.
        data, preprocessing: of the project file, or their usual values.
        labels: whether labels are wanted.

    Raises:
        UserInputError: whatever is wrong with the samples.
        MissingPartError: an extra is not installed.
    """
    if not function.is_function(path) and not exists(path):
        hint = "expected an .npz, a .csv, a folder of images or sounds per class, or module:function"
        raise UserInputError("no such file or folder", where=str(path), hint=hint)
    rules = [
        _VERSION,
        labels,
        str(path),
        _rules(wanted),
        data.model_dump(mode="json"),
        preprocessing.model_dump(mode="json"),
    ]
    if not function.is_function(path):
        seen = _state(path)
        target = _place(sha256_json([*rules, seen]), path)
        if (kept := read_about(target)) is not None:
            return kept
    found = _read(path, data, preprocessing, wanted)
    parts, was_split, notes = _parts(found, data, wanted, str(path))
    content, number = _content(found, parts, preprocessing, wanted)
    if not labels:
        content = {key: array for key, array in content.items() if not key.startswith("y_")}
    if function.is_function(path):
        target = _place(sha256_json([*rules, arrays_digest(content)]), path)
    about = {
        "source": str(path),
        "note": _note(path, found, parts, notes),
        "evidence": found.evidence | number,
        "classes": list(found.classes),
        "counts": {name: len(part.x) for name, part in parts.items()},
        "split": was_split,
    }
    _write(target, content, about)
    kept = read_about(target)
    assert kept is not None
    return kept


def read_about(path: Path) -> Imported | None:
    """What an .npz that was made here says of itself; None for any other."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            about = json.loads(archive.read(ABOUT))
        return Imported(
            path=path,
            source=str(about["source"]),
            note=str(about["note"]),
            evidence=dict(about["evidence"]),
            classes=tuple(about["classes"]),
            counts=dict(about["counts"]),
            split=bool(about["split"]),
        )
    except (UserInputError, KeyError, TypeError, *READ_FAULTS):
        return None


def _rules(wanted: Wanted) -> Any:
    names = [output.name for output in wanted.outputs] if len(wanted.outputs) > 1 else []
    return [wanted.input and asdict(wanted.input), wanted.finished, *([{"outputs": names}] if names else [])]


def _state(path: Path) -> list[Any]:
    """Names, sizes and times of the files, by which a change is seen."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    try:
        stats = [(str(p.relative_to(path)), p.stat()) for p in files]
    except OSError as error:
        raise UserInputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    return [[name, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for name, s in stats]


def _place(key: str, path: Path) -> Path:
    stem = short_name(re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.") or "data")
    return paths.cache_dir() / "imported" / key[:32] / f"{stem}.npz"


def _read(path: Path, data: DataSettings, preprocessing: PreprocessingSettings, wanted: Wanted) -> Found:
    if function.is_function(path):
        return function.call_function(path, wanted.outputs)
    if path.is_dir():
        return _folder_reader(path)(path, data, preprocessing, wanted)
    if path.suffix.lower() in table.SUFFIXES:
        return table.read_table(path, data, wanted)
    if path.suffix.lower() in _SINGLE:
        raise UserInputError(
            "is a single sample", where=str(path), hint="give the folder that holds one folder of samples per class"
        )
    return arrays.read_npz(path, wanted.outputs)


def _folder_reader(path: Path) -> Callable[[Path, DataSettings, PreprocessingSettings, Wanted], Found]:
    """Of a folder: by what most of its files are."""
    endings = [file.suffix.lower() for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")]
    pictures, sounds = (sum(ending in suffixes for ending in endings) for suffixes in (images.SUFFIXES, sound.SUFFIXES))
    if not pictures and not sounds:
        others = ", ".join(sorted({ending or "no ending" for ending in endings})[:5]) or "nothing"
        raise UserInputError(
            f"holds neither images nor sounds; found {others}",
            where=str(path),
            hint="give a folder with one folder of images or .wav per class, an .npz, a .csv, or module:function",
        )
    return images.read_images if pictures >= sounds else sound.read_sounds


def _parts(
    found: Found, data: DataSettings, wanted: Wanted, where: str
) -> tuple[dict[PartName, Part], bool, list[str]]:
    """Disjoint parts, whether they were made here, and what to say of them."""
    if found.whole is not None:
        test = data.test if data.test is not None else (1.0 if wanted.finished else 0.2)
        made = split(found.whole, test=test, calibration=data.calibration, strata=_strata(found.whole.labels))
        found.evidence.setdefault("data.test", f"one set of {len(found.whole.x):,} samples, split by content")
        return made, len(made) > 1, []
    parts, dropped = without_overlap(found.parts, overlap=data.overlap, where=where)
    notes = [f"{dropped:,} samples that stand in the test part, too, left out of the others"] if dropped else []
    if "train" in parts and "calibration" not in parts and not wanted.finished:
        train = parts["train"]
        parts = {**parts, **cut_calibration(train, data.calibration, _strata(train.labels))}
    return {name: parts[name] for name in PARTS if name in parts}, False, notes


def _strata(y: np.ndarray | None) -> np.ndarray | None:
    if y is None or y.dtype.kind not in "iub" or y.size != len(y) or len(np.unique(y)) > _MOST_CLASSES:
        return None
    return y.reshape(len(y))


def _content(
    found: Found, parts: dict[PartName, Part], preprocessing: PreprocessingSettings, wanted: Wanted
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of the .npz, and what is to be said of their values."""
    scale = found.scale * preprocessing.scale
    offset = found.offset * preprocessing.scale + preprocessing.offset
    plain = scale == 1 and offset == 0
    content: dict[str, np.ndarray] = {}
    low, high = np.inf, -np.inf
    for name, part in parts.items():
        x = part.x.astype(np.uint8) if part.x.dtype.kind == "b" else part.x
        low, high = min(low, float(x.min())), max(high, float(x.max()))
        x = _laid_out(x, preprocessing, found.what)
        if not plain and wanted.input is not None and x.dtype == wanted.input.dtype:
            # Values of the input's own integer type would pass as the tensor's own, which these are not.
            x = x.astype(np.float32) * np.float32(scale) + np.float32(offset)
        content[f"x_{name}"] = x
        if part.y is not None:
            content[f"y_{name}"] = part.y
        content |= {f"y_{name}_{output}": labels for output, labels in part.y_of.items()}
    first = next(iter(parts.values())).x
    was_scaled = first.dtype != next(iter(content.values())).dtype and first.dtype.kind != "b"
    if not plain and not was_scaled:
        content["scale"], content["offset"] = np.array(scale), np.array(offset)
    return content, {"values": f"{first.dtype} values from {low:.4g} to {high:.4g}"}


def _laid_out(x: np.ndarray, preprocessing: PreprocessingSettings, what: str) -> np.ndarray:
    """Samples as the model's NHWC, its colours in the model's order.

    Raises:
        UserInputError: a layout of images for samples that are none.
    """
    layout, bgr = preprocessing.layout, preprocessing.channels == "bgr"
    if layout == "nhwc" and not bgr:
        return x
    if x.ndim not in (3, 4) or (layout in ("nchw", "planes") and x.ndim != 4) or (bgr and x.ndim != 4):
        setting = f'layout = "{layout}"' if layout != "nhwc" else 'channels = "bgr"'
        raise UserInputError(
            f"preprocessing: {setting} is for images, and the samples are {list(x.shape[1:])}", where=what
        )
    if layout == "nchw":
        x = x.transpose(0, 2, 3, 1)
    elif layout == "nwhc":
        x = x.swapaxes(1, 2)
    elif layout == "planes":
        count, height, width, channels = x.shape
        x = x.reshape(count, channels, height, width).transpose(0, 2, 3, 1)
    if bgr and x.shape[-1] != 3:
        raise UserInputError(
            f'preprocessing: channels = "bgr" is for 3 colours, and the samples have {x.shape[-1]}', where=what
        )
    return np.ascontiguousarray(x[..., ::-1] if bgr else x)


def _note(path: Path, found: Found, parts: dict[PartName, Part], notes: list[str]) -> str:
    counts = " / ".join(f"{len(part.x):,} {name}" for name, part in parts.items())
    return "; ".join([f"{path.name}: {found.what}, {counts}", *notes])


def _write(path: Path, content: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    try:
        with atomic_file(path) as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                for key, array in content.items():
                    with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
                archive.writestr(ABOUT, json.dumps(about, ensure_ascii=False, indent=1))
    except OSError as error:
        what = f"the samples cannot be kept: {error.strerror or error}"
        raise UserInputError(what, where=str(path.parent), hint="HARNESS_CACHE_DIR names another place") from None
