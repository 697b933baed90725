"""The plan runtime promises the same bits on every core: what several microcontrollers answered is compared, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.core.finding import Finding
from harness.judge.neighbours import CrossFinding
from harness.results.record import CellRecord

#: codes of the findings made here
CORE_CODES = frozenset({"identical-across-cores", "cores-differ"})

LoadArrays = Callable[[str], Mapping[str, np.ndarray]]
"""Reads stored outputs by their hash: one array per output, [samples, ...]."""


@dataclass(frozen=True, kw_only=True)
class _Ran:
    """A cell with stored outputs."""

    record: CellRecord
    outputs_object: str


def core_checks(records: Iterable[CellRecord], load: LoadArrays) -> list[CrossFinding]:
    """Findings about cells of one model on several microcontrollers with the plan runtime.

    The one with the most samples is what the others are compared with; samples are prefixes of one order, so that the first N of
    two cells are the same.

    Args:
        records: of one run.
        load: reads stored outputs; what it raises is not caught.
    """
    groups: dict[tuple, list[_Ran]] = {}
    for record in records:
        runs_plans = record.fingerprint is not None and record.fingerprint.runtime.startswith("plan ")
        if runs_plans and record.outputs_object and record.samples:
            k = record.key
            place = (k.workload, k.recipe, k.dataset, k.seed, record.artifact_sha256)
            groups.setdefault(place, []).append(_Ran(record=record, outputs_object=record.outputs_object))
    found: list[CrossFinding] = []
    for group in groups.values():
        if len({r.record.key.device for r in group}) < 2:
            continue
        base = max(group, key=lambda r: r.record.samples or 0)
        expected = load(base.outputs_object)
        for ran in group:
            if ran is not base:
                finding = _compare(ran.record, load(ran.outputs_object), base.record, expected)
                found.append(CrossFinding(key=ran.record.key, finding=finding))
    return found


def _compare(
    record: CellRecord, outputs: Mapping[str, np.ndarray], base: CellRecord, expected: Mapping[str, np.ndarray]
) -> Finding:
    count = min(record.samples or 0, base.samples or 0)
    differs = np.zeros(count, bool)
    for name, values in outputs.items():
        pair = [np.ascontiguousarray(a[:count]).reshape(count, -1) for a in (values, expected[name])]
        # Bits, not numbers: a NaN equals itself here, and -0.0 is not 0.0.
        differs |= (pair[0].view(np.uint8) != pair[1].view(np.uint8)).any(axis=1)
    if not differs.any():
        return Finding(
            code="identical-across-cores",
            severity="info",
            where=record.key.text,
            what=f"the outputs of all {count} samples are identical to those of {base.key.device}",
        )
    first = int(np.flatnonzero(differs)[0])
    return Finding(
        code="cores-differ",
        severity="error",
        where=record.key.text,
        what=f"the outputs of {int(differs.sum())} of {count} samples are not those of {base.key.device} (first: sample "
        f"{first}), though the plan runtime promises the same bits on every core",
        fix="a kernel of one of the cores is at fault: see which of the two differs from the reference",
    )
