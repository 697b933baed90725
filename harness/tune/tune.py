"""The entry of a search: a run is begun in the store, or an interrupted one goes on.

Every trial is a cell of one run in the store. A search that was interrupted goes on with what the run has; what it had decided by
cheap errors stands in the run's environment, so that both halves of it are one search.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from harness import __version__
from harness.core.errors import UserInputError
from harness.prepare.prepared import Say
from harness.results.layout import new_run_id
from harness.results.record import RunInfo
from harness.results.running import only_one
from harness.results.store import Store
from harness.run.jobs import Watcher
from harness.session.conclude import conclude_killed
from harness.tune.options import TuneOptions
from harness.tune.result import TuneResult
from harness.tune.search import KIND, Search


def tune(
    options: TuneOptions | None,
    results: Path,
    *,
    resume: str | None = None,
    watcher: Watcher | None = None,
    say: Say = lambda what, done, total: None,
    command: Sequence[str] | None = None,
    begun: Callable[[str], None] = lambda run: None,
) -> TuneResult:
    """Searches for a better variant of a workload's model for one device, and proves it on samples that the search did not see.

    Args:
        options: what to search; None to go on with an interrupted search.
        results: the results folder.
        resume: the interrupted search's run: an id, its unique beginning, or `latest`.
        watcher, say: who is told of cells, and of preparation.
        command: how the user called, for the record.
        begun: told the run's id as soon as it is in the store.

    Raises:
        UserInputError: a finished .tflite, no labels, too few samples, or anything else wrong with the input.
        HarnessError: the float model cannot be built or run. KeyboardInterrupt: after what ended is stored.
    """
    if resume is not None:
        Store.open(results, create=False).close()  # a wrong folder is an error, not a new store
    with Store.open(results) as store, ExitStack() as held:
        watcher = watcher or Watcher()
        info, options, spent_s = _begin(store, options, resume, command)
        conclude_killed(store, watcher.note, but=info.run)
        held.enter_context(only_one(results, info.run))
        search = Search(store, info, options, results, watcher, say, spent_s)
        if resume is None:
            store.begin_run(info)
        else:
            store.resume_run(info.run)
        begun(info.run)
        return search.run()


def _begin(
    store: Store, options: TuneOptions | None, resume: str | None, command: Sequence[str] | None
) -> tuple[RunInfo, TuneOptions, float]:
    """The run, its options, and the seconds of its budget that are gone."""
    if resume is None:
        if options is None:
            raise UserInputError("there is nothing to search for", hint="name a workload or a model file and a device")
        options = options.absolute()
        environment = {
            "harness": __version__,
            "host": platform.platform(),
            "python": platform.python_version(),
            "kind": KIND,
            "options": asdict(options.run),
            KIND: {"options": asdict(options)},
        }
        started = datetime.now(UTC).isoformat(timespec="seconds")
        return (
            RunInfo(run=new_run_id(), started_utc=started, command=list(command or sys.argv), environment=environment),
            options,
            0.0,
        )
    info = store.run(resume)
    stored = info.environment.get(KIND)
    if info.environment.get("kind") != KIND or not stored:
        raise UserInputError(f"run {info.run} is no search", hint="`harness run --resume` goes on with other runs")
    return info, TuneOptions.from_json(stored["options"]), float(stored.get("spent_s", 0.0))
