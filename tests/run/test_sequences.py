"""Models that remember, from the user's file to a cell: alone, in sequences, and in a bundle. A real runtime."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.prepare.bundle import read_bundle, write_bundle
from harness.run.plan import ModelRequest, prepare_requests
from harness.tflite.graph import read_graph
from harness.tflite.state import keeps_state
from harness.variants.artifact import AS_IS
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload
from harness.workloads.sequences import checked_sequences, sequence_beginnings, sequence_order
from tests.support.stateful_models import FIRST, lstm, running_sum, stored_constant
from tests.support.tiny_model import float_mlp

STEPS = np.random.default_rng(7).standard_normal((7, 4)).astype(np.float32)
NUMBERS = np.array([5, 5, 5, 2, 2, 9, 9])


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Prepares a `running_sum` with samples; the keywords are arrays of their .npz."""

    def prepare(**arrays):
        (tmp_path / "sum.tflite").write_bytes(running_sum())
        np.savez(tmp_path / "steps.npz", x=STEPS, **arrays)
        workload = get_workload(str(tmp_path / "sum.tflite"), data=tmp_path / "steps.npz")
        [model] = prepare_requests([ModelRequest(workload=workload, recipe=AS_IS, seed=0)], DataSource.default(None))
        return model

    return prepare


def test_the_reference_starts_anew_with_every_sample(prepared):
    model = prepared()
    assert model.beginnings is None
    np.testing.assert_allclose(model.reference.outputs[0], STEPS[model.sample_ids] + FIRST, rtol=1e-6)


def test_the_reference_carries_its_state_within_a_sequence(prepared, tmp_path):
    model = prepared(sequence=NUMBERS)
    np.testing.assert_array_equal(model.beginnings, sequence_beginnings(NUMBERS[model.sample_ids]))
    expected = {}
    for number in (5, 2, 9):
        rows = np.flatnonzero(number == NUMBERS)
        expected.update(zip(rows, FIRST + STEPS[rows].cumsum(axis=0), strict=True))
    np.testing.assert_allclose(model.reference.outputs[0], np.stack([expected[i] for i in model.sample_ids]), rtol=1e-5)
    assert "carried within a sequence" in model.dataset_note
    [back] = read_bundle(write_bundle(tmp_path / "bundle", [model])).models
    np.testing.assert_array_equal(back.beginnings, model.beginnings)


def test_sequences_are_shuffled_whole_and_in_their_own_order():
    order = sequence_order(NUMBERS)
    assert sorted(order) == list(range(7))
    shuffled = NUMBERS[order]
    assert len(sequence_beginnings(shuffled)) == 3
    assert all((np.diff(order[shuffled == number]) == 1).all() for number in (5, 2, 9))
    np.testing.assert_array_equal(order, sequence_order(NUMBERS))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, 1, 2, 1], "samples of sequence 1 do not stand together"),
        ([1, 1, 2], "expected one whole number for each of 4 samples"),
        ([1.0, 1.0, 2.0, 2.5], "float64"),
    ],
)
def test_numbers_that_make_no_sequences_are_refused(values, words):
    with pytest.raises(UserInputError, match=words):
        checked_sequences(np.array(values), 4, "x.npz", "sequence")


@pytest.mark.parametrize(
    ("model", "expected"),
    [(float_mlp(), False), (stored_constant(), False), (lstm(), True), (running_sum(), True)],
    ids=["float", "constant", "lstm", "sum"],
)
def test_whether_a_model_remembers(model, expected):
    assert keeps_state(read_graph(model)) is expected
