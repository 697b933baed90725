"""Parts for training, calibration and test: disjoint by content, and the same ones every time.

The order is that of the samples' hashes, so that it depends on nothing but the samples: not on names, times or the order of
files. Samples of one content stay together, so that no part holds what another one has.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.rows import Arrays, by_input, whole_samples
from harness.workloads.sources.parts import PARTS, Part, PartName

_SHOWN = 3


def keys_of(part: Part, coarsest: Mapping[str, np.dtype[Any]] | None = None) -> Sequence[bytes]:
    """A hash of each sample, by which two are one; `coarsest` as of `contents`."""
    return contents(part.x, coarsest) if part.keys is None else part.keys


def contents(x: Arrays, coarsest: Mapping[str, np.dtype[Any]] | None = None) -> Sequence[bytes]:
    """A hash of each sample's values, of all its inputs; -0 is 0, and the type counts for nothing.

    Args:
        coarsest: input -> type to which its floats are rounded first: 0.1 as float64 and as float32 are one where another part
            is of float32.
    """
    of = coarsest or {}
    return whole_samples([_row_contents(rows[:], of.get(name)) for name, rows in sorted(by_input(x).items())])


def _row_contents(x: np.ndarray, coarsest: np.dtype[Any] | None) -> list[bytes]:
    found = []
    for start in range(0, len(x), 256):
        rows = x[start : start + 256]
        if coarsest is not None and rows.dtype.kind == "f":
            rows = rows.astype(coarsest)
        block = np.ascontiguousarray(rows.astype(np.float64) + 0.0)
        found += [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in block.reshape(len(block), -1)]
    return found


def split(whole: Part, *, test: float, calibration: float, strata: np.ndarray | None) -> dict[PartName, Part]:
    """Cuts samples into parts, each class in proportion.

    Args:
        test: the share of all; 1 for nothing but a test part.
        calibration: the share of what is left.
        strata: the class of each sample, int [N], or None.

    Returns:
        Parts that hold samples; the test part always.
    """
    count = len(whole.x)
    if test >= 1:
        return {"test": whole}
    keys = keys_of(whole)
    groups: dict[bytes, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        groups[key].append(position)
    # Each class spreads its contents evenly over 0..1 in the order of their hashes; the parts are stretches of it.
    place: dict[bytes, float] = {}
    classes: dict[int, list[bytes]] = defaultdict(list)
    for key in sorted(groups):
        classes[int(strata[groups[key][0]]) if strata is not None else 0].append(key)
    for members in classes.values():
        for rank, key in enumerate(members):
            place[key] = (rank + 0.5) / len(members)
    where = np.array([place[key] for key in keys])
    ends = {"test": test, "calibration": test + (1 - test) * calibration, "train": 2.0}
    low, parts = 0.0, {}
    for name in ("test", "calibration", "train"):
        chosen = np.flatnonzero((where >= low) & (where < ends[name]))
        if len(chosen):
            parts[name] = whole.rows(chosen)
        low = ends[name]
    if "test" not in parts:  # fewer samples than the share has room for
        parts["test"] = whole.rows(np.array([int(np.argmin(where))])) if count else whole
    return {name: parts[name] for name in PARTS if name in parts}


def cut_calibration(train: Part, share: float, strata: np.ndarray | None) -> dict[PartName, Part]:
    """A training part of the user's own, cut into calibration and training."""
    if not share:
        return {"train": train}
    cut = split(train, test=share, calibration=0.0, strata=strata)
    if "train" not in cut:
        return {"train": train}
    return {"train": cut["train"], "calibration": cut["test"]}


def without_overlap(
    parts: dict[PartName, Part], *, overlap: Literal["error", "drop", "allow"], where: str
) -> tuple[dict[PartName, Part], int]:
    """Parts that the user made, without what stands in two of them.

    Returns:
        The parts, and how many samples were left out of training and calibration.

    Raises:
        UserInputError: `overlap` is `error` and a content stands in two parts, or nothing is left of one.
    """
    if overlap == "allow" or len(parts) < 2:
        return parts, 0
    coarsest: dict[str, np.dtype[Any]] = {}
    for part in parts.values():
        for name, rows in by_input(part.x).items():
            if rows.dtype.kind == "f" and (name not in coarsest or rows.dtype.itemsize < coarsest[name].itemsize):
                coarsest[name] = rows.dtype
    hashed = {name: keys_of(part, coarsest) for name, part in parts.items()}
    taken: dict[bytes, tuple[PartName, int]] = {}
    twice: list[tuple[PartName, int, PartName, int]] = []
    kept = dict(parts)
    for name in reversed([name for name in PARTS if name in parts]):  # the test part keeps what it has
        left = []
        for position, key in enumerate(hashed[name]):
            if key in taken:
                twice.append((*taken[key], name, position))
            else:
                left.append(position)
        if len(left) < len(hashed[name]):
            kept[name] = parts[name].rows(np.array(left, dtype=np.int64))
        for position, key in enumerate(hashed[name]):
            taken.setdefault(key, (name, position))
    if not twice:
        return parts, 0
    if overlap == "error":
        raise _overlapping(parts, twice, where)
    for name, part in kept.items():
        if not len(part.x):
            raise UserInputError(f"all samples of the {name} part stand in another part, too", where=where)
    return kept, len(twice)


def _overlapping(
    parts: dict[PartName, Part], twice: list[tuple[PartName, int, PartName, int]], where: str
) -> UserInputError:
    pairs = [
        f"{parts[first].places[one]} is {parts[second].places[other]}" for first, one, second, other in twice[:_SHOWN]
    ]
    more = f", and {len(twice) - _SHOWN:,} more" if len(twice) > _SHOWN else ""
    names = " and ".join(dict.fromkeys(name for pair in twice for name in (pair[0], pair[2])))
    return UserInputError(
        f"the parts {names} share {len(twice):,} sample{'s' * (len(twice) > 1)}: {', '.join(pairs)}{more}",
        where=where,
        hint='take them out of one part, or write overlap = "drop" under [data] (they stay in the test part alone); '
        '"allow" where samples of few values repeat by themselves',
    )
