"""What metrics of classification share: which class an output names, and which labels are class numbers."""

from __future__ import annotations

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Ends

#: an answer that nobody gave; never a label
NO_ANSWER = -1
#: from here on floats do not tell whole numbers apart
_NO_NUMBER = 2.0**53


def largest(outputs: np.ndarray) -> np.ndarray:
    """The class of the largest output (the first of equals), int64 [N].

    Args:
        outputs: float64 [N, ...]. A NaN would win; a sample with one has NO_ANSWER.
    """
    flat = outputs.reshape(len(outputs), -1)
    best = np.argmax(flat, axis=1).astype(np.int64)
    best[np.isnan(flat).any(axis=1)] = NO_ANSWER
    return best


def likely(outputs: np.ndarray) -> np.ndarray:
    """1 where the one output per sample, a probability, is at least .5, else 0, int64 [N]; of several outputs the largest."""
    flat = outputs.reshape(len(outputs), -1)
    return (flat[:, 0] >= 0.5).astype(np.int64) if flat.shape[1] == 1 else largest(outputs)


def class_numbers(labels: np.ndarray, ends: Ends, *, classes: int | None) -> np.ndarray:
    """Class labels as int64 [N].

    Args:
        labels: whole numbers of any type, [N] or [N, 1].
        classes: they lie in 0..classes-1; None: the model does not say how many there are.

    Raises:
        UserInputError: naming file, key and what was expected; or the output answers at many places of a sample.
    """
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim != 1:
        raise UserInputError(
            f"array '{ends.key}' has shape {list(labels.shape)}, expected [{len(labels)}] class numbers",
            where=ends.where,
            hint=_shape_hint(labels),
        )
    if ends.places is not None and ends.places > 1:
        gives = f"gives {ends.places:,} whole numbers for" if ends.numbers else f"answers at {ends.places:,} places of"
        raise UserInputError(
            f"array '{ends.key}' has one label per sample, and the model {gives} each",
            where=ends.where,
            hint="leave the labels out to measure agreement only, or use the model that answers once per sample",
        )
    if classes == 1:
        raise UserInputError(
            f"array '{ends.key}' is for one value per sample, and the largest of one is always the same",
            where=ends.where,
            hint="binary judges one sigmoid, class_number a class, mean_absolute_error a number",
        )
    if len(flat) == 0:
        raise UserInputError(f"array '{ends.key}' is empty", where=ends.where)
    if flat.dtype.kind in "uif" and (beyond := np.abs(flat.astype(np.float64)) >= _NO_NUMBER).any():
        first = int(np.flatnonzero(beyond)[0])
        what = f"array '{ends.key}' holds {flat[first]:g} for sample {first}, which numbers no class"
        raise UserInputError(what, where=ends.where)
    if flat.dtype.kind == "b" or (flat.dtype.kind == "f" and is_whole(flat)):
        flat = flat.astype(np.int64)
    if flat.dtype.kind not in "ui":
        what, hint = f"array '{ends.key}' has dtype {labels.dtype}, expected integer class numbers", None
        if flat.dtype.kind == "f":
            first = int(np.flatnonzero(~(np.isfinite(flat) & (flat == np.round(flat))))[0])
            what += f"; sample {first} has {flat[first]}"
        elif flat.dtype.kind in "US":
            hint = "number the names: np.unique(names, return_inverse=True)[1] counts them as sorted"
        raise UserInputError(what, where=ends.where, hint=hint)
    low, high = int(flat.min()), int(flat.max())
    if low < 0 or (classes is not None and high >= classes):
        expected = f"0..{classes - 1}" if classes is not None else "0 or more"
        what = f"array '{ends.key}' holds the label {low if low < 0 else high}, expected {expected}"
        raise UserInputError(what, where=ends.where, hint=_label_hint(low, high, classes))
    if classes is not None and 0 < len(ends.class_names) < classes:
        _refuse_guessed(ends, classes)
    return flat.astype(np.int64)


def _refuse_guessed(ends: Ends, classes: int) -> None:
    """Names of fewer classes than the model has: which of its numbers each one has would be a guess.

    Raises:
        UserInputError: always.
    """
    shown = ", ".join(f"'{name}'" for name in ends.class_names[:4]) + (", ..." if len(ends.class_names) > 4 else "")
    raise UserInputError(
        f"the samples are of {len(ends.class_names)} classes ({shown}), and the model has {classes}: which of them these are "
        "is not known",
        where=ends.where,
        hint=f"name all {classes} in the order of the model's outputs, by classes = [...] under [data] of harness.toml; those "
        "without samples, too",
    )


def _shape_hint(labels: np.ndarray) -> str:
    """What labels most likely are that are no list of class numbers."""
    if labels.ndim != 2 or labels.dtype.kind not in "uifb" or not np.isin(labels, (0, 1)).all():
        return "leave the labels out to measure agreement only"
    if (labels.sum(axis=1) == 1).all():
        return "one-hot labels become class numbers by argmax(axis=1)"
    return "rows of 0 and 1 are several labels per sample, which multilabel_f1_macro judges by a sigmoid for each"


def scores_only(ends: Ends) -> None:
    """Refuses an output that is no scores but answers already.

    Raises:
        UserInputError: says what judges it.
    """
    if not ends.numbers:
        return
    if ends.units == 1:
        what, hint = (
            "the model gives the class itself, and no scores",
            "leave the metric to the harness: class_number judges it",
        )
    else:
        what = f"the model gives {ends.units or 'several'} whole numbers per sample, which are no scores of classes"
        hint = "export the model without its last step, so that it gives scores"
    raise UserInputError(what, where=ends.where, hint=hint)


def _label_hint(low: int, high: int, classes: int | None) -> str:
    """What labels outside of the model's classes most likely are."""
    if classes is None:
        return "classes count from 0"
    if high - low < classes:
        step = f"add {-low}" if low < 0 else f"subtract {low}"
        return f"they lie in {low}..{high}: {step}, so that classes count from 0"
    return f"the model has {classes} classes: use the model that belongs to these labels"


def is_whole(values: np.ndarray) -> bool:
    """Whether all values are finite and whole."""
    return bool(np.isfinite(values).all() and (values == np.round(values)).all())
