"""`harness devices check` of a microcontroller: the line, what the board says of itself, and a tiny model with a known answer."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.boards.check_model import check_model
from harness.boards.mcu.model import mcu_model
from harness.boards.mcu.profile import BACKEND, McuProfile
from harness.core.errors import StableDeviceError
from harness.core.files import sha256_bytes, write_bytes_atomic

if TYPE_CHECKING:
    from harness.boards.check import CheckStep
    from harness.boards.mcu.board import McuBoard

#: the expected answer is worked out in double precision, and may round to the other side
_TOLERANCE_LSB = 1


def check_mcu(profile: McuProfile, board: McuBoard) -> Iterator[CheckStep]:
    """The steps after the lease; any of them may raise a HarnessError, which the caller turns into a failed step."""
    from harness.boards.check import CheckStep

    fingerprint = board.connect()
    hello = board.hello
    yield CheckStep(
        name="board",
        ok=True,
        detail=(
            f"{hello.board}, {hello.core} at {hello.clock_hz / 1e6:g} MHz, firmware {fingerprint.firmware}, protocol"
            f" {hello.version}, last reset by {hello.reset_name}"
        ),
    )
    samples = (
        f"{hello.sample_bytes:,} B for samples" if hello.sample_bytes else "no memory for samples: they go one by one"
    )
    yield CheckStep(
        name="runtime",
        ok=True,
        detail=(
            f"{fingerprint.runtime}; arena {hello.arena_bytes:,} B, model"
            f" {hello.model_bytes:,} B, {samples}; counts {board.clock.unit or 'nanoseconds'}"
        ),
    )
    yield CheckStep(name=f"backend {BACKEND}", ok=True, detail=run_check_model(profile, board))


def run_check_model(profile: McuProfile, board: McuBoard) -> str:
    """Runs the tiny model; returns what it cost.

    Raises:
        StableDeviceError: its answers are wrong. WorkerFailure, DeviceError: it did not run.
    """
    from harness.boards.connect import backend_spec
    from harness.tflite.graph import read_graph

    model = check_model()
    with tempfile.TemporaryDirectory(prefix="harness-check-") as folder:
        tflite, samples = Path(folder, "check.tflite"), Path(folder, "check.npy")
        write_bytes_atomic(tflite, model.tflite)
        np.save(samples, model.inputs)
        made = mcu_model(read_graph(tflite), tflite, board.facts)
        sha256 = sha256_bytes(samples.read_bytes())
        board.ensure_file(made.path, made.sha256)
        board.ensure_file(samples, sha256)
        board.expect(made, samples=len(model.inputs))
        worker = board.open_worker(backend_spec(profile, BACKEND), profile.deadlines_spec())
        try:
            worker.load(made.sha256)
            worker.first_invoke([sha256])
            result = worker.evaluate([sha256], len(model.inputs))
            stats = worker.stats()
        finally:
            worker.close()
    off = int(np.abs(result.outputs[0].astype(int) - model.expected.astype(int)).max())
    if off > _TOLERANCE_LSB:
        raise StableDeviceError(
            f"the firmware runs but its answers are wrong by up to {off} quantization steps",
            where=profile.name,
            hint="build it anew from this harness's sources, and check memory and clock settings of its port",
        )
    cost = f"{result.invoke_ns[0] / 1e3:.1f} us" if len(result.invoke_ns) else ""
    if result.counts is not None:
        cost = f"{result.counts.values[0]:,} {result.counts.unit}"
    memory = f"arena {stats.arena_bytes:,} B, stack {stats.stack_peak_bytes:,} B, code {stats.code_bytes:,} B"
    return f"right answers in {cost}; {memory}"
