"""Emulated microcontroller boards for the tests, and what they run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tests.support.tiny_model import mnist_cnn

#: board -> the kernel set that its build has
MCU_BOARDS = {
    "mps2-an385": "portable",
    "mps2-an386": "dsp",
    "mps2-an500": "dsp",
    "mps3-an547": "mve",
    "microbit": "portable",
}


@dataclass(frozen=True, kw_only=True)
class McuCase:
    """A plan for one board and one sample of its input."""

    plan: bytes
    sample: bytes
    output_bytes: int


@pytest.fixture(scope="session")
def mnist_on():
    """mnist_on(board) -> McuCase: the published MNIST network's size, with random weights."""
    from harness.tflite.plan import make_plan

    model = mnist_cnn()
    sample = np.random.default_rng(11).integers(-128, 128, 784).astype(np.int8).tobytes()
    return lambda board: McuCase(
        plan=make_plan(model, MCU_BOARDS.get(board, "portable")).data, sample=sample, output_bytes=10
    )
