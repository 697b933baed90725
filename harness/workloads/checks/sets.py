"""Test and training samples beside each other, before anything runs: repeated, shared, of one class, on two scales.

Distribution-free where chance has a part: under the hypothesis that test and training samples were drawn alike, each check fires
at most once in a million data sets (`ALARM`).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter

import numpy as np

from harness.core.finding import Finding
from harness.workloads.base import Dataset
from harness.workloads.checks.scales import USUAL, standardising
from harness.workloads.checks.table import ALARM, misread
from harness.workloads.metrics.base import Metric
from harness.workloads.rows import Rows, Samples, by_input, of_input, row_blocks, whole_samples

#: the fewest different test samples on which a paired test can see a loss of 20 points: 6 pairs, all to one side
FEWEST = 30
#: test samples that are training samples are told from this share on
_SHARED = 0.01
#: samples of each part that are compared by their distribution
_COMPARED = 1000
#: spreads that differ by this factor are other scales, whatever the rescaling
_OTHER_SPREAD = 3.0
#: a rescaling explains a difference when quantiles come this close, in spreads, and were at least three times as far
_CLOSE, _FAR = 0.1, 0.3
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def set_findings(dataset: Dataset, metric: Metric | None, where: str) -> list[Finding]:
    """What speaks against a dataset as a test of anything; nothing where there are no labels to be tested by."""
    found: list[Finding] = []
    if metric is None or dataset.y_test is None:
        return found
    found += _label_findings(dataset, where, trained_on_one_class=metric.reads_inputs)
    test = _fingerprints(dataset.x_test)
    if (finding := _few(test, where)) is not None:
        found.append(finding)
    if dataset.x_train is None or dataset.x_train is dataset.x_test:
        return found
    if (finding := _shared(test, _fingerprints(dataset.x_train), where)) is not None:
        found.append(finding)
    # Anomalies are what they are because they look otherwise than all that was trained on.
    like_train = dataset.x_test[np.flatnonzero(dataset.y_test == 0)] if metric.reads_inputs else dataset.x_test
    train, like = by_input(dataset.x_train), by_input(like_train)
    return found + [f for name in like if (f := _scales(train[name], like[name], where, name)) is not None]


def _label_findings(dataset: Dataset, where: str, *, trained_on_one_class: bool) -> list[Finding]:
    """`one-class`, for each part whose labels are all the same and should not be."""
    found = []
    for part, labels in (("test", dataset.y_test), ("training", dataset.y_train)):
        if part == "training" and trained_on_one_class:
            continue
        if labels is not None and len(labels) > 1 and (labels == labels[:1]).all():
            value = ", ".join(f"{number:g}" for number in np.ravel(labels[0])[:4])
            found.append(misread("one-class", where, f"all {len(labels):,} labels of the {part} part are {value}"))
    return found


def _fingerprints(samples: Samples) -> Counter[bytes]:
    """How often each sample is there, by the content of all its inputs."""
    return Counter(whole_samples([_row_hashes(rows) for _, rows in sorted(by_input(samples).items())]))


def _row_hashes(rows: Rows) -> list[bytes]:
    found: list[bytes] = []
    for _, block in row_blocks(rows):
        block = np.ascontiguousarray(block, dtype=np.float32) + np.float32(0)  # -0 is 0
        found += [hashlib.blake2b(row.data, digest_size=16).digest() for row in block.reshape(len(block), -1)]
    return found


def _few(test: Counter[bytes], where: str) -> Finding | None:
    if len(test) >= FEWEST:
        return None
    words = f"the test set has {len(test)} different samples"
    total = test.total()
    return misread("few-samples", where, words if total == len(test) else f"{words} among {total:,}")


def _shared(test: Counter[bytes], train: Counter[bytes], where: str) -> Finding | None:
    """`train-in-test`: more contents stand in both parts than a split by lot of all samples would tear apart.

    A content that is there c times stands in both with the chance 1 - f^c - (1 - f)^c, f being the test part's share. So data
    that repeat themselves (few values, silence, blank images) explain what they must explain. The chance of so many is bounded
    by Hoeffding (1963, Probability inequalities for sums of bounded random variables, theorem 1).
    """
    total, count = test.total() + train.total(), test.total()
    several = [c for c in ((test[key] + train[key]) for key in test.keys() | train.keys()) if c > 1]
    both = test.keys() & train.keys()
    shared = sum(test[key] for key in both)
    if shared <= _SHARED * count or not several:
        return None
    share = count / total
    expected = float(np.mean([1 - share**c - (1 - share) ** c for c in several]))
    if _hoeffding(len(both), len(several), expected) > ALARM:
        return None
    words = f"{shared:,} of {count:,} test samples are training samples too ({shared / count:.0%})"
    return misread("train-in-test", where, words)


def _hoeffding(count: int, total: int, expected: float) -> float:
    """A bound of the chance that `count` or more of `total` independent events happen, whose mean chance is `expected`."""
    seen = count / total
    if seen <= expected:
        return 1.0
    gain = seen * math.log(seen / expected) + ((1 - seen) * math.log((1 - seen) / (1 - expected)) if seen < 1 else 0.0)
    return math.exp(-total * gain)


def _scales(train: Rows, test: Rows, where: str, name: str) -> Finding | None:
    """`train-test-scale`, by each sample's mean and spread, and by the quantiles of all values."""
    ours, theirs = (some_rows(rows).reshape(-1, math.prod(rows.shape[1:])).astype(np.float64) for rows in (train, test))
    if not any(_differ(of(ours), of(theirs)) for of in (_means, _spreads)):
        return None
    seen = f"training samples{of_input(name)} lie in {_range(ours)}, test samples in {_range(theirs)}"
    rescalings = [*USUAL, *(r for r in (standardising(ours),) if r is not None)]
    backwards = [r for r in (standardising(theirs),) if r is not None]
    for rescaling, first, second, part in (
        *((r, ours, theirs, "the training samples") for r in rescalings),
        *((r, theirs, ours, "the test samples") for r in backwards),
    ):
        if _distance(rescaling.of(first), second) < _CLOSE and _distance(first, second) > _FAR:
            return misread("train-test-scale", where, f"{seen}: these are {part} {rescaling.name}")
    spreads = float(np.median(_spreads(ours))), float(np.median(_spreads(theirs)))
    if min(spreads) * _OTHER_SPREAD < max(spreads):
        return misread(
            "train-test-scale",
            where,
            f"{seen}; the median spread within a sample is {spreads[0]:.3g} and {spreads[1]:.3g}",
        )
    return None


def some_rows(rows: Rows) -> np.ndarray:
    """Up to 1,000 rows, chosen without looking at them; the same ones of every input."""
    count = len(rows)
    chosen = (
        np.arange(count) if count <= _COMPARED else np.random.default_rng(0).choice(count, _COMPARED, replace=False)
    )
    return rows[np.sort(chosen)]


def _means(rows: np.ndarray) -> np.ndarray:
    return rows.mean(axis=1)


def _spreads(rows: np.ndarray) -> np.ndarray:
    return rows.std(axis=1) if rows.shape[1] > 1 else np.abs(rows[:, 0])


def _differ(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Two samples of numbers that one distribution hardly gives: the Kolmogorov-Smirnov statistic, by the bound of
    Wei and Dudley (2012, Two-sample Dvoretzky-Kiefer-Wolfowitz inequalities), which holds for every distribution and size.
    """
    values = np.concatenate([ours, theirs])
    steps = [np.searchsorted(np.sort(part), values, side="right") / len(part) for part in (ours, theirs)]
    statistic = float(np.abs(steps[0] - steps[1]).max())
    size = len(ours) * len(theirs) / (len(ours) + len(theirs))
    return 2.17 * math.exp(-2 * size * statistic**2) < ALARM / 2


def _distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference of quantiles, in standard deviations of the second."""
    spread = float(theirs.std()) or 1.0
    return float(np.abs(np.quantile(ours, _QUANTILES) - np.quantile(theirs, _QUANTILES)).max()) / spread


def _range(values: np.ndarray) -> str:
    return f"{values.min():.4g} to {values.max():.4g}"
