"""Makes a Keras model and an .npz of each kind; runs in a process of its own, because it needs TensorFlow.

python benchmarks/metrics/train.py FOLDER
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

keras: Any = tf.keras
TRAINED = 1200


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits in a fixed random order, float32 [N, 8, 8, 1] in 0..1, and which digit."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    return (data.images[order, :, :, None] / 16).astype(np.float32), data.target[order].astype(np.int64)


def store(folder: Path, name: str, model: Any, x: np.ndarray, **labels: np.ndarray) -> None:
    """The model beside its data: `labels` by what is behind `y_train` and `y_test`, empty for the plain arrays."""
    model.save(folder / f"{name}.h5")
    arrays = {"x_train": x[:TRAINED], "x_test": x[TRAINED:]}
    for suffix, rows in labels.items():
        ending = "" if suffix == "plain" else f"_{suffix}"
        arrays |= {f"y_train{ending}": rows[:TRAINED], f"y_test{ending}": rows[TRAINED:]}
    np.savez(folder / f"{name}.npz", **arrays)


def conv_net(x: np.ndarray, *heads: Any) -> Any:
    """Two convolutions and the heads behind them."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input(x.shape[1:])
    h = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    h = keras.layers.MaxPooling2D(2)(h)
    h = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(h)
    h = keras.layers.Flatten()(h)
    return keras.Model(inputs, [head(h) for head in heads] if len(heads) > 1 else heads[0](h))


def fit(model: Any, x: np.ndarray, y: Any, loss: Any, epochs: int = 12) -> None:
    model.compile(optimizer=keras.optimizers.Adam(0.003), loss=loss)
    model.fit(x[:TRAINED], y, epochs=epochs, batch_size=32, verbose=0)


def classes(folder: Path, x: np.ndarray, digit: np.ndarray) -> None:
    """Ten digits by a network that is hardly trained, so that top-3 says something."""
    model = conv_net(x, keras.layers.Dense(10, activation="softmax"))
    fit(model, x, digit[:TRAINED], "sparse_categorical_crossentropy", epochs=1)
    store(folder, "classes", model, x, plain=digit)


def several_labels(folder: Path, x: np.ndarray, digit: np.ndarray) -> None:
    """Is the digit even, above 4, a prime, a square? Any of them at once."""
    sets = ({0, 2, 4, 6, 8}, {5, 6, 7, 8, 9}, {2, 3, 5, 7}, {0, 1, 4, 9})
    labels = np.stack([np.isin(digit, list(members)) for members in sets], axis=1).astype(np.int64)
    model = conv_net(x, keras.layers.Dense(4, activation="sigmoid"))
    fit(model, x, labels[:TRAINED], "binary_crossentropy")
    store(folder, "several_labels", model, x, plain=labels)


def regression(folder: Path, x: np.ndarray, digit: np.ndarray) -> None:
    """Where the ink's centre is, and how much there is of it."""
    ink = x[..., 0]
    rows = (ink.sum(axis=2) @ np.arange(8)) / ink.sum(axis=(1, 2))
    labels = np.stack([rows, 8 * ink.mean(axis=(1, 2))], axis=1).astype(np.float32)
    model = conv_net(x, keras.layers.Dense(2))
    fit(model, x, labels[:TRAINED], "mse", epochs=20)
    store(folder, "regression", model, x, plain=labels)


def two_classes(folder: Path, x: np.ndarray, digit: np.ndarray) -> None:
    """Is the digit 5 or more, by one sigmoid."""
    labels = (digit > 4).astype(np.int64)
    model = conv_net(x, keras.layers.Dense(1, activation="sigmoid"))
    fit(model, x, labels[:TRAINED], "binary_crossentropy", epochs=3)
    store(folder, "two_classes", model, x, plain=labels)


def autoencoder(folder: Path, x: np.ndarray, digit: np.ndarray) -> None:
    """Dense 32, 8, 32, 64, trained on the digits 0 and 1; all others are anomalies."""
    flat, odd = x.reshape(len(x), 64), (digit > 1).astype(np.int64)
    normal = np.flatnonzero(odd == 0)
    order = np.concatenate([normal[:200], np.setdiff1d(np.arange(len(x)), normal[:200])])
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(size, activation="relu") for size in (32, 8, 32)]
    model = keras.Sequential([keras.layers.InputLayer(input_shape=(64,)), *layers, keras.layers.Dense(64)])
    model.compile(optimizer=keras.optimizers.Adam(0.003), loss="mse")
    model.fit(flat[order[:200]], flat[order[:200]], epochs=60, batch_size=16, verbose=0)
    model.save(folder / "autoencoder.h5")
    test = order[-600:]
    np.savez(folder / "autoencoder.npz", x_train=flat[order[:200]], x_test=flat[test], y_test=odd[test])


def segmentation(folder: Path, x: np.ndarray, digit: np.ndarray) -> None:
    """A bright and a striped rectangle on a dark ground of 16x16; the outermost pixels count nowhere."""
    rng = np.random.default_rng(2)
    count = 1500
    images, maps = rng.random((count, 16, 16, 1)).astype(np.float32) * 0.4, np.zeros((count, 16, 16), np.uint8)
    for image, labels in zip(images, maps, strict=True):
        for kind in (1, 2):
            top, left = rng.integers(0, 10, 2)
            height, width = rng.integers(3, 7, 2)
            part = (slice(top, top + height), slice(left, left + width))
            stripes = (np.arange(width) % 2)[None, :, None] if kind == 2 else 1.0
            image[part] = 0.2 + 0.6 * stripes + 0.2 * rng.random((height, width, 1))
            labels[part] = kind
    maps[:, [0, -1]] = 255
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 16, 1))
    h = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    h = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(h)
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1)(h))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
    fit(model, images, maps[:TRAINED], loss, epochs=4)
    store(folder, "segmentation", model, images, plain=maps)


def two_outputs(folder: Path, x: np.ndarray, digit: np.ndarray) -> None:
    """Which digit, and how much ink, from one trunk."""
    ink = (8 * x.mean(axis=(1, 2, 3)))[:, None].astype(np.float32)
    model = conv_net(x, keras.layers.Dense(10, activation="softmax", name="digit"), keras.layers.Dense(1, name="ink"))
    fit(model, x, [digit[:TRAINED], ink[:TRAINED]], ["sparse_categorical_crossentropy", "mse"])
    store(folder, "two_outputs", model, x, digit=digit, ink=ink)


def raw_detector(folder: Path, x: np.ndarray, digit: np.ndarray) -> None:
    """Two heads over a grid of 4x4 cells: how a cell's anchor is moved, and the score of each of two classes."""
    from tests.support.detector_models import scenes

    images, boxes = scenes(1600)
    keras.utils.set_random_seed(1)
    inputs = keras.Input(images.shape[1:])
    h = keras.layers.Conv2D(8, 2, strides=2, activation="relu")(inputs)
    moved = keras.layers.Reshape((16, 4), name="moved")(keras.layers.Conv2D(4, 1)(h))
    kinds = keras.layers.Reshape((16, 3), name="kinds")(keras.layers.Conv2D(3, 1)(h))
    model = keras.Model(inputs, [moved, kinds])
    wanted = np.zeros((len(images), 16, 3), np.float32)
    wanted[..., 0] = 1
    for rows, given in zip(wanted, boxes, strict=True):
        for top, left, _, _, kind in given[given[:, 4] >= 0]:
            cell = int(round(float(top) * 4)) * 4 + int(round(float(left) * 4))
            rows[cell] = np.eye(3)[int(kind) + 1]
    losses = ["mse", keras.losses.BinaryCrossentropy(from_logits=True)]
    fit(model, images, [np.zeros((TRAINED, 16, 4), np.float32), wanted[:TRAINED]], losses, epochs=10)
    store(folder, "raw_detector", model, images, plain=boxes)


def main() -> None:
    folder = Path(sys.argv[1])
    x, digit = digits()
    for make in (
        classes, several_labels, regression, two_classes, autoencoder, segmentation, two_outputs, raw_detector,
    ):  # fmt: skip
        make(folder, x, digit)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()
