"""The run behind `pytest suites/`: cells planned at collection, models prepared at the first test, boards kept connected."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from harness import __version__
from harness.core.errors import HarnessError, UserInputError
from harness.core.paths import results_dir
from harness.judge.stored import finisher
from harness.prepare.prepared import PreparedModel, Say
from harness.project.project import FILE_NAME, load_project
from harness.results.layout import new_run_id
from harness.results.objects import open_objects
from harness.results.record import CellKey, CellRecord, RunInfo
from harness.results.running import only_one
from harness.results.store import Store
from harness.run.budget import Budget, parse_duration
from harness.run.device import DeviceRunner
from harness.run.jobs import DeviceJob, Execution, PlannedCell
from harness.run.matrix import ChosenDevice, choose_devices, distinct, most_samples
from harness.run.options import RunOptions, parse_samples
from harness.run.plan import ModelRequest, cell_keys, expand, prepare_requests
from harness.session.conclude import conclude_killed
from harness.suites.parallel import Share, begin_or_join, cells_of_busiest, tables_line
from harness.suites.suite import Expectation, Suite, check_record, find_expectation, in_folder, load_expectations
from harness.variants.recipe import select_recipes
from harness.workloads.base import Workload
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload


def run_options(option: Namespace) -> RunOptions:
    """What pytest's command line asks for, in the words of `harness run`.

    Raises:
        UserInputError: a number or a duration that is none.
    """
    return RunOptions(
        devices=tuple(option.device),
        backends=tuple(option.backend),
        runtimes=tuple(option.runtime),
        recipes=tuple(option.recipe),
        samples=parse_samples(option.samples),
        budget_s=parse_duration(option.budget, "--budget") if option.budget else None,
        emulated=option.emulated,
        data_dir=option.data_dir,
        devices_dir=option.devices_dir,
    )


@dataclass(kw_only=True)
class SuiteCell:
    """One test's cell: planned at collection, with its record once it ran."""

    key: CellKey
    suite: Suite
    request: ModelRequest
    expectation: Expectation | None
    record: CellRecord | None = None

    @property
    def seed_suffix(self) -> str:
        return f"/seed{self.key.seed}" if self.key.seed else ""

    def check(self) -> None:
        """Asserts outcome and score.

        Raises:
            AssertionError: one of harness.suites.suite's, with the figures.
        """
        assert self.record is not None, "a cell is checked once it ran"
        check_record(
            self.record,
            self.suite.max_accuracy_drop,
            max_score_drop=self.suite.max_score_drop,
            metric=self.request.workload.metric,
        )


def _stem(model: str) -> str:
    """What a suite's model is called without its folder and ending; of a project file, what its model is called."""
    path = Path(model)
    return load_project(path).model.stem if path.name == FILE_NAME else path.stem


def _told_apart(workloads: list[Workload]) -> list[Workload]:
    """The workloads of all suites, each once.

    Raises:
        UserInputError: two suites whose cells would have one name and mean two things: other models, or other metrics.
    """
    names = {(w.name, w.metric.name if w.metric else None) for w in workloads}
    several = [name for name in dict.fromkeys(w.name for w in workloads) if sum(n == name for n, _ in names) > 1]
    if several:
        raise UserInputError(
            f"two suites judge '{several[0]}' by two metrics",
            hint="give both the same `metric`, or a copy of the model its name",
        )
    return distinct(workloads)


#: workload, recipe, dataset's digest and seed: what makes two cells run the same file on the same samples
_ModelKey = tuple[str, str, str, int]


def _model_key(key: CellKey) -> _ModelKey:
    return key.workload, key.recipe, key.dataset, key.seed


@dataclass(kw_only=True)
class _Begun:
    """A run under way, from its first test on."""

    store: Store
    execution: Execution
    budget: Budget
    #: filled once they are prepared
    models: dict[_ModelKey, PreparedModel] = field(default_factory=dict)


@dataclass
class SuiteSession:
    """All suites of one pytest session share one run, and so do the workers of pytest-xdist.

    Attributes:
        say: told how preparation goes: (what, done, total).
        share: in such a worker, the run that it has a share in: its controller closes and exports it, not this session.
        summary: where the tables are, once they are.
    """

    option: Namespace
    say: Say = lambda what, done, total: None
    share: Share | None = None
    summary: str = ""
    _cells: list[SuiteCell] = field(default_factory=list)
    _workloads: list[Workload] = field(default_factory=list)
    _begun: _Begun | None = None
    _runners: dict[str, DeviceRunner] = field(default_factory=dict)
    _broken: dict[str, HarnessError] = field(default_factory=dict)
    #: cells run once, however many tests look at them
    _records: dict[CellKey, CellRecord] = field(default_factory=dict)
    _unprepared: HarnessError | None = None
    _lock: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.options = run_options(self.option)
        self.source = DataSource.default(self.option.data_dir)
        self.results = results_dir(self.option.results)
        self._devices: list[ChosenDevice] | None = None

    @property
    def devices(self) -> list[ChosenDevice]:
        if self._devices is None:
            self._devices = choose_devices(self.options)
        return self._devices

    def cells_of(self, suite: Suite, folder: Path) -> list[SuiteCell]:
        """The cells of one suite under the command line's choices.

        Raises:
            HarnessError: for an unknown device, backend, recipe or workload, a broken expectations.yaml, or two suites whose
                models would go by one name.
        """
        model = in_folder(suite.workload, folder)
        if self.option.workload and not {suite.workload, model, _stem(model)} & set(self.option.workload):
            return []
        expectations = load_expectations(folder / "expectations.yaml")
        data = Path(in_folder(suite.data, folder)) if suite.data else None
        workload = get_workload(model, data=data, metric=suite.metric)
        self._workloads = _told_apart([*self._workloads, workload])
        recipes = select_recipes(self.option.recipe or suite.recipes)
        cells = []
        for chosen in self.devices:
            for request in expand([workload], recipes, [0]):
                for key in cell_keys([request], self.source, [(chosen.device, chosen.backends)]):
                    expectation = find_expectation(expectations, key)
                    cells.append(SuiteCell(key=key, suite=suite, request=request, expectation=expectation))
        return cells

    def plan(self, cells: list[SuiteCell]) -> None:
        """Fixes the cells of the run: those that are left after `-k` and friends."""
        self._cells = cells

    def run(self, cell: SuiteCell) -> CellRecord:
        """The record of a cell: runs it at its first test, preparing models and connecting its device when that was not done yet.

        A device that cannot be had fails its cells, each with a record that says why.

        Raises:
            HarnessError: when preparation fails; then every cell fails the same way.
        """
        if cell.key not in self._records:
            self._records[cell.key] = self._run(cell)
        cell.record = self._records[cell.key]
        return cell.record

    def _run(self, cell: SuiteCell) -> CellRecord:
        begun = self._prepared()
        device = cell.key.device
        planned = PlannedCell(key=cell.key, model=begun.models[_model_key(cell.key)])
        runner = self._runner(device, begun)
        if device in self._broken:
            return runner.fail(planned, self._broken[device])
        try:
            if runner.board is None:
                self._free(runner)
                runner.open()
            record = runner.run_one(planned)
        except HarnessError as error:
            self._broken[device] = error
            runner.close()
            record = runner.fail(planned, error)
        if record is None:
            raise KeyboardInterrupt
        return record

    def _prepared(self) -> _Begun:
        """The run with its models, prepared at the first call.

        Raises:
            HarnessError: they could not be; the same at every later call.
        """
        if self._unprepared is not None:
            raise self._unprepared
        begun = self._begun or self._begin()
        if not begun.models:
            try:
                begun.models = self._models()
            except HarnessError as error:
                self._unprepared = error
                raise
        return begun

    def _models(self) -> dict[_ModelKey, PreparedModel]:
        """Every model of the run, built and with its samples; one dataset after the other, as suites may share a model."""
        source = replace(self.source, samples=most_samples(self.devices, self.options.samples))
        requests = {_model_key(c.key): c.request for c in self._cells}
        models: dict[_ModelKey, PreparedModel] = {}
        for dataset in dict.fromkeys(c.key.dataset for c in self._cells):
            mine = {key: request for key, request in requests.items() if key[2] == dataset}
            prepared = prepare_requests(list(mine.values()), source, say=self.say)
            models.update(zip(mine, prepared, strict=True))
        return models

    def _begin(self) -> _Begun:
        """Opens the store and begins the run in it, or joins that of the other workers."""
        store = Store.open(self.results)
        conclude_killed(store, lambda text: self.say(text, 0, 1))
        share = self.share or Share(run=new_run_id(), workers=1, command=tuple(sys.argv))
        info = RunInfo(
            run=share.run,
            started_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            command=list(share.command),
            planned=list(dict.fromkeys(c.key for c in self._cells)),
            environment={"harness": __version__, "kind": "suite", "options": asdict(self.options)},
        )
        if self.share is None:
            # Says as long as this process lives that the run is under way; of a shared run its controller does.
            self._lock.enter_context(only_one(self.results, info.run))
        begin_or_join(store, info)
        execution = Execution(
            run=info.run,
            store=store,
            finish=finisher(open_objects(self.results)),
            devices_dir=self.options.devices_dir,
        )
        budget = Budget(total_s=self.options.budget_s, cells=self._cells_here(share.workers))
        self._begun = _Begun(store=store, execution=execution, budget=budget)
        return self._begun

    def _cells_here(self, workers: int) -> int:
        """How many cells may fall to this process."""
        locks = {c.device: c.profile.lock_name for c in self.devices}
        return cells_of_busiest((locks[cell.key.device] for cell in self._cells), workers)

    def _runner(self, device: str, begun: _Begun) -> DeviceRunner:
        if device not in self._runners:
            chosen = next(c for c in self.devices if c.device == device)
            job = DeviceJob(profile=chosen.profile, device=device, cells=(), samples=self.options.samples)
            self._runners[device] = DeviceRunner(job=job, execution=begun.execution, budget=begun.budget)
        return self._runners[device]

    def _free(self, wanted: DeviceRunner) -> None:
        """Gives back the devices that share their machine with the wanted one: this very process may hold its lease."""
        for runner in self._runners.values():
            if runner is not wanted and runner.job.profile.lock_name == wanted.job.profile.lock_name:
                runner.close()

    def finish(self, *, interrupted: bool) -> None:
        """Gives the devices back; closes the run and exports its tables, where it is not shared with other processes."""
        for runner in self._runners.values():
            runner.close()
        begun, self._begun = self._begun, None
        if begun is None:
            return
        with self._lock, begun.store:
            if self.share is None:
                state = "interrupted" if interrupted else "finished"
                self.summary = tables_line(begun.execution.run, begun.store, self.results, state=state)
