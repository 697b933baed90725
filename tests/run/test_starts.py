"""How many starts a cell's time is shared among, and what becomes of one that ends badly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.boards.base import WorkerFailure
from harness.boards.surroundings import CoolDown, Reading
from harness.core.errors import TransientDeviceError
from harness.prepare.prepared import InputFile
from harness.run.budget import Budget
from harness.run.cell import drive_cell, new_measurement
from harness.run.starts import LONGEST_FIRST_INVOKE_NS, MORE_STARTS, STARTS, planned_starts
from tests.judge.facts import CALM, LABELS, OUTPUTS, context, model
from tests.support.fake_board import FakeBoard, FakeWorker


def board(**changes) -> FakeBoard:
    made = FakeBoard(name="board", outputs=OUTPUTS, **changes)
    made.fresh_starts = True
    return made


def planned(
    made: FakeBoard | None = None, *, first_invoke_ns: int | None = 1_000, start_s: float = 0.1, total_s=None, **where
):
    budget = Budget(total_s=total_s, cells=10)
    return planned_starts(made or board(), context(**where), budget, first_invoke_ns=first_invoke_ns, start_s=start_s)


def driven(made: FakeBoard, tmp_path, budget=None, **where):
    file = tmp_path / "model.tflite"
    file.write_bytes(b"model")
    prepared = model(
        artifact=replace(model().artifact, path=file),
        inputs=(InputFile(path=file, sha256="1" * 64, count=len(LABELS)),),
    )
    measurement = new_measurement()
    drive_cell(made, context(**where), prepared, budget or Budget(total_s=None, cells=1), measurement)
    return measurement


def test_a_cell_is_started_three_times_where_workers_are_processes(tmp_path):
    made = board()
    measurement = driven(made, tmp_path)
    assert made.opened == STARTS and len(measurement.further) == STARTS - 1
    counts = [len(bench.samples_ns) for bench in (measurement.bench, *(start.bench for start in measurement.further))]
    # The samples of one start, shared.
    assert counts == [67, 67, 67]


def test_a_microcontroller_is_started_once(tmp_path):
    made = FakeBoard(name="board", outputs=OUTPUTS)
    assert driven(made, tmp_path).further == () and made.opened == 1


def test_what_takes_long_to_start_or_tells_no_time_of_a_board_is_started_once():
    assert planned() == STARTS
    assert planned(first_invoke_ns=LONGEST_FIRST_INVOKE_NS) == planned(first_invoke_ns=None) == 1
    assert planned(time_basis="guest-instructions") == planned(time_basis="host-emulated") == 1


@pytest.mark.parametrize(("start_s", "starts"), [(0.1, STARTS), (0.5, 1)])
def test_a_budget_pays_for_starts_with_a_quarter_of_a_cells_time(start_s, starts):
    # 30 s for 10 cells: 3 s each.
    assert planned(start_s=start_s, total_s=30) == starts


def test_a_start_that_ends_badly_is_told_and_costs_no_figure(tmp_path):
    crash = WorkerFailure("it crashed", kind="signal", phase="bench", signal="SIGSEGV")
    made = board(faults=[{}, {"bench": crash}])
    measurement = driven(made, tmp_path)
    assert made.opened == 2 and measurement.bench is not None
    (failed,) = measurement.further
    assert failed.bench is None and failed.failure.signal == "SIGSEGV"


def test_a_link_that_breaks_in_a_further_start_is_the_devices_fault(tmp_path):
    with pytest.raises(TransientDeviceError):
        driven(board(faults=[{}, {"load": TransientDeviceError("gone")}]), tmp_path)


def test_outputs_are_those_of_the_first_start(tmp_path):
    assert np.array_equal(driven(board(), tmp_path).evaluated.outputs[0], OUTPUTS)


# -- disturbed cells


class DisturbedWorker(FakeWorker):
    def __init__(self, around, **fields):
        super().__init__(**fields)
        self.around = around

    def bench(self, plan):
        return replace(super().bench(plan), surroundings=self.around)


class DisturbedBoard(FakeBoard):
    """A board whose starts went through these surroundings one after the other, then the last."""

    def through(self, *arounds):
        self.fresh_starts, self.arounds = True, arounds
        return self

    def open_worker(self, backend, deadlines):
        around = self.arounds[min(self.opened, len(self.arounds) - 1)]
        self.opened += 1
        return DisturbedWorker(around, fault=self.faults.pop(0) if self.faults else {}, outputs=self.outputs)


BUSY = replace(CALM, busy_cpu_ns=640_000_000)


@pytest.mark.parametrize(
    ("arounds", "starts"),
    [
        ([CALM], STARTS),
        ([BUSY, CALM], STARTS),
        ([BUSY], STARTS + MORE_STARTS),
        ([BUSY, BUSY, CALM], STARTS + 2),
        ([BUSY, BUSY, BUSY, CALM], STARTS + MORE_STARTS),
    ],
)
def test_a_noisy_cell_is_started_again_until_most_starts_were_quiet(tmp_path, arounds, starts):
    made = DisturbedBoard(name="board", outputs=OUTPUTS).through(*arounds)
    assert len(driven(made, tmp_path).further) == starts - 1


def test_a_noisy_cell_that_is_started_once_is_not_started_again(tmp_path):
    made = DisturbedBoard(name="board", outputs=OUTPUTS).through(BUSY)
    assert driven(made, tmp_path, time_basis="host-emulated").further == ()


def test_more_starts_are_paid_for_by_the_cells_budget(tmp_path):
    made = DisturbedBoard(name="board", outputs=OUTPUTS).through(BUSY)
    # Half a second is what a cell costs without any sample.
    assert len(driven(made, tmp_path, budget=Budget(total_s=0.5, cells=1)).further) == STARTS - 1
    rich = DisturbedBoard(name="board", outputs=OUTPUTS).through(BUSY)
    assert len(driven(rich, tmp_path, budget=Budget(total_s=600.0, cells=1)).further) == STARTS + MORE_STARTS - 1


def test_a_further_start_that_ends_badly_ends_the_starts_of_a_noisy_cell(tmp_path):
    crash = WorkerFailure("it crashed", kind="signal", phase="bench", signal="SIGSEGV")
    made = DisturbedBoard(name="board", outputs=OUTPUTS, faults=[{}, {}, {}, {"bench": crash}]).through(BUSY)
    further = driven(made, tmp_path).further
    assert len(further) == STARTS and further[-1].failure is not None


def test_every_start_waits_for_a_cool_board(tmp_path):
    asked = []

    class Cool(DisturbedBoard):
        def sense(self):
            asked.append(self.opened)
            return Reading(temperature_c=20.0)

    made = Cool(name="board", outputs=OUTPUTS).through(CALM)
    measurement = driven(made, tmp_path, cool_down=CoolDown(below_c=60.0, at_most_s=1.0))
    assert asked == [0, 1, 2] and measurement.cooling.last_c == 20.0
