"""The run behind `pytest suites/`: cells planned at collection, models prepared at the first test, boards kept connected."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from harness import __version__
from harness.core.errors import HarnessError
from harness.core.paths import results_dir
from harness.judge.stored import finisher
from harness.prepare.prepared import PreparedModel, Say
from harness.results.layout import new_run_id
from harness.results.objects import ObjectStore
from harness.results.record import CellKey, CellRecord, RunInfo
from harness.results.running import only_one
from harness.results.store import Store
from harness.run.budget import Budget, parse_duration
from harness.run.device import DeviceRunner
from harness.run.jobs import DeviceJob, Execution, PlannedCell
from harness.run.matrix import ChosenDevice, choose_devices, most_samples
from harness.run.options import RunOptions, parse_samples
from harness.run.plan import ModelRequest, cell_keys, expand, prepare_requests
from harness.session.conclude import conclude, conclude_killed
from harness.suites.suite import Expectation, Suite, check_record, find_expectation, load_expectations
from harness.variants.recipe import select_recipes
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload


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


@dataclass(kw_only=True)
class _Begun:
    """A run under way, from its first test on."""

    store: Store
    execution: Execution
    budget: Budget
    #: what is let go at its end: the store, and the lock that says that somebody is at the run
    held: ExitStack
    #: filled once they are prepared
    models: dict[tuple[str, str, int], PreparedModel] = field(default_factory=dict)


@dataclass
class SuiteSession:
    """All suites of one pytest session share one run."""

    option: Namespace
    #: told how preparation goes: (what, done, total)
    say: Say = lambda what, done, total: None
    summary: str = ""
    _cells: list[SuiteCell] = field(default_factory=list)
    _begun: _Begun | None = None
    _runners: dict[str, DeviceRunner] = field(default_factory=dict)
    _broken: dict[str, HarnessError] = field(default_factory=dict)
    _unprepared: HarnessError | None = None

    def __post_init__(self) -> None:
        self.options = RunOptions(
            devices=tuple(self.option.device),
            backends=tuple(self.option.backend),
            runtimes=tuple(self.option.runtime),
            recipes=tuple(self.option.recipe),
            samples=parse_samples(self.option.samples),
            budget_s=parse_duration(self.option.budget) if self.option.budget else None,
            emulated=self.option.emulated,
            data_dir=self.option.data_dir,
            devices_dir=self.option.devices_dir,
        )
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
            HarnessError: for an unknown device, backend, recipe or workload, or a broken expectations.yaml.
        """
        if self.option.workload and suite.workload not in self.option.workload:
            return []
        expectations = load_expectations(folder / "expectations.yaml")
        data = Path(suite.data) if suite.data else None
        workload = get_workload(suite.workload, data=data, metric=suite.metric)
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
        """Runs one cell, preparing models and connecting its device when that was not done yet.

        A device that cannot be had fails its cells, each with a record that says why.

        Raises:
            HarnessError: when preparation fails; then every cell fails the same way.
        """
        begun = self._prepared()
        device = cell.key.device
        planned = PlannedCell(key=cell.key, model=begun.models[(cell.key.workload, cell.key.recipe, cell.key.seed)])
        runner = self._runner(device, begun)
        if device in self._broken:
            cell.record = runner.fail(planned, self._broken[device])
            return cell.record
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
        cell.record = record
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
                requests = {(c.key.workload, c.key.recipe, c.key.seed): c.request for c in self._cells}
                source = replace(self.source, samples=most_samples(self.devices, self.options.samples))
                prepared = prepare_requests(list(requests.values()), source, say=self.say)
            except HarnessError as error:
                self._unprepared = error
                raise
            begun.models = dict(zip(requests, prepared, strict=True))
        return begun

    def _begin(self) -> _Begun:
        """Opens the store and begins the run in it."""
        held = ExitStack()
        store = held.enter_context(Store.open(self.results))
        conclude_killed(store, lambda text: self.say(text, 0, 1))
        run = new_run_id()
        # Held to the run's end: a killed pytest leaves a run that anybody can tell from one that goes on.
        held.enter_context(only_one(self.results, run))
        info = RunInfo(
            run=run,
            started_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            command=list(sys.argv),
            planned=[c.key for c in self._cells],
            environment={"harness": __version__, "kind": "suite", "options": asdict(self.options)},
        )
        store.begin_run(info)
        execution = Execution(
            run=info.run,
            store=store,
            finish=finisher(ObjectStore(self.results)),
            devices_dir=self.options.devices_dir,
        )
        budget = Budget(total_s=self.options.budget_s, cells=len(self._cells))
        self._begun = _Begun(store=store, execution=execution, budget=budget, held=held)
        return self._begun

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
        """Gives the devices back, closes the run and exports its tables."""
        for runner in self._runners.values():
            runner.close()
        begun, self._begun = self._begun, None
        if begun is None:
            return
        run, state = begun.execution.run, "interrupted" if interrupted else "finished"
        with begun.held:
            folder = conclude(begun.store, run, self.results, state=state)
        if folder is not None:
            self.summary = f"run {run}: tables in {folder}"
