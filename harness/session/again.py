"""A stored run by today's rules: what they change, and, if wanted, the changed records as revisions of the stored ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserInputError
from harness.judge.again import JudgedAgain, judge_again
from harness.results.history import History
from harness.results.objects import open_objects
from harness.results.running import only_one, settled
from harness.results.store import OPEN_STATES, Store
from harness.session.conclude import conclude_killed


@dataclass(frozen=True, kw_only=True)
class RunJudgedAgain:
    """The cells of a run by today's rules; `written` says how many of them are stored so now.

    `damaged` names, in words, the stored records that could not be read: nobody judged them.
    """

    run: str
    cells: tuple[JudgedAgain, ...]
    written: int = 0
    damaged: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[JudgedAgain, ...]:
        """The cells that today's rules give another record."""
        return tuple(cell for cell in self.cells if cell.changes)

    @property
    def unjudged(self) -> tuple[JudgedAgain, ...]:
        """The cells that cannot be judged again."""
        return tuple(cell for cell in self.cells if cell.problem is not None)


def judge_run(
    results: Path, run: str, *, write: bool = False, say: Callable[[str], None] = lambda text: None
) -> RunJudgedAgain:
    """Judges a run again, from the store alone.

    Args:
        results: the results folder.
        run: a run's id, unique beginning, a baseline or `latest`.
        write: stores every changed record as a revision; the one before stays readable.
        say: told of runs that were killed and are ended now.

    Raises:
        UserInputError: an unknown run, or one that is still running.
    """
    with ExitStack() as open_things:
        store = open_things.enter_context(Store.open(results, create=False))
        conclude_killed(store, say)
        info = settled(store, store.run(History(store).run_of(run)))
        if info.state in OPEN_STATES:
            raise UserInputError(f"run {info.run} is still running", hint="wait for its end")
        if write:
            # Not resumed meanwhile: its cells would be measured and judged at once.
            open_things.enter_context(only_one(results, info.run))
            store = open_things.enter_context(Store.open(results))
        cells = tuple(judge_again(store.cells(run=info.run), open_objects(results)))
        damaged = tuple(store.damaged)
        judged = RunJudgedAgain(run=info.run, cells=cells, damaged=damaged)
        if not write:
            return judged
        for cell in judged.changed:
            store.add_revision(cell.record)
        return RunJudgedAgain(run=info.run, cells=cells, written=len(judged.changed), damaged=damaged)
