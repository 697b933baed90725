"""Token ids as inputs, int64 as an output, and an id that names no word: on emulated microcontrollers."""

from __future__ import annotations

import numpy as np
import pytest

from harness.boards.base import BackendSpec, Deadlines, WorkerFailure
from harness.boards.mcu.board import McuBoard
from harness.boards.mcu.model import mcu_model
from harness.tflite.graph import read_graph
from harness.tflite.plan import make_plan
from tests.support.fixtures_mcu_board import emulated_line, mcu_profile
from tests.support.index_models import embedding, texts
from tests.support.plan_runtime import HostRuntime

_COUNT = 12


@pytest.mark.slow
@pytest.mark.parametrize(("name", "ids"), [("cortex-m4@qemu", "int32"), ("cortex-m0@qemu", "int64")])
def test_an_embedding_runs_on_a_board_and_an_id_that_names_no_word_ends_one_inference(
    name: str, ids: str, plan_runtime: HostRuntime, tmp_path
) -> None:
    path, samples = tmp_path / "m.tflite", texts(_COUNT, ids)
    path.write_bytes(embedding(ids))
    wrong = samples.copy()
    wrong[3, 2] = 20
    profile = mcu_profile(name)
    board = McuBoard(profile, emulated_line(profile))
    board.connect()
    try:
        made = mcu_model(read_graph(path), path, board.facts)
        board.ensure_file(made.path, made.sha256)
        for key, rows in (("right", samples), ("wrong", wrong)):
            np.save(tmp_path / f"{key}.npy", rows)
            board.ensure_file(tmp_path / f"{key}.npy", key)
        board.expect(made, samples=_COUNT)
        worker = board.open_worker(BackendSpec(name="cpu", threads=0), Deadlines())
        worker.load(made.sha256)
        scores, best = worker.evaluate(["right"], _COUNT).outputs
        with pytest.raises(WorkerFailure, match="index of GATHER or GATHER_ND lies outside its dimension"):
            worker.evaluate(["wrong"], _COUNT)
        again = worker.evaluate(["right"], 2).outputs[0]
    finally:
        board.close()
    plan_runtime.load(make_plan(path).data)
    expected = [plan_runtime.run([row]) for row in samples]
    assert scores.tolist() == [one.tolist() for one, _ in expected]
    assert best.dtype == np.int64 and best.ravel().tolist() == [int(one[0]) for _, one in expected]
    assert again.tolist() == scores[:2].tolist()
