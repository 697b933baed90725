"""Was the float model trained on another scale than it is fed? What it makes of the same samples rescaled can tell.

A network of ReLUs fed pixels of 0..255 instead of 0..1 often still names the right class: its scores are 255 times as large, and
its confidence means nothing. So not only right answers are compared but how well the labels are explained: the likelihood.
"""

from __future__ import annotations

import math

import numpy as np

from harness.workloads.checks.table import ALARM

#: what a trained model's confidence may be off by, as a divisor of its scores: too sure by up to 4 (Guo and others 2017, On
#: calibration of modern neural networks, found 1 to 3), and unsure without a bound, as networks are that trained shortly
_TEMPERATURES = tuple(2.0**power for power in np.arange(-12.0, 2.01, 0.25))
#: scores that fit best divided by this or more are those of other values than the model knows; or it is hardly right
_TOO_SURE, _HARDLY = 2.5, 0.5
#: the smallest probability that a score in float32 can be taken at its word for
_SMALLEST = 1e-7
#: a rescaling that is right less often at this p is none; one that is right more often at this p may be the model's own scale
_FEWER = _MORE = 0.01
#: and must be right so far beyond guessing (kappa): what a network that has hardly learned likes says nothing of its scale
_LEARNED = 0.5
#: the largest share of the given error that another scale may leave, for numbers
_LEFT = 0.5


def explains_better(
    given: np.ndarray,
    rescaled: np.ndarray,
    labels: np.ndarray,
    *,
    squashed: bool,
    alternatives: int,
    usual: bool = True,
) -> bool:
    """Whether class scores on rescaled samples explain the labels far better than on the samples as they are.

    One of two ways. In the first, four things must hold. The likelihood of the labels is at least `alternatives / ALARM`
    times that of the given scores at their best temperature up to 4: were the labels drawn from one of those, that would
    happen at most once in a million (Markov's inequality for the likelihood ratio). It is as many times that of guessing by
    the labels' frequencies. The answers are not right less often (one-sided exact McNemar, p > .01). And the given scores
    look like those of strange values: they fit best when divided by 2.5 or more, or are right at most half as far beyond
    guessing. Without the last, a network that was trained shortly would be told, whose batch normalization has not settled:
    standardised samples suit it better.

    The second is for values that are near enough to be named rightly most of the time, such as -1..1 for 0..1, and for models
    whose confidence is off on either scale. The likelihoods are those at the best temperature of both, and the number of
    temperatures counts as alternatives; the answers are right more often (one-sided exact McNemar, p <= .01), and half way
    from guessing to always at least. Only of a usual rescaling: of 318 pairs of trained networks and their own scale none is
    told so, and 91 of 120 on another one instead of 59.

    Args:
        given, rescaled: scores, [N, C], or one probability, [N, 1].
        labels: class numbers, int [N].
        squashed: the scores are shares already.
        alternatives: how many rescalings are tried.
        usual: it maps one usual scale to another, and was not made of these samples.
    """
    needed = math.log(alternatives / ALARM)
    ours, other = _logits(given, squashed), _logits(rescaled, squashed)
    if not (np.isfinite(ours).all() and np.isfinite(other).all()) or labels.max() >= ours.shape[1]:
        return False
    found = _log_likelihood(other, labels)
    best = _best_likelihood(ours, labels)
    if usual and _right_more_often(ours, other, labels, best, needed):
        return True
    if found - best < needed or found - _guessing(labels) < needed:
        return False
    right, other_right = ours.argmax(axis=1) == labels, other.argmax(axis=1) == labels
    if _p_fewer(int((other_right & ~right).sum()), int((right & ~other_right).sum())) <= _FEWER:
        return False
    guess = float(np.max(np.unique(labels, return_counts=True)[1])) / len(labels)
    hardly = right.mean() - guess <= _HARDLY * (other_right.mean() - guess)
    return bool(hardly or _best_temperature(ours, labels) >= _TOO_SURE)


def _right_more_often(ours: np.ndarray, other: np.ndarray, labels: np.ndarray, best: float, needed: float) -> bool:
    """The second way; `best` is the likelihood of `ours` at its best temperature, `needed` what the first way asks for."""
    right, other_right = ours.argmax(axis=1) == labels, other.argmax(axis=1) == labels
    more, fewer = int((other_right & ~right).sum()), int((right & ~other_right).sum())
    guess = float(np.max(np.unique(labels, return_counts=True)[1])) / len(labels)
    if _p_fewer(fewer, more) > _MORE or other_right.mean() - guess < _LEARNED * (1 - guess):
        return False
    needed += math.log(len(_TEMPERATURES))
    found = _best_likelihood(other, labels)
    return found - best >= needed and found - _guessing(labels) >= needed


def _best_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """The logarithm of the likelihood at the best of the temperatures."""
    return max(_log_likelihood(logits / temperature, labels) for temperature in _TEMPERATURES)


def _best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """What the scores are best divided by."""
    return max((*_TEMPERATURES, 8.0, 16.0, 32.0), key=lambda temperature: _log_likelihood(logits / temperature, labels))


def meets_better(given: np.ndarray, rescaled: np.ndarray, labels: np.ndarray, *, alternatives: int) -> bool:
    """The same of numbers: on rescaled samples they miss the labels by half as much or less, and more often (sign test).

    Args:
        given, rescaled, labels: numbers, [N, K].
    """
    ours, other = (np.abs(part.reshape(len(labels), -1) - labels).mean(axis=1) for part in (given, rescaled))
    if not np.isfinite(other).all() or other.mean() > _LEFT * ours.mean():
        return False
    nearer, further = int((other < ours).sum()), int((other > ours).sum())
    return _p_fewer(further, nearer) <= ALARM / alternatives


def _logits(scores: np.ndarray, squashed: bool) -> np.ndarray:
    """Scores as logits, float64 [N, C]; one probability becomes the two of its class and the other."""
    flat = scores.reshape(len(scores), -1).astype(np.float64)
    if flat.shape[1] == 1:
        share = np.clip(flat, _SMALLEST, 1 - _SMALLEST)
        return np.log(np.concatenate([1 - share, share], axis=1))
    return np.log(np.maximum(flat, _SMALLEST)) if squashed else flat


def _log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """The logarithm of the probability that the scores give to the labels."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    chosen = shifted[np.arange(len(labels)), labels]
    return float((chosen - np.log(np.exp(shifted).sum(axis=1))).sum())


def _guessing(labels: np.ndarray) -> float:
    counts = np.unique(labels, return_counts=True)[1]
    return float((counts * np.log(counts / len(labels))).sum())


def _p_fewer(more: int, fewer: int) -> float:
    """P of so few or fewer on one side of a fair coin: small where `more` is much less than `fewer`."""
    from scipy.stats import binom

    return float(binom.cdf(more, more + fewer, 0.5)) if more + fewer else 1.0
