"""A .csv with one sample per row: columns of numbers, and one of labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import UserInputError, unknown_name
from harness.core.files import open_regular
from harness.core.memory import require_memory
from harness.project.settings import DataSettings
from harness.workloads.sources.parts import PART_WORDS, Found, Part, PartName, Wanted

SUFFIXES = (".csv", ".tsv")
_LABEL_WORDS = ("label", "labels", "class", "classes", "target", "targets", "y", "category")
_PART_COLUMNS = ("split", "part", "set", "subset", "fold")
#: what a table takes in memory while it is read, in its size on the disk
_READING = 6
_MOST_CLASSES = 1000


def read_table(path: Path, data: DataSettings, wanted: Wanted) -> Found:
    """The samples of a .csv (or a .tsv), float32 [N, *the model's input shape].

    Raises:
        UserInputError: no table, a column that is missing or holds no numbers, an empty cell, or rows that do not fit.
    """
    table = _read(path)
    names = [str(name) for name in table.columns]
    part_column = next((n for n in names if n.lower() in _PART_COLUMNS and _are_parts(table[n], n, data, path)), None)
    candidates = [name for name in names if name != part_column]
    size = _size(wanted)
    label, why = _label(table, candidates, data, size, path)
    features = _features(candidates, data, label, path)
    if size is not None and len(features) != size:
        of = "x".join(map(str, wanted.sample_shape or ()))
        beside = f" beside the label {label!r}" if label else ""
        raise UserInputError(
            f"has {len(features)} columns of numbers{beside}, the model takes {size} ({of})",
            where=str(path),
            hint="name the columns that the model takes by features = [...] under [data]",
        )
    x = np.stack([_numbers(table[name], name, path) for name in features], axis=1)
    if wanted.sample_shape is not None and -1 not in wanted.sample_shape:
        x = x.reshape(len(x), *wanted.sample_shape)
    y, classes = (None, ()) if label is None else _labels(table[label], label, data.classes, path)
    whole = Part(x=x, y=y, places=_Rows(len(x)))
    found = Found(what=f"a table of {len(features)} columns", classes=classes)
    found.evidence["data.label"] = why
    found.evidence["data.features"] = f"{len(features)} columns: {_some(features)}"
    if classes:
        found.evidence["data.classes"] = (
            f"{len(classes)} texts in '{label}', {'as data.classes says' if data.classes else 'sorted'}"
        )
    if part_column is None:
        found.whole = whole
        return found
    found.parts = _parts(whole, [str(value) for value in table[part_column]])
    found.evidence["data.test"] = f"the column '{part_column}' says the part of each row"
    return found


class _Rows(Sequence[str]):
    """`row 2`, `row 3`, ...: the first line holds the names."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: Any) -> Any:
        return f"row {position + 2}"


def _read(path: Path) -> Any:
    import pandas as pd

    where = str(path)
    try:
        with open_regular(path) as file:
            beginning = file.read(1 << 16)
            file.seek(0, 2)
            size_bytes = file.tell()
            if not beginning.strip():
                raise UserInputError("is empty", where=where, hint="give a table with a line of names on top")
            if b"\0" in beginning:
                raise UserInputError("is no text", where=where, hint="give a .csv with a line of names on top")
            require_memory(size_bytes * _READING, "the table", where=where, hint="give fewer rows, or an .npz")
            file.seek(0)
            separator = "\t" if path.suffix.lower() == ".tsv" else _separator(beginning)
            named = _has_names(beginning, separator)
            table = pd.read_csv(
                file, sep=separator, header=0 if named else None, encoding="utf-8-sig", low_memory=False,
                skipinitialspace=True,
            )  # fmt: skip
    except UserInputError:
        raise
    except FileNotFoundError:
        raise UserInputError("no such file", where=where) from None
    except (OSError, ValueError, pd.errors.ParserError, UnicodeDecodeError, OverflowError) as error:
        what = f"is no table that can be read ({' '.join(str(error).split())})"
        raise UserInputError(what, where=where, hint="write UTF-8 text, with as many values in every row") from None
    if not named:
        raise UserInputError(
            "has no line of names on top: its first line is numbers",
            where=where,
            hint="name the columns in a first line",
        )
    if not len(table):
        raise UserInputError("has names and no rows", where=where, hint="at least one sample is needed")
    names = [str(name) for name in table.columns]
    # pandas calls the second `a` of a file `a.1`
    first = beginning.splitlines()[0].decode("utf-8-sig", errors="replace")
    written = [name.strip().strip('"') for name in first.split(separator)]
    twice = sorted({name for name in written if name and written.count(name) > 1})
    if twice and len(written) == len(names):
        raise UserInputError(f"has two columns '{twice[0]}'", where=where, hint="rename one")
    return table


def _separator(beginning: bytes) -> str:
    first = beginning.splitlines()[0].decode("utf-8", errors="replace")
    return max((",", ";", "\t"), key=first.count)


def _has_names(beginning: bytes, separator: str) -> bool:
    cells = beginning.splitlines()[0].decode("utf-8-sig", errors="replace").split(separator)
    return any(cell.strip() and not _is_number(cell) for cell in cells)


def _is_number(text: str) -> bool:
    try:
        float(text.strip().strip('"'))
    except ValueError:
        return False
    return True


def _are_parts(column: Any, name: str, data: DataSettings, path: Path) -> bool:
    """Whether a column that is called so says the parts; one of numbers, or one that the project names, is another.

    Raises:
        UserInputError: it says some parts, and something else.
    """
    words = [str(value).strip().lower() for value in column]
    strange = next((row for row, word in enumerate(words) if word not in PART_WORDS), None)
    if strange is None:
        return True
    if name == data.label or name in data.features or column.dtype.kind in "biuf":
        return False
    raise UserInputError(
        f"row {strange + 2}, column '{name}': found '{str(column.iloc[strange])[:40]}', expected train, calibration or test",
        where=str(path),
        hint="correct the cell, or rename the column where it is no part",
    )


def _size(wanted: Wanted) -> int | None:
    shape = wanted.sample_shape
    return None if shape is None or -1 in shape else math.prod(shape)


def _label(table: Any, names: list[str], data: DataSettings, size: int | None, path: Path) -> tuple[str | None, str]:
    """The column of the labels, and how that is known."""
    if data.label is not None:
        if data.label not in names:
            raise UserInputError(
                unknown_name("column", data.label, names).what, where=str(path), hint=f"the columns are {_some(names)}"
            )
        return data.label, "as data.label says"
    called = [name for name in names if name.lower() in _LABEL_WORDS and name not in data.features]
    if len(called) == 1:
        return called[0], f"the column is called '{called[0]}'"
    if size is not None and len(data.features or names) == size and not data.features:
        return None, f"all {size} columns are the model's input"
    texts = [name for name in names if table[name].dtype.kind not in "biuf" and name not in data.features]
    if len(texts) == 1:
        return texts[0], f"'{texts[0]}' is the one column of texts"
    if size is not None and len(names) == size + 1 and not texts:
        ends = [name for name in (names[0], names[-1]) if _are_numbers_of_classes(table[name])]
        if len(ends) == 1:
            return ends[0], f"'{ends[0]}' is the one column at an end that holds class numbers"
        if not ends:
            return names[-1], "the last of one column more than the model takes"
    raise UserInputError(
        f"does not say which column holds the labels: {_some(names)}",
        where=str(path),
        hint=f'write label = "{names[-1]}" under [data], or call that column label',
    )


def _are_numbers_of_classes(column: Any) -> bool:
    return column.dtype.kind in "iu" and column.min() >= 0 and column.nunique() == column.max() + 1 <= _MOST_CLASSES


def _features(names: list[str], data: DataSettings, label: str | None, path: Path) -> list[str]:
    for name in data.features:
        if name not in names:
            raise UserInputError(
                unknown_name("column", name, names).what, where=str(path), hint=f"the columns are {_some(names)}"
            )
    if label in data.features:
        raise UserInputError(f"the column '{label}' is a feature and the label", where=str(path))
    return list(data.features) or [name for name in names if name != label]


def _numbers(column: Any, name: str, path: Path) -> np.ndarray:
    """A column as float32.

    Raises:
        UserInputError: an empty cell, one that is no number, or one that is not finite; names the row.
    """
    if column.dtype.kind not in "biuf":
        bad = next((row for row, value in enumerate(column) if not _is_number(str(value))), 0)
        cell = str(column.iloc[bad])
        hint = "leave the column out by features = [...] under [data], or correct the cell"
        if _is_number(cell.replace(",", "")):
            hint = "write numbers with a point, and without marks between thousands"
        found = f"found '{cell[:40]}', expected a number"
        raise UserInputError(f"row {bad + 2}, column '{name}': {found}", where=str(path), hint=hint)
    values = column.to_numpy(np.float64)
    bad_rows = np.flatnonzero(~np.isfinite(values))
    if len(bad_rows):
        found = "an empty cell" if np.isnan(values[bad_rows[0]]) else f"{values[bad_rows[0]]}"
        more = f" (and {len(bad_rows) - 1} more)" if len(bad_rows) > 1 else ""
        raise UserInputError(
            f"row {bad_rows[0] + 2}, column '{name}': found {found}, expected a number{more}",
            where=str(path),
            hint="clean the table, or leave the row out",
        )
    return values.astype(np.float32)


def _labels(column: Any, name: str, wanted: Sequence[str], path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers with names for texts, and numbers as they are.

    Args:
        wanted: the classes in their order; empty: sorted.
    """
    if column.isna().any():
        row = int(np.flatnonzero(column.isna().to_numpy())[0]) + 2
        raise UserInputError(f"row {row}, column '{name}': no label", where=str(path), hint="leave the row out")
    if column.dtype.kind in "iu":
        return column.to_numpy(np.int64), ()
    if column.dtype.kind == "b":
        return column.to_numpy(np.int64), ("False", "True")
    if column.dtype.kind == "f":
        return _numbers(column, name, path), ()
    texts = [str(value) for value in column]
    classes = tuple(wanted) or tuple(sorted(set(texts)))
    if further := sorted(set(texts) - set(classes)):
        what = f"column '{name}' holds '{further[0]}', which data.classes does not name"
        raise UserInputError(what, where=str(path), hint=f"the classes are {_some(sorted(set(texts)))}")
    if len(classes) > _MOST_CLASSES:
        raise UserInputError(
            f"column '{name}' holds {len(classes):,} different texts, which are no classes",
            where=str(path),
            hint="name the column of the labels by label = ... under [data]",
        )
    numbers = {text: number for number, text in enumerate(classes)}
    return np.array([numbers[text] for text in texts], np.int64), classes


def _parts(whole: Part, words: list[str]) -> dict[PartName, Part]:
    names = [PART_WORDS[word.strip().lower()] for word in words]
    if "test" not in names:
        names = ["test" if name == "calibration" else name for name in names]
    return {name: whole.rows(np.flatnonzero(np.array(names) == name)) for name in dict.fromkeys(names)}


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:6])
    return f"{shown}, ... {names[-1]}" if len(names) > 7 else ", ".join(names)
