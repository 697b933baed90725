"""Weights of 4 bits on emulated cores: the fast kernels find them unpacked, all channels at once and in parts."""

from __future__ import annotations

import numpy as np
import pytest

from harness.boards.base import BackendSpec, Deadlines
from harness.boards.mcu.board import McuBoard
from harness.boards.mcu.model import mcu_model
from harness.tflite.graph import read_graph
from harness.tflite.plan import int4, make_plan
from tests.support import tiny_model
from tests.support.fixtures_mcu_board import emulated_line, mcu_profile
from tests.support.int4_models import twins
from tests.support.plan_runtime import HostRuntime

_COUNT = 4


@pytest.mark.slow
@pytest.mark.parametrize(("name", "limit"), [("cortex-m4@qemu", 32), ("cortex-m55@qemu", 32), ("cortex-m0@qemu", 8192)])
def test_a_model_of_int4_gives_the_bytes_of_its_int8_twin(
    name: str, limit: int, plan_runtime: HostRuntime, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int4, "_SCRATCH_LIMIT", limit)
    pair, path = twins(tiny_model.mnist_cnn()), tmp_path / "m.tflite"
    path.write_bytes(pair.int4)
    samples = np.random.default_rng(5).integers(-128, 128, (_COUNT, 28, 28, 1)).astype(np.int8)
    np.save(tmp_path / "s.npy", samples)
    profile = mcu_profile(name)
    board = McuBoard(profile, emulated_line(profile))
    board.connect()
    try:
        made = mcu_model(read_graph(path), path, board.facts)
        board.ensure_file(made.path, made.sha256)
        board.ensure_file(tmp_path / "s.npy", "s")
        board.expect(made, samples=_COUNT)
        worker = board.open_worker(BackendSpec(name="cpu", threads=0), Deadlines())
        worker.load(made.sha256)
        found = worker.evaluate(["s"], _COUNT).outputs[0]
    finally:
        board.close()
    plan_runtime.load(make_plan(pair.int8).data)
    assert found.tolist() == [plan_runtime.run([sample])[0].tolist() for sample in samples]
    assert len(np.unique(found)) > 5
