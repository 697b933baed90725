"""What is done with a store as a whole, by the folder that its results are in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import unknown_name
from harness.results.history import History
from harness.results.store import Store

if TYPE_CHECKING:
    from harness.results.exchange import Exported
    from harness.results.prune import Pruned
    from harness.results.tablefiles import Format
    from harness.results.transfer import Taken


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What came of an import.

    Attributes:
        taken: `cells`, `runs` that are new, `known` and `kept` records.
        problems: a sentence for each object that could not be read.
        where: the store.
    """

    taken: Taken
    where: str
    problems: Sequence[str] = field(default=())


def export_chosen(
    results: Path, folder: Path, *, form: Format, runs: Sequence[str], series: str | None, with_objects: bool
) -> Exported:
    """Writes the runs that are named, or all of them, into a new folder.

    Raises:
        HarnessError: an unknown run or series, or the folder is there already or cannot be written.
    """
    from harness.results.exchange import export_store

    with Store.open(results, create=False) as store:
        history = History(store)
        chosen = {history.run_of(run) for run in runs}
        if series is not None:
            if series not in history.all_series():
                raise unknown_name("series", series, history.all_series())
            chosen |= {night.run for night in history.nights(series)}
        ordered = [run for run in store.run_ids() if run in chosen]
        return export_store(store, folder, form=form, runs=ordered, with_objects=with_objects)


def import_into(results: Path, folder: Path) -> Imported:
    """Takes the runs of an export that the store does not have.

    Raises:
        HarnessError: the folder is no export, or damaged.
    """
    from harness.results.exchange import import_store

    with Store.open(results) as store:
        taken, problems = import_store(store, folder)
        return Imported(taken=taken, problems=tuple(problems), where=store.where)


def prune_store(results: Path, *, keep_nights: int, dry_run: bool, note: Callable[[str], None]) -> Pruned:
    """Takes out the records that no level, open regression, baseline or newest night needs, and what only they name.

    Args:
        note: told of runs that were killed and are ended now.
    """
    from harness.core.errors import UserInputError
    from harness.results.prune import prune
    from harness.session.conclude import conclude_killed
    from harness.verdict.keep import what_to_keep

    if keep_nights < 1:
        raise UserInputError(f"at least 1 night is kept, not {keep_nights}")
    Store.open(results, create=False).close()  # a wrong folder is an error, not a new store
    with Store.open(results) as store:
        conclude_killed(store, note)
        return prune(store, what_to_keep(store, nights=keep_nights), dry_run=dry_run)
