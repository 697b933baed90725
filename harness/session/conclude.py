"""The end of a run: its cells are judged together, and its tables exported."""

from __future__ import annotations

from pathlib import Path

from harness.results.objects import ObjectStore
from harness.results.store import Store


def add_cross_findings(store: Store, run: str) -> None:
    """Adds to the run's cells what they say together; safe to repeat after a resume."""
    from harness.judge.across import with_cross_findings

    before = store.cells(run=run)
    for old, new in zip(before, with_cross_findings(before, ObjectStore(store.results_dir).get_arrays), strict=True):
        if new.findings != old.findings:
            store.add_cell(new)


def conclude(store: Store, run: str, results: Path, *, state: str) -> Path | None:
    """Ends a run, also one that was interrupted.

    Args:
        state: `finished` or `interrupted`.

    Returns:
        The folder with its tables; None when it has no cells.
    """
    from harness.reports.export import export_run

    store.finish_run(run, state)
    add_cross_findings(store, run)
    return export_run(store, run, results) if store.cells(run=run) else None
