"""Networks with one planted outlier layer, trained on scikit-learn's digits: `python benchmarks/tune/planted.py FOLDER`.

Every plant leaves the float model's answers as they are and costs it most of its score in int8:

    channel   one channel of the second convolution is 500 times the others, and the third takes it back: equalisation undoes that
    readers   the same, but two convolutions read it: equalisation may not touch it
    weights   the second convolution has weights 3,000 times the others for a channel that is always 0: no activation tells

Writes NAME.h5 and NAME.npz (x_train, y_train, x_test, y_test) for each, and prints the float accuracies as JSON. A process of
its own with Keras 2.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

PLANTS = ("channel", "readers", "weights")
_TRAIN = 1000
_CHANNEL, _WEIGHTS = 500.0, 3000.0


def digits() -> dict[str, np.ndarray]:
    """8 x 8 pixels of 0..1, in a fixed order."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x = (x[order].reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    y = y[order].astype(np.int64)
    return {"x_train": x[:_TRAIN], "y_train": y[:_TRAIN], "x_test": x[_TRAIN:], "y_test": y[_TRAIN:]}


def network(keras: Any, *, readers: int) -> Any:
    """Three convolutions and a Dense layer; with two readers the third is there twice."""
    layers = keras.layers
    source = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(source)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="second")(x)
    third = [
        layers.Conv2D(32 // readers, 3, strides=2, padding="same", activation="relu", name=f"third{i or ''}")(x)
        for i in range(readers)
    ]
    x = third[0] if readers == 1 else layers.Concatenate()(third)
    return keras.Model(source, layers.Dense(10, activation="softmax", name="head")(layers.Flatten()(x)))


def plant(model: Any, which: str) -> None:
    """Puts the outlier in."""
    if which == "weights":
        first, second = model.get_layer("first"), model.get_layer("second")
        kernel, bias = first.get_weights()
        kernel[..., 0], bias[0] = 0, 0
        first.set_weights([kernel, bias])
        kernel, bias = second.get_weights()
        kernel[:, :, 0, :] = (
            _WEIGHTS * np.abs(kernel).max() * np.random.default_rng(1).choice([-1, 1], kernel[:, :, 0, :].shape)
        )
        second.set_weights([kernel, bias])
        return
    kernel, bias = model.get_layer("second").get_weights()
    kernel[..., 0] *= _CHANNEL
    bias[0] *= _CHANNEL
    model.get_layer("second").set_weights([kernel, bias])
    for layer in model.layers:
        if layer.name.startswith("third"):
            kernel, bias = layer.get_weights()
            kernel[:, :, 0, :] /= _CHANNEL
            layer.set_weights([kernel, bias])


def main() -> None:
    import os

    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tf_keras as keras

    folder, data, found = Path(sys.argv[1]), digits(), {}
    for which in PLANTS:
        keras.backend.clear_session()
        keras.utils.set_random_seed(0)
        model = network(keras, readers=2 if which == "readers" else 1)
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(data["x_train"], data["y_train"], batch_size=32, epochs=30, verbose=0)
        if which == "weights":  # what is planted on stays away: the rest learns without it
            kernel, bias = model.get_layer("first").get_weights()
            kernel[..., 0], bias[0] = 0, 0
            model.get_layer("first").set_weights([kernel, bias])
            model.get_layer("first").trainable = False
            model.compile("adam", "sparse_categorical_crossentropy")
            model.fit(data["x_train"], data["y_train"], batch_size=32, epochs=10, verbose=0)
        plant(model, which)
        model.save(folder / f"{which}.h5")
        np.savez(folder / f"{which}.npz", **data)
        answers = model.predict(data["x_test"], verbose=0).argmax(axis=1)
        found[which] = float((answers == data["y_test"]).mean())
    print(json.dumps(found))


if __name__ == "__main__":
    main()
