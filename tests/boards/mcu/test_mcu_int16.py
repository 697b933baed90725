"""Ops on 16-bit activations that compute in 64 bits, keep state or take roots: on emulated cores as on this machine."""

from __future__ import annotations

import numpy as np
import pytest

from harness.boards.base import BackendSpec, Deadlines
from harness.boards.mcu.board import McuBoard
from harness.boards.mcu.model import mcu_model
from harness.tflite.graph import model_io, read_graph
from harness.tflite.plan import make_plan
from tests.support.cases_16 import LITERT_16, MICRO_16, REFERENCE_16
from tests.support.fixtures_mcu_board import emulated_line, mcu_profile
from tests.support.kernel_cases import Case
from tests.support.lstm_models import lstm_16
from tests.support.plan_runtime import HostRuntime
from tests.support.wide_cases import make_wide_cases

#: of one input each
_OPS = ("resize_bilinear_16", "padv2_16", "log_16", "sqrt_16", "prelu_16", "sum_16")


def _cases() -> list[tuple[Case, np.ndarray]]:
    """Models, and the samples of their input with their first axis."""
    assert {*REFERENCE_16, *LITERT_16, *MICRO_16} > set(_OPS)
    found = [(next(filter(_is_of_one_sample, make_wide_cases(name, 200, seed=2))), 0) for name in _OPS]
    lstms = filter(_is_of_one_sample, (lstm_16(np.random.default_rng(seed), 4) for seed in range(200)))
    found += [(next(lstms), 1), (next(lstms), 1)]
    return [(case, case.inputs[0] if steps else case.inputs[0][None]) for case, steps in found]


def _is_of_one_sample(case: Case) -> bool:
    """As boards take models: the first axis is 1."""
    inputs, outputs = model_io(read_graph(case.model))
    return all(io.shape[:1] == (1,) for io in (*inputs, *outputs))


@pytest.mark.slow
def test_a_core_gives_the_same_bytes_as_this_machine(plan_runtime: HostRuntime, tmp_path) -> None:
    """The smallest one, which has no multiplication of 64 bits and no division."""
    profile, cases = mcu_profile("cortex-m0@qemu"), _cases()
    board, answers = McuBoard(profile, emulated_line(profile)), []
    board.connect()
    try:
        for i, (case, samples) in enumerate(cases):
            path, key = tmp_path / f"{i}.tflite", f"samples{i}"
            path.write_bytes(case.model)
            np.save(tmp_path / f"{key}.npy", samples)
            made = mcu_model(read_graph(path), path, board.facts)
            board.ensure_file(made.path, made.sha256)
            board.ensure_file(tmp_path / f"{key}.npy", key)
            board.expect(made, samples=len(samples))
            worker = board.open_worker(BackendSpec(name="cpu", threads=0), Deadlines())
            worker.load(made.sha256)
            answers.append(worker.evaluate([key], len(samples)).outputs[0])
    finally:
        board.close()
    for (case, samples), answer in zip(cases, answers, strict=True):
        expected = []
        for sample in samples:
            plan_runtime.load(make_plan(case.model).data)
            expected.append(plan_runtime.run([sample])[0])
        assert answer.tobytes() == np.stack(expected).tobytes(), case.text
