"""Does a score say anything? Two tests of answers against labels, each with the rate at which it fires on a right question."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.workloads.checks.table import ALARM
from harness.workloads.metrics.classes import NO_ANSWER

#: dependence of answers and labels counts as shown from this p on
_SHOWN = 0.01
#: a score is better than guessing where the 95 % interval does not reach down to it: one side of it
_BEYOND_GUESSING = 0.025
#: what a useful model has at least: Cohen's kappa, or the share of samples on which it beats the best constant
_USEFUL_KAPPA, _USEFUL_SHARE = 0.25, 0.75
#: a useful model is called one at chance at most this often
_MISSED = 1e-3
#: with fewer samples neither can be told
_FEWEST = 10
#: how much more often another numbering must be right than the given one
_GAIN = 0.2


def at_chance(answers: np.ndarray, labels: np.ndarray) -> str | None:
    """Why classes answered are no better than guessing, in words; None where they are, or where it cannot be told.

    They are at chance when two things hold. Independence of answers and labels, with their frequencies as they are, cannot be
    rejected at p = .01 (the permutation distribution of the number of right answers: its exact mean and variance, the normal
    distribution's tail). And a model of kappa .25 would hardly have scored so low: P(right <= seen) <= .001, binomial. So a model
    of kappa .25 or more is called at chance at most once in 1,000, and one that was shown to be better than chance never is.

    Args:
        answers, labels: class numbers, int [N].
    """
    count = len(labels)
    known = np.unique(answers[answers != NO_ANSWER])
    if count < _FEWEST or not len(known):
        return None
    right = int((answers == labels).sum())
    if _independent_p(answers, labels) <= _SHOWN:
        return None
    mean = _permuted(answers, labels)[0]
    expected = mean / count
    useful = expected + _USEFUL_KAPPA * (1 - expected)
    if expected >= 1 or _binomial(right, count, useful) > _MISSED:
        return None
    if len(known) == 1:
        return f"{right:,} of {count:,} answers are right, and the model gives class {known[0]} for every sample"
    return f"{right:,} of {count:,} answers are right, where guessing is right {mean:.0f} times"


def beats_guessing(answers: np.ndarray, labels: np.ndarray) -> bool:
    """Whether classes answered are shown to be better than guessing: more of them are right than all but 2.5 % of the orders of
    the same answers give, so that the score's 95 % interval does not reach down to guessing.

    Args:
        answers, labels: class numbers, int [N].
    """
    return _independent_p(answers, labels) <= _BEYOND_GUESSING


def beats_constant(answers: np.ndarray, labels: np.ndarray) -> bool:
    """The same of numbers: whether they are shown to be nearer to the labels than the median of all labels is (sign test).

    Args:
        answers, labels: numbers, [N, K]; of different shapes nothing can be told, and nothing is held against them.
    """
    if answers.shape != labels.shape:
        return True
    better, differ = _nearer_than_constant(answers, labels)
    return differ > 0 and 1 - _binomial(better - 1, differ, 0.5) <= _BEYOND_GUESSING


def _independent_p(answers: np.ndarray, labels: np.ndarray) -> float:
    """How often so many answers would be right if answers and labels had nothing to do with each other; 1 where one of them
    is always the same.
    """
    mean, variance = _permuted(answers, labels)
    right = int((answers == labels).sum())
    return _tail((right - 0.5 - mean) / math.sqrt(variance)) if variance > 0 else 1.0


def _nearer_than_constant(answers: np.ndarray, labels: np.ndarray) -> tuple[int, int]:
    """On how many samples numbers are nearer to the label than the median of all labels is, and on how many not as near."""
    wanted = labels.astype(np.float64)
    ours = np.abs(answers - wanted).mean(axis=1)
    constant = np.abs(np.median(wanted, axis=0) - wanted).mean(axis=1)
    return int((ours < constant).sum()), int((ours != constant).sum())


def no_better_than_constant(answers: np.ndarray, labels: np.ndarray) -> str | None:
    """The same of numbers: why they are no nearer to the labels than one constant answer, their median, is.

    By the sign test: on how many samples the model is nearer. A model that is nearer on 3 of 4 samples is called at chance at
    most once in 1,000.

    Args:
        answers, labels: numbers, [N, K].
    """
    count = len(labels)
    if count < _FEWEST or answers.shape != labels.shape:
        return None
    better, differ = _nearer_than_constant(answers, labels)
    if (
        differ < _FEWEST
        or 1 - _binomial(better - 1, differ, 0.5) <= _SHOWN
        or _binomial(better, differ, _USEFUL_SHARE) > _MISSED
    ):
        return None
    return f"on {better:,} of {differ:,} samples the model is nearer to the label than the median of all labels is"


@dataclass(frozen=True, kw_only=True)
class Renumbering:
    """A numbering of classes under which answers fit labels: `labels[i]` is what the labels call the model's class i."""

    labels: dict[int, int]
    right: int
    renumbered_right: int
    samples: int

    @property
    def words(self) -> str:
        """The numbering for a reader."""
        steps = {label - answer for answer, label in self.labels.items()}
        if len(steps) == 1 and (step := steps.pop()):
            return f"each label is the model's class {'plus' if step > 0 else 'minus'} {abs(step)}"
        moved = [f"{answer} is called {label}" for answer, label in sorted(self.labels.items()) if answer != label]
        return "the model's class " + ", ".join(moved[:4]) + (", ..." if len(moved) > 4 else "")


def renumbered(answers: np.ndarray, labels: np.ndarray) -> Renumbering | None:
    """Another numbering of the classes under which the answers fit the labels; None where there is none.

    It is learned on every other sample (the assignment that is right most often) and tested on the rest, where it must be right
    at kappa .25, more often by .2, and significantly so (exact McNemar, one-sided, p <= 1e-6). Were the given numbering right, no
    other would be right more often on fresh samples, so that this is also the bound of false alarms.

    Args:
        answers, labels: class numbers, int [N].
    """
    keep = answers != NO_ANSWER
    answers, labels = answers[keep], labels[keep]
    if len(labels) < 4 * _FEWEST or len(np.unique(answers)) < 2:
        return None
    order = np.random.default_rng(0).permutation(len(labels))
    learn, test = order[::2], order[1::2]
    numbering = _assigned(answers[learn], labels[learn])
    moved = np.array([numbering.get(int(answer), NO_ANSWER) for answer in answers[test]])
    plain, other = answers[test] == labels[test], moved == labels[test]
    only_other, only_plain = int((other & ~plain).sum()), int((plain & ~other).sum())
    count = len(test)
    if only_other - only_plain < _GAIN * count or 1 - _binomial(only_other - 1, only_other + only_plain, 0.5) > ALARM:
        return None
    expected = _permuted(moved, labels[test])[0] / count
    if other.mean() - expected < _USEFUL_KAPPA * (1 - expected):
        return None
    return Renumbering(labels=numbering, right=int(plain.sum()), renumbered_right=int(other.sum()), samples=count)


def _assigned(answers: np.ndarray, labels: np.ndarray) -> dict[int, int]:
    """The one-to-one assignment of answers to labels that is right most often (Kuhn 1955)."""
    from scipy.optimize import linear_sum_assignment

    given, rows = np.unique(answers, return_inverse=True)
    wanted, columns = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(given), len(wanted)), np.int64)
    np.add.at(counts, (rows, columns), 1)
    pairs = zip(*linear_sum_assignment(counts, maximize=True), strict=True)
    return {int(given[i]): int(wanted[j]) for i, j in pairs if counts[i, j]}


def _permuted(answers: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean and variance of the number of right answers over all orders of the labels, the answers standing still.

    With r_k answers and c_k labels of class k among n: mean = sum r_k c_k / n, and
    variance = (sum r_k c_k (n - r_k)(n - c_k) + sum over k != l of r_k r_l c_k c_l) / (n^2 (n - 1)).
    """
    values = np.unique(np.concatenate([answers, labels]))
    r, c = _counts(answers, values), _counts(labels, values)
    n = float(len(labels))
    products = r * c
    mean = float(products.sum() / n)
    if n < 2:
        return mean, 0.0
    own = float((products * (n - r) * (n - c)).sum())
    cross = float(products.sum() ** 2 - (products**2).sum())
    return mean, (own + cross) / (n**2 * (n - 1))


def _counts(numbers: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(values, numbers), minlength=len(values)).astype(np.float64)


def _tail(z: float) -> float:
    """P(Z >= z) of the standard normal distribution."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def _binomial(count: int, total: int, share: float) -> float:
    """P(X <= count) of a binomial distribution."""
    from scipy.stats import binom

    return float(binom.cdf(count, total, share))
