"""Samples that are in memory: stored once, by content, as the .npz that workloads read; and tables split into such arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.errors import UserInputError
from harness.core.files import write_arrays_atomic
from harness.core.paths import cache_dir
from harness.workloads.base import stratified_order
from harness.workloads.digest import arrays_digest

if TYPE_CHECKING:
    import pandas as pd

#: kinds of numbers that samples and labels have
_KINDS = "buif"


def stored_arrays(arrays: Mapping[str, Any], folder: Path | None = None) -> Path:
    """The .npz of arrays; one of the same content is not written twice.

    Args:
        arrays: by the keys that an .npz has: `x_test`, `y_test`, `x_train`, `y_train`, or `x`, `y`; `scale`, `offset`. The
            samples of several inputs may be a mapping of them.
        folder: where; None: in the cache.

    Raises:
        UserInputError: no arrays, or one that holds no numbers (objects and texts are never stored).
    """
    if not arrays:
        raise UserInputError("there is no array", hint="give x_test and y_test, or x and y")
    made: dict[str, np.ndarray] = {}
    for name, values in flat(arrays).items():
        array = np.asarray(values)
        if array.dtype.kind not in _KINDS:
            raise UserInputError(
                f"array '{name}' holds {array.dtype}, expected numbers",
                hint="encode texts and categories as numbers first",
            )
        made[str(name)] = array
    place = (folder or cache_dir() / "arrays") / f"samples-{arrays_digest(made)[:16]}.npz"
    if not place.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        write_arrays_atomic(place, made)
    return place


def flat(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by name, where a mapping may stand for the inputs of a model with several: `x_test` with `image` in it is
    `x_test_image`.
    """
    found: dict[str, Any] = {}
    for name, values in arrays.items():
        if isinstance(values, Mapping):
            found |= {f"{name}_{inner}": array for inner, array in values.items()}
        else:
            found[str(name)] = values
    return found


def split_frame(frame: pd.DataFrame, label: str | None, test: float, seed: int = 0) -> dict[str, np.ndarray]:
    """A table of samples, one per row, as the arrays of a workload: a training part and a test part without a common row.

    Args:
        frame: numbers, one column per feature.
        label: the column of class numbers or of numbers to be met; None: no labels, and all rows are test samples.
        test: the share of rows that are tested on, 0 to 1; classes keep their proportions.
        seed: another one splits otherwise.

    Returns:
        `x_train`, `y_train`, `x_test`, `y_test`: float32 [N, features], and labels as the column has them.

    Raises:
        UserInputError: no such column, columns that are no numbers, or a share that leaves a part empty.
    """
    if label is None:
        return {"x_test": _numbers(frame)}
    if label not in frame.columns:
        from harness.core.errors import unknown_name

        raise unknown_name("column", str(label), map(str, frame.columns))
    if not 0 < test < 1:
        raise UserInputError(f"test is a share of the rows between 0 and 1, not {test:g}", hint="such as test=0.25")
    labels = frame[label].to_numpy()
    if labels.dtype.kind not in _KINDS:
        raise UserInputError(
            f"the label column '{label}' holds {frame[label].dtype}, expected numbers",
            hint="number the classes, such as frame[label].astype('category').cat.codes",
        )
    samples = _numbers(frame.drop(columns=label))
    count = round(test * len(frame))
    if not 0 < count < len(frame):
        raise UserInputError(f"{test:g} of {len(frame)} rows leaves a part without any", hint="give more rows")
    strata = labels if labels.dtype.kind in "bui" else None
    order = stratified_order(strata, len(frame), seed)
    tested, trained = order[:count], order[count:]
    return {
        "x_train": samples[trained],
        "y_train": labels[trained],
        "x_test": samples[tested],
        "y_test": labels[tested],
    }


def _numbers(frame: pd.DataFrame) -> np.ndarray:
    """float32 [rows, columns]."""
    others = [str(name) for name in frame.columns if frame[name].dtype.kind not in _KINDS]
    if others:
        raise UserInputError(
            f"the columns {', '.join(others[:5])} hold no numbers", hint="leave them out, or encode them as numbers"
        )
    if frame.shape[1] == 0:
        raise UserInputError("the table has no column of samples")
    return frame.to_numpy(dtype=np.float32)
