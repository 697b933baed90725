"""One invocation from options to exported tables: plan, prepare, drive, judge, export. The one room that knows all the others."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import __version__
from harness.boards.profile.model import Profile
from harness.core.errors import ExitCode, UserInputError
from harness.judge.stored import finisher
from harness.prepare.prepared import PreparedModel, Say
from harness.results.layout import new_run_id, run_dir
from harness.results.objects import open_objects
from harness.results.record import CellKey, CellRecord, RunInfo
from harness.results.running import only_one
from harness.results.store import Store
from harness.run.execute import execute
from harness.run.jobs import DeviceJob, Execution, PlannedCell, Watcher
from harness.run.matrix import ChosenDevice, Plan, choose_devices, install_named_runtimes, make_plan
from harness.run.options import RunOptions, refuse_tolerances
from harness.session.conclude import conclude, conclude_killed


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A finished (or interrupted) run."""

    run: str
    info: RunInfo
    records: tuple[CellRecord, ...]
    results: Path
    export: Path | None
    not_run: int = 0

    @property
    def exit_code(self) -> int:
        """Whether a device or link failed, or cells were not run. Unsupported and wrong are answers, not failures."""
        failed = self.not_run or any(r.outcome == "failed" for r in self.records)
        return ExitCode.DEVICE_FAILED if failed else ExitCode.DONE


def run_session(
    options: RunOptions,
    results: Path,
    *,
    watcher: Watcher | None = None,
    say: Say | None = None,
    command: Sequence[str] | None = None,
    resume: str | None = None,
    plan: Plan | None = None,
    series: str | None = None,
    noted: Mapping[str, Any] | None = None,
    begun: Callable[[str], None] = lambda run: None,
    planned: Callable[[int], None] = lambda count: None,
    resumed: Callable[[str, int, int], None] = lambda run, left, total: None,
) -> RunResult:
    """Runs a matrix of cells and exports its tables.

    Args:
        options: what to run; ignored in favour of the stored ones when resuming.
        results: the results folder.
        watcher, say: who is told about cells, and about preparation.
        command: how the user called, for the record.
        resume: id of an interrupted run whose pending cells are to run, or `latest`.
        plan: cells made elsewhere (`harness measure`); then `options` names only devices and limits.
        series: the history that a nightly run belongs to; None for runs by day.
        noted: JSON values that are kept with a new run's environment.
        begun: told the run's id as soon as it is in the store.
        planned: told the number of cells to run, once it is known.
        resumed: told which run goes on, how many of its cells are left (0: nothing is prepared or run), and how many it has.

    Raises:
        HarnessError: for wrong input. KeyboardInterrupt: after everything finished is stored.
    """
    say = say or (lambda what, done, total: None)
    begun_s = time.monotonic()
    if resume is not None:
        Store.open(results, create=False).close()  # a wrong folder is an error, not a new store
    with Store.open(results) as store, ExitStack() as locks:
        info, options = _begin_or_resume(store, options.absolute(), resume)
        conclude_killed(store, watcher.note if watcher else lambda text: None, but=info.run)
        refuse_tolerances(options.tolerances)
        locks.enter_context(only_one(results, info.run))
        if resume is not None and not store.pending(info.run):
            resumed(info.run, 0, len(info.planned))
            return _nothing_left(store, info, results)
        devices = choose_devices(options)
        install_named_runtimes(devices, watcher.note if watcher else lambda text: None)
        plan = plan or _plan_of(options, devices)
        keys = _planned_keys(store, info, plan, resume)
        planned(len(keys))
        if resume is None:
            info = RunInfo(
                run=info.run,
                started_utc=info.started_utc,
                command=list(command or sys.argv),
                planned=list(plan.keys),
                series=series,
                environment={
                    "harness": __version__,
                    "host": platform.platform(),
                    "python": platform.python_version(),
                    "options": asdict(options),
                    **(noted or {}),
                },
            )
            store.begin_run(info)
        else:
            resumed(info.run, len(keys), len(plan.keys))
            store.resume_run(info.run)
        begun(info.run)
        execution = Execution(
            run=info.run,
            store=store,
            finish=finisher(open_objects(results)),
            watcher=watcher or Watcher(),
            devices_dir=options.devices_dir,
        )
        state = "interrupted"
        try:
            models = {(m.workload, m.recipe, m.seed): m for m in plan.prepare(say)}
            execute(_jobs(devices, keys, models, options), execution, budget_s=_time_left(options, begun_s))
            state = "finished"
        finally:
            folder = conclude(store, info.run, results, state=state)
            records = tuple(store.cells(run=info.run))
            not_run = max(0, len(plan.keys) - len(records))
            result = RunResult(
                run=info.run,
                info=store.run(info.run),
                records=records,
                results=results,
                export=folder,
                not_run=not_run,
            )
    return result


def _nothing_left(store: Store, info: RunInfo, results: Path) -> RunResult:
    """The result of a run all of whose cells have run. One that was killed before its tables were made gets them now."""
    folder = run_dir(results, info.run)
    export: Path | None = folder if folder.is_dir() else None
    if info.state != "finished" or export is None:
        export = conclude(store, info.run, results, state="finished")
    return RunResult(
        run=info.run,
        info=store.run(info.run),
        records=tuple(store.cells(run=info.run)),
        results=results,
        export=export,
    )


def _time_left(options: RunOptions, begun_s: float) -> float | None:
    """What preparation left of the budget; cells run also when nothing is left, with the fewest samples."""
    return None if options.budget_s is None else max(0.0, options.budget_s - (time.monotonic() - begun_s))


def _plan_of(options: RunOptions, devices: Sequence[ChosenDevice]) -> Plan:
    """The plan that the options stand for, also those of a resumed `harness measure`."""
    if not options.recipes and options.bundle is None:
        from harness.run.measured import RANDOM_SAMPLES, measure_plan

        return measure_plan(options, RANDOM_SAMPLES)
    return make_plan(options, devices)


def _begin_or_resume(store: Store, options: RunOptions, resume: str | None) -> tuple[RunInfo, RunOptions]:
    if resume is None:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        return RunInfo(run=new_run_id(), started_utc=started, command=[]), options
    info = store.run(resume)
    if info.environment.get("kind") == "suite":
        raise UserInputError(
            f"run {info.run} was made by pytest", hint="run pytest again, or name another run: harness report --list"
        )
    if info.environment.get("kind") == "tune":
        raise UserInputError(f"run {info.run} is a search", hint=f"go on with it: harness tune --resume {info.run}")
    stored = info.environment.get("options")
    if not stored:
        raise UserInputError(f"run {info.run} does not say how it was started", hint="start a new run")
    return info, RunOptions.from_json(stored)


def _planned_keys(store: Store, info: RunInfo, plan: Plan, resume: str | None) -> tuple[CellKey, ...]:
    """The cells to run now: all, or those that an interrupted run left.

    Raises:
        UserInputError: when the cells are not those of the run any more (other data, profiles or models).
    """
    if resume is None:
        return plan.keys
    if set(plan.keys) != set(info.planned):
        changed = sorted(key.text for key in set(plan.keys) ^ set(info.planned))
        raise UserInputError(
            f"run {info.run} planned other cells than its options give now: {len(changed)} differ, such as {changed[0]}",
            hint="the dataset, the profiles or the models changed; start a new run",
        )
    pending = set(store.pending(info.run))
    return tuple(key for key in plan.keys if key in pending)


def _inference_s(profile: Profile, options: RunOptions) -> float | None:
    """How long one inference may take on a device; None as its profile says. Where models are built, `--deadline` is about that
    first: an NPU that compiles in its first inference is given no less time than its profile says.
    """
    if options.deadline_s is None or not options.recipes:
        return options.deadline_s
    return max(options.deadline_s, profile.deadlines.first_invoke_s)


def _jobs(
    devices: Sequence[ChosenDevice],
    keys: Sequence[CellKey],
    models: dict[tuple[str, str, int], PreparedModel],
    options: RunOptions,
) -> list[DeviceJob]:
    jobs = []
    for chosen in devices:
        cells = tuple(
            PlannedCell(key=k, model=models[(k.workload, k.recipe, k.seed)]) for k in keys if k.device == chosen.device
        )
        jobs.append(
            DeviceJob(
                profile=chosen.profile,
                device=chosen.device,
                cells=cells,
                samples=options.samples,
                inference_s=_inference_s(chosen.profile, options),
                flash=options.flash,
                mlperf=options.mlperf,
            )
        )
    return [job for job in jobs if job.cells]
