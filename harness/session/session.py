"""One invocation from options to exported tables: plan, prepare, run, export. The one room that knows all the others."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import __version__
from harness.boards.profile.model import Profile
from harness.boards.resolve import get_profile
from harness.core.errors import MissingPartError, UserInputError, unknown_name
from harness.core.finding import Finding
from harness.prepare.prepared import PreparedModel, Say
from harness.results.layout import new_run_id
from harness.results.objects import ObjectStore
from harness.results.record import CellKey, CellRecord, RunInfo
from harness.results.running import only_one
from harness.results.store import Store
from harness.run.execute import DeviceJob, Execution, PlannedCell, Watcher, execute
from harness.workloads.base import Tolerance, Workload


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What the user asked for, as plain data: it is stored with the run, so that `--resume` needs nothing but the run's id."""

    workloads: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ("core",)
    devices: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    seeds: int = 1
    #: samples per cell: None as the profile says, 0 for all
    samples: int | None = None
    budget_s: float | None = None
    emulated: bool = False
    data_dir: str | None = None
    #: the .npz of workloads that are the user's own model files
    data: str | None = None
    devices_dir: str | None = None
    bundle: str | None = None
    #: changed bounds of the outcome `wrong`, as NAME=VALUE
    tolerances: tuple[str, ...] = ()
    jobs: int | None = None

    def absolute(self) -> RunOptions:
        """The same options from any working folder: `--resume` may be called from another one."""

        def path(text: str | None) -> str | None:
            return None if text is None else str(Path(text).expanduser().absolute())

        workloads = tuple(path(w) if Path(w).expanduser().exists() else w for w in self.workloads)
        return replace(
            self,
            workloads=workloads,
            data_dir=path(self.data_dir),
            data=path(self.data),
            bundle=path(self.bundle),
            devices_dir=path(self.devices_dir),
        )

    @staticmethod
    def from_json(stored: dict[str, Any]) -> RunOptions:
        """The options of a stored run; unknown fields of a newer harness are left out."""
        known = {f.name for f in fields(RunOptions)}
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items() if k in known}
        return RunOptions(**values)


@dataclass(frozen=True, kw_only=True)
class ChosenDevice:
    """A device and the backends of it that a run wants."""

    device: str
    profile: Profile
    backends: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A finished (or interrupted) run."""

    run: str
    info: RunInfo
    records: tuple[CellRecord, ...]
    export: Path | None
    not_run: int = 0

    @property
    def exit_code(self) -> int:
        """2 where a device or link failed, else 0. Unsupported and wrong are answers, not failures."""
        return 2 if self.not_run or any(r.outcome == "failed" for r in self.records) else 0


def choose_devices(options: RunOptions) -> list[ChosenDevice]:
    """The profiles and backends of `--device` and `--backend`.

    Raises:
        UserInputError: no device named, an unknown one, or a backend that none of the devices has.
    """
    if not options.devices:
        raise UserInputError("no device named", hint="add --device host-litert, or see `harness devices list`")
    chosen = []
    for name in dict.fromkeys(options.devices):
        profile = get_profile(name, options.devices_dir, emulated=options.emulated)
        _require_available(profile)
        backends = tuple(b for b in profile.backends if not options.backends or b in options.backends)
        chosen.append(ChosenDevice(device=profile.name, profile=profile, backends=backends))
    for backend in options.backends:
        known = {b for c in chosen for b in c.profile.backends}
        if backend not in known:
            raise unknown_name("backend", backend, known)
    return [c for c in chosen if c.backends]


def _require_available(profile: Profile) -> None:
    """Ends the command before anything is built when a device cannot even be tried: no address, no runtime here."""
    from harness.boards.connect import availability, require_address

    require_address(profile)
    state = availability(profile)
    if not state.ok:
        raise MissingPartError(f"unavailable: {state.reason}", where=profile.name, hint="see `harness devices list`")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Cells in running order, and a way to prepare their models (which may train and convert for minutes)."""

    keys: tuple[CellKey, ...]
    prepare: Callable[[Say], list[PreparedModel]]


def make_plan(options: RunOptions, devices: Sequence[ChosenDevice]) -> Plan:
    """The matrix of a run, from workloads and recipes or from a bundle. Nothing is built yet."""
    targets = [(c.device, c.backends) for c in devices]
    if options.bundle is not None:
        from harness.run.bundled import bundle_models

        models = bundle_models(Path(options.bundle), options.workloads, options.recipes)
        keys = tuple(key_of(m, device, b) for device, backends in targets for m in models for b in backends)
        return Plan(keys=keys, prepare=lambda say: models)
    from harness.run.plan import cell_keys, expand, prepare_requests
    from harness.variants.recipe import select_recipes
    from harness.workloads.datasets import DataSource
    from harness.workloads.registry import get_workload, workload_names

    source = DataSource.default(options.data_dir)
    data = Path(options.data) if options.data else None
    workloads = distinct([get_workload(name, data=data) for name in options.workloads or workload_names()])
    requests = expand(workloads, select_recipes(options.recipes), range(options.seeds))
    keys = tuple(cell_keys(requests, source, targets))
    return Plan(keys=keys, prepare=lambda say: prepare_requests(requests, source, jobs=options.jobs, say=say))


def distinct(workloads: Sequence[Workload]) -> list[Workload]:
    """The workloads, each once.

    Raises:
        UserInputError: two different model files that would go by the same name in every table.
    """
    chosen: dict[str, Workload] = {}
    for workload in workloads:
        other = chosen.setdefault(workload.name, workload)
        if other.model_path != workload.model_path:
            raise UserInputError(
                f"{other.model_path} and {workload.model_path} would both be called '{workload.name}'",
                hint="rename one",
            )
    return list(chosen.values())


def key_of(model: PreparedModel, device: str, backend: str) -> CellKey:
    """The cell of a prepared model on a device's backend."""
    return CellKey(
        workload=model.workload,
        recipe=model.recipe,
        device=device,
        backend=backend,
        dataset=model.dataset_digest,
        seed=model.seed,
    )


def run_session(
    options: RunOptions,
    results: Path,
    *,
    watcher: Watcher | None = None,
    say: Say | None = None,
    command: Sequence[str] | None = None,
    resume: str | None = None,
    plan: Plan | None = None,
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
        planned: told the number of cells to run, once it is known.
        resumed: told which run goes on, how many of its cells are left, and how many it has.

    Raises:
        HarnessError: for wrong input. KeyboardInterrupt: after everything finished is stored.
    """
    say = say or (lambda what, done, total: None)
    begun_s = time.monotonic()
    with Store.open(results) as store, ExitStack() as locks:
        info, options = _begin_or_resume(store, options.absolute(), resume)
        locks.enter_context(only_one(results, info.run))
        devices = choose_devices(options)
        tolerances = parse_tolerances(options.tolerances)
        plan = plan or _plan_of(options, devices)
        keys = _planned_keys(store, info, plan, resume)
        planned(len(keys))
        if resume is None:
            info = RunInfo(
                run=info.run,
                started_utc=info.started_utc,
                command=list(command or sys.argv),
                planned=list(plan.keys),
                environment={
                    "harness": __version__,
                    "host": platform.platform(),
                    "python": platform.python_version(),
                    "options": asdict(options),
                },
            )
            store.begin_run(info)
        else:
            resumed(info.run, len(keys), len(plan.keys))
            store.resume_run(info.run)
        execution = Execution(
            run=info.run,
            store=store,
            objects=ObjectStore(results),
            watcher=watcher or Watcher(),
            devices_dir=options.devices_dir,
        )
        state = "interrupted"
        try:
            models = {(m.workload, m.recipe, m.seed): _with_tolerance(m, tolerances) for m in plan.prepare(say)}
            execute(_jobs(devices, keys, models, options), execution, budget_s=_time_left(options, begun_s))
            state = "finished"
        finally:
            store.finish_run(info.run, state)
            result = _export(store, info.run, results, len(plan.keys))
    return result


def _time_left(options: RunOptions, begun_s: float) -> float | None:
    """What preparation left of the budget; cells run also when nothing is left, with the fewest samples."""
    return None if options.budget_s is None else max(0.0, options.budget_s - (time.monotonic() - begun_s))


def parse_tolerances(settings: Sequence[str]) -> dict[str, float | int]:
    """The bounds of `NAME=VALUE` settings, checked.

    Raises:
        UserInputError: for an unknown bound or a value that is not a number in its range.
    """
    known = {f.name for f in fields(Tolerance)}
    values: dict[str, float | int] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if name not in known or not equals:
            raise unknown_name("tolerance", name, known)
        try:
            value = int(text) if name == "integer_lsb" else float(text)
        except ValueError:
            raise UserInputError(f"tolerance {name} takes a number, not '{text}'") from None
        if not 0 <= value < float("inf") or (name not in ("integer_lsb", "float_nrmse") and value > 1):
            raise UserInputError(
                f"tolerance {name}={text} is out of range", hint="shares lie in 0..1, bounds at 0 or more"
            )
        values[name] = value
    return values


def _with_tolerance(model: PreparedModel, values: dict[str, float | int]) -> PreparedModel:
    return replace(model, tolerance=replace(model.tolerance, **values)) if values else model


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
        jobs.append(DeviceJob(profile=chosen.profile, device=chosen.device, cells=cells, samples=options.samples))
    return [job for job in jobs if job.cells]


def add_cross_findings(store: Store, run: str) -> None:
    """Adds to the run's cells what they say together; safe to repeat after a resume."""
    from harness.measure.crosscheck import CROSS_CODES, cross_checks
    from harness.measure.crosscheck_cores import CORE_CODES, core_checks

    records = {r.key: r for r in store.cells(run=run)}
    objects = ObjectStore(store.results_dir)
    found: dict[CellKey, list[Finding]] = {key: [] for key in records}
    for cross in (*cross_checks(records.values()), *core_checks(records.values(), objects.get_arrays)):
        found[cross.key].append(cross.finding)
    for key, record in records.items():
        kept = [f for f in record.findings if f.code not in CROSS_CODES | CORE_CODES]
        if kept + found[key] != record.findings:
            record.findings = kept + found[key]
            store.add_cell(record)


def _export(store: Store, run: str, results: Path, planned: int) -> RunResult:
    """Exports what there is, also of an interrupted run."""
    from harness.reports.export import export_run

    add_cross_findings(store, run)
    records = tuple(store.cells(run=run))
    folder = export_run(store, run, results) if records else None
    return RunResult(
        run=run, info=store.run(run), records=records, export=folder, not_run=max(0, planned - len(records))
    )
