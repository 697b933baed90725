"""What a run says of its cells while it goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cli.progress import RunProgress, describe
from harness.results.record import CellKey, CellRecord

KEY = CellKey(workload="w", recipe="r", device="d", backend="cpu", dataset="0" * 64, seed=0)


@pytest.mark.parametrize(("seed", "name"), [(0, "w/r/d/cpu"), (1, "w/r/d/cpu seed 1")])
def test_cells_of_several_seeds_are_told_apart(seed: int, name: str, capsys: pytest.CaptureFixture[str]):
    record = CellRecord(run="r0", key=replace(KEY, seed=seed), outcome="failed", reason="the board is gone")
    assert describe(record) == f"{name}  failed  the board is gone"
    with RunProgress() as progress:
        progress.watcher().cell_finished(record)
    assert f"{name}  failed" in capsys.readouterr().err
