"""The loss in the metric, per layer: the score with one layer back in float, beside the score of the whole quantized model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.explain.document import LayerLoss
from harness.workloads.metrics.base import Metric

#: multiply-accumulates that the whole sweep may take, so that it ends in about half a minute on a slow core
_MOST_MACS = 100e9
_LEAST_SAMPLES, _MOST_SAMPLES = 64, 500


def loss_samples(macs: int, layers: int, available: int, asked: int | None = None) -> int:
    """How many samples the sweep takes: the same for the same model, whatever else the machine does.

    Args:
        macs: of one inference.
        layers: how many are put back to float, one at a time.
        asked: by the user; None: as many as are affordable.
    """
    if asked is not None:
        return min(asked, available)
    affordable = int(_MOST_MACS / max(1, macs * (layers + 1)))
    return min(available, _MOST_SAMPLES, max(_LEAST_SAMPLES, affordable))


def layer_loss(
    outputs: Sequence[np.ndarray],
    quantized: Sequence[np.ndarray],
    plain: Sequence[np.ndarray],
    *,
    metric: Metric | None,
    labels: np.ndarray | None,
) -> LayerLoss:
    """What putting one layer back to float gives.

    Args:
        outputs, quantized, plain: real values of every output, [n, ...]: with the layer in float, of the quantized model, of the
            float model. The metric judges the first output.
        labels: [n, ...], as the metric takes them.
    """
    left = _squared(outputs, plain) / total if (total := _squared(quantized, plain)) else None
    if metric is None or labels is None:
        return LayerLoss(regained=None, error_left=left)
    paired = metric.paired(_answers(metric, outputs), _answers(metric, quantized), labels)
    return LayerLoss(regained=paired.delta, low=paired.low, high=paired.high, p=paired.p, error_left=left)


def score_of(metric: Metric, outputs: Sequence[np.ndarray], labels: np.ndarray) -> float:
    """The score of real-valued outputs."""
    return metric.score(_answers(metric, outputs), labels).value


def _answers(metric: Metric, outputs: Sequence[np.ndarray]) -> np.ndarray:
    return metric.answers(np.asarray(outputs[0], np.float64))


def _squared(mine: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float:
    return float(
        sum(
            ((np.asarray(a, np.float64) - np.asarray(b, np.float64).reshape(a.shape)) ** 2).sum()
            for a, b in zip(mine, theirs, strict=True)
        )
    )
