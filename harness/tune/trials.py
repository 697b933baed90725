"""Trials: recipes run on the device as cells of the search's run. What the run has already is not run again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.boards.profile.model import Profile
from harness.core.errors import UserInputError
from harness.prepare.prepared import Say
from harness.reports.answer.candidates import NO_TIMES
from harness.results.record import CellKey, CellRecord
from harness.run.execute import execute
from harness.run.jobs import DeviceJob, Execution, PlannedCell
from harness.run.matrix import ChosenDevice, choose_devices, most_samples
from harness.run.plan import ModelRequest, cell_keys, prepare_requests
from harness.tune.options import TuneOptions
from harness.tune.split import Half, Split, half_of, view_of
from harness.workloads.base import Workload
from harness.workloads.datasets import DataSource
from harness.workloads.metrics.base import Metric


@dataclass(kw_only=True)
class Trials:
    """Runs recipes of one workload on one device, on either half of the test samples.

    Attributes:
        spent_s: what running a recipe took on average so far, all in all; None before the first.
    """

    workload: Workload
    split: Split
    source: DataSource
    device: ChosenDevice
    options: TuneOptions
    execution: Execution
    say: Say
    spent_s: float | None = None

    def run(self, recipes: Sequence[str], half: Half, *, until_s: float | None = None) -> list[CellRecord]:
        """The records of recipes on one half, in their order, all backends of one after the other.

        Args:
            until_s: when sampling has to be done, on the monotonic clock: samples shrink, cells do not.

        Raises:
            HarnessError: models or samples cannot be prepared. KeyboardInterrupt: after what ended is stored.
        """
        requests = [ModelRequest(workload=self.workload, recipe=recipe, seed=0) for recipe in recipes]
        known = self.known()
        missing = [r for r in requests if not all(key in known for key in self.keys([r], half))]
        if missing:
            begun_s = time.monotonic()
            self._run(missing, half, until_s)
            self._note_time((time.monotonic() - begun_s) / len(missing))
        return self.records(recipes, half)

    def records(self, recipes: Sequence[str], half: Half) -> list[CellRecord]:
        """What the run has of these recipes, failed cells too; runs nothing."""
        requests = [ModelRequest(workload=self.workload, recipe=recipe, seed=0) for recipe in recipes]
        stored = {record.key: record for record in self.execution.store.cells(run=self.execution.run)}
        return [stored[key] for key in self.keys(requests, half) if key in stored]

    def known(self) -> dict[CellKey, CellRecord]:
        """What the run has, but for cells over which the device failed: these are tried again."""
        records = self.execution.store.cells(run=self.execution.run)
        return {record.key: record for record in records if record.outcome != "failed"}

    def keys(self, requests: Sequence[ModelRequest], half: Half) -> list[CellKey]:
        """The cells of some recipes on one half."""
        seen = half_of(self.workload, self.split, half)
        devices = [(self.device.device, self.device.backends)]
        return cell_keys([replace(request, workload=seen) for request in requests], self.source, devices)

    def _run(self, requests: Sequence[ModelRequest], half: Half, until_s: float | None) -> None:
        models = prepare_requests(
            requests,
            self.source,
            jobs=self.options.jobs,
            say=self.say,
            deadline_s=self.options.deadline_s,
            view=view_of(self.split, half),
        )
        by_recipe = {model.recipe: model for model in models}
        known = self.known()
        cells = [
            PlannedCell(key=key, model=by_recipe[key.recipe]) for key in self.keys(requests, half) if key not in known
        ]
        job = DeviceJob(
            profile=self.device.profile,
            device=self.device.device,
            cells=tuple(cells),
            samples=self.options.samples,
            inference_s=self.options.deadline_s,
        )
        budget_s = None if until_s is None else max(1.0, until_s - time.monotonic())
        execute([job], self.execution, budget_s=budget_s)

    def _note_time(self, seconds: float) -> None:
        self.spent_s = seconds if self.spent_s is None else 0.5 * (self.spent_s + seconds)


def chosen_device(options: TuneOptions) -> ChosenDevice:
    """The one device of a search, with the backends whose figures may be shipped.

    Raises:
        UserInputError: an unknown device or backend, or a bound of time for one whose times are none of a board.
    """
    found = choose_devices(options.run)
    if len(found) != 1:
        raise UserInputError(
            f"a search is for one device, and '{options.device}' stands for {len(found)}",
            hint=f"name one: {', '.join(one.device for one in found)}",
        )
    chosen = found[0]
    why = NO_TIMES.get(chosen.profile.time_basis)
    if options.limits.max_latency_ns is not None and why is not None:
        raise UserInputError(
            f"--max-latency cannot be held against what {options.device} gives: {why}",
            where=chosen.device,
            hint="leave it out here, and search or `harness recommend --max-latency` with the board itself",
        )
    if options.backends:
        return chosen
    useful = tuple(name for name in chosen.backends if not _is_reference(chosen.profile, name))
    return replace(chosen, backends=useful or chosen.backends)


def _is_reference(profile: Profile, backend: str) -> bool:
    return profile.backends[backend].kernels == "reference"


def search_source(options: TuneOptions, device: ChosenDevice) -> DataSource:
    """Where samples come from, and how many of a half are evaluated at most."""
    source = DataSource.default(options.data_dir)
    return replace(source, samples=most_samples([device], options.samples))


def require_metric(workload: Workload) -> Metric:
    """What is searched by: a search minimises nothing that is not measured.

    Raises:
        UserInputError: the workload has no score.
    """
    if workload.metric is None:
        raise UserInputError(
            "a search needs a score: without labels nobody can say what a variant loses",
            where=workload.model_path or workload.name,
            hint="give x_test and y_test (and x_train, y_train) in the .npz",
        )
    return workload.metric
