"""The kinds of models that users bring, each with what it is judged by. The models are made by `kind_models.py`.

The scores that are expected are computed by other libraries from what TensorFlow itself predicted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn import metrics as sklearn

from harness.workloads.metrics.base import Metric
from harness.workloads.metrics.detection_heads import YoloMap

#: what another library makes of labels and of what TensorFlow predicted, [N, ...] each, and of the samples
Truth = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


#: how the boxes of `raw-heads` are decoded: a grid with one anchor
HEADS = YoloMap(grids=((4, 4),), anchors=(((0.3, 0.4),),))


def _accuracy(y: np.ndarray, p: np.ndarray, x: np.ndarray) -> float:
    return float(sklearn.accuracy_score(y, p.argmax(axis=-1)))


def _binary(y: np.ndarray, p: np.ndarray, x: np.ndarray) -> float:
    return float(sklearn.accuracy_score(y, p.reshape(-1) > 0.5))


def _auc(y: np.ndarray, p: np.ndarray, x: np.ndarray) -> float:
    return float(sklearn.roc_auc_score(y, p.reshape(-1)))


def _f1(y: np.ndarray, p: np.ndarray, x: np.ndarray) -> float:
    return float(sklearn.f1_score(y, p.argmax(axis=-1), average="macro"))


def _multilabel(y: np.ndarray, p: np.ndarray, x: np.ndarray) -> float:
    return float(sklearn.f1_score(y, p > 0.5, average="macro"))


def _rmse(y: np.ndarray, p: np.ndarray, x: np.ndarray) -> float:
    return float(sklearn.root_mean_squared_error(y.reshape(-1), p.reshape(-1)))


def _error(y: np.ndarray, p: np.ndarray, x: np.ndarray) -> float:
    return float(sklearn.mean_absolute_error(y.reshape(-1), p.reshape(-1)))


def _r2(y: np.ndarray, p: np.ndarray, x: np.ndarray) -> float:
    return float(sklearn.r2_score(y, p))


def _top5(y: np.ndarray, p: np.ndarray, x: np.ndarray) -> float:
    return float(sklearn.top_k_accuracy_score(y, p, k=5, labels=np.arange(p.shape[1])))


def _iou(y: np.ndarray, p: np.ndarray, x: np.ndarray) -> float:
    return float(sklearn.jaccard_score(y.reshape(-1), p.argmax(axis=-1).reshape(-1), average="macro"))


def _anomaly(y: np.ndarray, p: np.ndarray, x: np.ndarray) -> float:
    return float(sklearn.roc_auc_score(y, ((x - p) ** 2).reshape(len(x), -1).mean(axis=1)))


def _average_precision(y: np.ndarray, p: np.ndarray, x: np.ndarray) -> float:
    from tests.workloads.metrics.test_detection import theirs

    return theirs(p, np.pad(y, ((0, 0), (0, 0), (0, 1))), np.linspace(0.5, 0.95, 10))


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A metric, and the other library's word.

    Attributes:
        metric: the harness's name for it.
        labels: which labels `kind_models.py` makes of predictions.
        truth: what is expected.
        asked: it is named by `--metric`; else output and labels ask for it.
        stated: a workload of one's own states it with its settings.
    """

    metric: str
    labels: Literal["classes", "binary", "values", "several", "boxes"]
    truth: Truth
    asked: bool = False
    stated: Metric | None = None


JUDGES = {
    "top1": Judge(metric="top1", labels="classes", truth=_accuracy),
    "binary": Judge(metric="binary", labels="binary", truth=_binary),
    "auc": Judge(metric="auc", labels="binary", truth=_auc, asked=True),
    "f1": Judge(metric="f1", labels="classes", truth=_f1, asked=True),
    "top-5": Judge(metric="top-5", labels="classes", truth=_top5, asked=True),
    "multilabel": Judge(metric="multilabel_f1_macro", labels="several", truth=_multilabel),
    "rmse": Judge(metric="rmse", labels="values", truth=_rmse, asked=True),
    "error": Judge(metric="mean_absolute_error", labels="values", truth=_error),
    "r2": Judge(metric="r2", labels="values", truth=_r2, asked=True),
    "iou": Judge(metric="mean_iou", labels="classes", truth=_iou, asked=True),
    "anomaly": Judge(metric="autoencoder_auc", labels="binary", truth=_anomaly, asked=True),
    "map": Judge(metric="detection_map", labels="boxes", truth=_average_precision),
    "heads": Judge(metric="yolo_map", labels="boxes", truth=_average_precision, stated=HEADS),
}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of model.

    Attributes:
        made_by: the Keras that writes it; `tflite` where TensorFlow's converter has finished it.
        judges: one for each output.
        file: what a user names.
    """

    name: str
    made_by: Literal["keras2", "keras3", "tflite"]
    judges: tuple[str, ...]
    file: str

    @property
    def outputs(self) -> tuple[Judge, ...]:
        return tuple(JUDGES[name] for name in self.judges)


def _kinds(made_by: Literal["keras2", "keras3", "tflite"], suffix: str, **judges: str) -> list[Kind]:
    names = {name.replace("_", "-"): tuple(judge.split()) for name, judge in judges.items()}
    return [Kind(name=n, made_by=made_by, judges=j, file=f"{n}{suffix}") for n, j in names.items()]


KINDS = {
    kind.name: kind
    for kind in (
        *_kinds(
            "keras2",
            ".h5",
            cnn="top1",
            depthwise_separable="top1",
            inverted_residuals="top1",
            shared_layer="f1",
            siamese_halves="binary",
            unet="iou",
            lstm="top1",
            conv1d="top1",
            layer_normalization="error",
            dynamic_batch="top1",
            embedding="top1",
            multilabel="multilabel",
            raw_heads="heads",
        ),
        *_kinds(
            "keras3",
            ".keras",
            mlp="top1",
            residual="top1",
            nested="f1",
            autoencoder="anomaly",
            gru="top1",
            bidirectional="top1",
            attention="top1",
            batch_normalization="rmse",
            several_outputs="top1 r2",
            uint8_rescaling="top1",
            binary_sigmoid="auc",
            regression="rmse",
            many_classes="top-5",
        ),
        Kind(name="saved-model", made_by="keras2", judges=("top1",), file="saved-model"),
        Kind(name="signature", made_by="keras3", judges=("r2", "top1"), file="signature#answer"),
        *_kinds(
            "tflite",
            ".tflite",
            finished_float="top1",
            finished_int8="top1",
            finished_uint8="top1",
            finished_int16="top1",
            finished_dynamic_range="top1",
            ssd_post_process="map",
        ),
        Kind(name="finished-signature", made_by="tflite", judges=("top1",), file="finished-signature.tflite#scale"),
    )
}
