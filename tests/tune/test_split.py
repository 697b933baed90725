"""Two halves of the test samples, told apart by content."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.tune.split import half_of, split_of
from harness.workloads.base import Dataset, Schedule, Workload
from harness.workloads.datasets import DataSource


def dataset(x, sequences=None):
    y = np.arange(len(x)) % 3
    return Dataset(
        name="d", note="n", digest="x", x_train=None, y_train=None, x_test=x, y_test=y, sequences=sequences
    )  # fmt: skip


def random_samples(count=200, seed=0):
    return np.random.default_rng(seed).random((count, 4)).astype(np.float32)


def test_every_sample_is_on_one_side():
    split = split_of(dataset(random_samples()))
    assert sorted([*split.search, *split.proof]) == list(range(200))
    assert 60 < len(split.search) < 140


def test_copies_stay_together_and_are_counted():
    x = random_samples(100)
    split = split_of(dataset(np.concatenate([x, x[::-1]])))
    sides = np.zeros(200, bool)
    sides[split.proof] = True
    assert (sides[:100] == sides[100:][::-1]).all() and split.copies == 100
    assert "100 copies" in split.words


def test_the_order_of_the_file_and_other_samples_do_not_matter():
    x = random_samples()
    order = np.random.default_rng(1).permutation(len(x))
    first, other = split_of(dataset(x)), split_of(dataset(np.concatenate([random_samples(50, 9), x[order]])))
    before = {x[row].tobytes() for row in first.proof}
    after = {np.concatenate([random_samples(50, 9), x[order]])[row].tobytes() for row in other.proof}
    assert before <= after


def test_sequences_go_as_wholes():
    sequences = np.repeat(np.arange(60), 5)
    split = split_of(dataset(random_samples(300), sequences))
    assert not set(sequences[split.search]) & set(sequences[split.proof])


def test_too_few_samples_prove_nothing():
    with pytest.raises(UserInputError, match="each side needs 20") as refusal:
        split_of(dataset(random_samples(30)))
    assert "x_test" in refusal.value.hint


def test_a_half_is_another_dataset_of_the_same_workload():
    data = dataset(random_samples())
    schedule = Schedule(epochs=1, batch_size=1, learning_rate=0.1)
    workload = Workload(
        name="w", title="w", task="none", load_dataset=lambda source: data, dataset_digest=lambda source: "all",
        build_model=None, schedule=schedule,
    )  # fmt: skip
    split, source = split_of(data), DataSource()
    halves = {half: half_of(workload, split, half).load_dataset(source) for half in ("search", "proof")}
    assert halves["search"].digest != halves["proof"].digest
    assert len(halves["search"].x_test) + len(halves["proof"].x_test) == 200
    assert halves["proof"].name == "d-proof" and (halves["proof"].y_test == data.y_test[split.proof]).all()
    assert half_of(workload, split, "proof").dataset_digest(source) == halves["proof"].digest
