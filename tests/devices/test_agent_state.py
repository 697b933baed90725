"""What the agent reads of a model's memory in its file."""

from __future__ import annotations

import numpy as np
import pytest
from agent.runs import Runs
from agent.samples import Feed
from agent.state import RESOURCES, VARIABLES, remembered

from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import write_tree
from tests.support.stateful_models import lstm, running_sum, stored_constant
from tests.support.tiny_model import float_mlp, int8_dense


def custom_op() -> bytes:
    editor = Editor()
    x, y = editor.tensor("x", (1, 4), "float32"), editor.tensor("y", (1, 4), "float32")
    editor.add("CUSTOM", [x], [y], custom="of_somebody")
    return write_tree(editor.finish([x], [y]))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (float_mlp(), None),
        (int8_dense(), None),
        (stored_constant(), None),
        (lstm(), VARIABLES),
        (custom_op(), VARIABLES),
        (running_sum(), RESOURCES),
    ],
    ids=["float", "int8", "constant", "lstm", "custom", "sum"],
)
def test_the_memory_of_a_model(tmp_path, model, expected):
    (tmp_path / "m.tflite").write_bytes(model)
    assert remembered(str(tmp_path / "m.tflite")) == expected


def test_what_cannot_be_read_is_taken_for_a_model_that_remembers(tmp_path):
    whole, path = running_sum(), tmp_path / "m.tflite"
    for data in (b"", b"\x00" * 7, b"\xff" * 64, *(whole[:cut] for cut in range(8, len(whole), 97))):
        path.write_bytes(data)
        assert remembered(str(path)) in (VARIABLES, RESOURCES, None)
    path.write_bytes(b"\xff" * 64)
    assert remembered(str(path)) == VARIABLES
    assert remembered(str(tmp_path / "none.tflite")) == VARIABLES


def test_damaged_files_end_the_reading_and_nothing_else(tmp_path):
    rng, whole, path = np.random.default_rng(0), np.frombuffer(running_sum(), np.uint8), tmp_path / "m.tflite"
    for _ in range(300):
        damaged = whole.copy()
        damaged[rng.integers(0, len(whole), 3)] = rng.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        remembered(str(path))


def test_models_without_memory_pay_nothing():
    """Their interpreter is not even asked for what would reset it."""

    class Bare:
        def invoke(self) -> None: ...
        def set_tensor(self, index: int, value: np.ndarray) -> None: ...

    runs = Runs(np, Bare(), -1)
    runs.feeds = [Feed(0, np.zeros((1, 1)), None)]
    runs.restart()
    assert len(runs.sample(3, 0, 1 << 62)) >= 3
