"""The figures of MLPerf Tiny: the median of its loops, top-1 and AUC; and what the suite calls its tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: model -> task, as the suite's runner calls them (mlcommons/tiny, benchmark/runner/tests_performance.yaml)
TASKS = {
    "ad01": "anomaly_detection",
    "ic01": "image_classification",
    "kws01": "keyword_spotting",
    "vww01": "person_detection",
    "sww01": "streaming_wakeword",
}
#: published model files -> model
PUBLISHED = {
    "ad01_int8": "ad01",
    "pretrainedResnet_quant": "ic01",
    "kws_ref_model": "kws01",
    "vww_96_int8": "vww01",
}


def top1(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """Share of right answers of float [N, classes] scores; None for outputs that are no classes' scores."""
    if not _are_classes(scores, labels):
        return None
    return float(np.mean(scores.reshape(len(scores), -1).argmax(axis=1) == labels))


def auc(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """Area under the ROC curve: of one score per sample against labels of 0 and 1; of several classes the mean over classes, each
    against the rest. None where a class has no sample, or no rest.
    """
    from sklearn.metrics import roc_auc_score

    flat = scores.reshape(len(scores), -1)
    if not np.isfinite(flat).all():
        return None
    if flat.shape[1] == 1:
        return float(roc_auc_score(labels, flat[:, 0])) if set(np.unique(labels)) == {0, 1} else None
    if not _are_classes(scores, labels):
        return None
    present = np.unique(labels)
    if len(present) < 2:
        return None
    return float(np.mean([roc_auc_score(labels == label, flat[:, label]) for label in present]))


def median(values: Sequence[float]) -> float:
    """Of the loops: the middle one."""
    return float(np.median(values))


def _are_classes(scores: np.ndarray, labels: np.ndarray) -> bool:
    """Whether labels are classes of these scores."""
    classes = scores.reshape(len(scores), -1).shape[1]
    integers = np.issubdtype(np.asarray(labels).dtype, np.integer)
    return classes > 1 and integers and labels.ndim == 1 and int(labels.min()) >= 0 and int(labels.max()) < classes
