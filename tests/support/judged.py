"""Runs of tests judged again: whatever a cell went through, its stored facts give its record."""

from __future__ import annotations

from harness.judge.across import with_cross_findings
from harness.judge.again import judge_again
from harness.results.objects import ObjectStore
from harness.results.store import Store


def assert_judged_the_same(store: Store, run: str) -> None:
    """Judges every cell of a run again, from the store alone: nothing may come out otherwise."""
    objects = ObjectStore(store.results_dir)
    for again in judge_again(with_cross_findings(store.cells(run=run), objects.get_arrays), objects):
        assert (again.problem, again.changes) == (None, ()), again.record.key.text
