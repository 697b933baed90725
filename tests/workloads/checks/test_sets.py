"""Test and training parts beside each other: what is told of parts that mislead, and nothing of parts drawn alike."""

from __future__ import annotations

import numpy as np
import pytest

from harness.workloads.base import Dataset
from harness.workloads.checks.scales import USUAL
from harness.workloads.checks.sets import set_findings
from harness.workloads.datasets import DataSource
from harness.workloads.digits import split_digits
from harness.workloads.metrics.registry import get_metric
from harness.workloads.registry import get_workload, workload_names
from harness.workloads.rows import StoredRows
from tests.workloads.test_datasets import SHARED

TOP1 = get_metric("top1")
DIGITS = split_digits()
TRAIN = (DIGITS["x_train"].astype(np.float32) / 16, DIGITS["y_train"])
TEST = (DIGITS["x_test"].astype(np.float32) / 16, DIGITS["y_test"])


def codes(train, test, metric=TOP1) -> list[str]:
    dataset = Dataset(
        name="d", note="", digest="0" * 64, x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1]
    )
    return [finding.code for finding in set_findings(dataset, metric, "w")]


def test_nothing_is_told_of_the_digits():
    assert codes(TRAIN, TEST) == []


@pytest.mark.parametrize("name", workload_names())
@pytest.mark.parametrize("data_dir", [None, *SHARED], ids=["bundled", *("shared" for _ in SHARED)])
def test_nothing_is_told_of_a_published_workloads_data(name, data_dir):
    workload = get_workload(name)
    dataset = workload.load_dataset(DataSource(data_dir=data_dir))
    assert set_findings(dataset, workload.metric, name) == []


def mixed(share: float, seed: int = 0):
    """The test part with a share of its samples taken from the training part."""
    rng = np.random.default_rng(seed)
    count = round(share * len(TEST[0]))
    at, taken = rng.choice(len(TEST[0]), count, replace=False), rng.choice(len(TRAIN[0]), count, replace=False)
    x, y = TEST[0].copy(), TEST[1].copy()
    x[at], y[at] = TRAIN[0][taken], TRAIN[1][taken]
    return x, y


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5, 1.0])
def test_training_samples_in_the_test_part_are_told(share):
    assert codes(TRAIN, mixed(share)) == ["train-in-test"]


def test_the_same_part_twice_is_told_in_any_order_and_the_other_way_round():
    order = np.random.default_rng(1).permutation(len(TEST[0]))
    assert codes((TEST[0][order], TEST[1][order]), TEST) == ["train-in-test"]
    assert codes((TRAIN[0][:200], TRAIN[1][:200]), TRAIN) == ["train-in-test"]


def test_x_alone_is_evaluated_and_calibrates_without_a_word():
    assert codes((TEST[0], None), TEST) == []


@pytest.mark.parametrize("seed", range(20))
def test_data_that_repeat_themselves_are_no_leak(seed):
    """Eight bits a sample: every test sample is a training sample too, by nothing but chance."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 2, (800, 8)).astype(np.float32), rng.integers(0, 2, 800)
    assert codes((x[:500], y[:500]), (x[500:], y[500:])) == []


@pytest.mark.parametrize("seed", range(20))
def test_pairs_split_by_lot_are_no_leak(seed):
    """Each sample twice, and the parts drawn by lot: 42 % of the pairs are torn apart."""
    rng = np.random.default_rng(seed)
    x = np.repeat(rng.random((500, 6), dtype=np.float32), 2, axis=0)[rng.permutation(1000)]
    y = rng.integers(0, 4, 1000)
    assert codes((x[:700], y[:700]), (x[700:], y[700:])) == []


@pytest.mark.parametrize("count, told", [(12, True), (29, True), (30, False)])
def test_few_samples_are_told_also_when_they_are_repeated(count, told):
    x, y = TEST[0][:count], TEST[1][:count]
    expected = ["few-samples"] if told else []
    assert codes(TRAIN, (x, y)) == expected
    assert codes(TRAIN, (np.repeat(x, 20, axis=0), np.repeat(y, 20))) == expected


@pytest.mark.parametrize("part", ["test", "train"])
def test_labels_of_one_class_are_told(part):
    x, y = (TEST if part == "test" else TRAIN)[0], (TEST if part == "test" else TRAIN)[1]
    one = (x[y == 3], y[y == 3])
    assert codes(TRAIN if part == "test" else one, one if part == "test" else TEST) == ["one-class"]


def test_numbers_that_are_all_the_same_are_told():
    metric = get_metric("mean_absolute_error")
    x = TEST[0]
    assert codes((TRAIN[0], None), (x, np.full((len(x), 1), 0.5, np.float32)), metric) == ["one-class"]


def test_without_labels_nothing_is_tested_and_nothing_told():
    assert codes((TEST[0], None), (TEST[0][:3], None), None) == []


@pytest.mark.parametrize("which", ["test", "train"])
@pytest.mark.parametrize("rescaling", [r for r in USUAL if not r.name.startswith("minus 128")], ids=lambda r: r.name)
def test_a_part_on_another_scale_is_told(rescaling, which):
    train, test = TRAIN, TEST
    if rescaling.name == "plus 128":  # of signed bytes
        train, test = ((x * 255 - 128, y) for x, y in (train, test))
    elif "-1..1 to" in rescaling.name:
        train, test = ((x * 2 - 1, y) for x, y in (train, test))
    elif rescaling.name.startswith(("0..255", "divided by 255", "divided by 16", "divided by 32768", "-128")):
        train, test = ((x * 255, y) for x, y in (train, test))
    if which == "test":
        test = (rescaling.of(test[0]), test[1])
    else:
        train = (rescaling.of(train[0]), train[1])
    assert codes(train, test) == ["train-test-scale"]


@pytest.mark.parametrize("factor", [0.1, 10.0, 1000.0])
def test_an_unusual_factor_is_told_by_the_spread(factor):
    assert codes(TRAIN, (TEST[0] * np.float32(factor), TEST[1])) == ["train-test-scale"]


def test_a_standardised_part_is_told():
    mean, spread = TRAIN[0].mean(), TRAIN[0].std()
    assert codes(TRAIN, ((TEST[0] - mean) / spread, TEST[1])) == ["train-test-scale"]
    assert codes(((TRAIN[0] - mean) / spread, TRAIN[1]), TEST) == ["train-test-scale"]


@pytest.mark.parametrize("seed", range(30))
def test_parts_drawn_alike_are_on_one_scale(seed):
    """Any split of the digits, and of heavy-tailed numbers."""
    rng = np.random.default_rng(seed)
    x, y = np.concatenate([TRAIN[0], TEST[0]]), np.concatenate([TRAIN[1], TEST[1]])
    if seed % 2:
        x = rng.standard_t(1.5, (len(x), 12)).astype(np.float32)
    order = rng.permutation(len(x))
    cut = int(rng.integers(100, 1500))
    assert codes((x[order[:cut]], y[order[:cut]]), (x[order[cut:]], y[order[cut:]])) == []


def test_a_darker_part_is_another_distribution_and_no_other_scale():
    assert codes(TRAIN, (TEST[0] * np.float32(0.6), TEST[1])) == []


def test_samples_that_stay_in_their_file_are_looked_at_too(tmp_path):
    np.savez(tmp_path / "x.npz", x_test=TEST[0], x_train=TEST[0])
    rows = [StoredRows(tmp_path / "x.npz", key, TEST[0].shape, lambda first, raw: raw) for key in ("x_train", "x_test")]
    assert codes((rows[0], TEST[1]), (rows[1], TEST[1])) == ["train-in-test"]
