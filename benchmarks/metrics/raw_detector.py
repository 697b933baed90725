"""A workload of one's own that ends in raw heads, and states how boxes are decoded; its data lie in $BENCH_METRICS."""

import os
from pathlib import Path

import numpy as np

from harness.workloads.base import Dataset, Schedule, Workload
from harness.workloads.digest import arrays_digest
from harness.workloads.metrics.detection import checked_boxes
from harness.workloads.metrics.detection_heads import SsdMap


def cells_metric():
    """One anchor per cell of 4x4: a square of a quarter of the image."""
    return SsdMap(feature_maps=((4, 4),), min_scale=0.25, aspect_ratios=(1.0,), between=False, reduced=False)


def arrays():
    with np.load(Path(os.environ["BENCH_METRICS"]) / "raw_detector.npz") as file:
        return {name: file[name] for name in file.files}


def digest(source):
    return arrays_digest(arrays())


def load(source):
    from harness.workloads.metrics.base import Ends

    stored = arrays()
    boxes = {name: checked_boxes(stored[name], Ends(units=4, squashed=False)) for name in ("y_train", "y_test")}
    return Dataset(
        name="cells", note="bright cells of made-up images", digest=digest(source),
        x_train=stored["x_train"], y_train=boxes["y_train"], x_test=stored["x_test"], y_test=boxes["y_test"],
    )  # fmt: skip


def build_model():
    from harness.workloads.keras.env import import_tf

    return import_tf().keras.models.load_model(Path(os.environ["BENCH_METRICS"]) / "raw_detector.h5", compile=False)


WORKLOAD = Workload(
    name="raw-detector",
    title="Two raw heads over 4x4 cells",
    metric=cells_metric(),
    load_dataset=load,
    dataset_digest=digest,
    build_model=build_model,
    schedule=Schedule(epochs=0, batch_size=32, learning_rate=0.001),
)
