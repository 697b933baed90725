"""Top-1 and AUC as MLPerf Tiny reports them."""

from __future__ import annotations

import numpy as np
import pytest

from harness.measure.mlperf import TASKS, auc, top1


def test_of_classes():
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.4, 0.5, 0.1], [0.1, 0.2, 0.7]])
    labels = np.array([0, 1, 0, 2])
    assert top1(scores, labels) == 0.75
    # Class 0: 0.9 and 0.4 against 0.2 and 0.1; class 1: 0.7 against 0.1, 0.5, 0.2; class 2: 0.7 against 0.0, 0.1, 0.1.
    assert auc(scores, labels) == pytest.approx(1.0)
    assert auc(scores, np.array([0, 1, 1, 2])) == pytest.approx(1.0)
    assert auc(scores, np.array([1, 0, 0, 2])) == pytest.approx((0.25 + 0 + 1) / 3, abs=0.1)


def test_of_one_score():
    assert auc(np.array([[0.1], [0.4], [0.3], [0.9]]), np.array([0, 0, 1, 1])) == 0.75
    assert top1(np.array([[0.1], [0.4]]), np.array([0, 1])) is None


def test_what_has_no_answer_has_none():
    scores = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert auc(scores, np.array([0, 0])) is None and auc(scores[:, :1], np.array([1, 1])) is None
    assert top1(scores, np.array([0, 5])) is None and auc(scores, np.array([0.5, 0.25])) is None
    assert auc(np.full((2, 2), np.nan), np.array([0, 1])) is None
    assert set(TASKS) == {"ad01", "ic01", "kws01", "vww01", "sww01"}
