"""What a run says of its cells while it goes on."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.cli.progress import RunProgress, describe
from harness.results.record import CellKey, CellRecord
from tests.support.fixtures_results import MNIST, make_key, ok_record

KEY = CellKey(workload="w", recipe="r", device="d", backend="cpu", dataset="0" * 64, seed=0)


@pytest.mark.parametrize(("seed", "name"), [(0, "w/r/d/cpu"), (1, "w/r/d/cpu seed 1")])
def test_cells_of_several_seeds_are_told_apart(seed: int, name: str, capsys: pytest.CaptureFixture[str]):
    record = CellRecord(run="r0", key=replace(KEY, seed=seed), outcome="failed", reason="the board is gone")
    assert describe(record) == f"{name}  failed  the board is gone"
    with RunProgress() as progress:
        progress.watcher().cell_finished(record)
    assert f"{name}  failed" in capsys.readouterr().err


def test_a_log_says_how_far_a_run_is_and_how_long_it_takes(capsys: pytest.CaptureFixture[str]):
    with RunProgress() as progress:
        progress.say("building", 0, 2)
        progress.total_cells = 2
        watcher = progress.watcher()
        for seed in (0, 1):
            key = replace(KEY, seed=seed)
            watcher.cell_started(key)
            watcher.cell_finished(CellRecord(run="r0", key=key, outcome="ok"))
    built, first, second = capsys.readouterr().err.splitlines()
    clock = r"\d\d:\d\d:\d\d"
    assert re.fullmatch(rf"{clock} building: 0 of 2", built)
    assert re.fullmatch(rf"\[1/2\] {clock} elapsed \d:\d\d:\d\d, remaining \d:\d\d:\d\d  w/r/d/cpu  ok", first)
    assert re.fullmatch(rf"\[2/2\] {clock} elapsed \d:\d\d:\d\d, remaining 0:00:00  w/r/d/cpu seed 1  ok", second)


def test_a_finished_cell_is_told_in_the_units_of_the_tables():
    record = ok_record(make_key("mnist-cnn", "ptq-int8-io", "host-litert", "cpu"), MNIST["ptq-int8-io"])
    assert describe(record).endswith("ok  accuracy .9577 (n=360)  median 5.94 µs [5.90, 6.00] (n=1200)")
