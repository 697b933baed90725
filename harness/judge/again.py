"""A stored run judged again: today's rules on the raw facts of every cell, and what they change. Nothing else is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.core.errors import HarnessError
from harness.judge.across import CODES, with_cross_findings
from harness.judge.stored import recall
from harness.results.codec import record_from_json, record_to_json
from harness.results.objects import ObjectStore
from harness.results.record import CellRecord

#: what says by which rules a record was judged and how often, and nothing of the cell
_ABOUT_JUDGING = frozenset({"rules_version", "revision"})


@dataclass(frozen=True, kw_only=True)
class Change:
    """A field of a record that today's rules fill otherwise; values as in the published JSON."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, kw_only=True)
class JudgedAgain:
    """A cell by today's rules.

    Attributes:
        record: as it is now; the stored one where `problem` says why the cell cannot be judged again.
        changes: what differs from the stored one.
    """

    record: CellRecord
    changes: tuple[Change, ...] = ()
    problem: str | None = None


def judge_again(stored: Sequence[CellRecord], objects: ObjectStore) -> list[JudgedAgain]:
    """Every cell of a run by today's rules, cross-findings included.

    Args:
        stored: all cells of one run.
        objects: where their raw facts are.
    """
    judged = [_alone(record, objects) for record in stored]
    records = _together(stored, [again.record for again in judged], objects)
    return [
        replace(again, record=record, changes=changes(old, record))
        for again, old, record in zip(judged, stored, records, strict=True)
    ]


def changes(old: CellRecord, new: CellRecord) -> tuple[Change, ...]:
    """The fields in which two records of one cell differ."""
    before, after = record_to_json(old), record_to_json(new)
    return tuple(
        Change(field=name, old=before.get(name), new=value)
        for name, value in after.items()
        if name not in _ABOUT_JUDGING and value != before.get(name)
    )


def _alone(stored: CellRecord, objects: ObjectStore) -> JudgedAgain:
    """One cell by today's rules, without its neighbours."""
    try:
        record = recall(stored, objects).judge()
    except (HarnessError, ValueError) as error:
        return JudgedAgain(record=stored, problem=str(error))
    for name in _objects_of(stored):
        setattr(record, name, getattr(stored, name))
    record.revision = stored.revision
    # Through JSON and back, as a stored one: what is no finite number is a finding then.
    return JudgedAgain(record=record_from_json(record_to_json(record)))


def _together(
    stored: Sequence[CellRecord], records: Sequence[CellRecord], objects: ObjectStore
) -> Sequence[CellRecord]:
    """The records with their cross-findings; with those that are stored, where outputs cannot be read any more."""
    try:
        return with_cross_findings(records, objects.get_arrays)
    except HarnessError:
        return [
            replace(record, findings=_own(record) + [f for f in old.findings if f.code in CODES])
            for old, record in zip(stored, records, strict=True)
        ]


def _own(record: CellRecord) -> list[Any]:
    return [finding for finding in record.findings if finding.code not in CODES]


def _objects_of(record: CellRecord) -> list[str]:
    return [name for name in vars(record) if name.endswith("_object")]
