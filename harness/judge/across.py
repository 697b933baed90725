"""What the cells of a run say together, added to the cells that it concerns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness.core.finding import Finding
from harness.judge.cores import CORE_CODES, LoadArrays, core_checks
from harness.judge.neighbours import CROSS_CODES, cross_checks
from harness.results.record import CellKey, CellRecord

#: codes of the findings made here, so that they can be made anew when a neighbour was measured again
CODES = CROSS_CODES | CORE_CODES


def with_cross_findings(records: Iterable[CellRecord], load: LoadArrays) -> list[CellRecord]:
    """The records of one run, each with what its neighbours say of it; findings that were made here before are made anew.

    Args:
        load: reads stored outputs by their hash; what it raises is not caught.
    """
    records = list(records)
    found: dict[CellKey, list[Finding]] = {record.key: [] for record in records}
    for cross in (*cross_checks(records), *core_checks(records, load)):
        found[cross.key].append(cross.finding)
    return [
        replace(record, findings=[*(f for f in record.findings if f.code not in CODES), *found[record.key]])
        for record in records
    ]
