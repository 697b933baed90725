"""Small Keras models for tests of quantizers, trainings and conversions; TensorFlow is imported by the first one made."""

from __future__ import annotations

import dataclasses

import numpy as np

from harness.workloads.base import Dataset, Schedule, Workload
from harness.workloads.registry import get_workload


def conv_net(*, follower: str = "bn-relu"):
    """Conv 32, then what `follower` names, Flatten, Dense 10, on [8, 8, 3]; the layout of cifar-conv."""
    from harness.variants.qat.training import seed_everything
    from harness.workloads.keras.env import import_tf

    seed_everything(0)
    keras = import_tf().keras
    layers = keras.layers
    after = {
        "bn-relu": [layers.BatchNormalization(), layers.ReLU()],
        "activation": [layers.Activation("relu")],
        "fused": [],
        "bn": [layers.BatchNormalization()],
    }[follower]
    return keras.Sequential(
        [
            layers.InputLayer((8, 8, 3)),
            layers.Conv2D(32, 3, activation="relu" if follower == "fused" else None),
            *after,
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def dense_net():
    """Two Dense layers on [6]."""
    from harness.variants.qat.training import seed_everything
    from harness.workloads.keras.env import import_tf

    seed_everything(0)
    keras = import_tf().keras
    return keras.Sequential(
        [
            keras.layers.InputLayer((6,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


def random_data(shape=(8, 8, 3), count=64, labels=True) -> Dataset:
    """Seeded noise with ten classes."""
    rng = np.random.default_rng(5)
    x = rng.random((count, *shape), dtype=np.float32)
    y = rng.integers(0, 10, count) if labels else None
    return Dataset(name="noise", note="noise", digest="0" * 64, x_train=x, y_train=y, x_test=x, y_test=y)


def small_workload(**changes) -> Workload:
    """mnist-cnn's settings with a quick schedule; `build_model` is the caller's."""
    schedule = Schedule(
        epochs=1, batch_size=16, learning_rate=0.01, finetune_batch_size=16, finetune_samples=48, finetune_epochs=2
    )
    if changes.keys() & {"task", "metric"}:
        changes = {"task": None, "metric": None} | changes
    return dataclasses.replace(get_workload("mnist-cnn"), schedule=schedule, **changes)
