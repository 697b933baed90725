"""From what a user has to the .npz that everything behind reads: parts, layout, values; kept in the cache."""

from __future__ import annotations

import contextlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.core import paths
from harness.core.errors import UserInputError
from harness.core.files import atomic_file, exists, open_regular, sha256_json, short_name
from harness.core.tensor import TensorIo
from harness.core.utf8 import require_text_name
from harness.project.settings import DataSettings, InputPreprocessing, PreprocessingSettings
from harness.workloads.archive import READ_FAULTS
from harness.workloads.digest import arrays_digest
from harness.workloads.input_keys import array_of
from harness.workloads.rows import by_input, of_input
from harness.workloads.sources import arrays, function, images, sound, table
from harness.workloads.sources.parts import PARTS, Found, Part, PartName, Wanted
from harness.workloads.sources.split import cut_calibration, split, without_overlap

#: the member of an .npz that says where its samples came from
ABOUT = "about.json"
#: raise it when the same files become other arrays
_VERSION = 2
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
    require_text_name(path)
    if not function.is_function(path) and not exists(path):
        hint = "expected an .npz, a .csv, a folder of images or sounds per class, or module:function"
        raise UserInputError("no such file or folder", where=str(path), hint=hint)
    rules = [
        _VERSION,
        labels,
        str(path),
        _rules(wanted),
        data.model_dump(mode="json"),
        preprocessing.model_dump(mode="json", exclude=None if preprocessing.inputs else {"inputs"}),
    ]
    if not function.is_function(path):
        seen = _state(path)
        target = _place(sha256_json([*rules, seen]), path)
        if (kept := read_about(target)) is not None:
            return kept
    found = _read(path, data, preprocessing, wanted)
    parts, was_split, notes = _parts(found, data, wanted, str(path))
    content, number = _content(found, parts, preprocessing, wanted, str(path))
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


def class_names(path: Path) -> tuple[str, ...]:
    """The names that class numbers of an .npz that was made here stand for; none of any other's."""
    about = read_about(path)
    return () if about is None else about.classes


@contextlib.contextmanager
def told_of_source(path: Path) -> Iterator[None]:
    """Errors over an .npz that was made here are told of what the user gave: nobody knows the file in the cache."""
    try:
        yield
    except UserInputError as error:
        if error.where is not None and str(path) in error.where and (about := read_about(path)) is not None:
            error.where = error.where.replace(str(path), about.source)
        raise


def _rules(wanted: Wanted) -> Any:
    several = [[one.name, asdict(one.io), *one.aliases] for one in wanted.several]
    names = [output.name for output in wanted.outputs] if len(wanted.outputs) > 1 else []
    more = [*([several] if several else []), *([{"outputs": names}] if names else [])]
    return [wanted.input and asdict(wanted.input), wanted.finished, *more]


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
        return function.call_function(path, wanted.several, wanted.outputs)
    if wanted.several and not is_plain_npz(path):
        raise _one_input_only(path, wanted)
    if path.is_dir():
        return _folder_reader(path)(path, data, preprocessing, wanted)
    if path.suffix.lower() in table.SUFFIXES:
        return table.read_table(path, data, wanted)
    if path.suffix.lower() in _SINGLE:
        raise UserInputError(
            "is a single sample", where=str(path), hint="give the folder that holds one folder of samples per class"
        )
    return arrays.read_npz(path, wanted.several, wanted.outputs)


def _one_input_only(path: Path, wanted: Wanted) -> UserInputError:
    form = "a folder" if path.is_dir() else f"a {path.suffix.lower()}"
    names = [one.name for one in wanted.several]
    return UserInputError(
        f"{form} holds samples of one input, and the model has the inputs {', '.join(names)}",
        where=str(path),
        hint=f"give an .npz with one array for each ({', '.join(f'x_test_{name}' for name in names)}), or module:function that "
        "returns them",
    )


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
    if "test" not in found.parts:
        has = " and ".join(found.parts) or "nothing"
        raise UserInputError(
            f"{found.what} has no test part, only {has}",
            where=where,
            hint="mark some samples as test, or leave the parts out",
        )
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


def values_key(name: str) -> str:
    """Under which evidence the values of an input are told; the one input's name is empty."""
    return f"values.{name}" if name else "values"


def _content(
    found: Found, parts: dict[PartName, Part], preprocessing: PreprocessingSettings, wanted: Wanted, where: str
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of the .npz, and what is to be said of their values."""
    content: dict[str, np.ndarray] = {f"y_{name}": part.y for name, part in parts.items() if part.y is not None}
    content |= {f"y_{name}_{output}": of for name, part in parts.items() for output, of in part.y_of.items()}
    seen: dict[str, str] = {}
    for name, settings in _by_input(preprocessing, wanted, where).items():
        scale, offset = found.scaling.get(name, (1.0, 0.0))
        scaling = scale * settings.scale, offset * settings.scale + settings.offset
        io = next((one.io for one in wanted.several if one.name == name), wanted.input)
        rows = {array_of(f"x_{key}", name): by_input(part.x)[name][:] for key, part in parts.items()}
        made, seen[values_key(name)] = _input_content(rows, name, scaling, settings, io, where)
        content |= made
    return content, seen


def _by_input(
    preprocessing: PreprocessingSettings, wanted: Wanted, where: str
) -> Mapping[str, PreprocessingSettings | InputPreprocessing]:
    """What is done with the samples of each input.

    Raises:
        UserInputError: settings for an input that is not there, or that do not say for which of several they are.
    """
    names = [one.name for one in wanted.several]
    if not names:
        if preprocessing.inputs:
            what = f"preprocessing.inputs.{next(iter(preprocessing.inputs))}: the model has one input"
            hint = "write its settings right under [preprocessing]"
            raise UserInputError(what, where=where, hint=hint)
        return {"": preprocessing}
    if preprocessing != PreprocessingSettings(inputs=preprocessing.inputs):
        what = f"[preprocessing] does not say for which of the inputs {', '.join(names)} it is"
        hint = f"write a table for each: [preprocessing.inputs.{names[0]}]"
        raise UserInputError(what, where=where, hint=hint)
    if strange := [name for name in preprocessing.inputs if name not in names]:
        what = f"preprocessing.inputs.{strange[0]}: the model has no such input"
        raise UserInputError(what, where=where, hint=f"it has {', '.join(names)}")
    return {name: preprocessing.inputs.get(name, InputPreprocessing()) for name in names}


def _input_content(
    rows: dict[str, np.ndarray],
    name: str,
    scaling: tuple[float, float],
    settings: PreprocessingSettings | InputPreprocessing,
    io: TensorIo | None,
    where: str,
) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of one input, and what its values are.

    Args:
        rows: array -> samples as they are stored, of each part.
        scaling: scale and offset.
    """
    plain = scaling == (1, 0)
    content: dict[str, np.ndarray] = {}
    low, high = np.inf, -np.inf
    for key, stored in rows.items():
        x = stored.astype(np.uint8) if stored.dtype.kind == "b" else stored
        low, high = min(low, float(x.min())), max(high, float(x.max()))
        x = _laid_out(x, settings, f"{where}{of_input(name)}")
        if not plain and io is not None and x.dtype == io.dtype:
            # Values of the input's own integer type would pass as the tensor's own, which these are not.
            x = x.astype(np.float32) * np.float32(scaling[0]) + np.float32(scaling[1])
        content[key] = x
    first = next(iter(rows.values()))
    was_scaled = first.dtype != next(iter(content.values())).dtype and first.dtype.kind != "b"
    if not plain and not was_scaled:
        content |= {
            array_of(base, name): np.array(value) for base, value in zip(("scale", "offset"), scaling, strict=True)
        }
    return content, f"{first.dtype} values from {low:.4g} to {high:.4g}"


def _laid_out(x: np.ndarray, preprocessing: PreprocessingSettings | InputPreprocessing, where: str) -> np.ndarray:
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
            f"preprocessing: {setting} is for images, and the samples are {list(x.shape[1:])}", where=where
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
            f'preprocessing: channels = "bgr" is for 3 colours, and the samples have {x.shape[-1]}', where=where
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
