"""Run in a process of its own by test_user_workload.py: saves models with Keras 2 or Keras 3, or loads them again.

user_model_files.py save2|save3 FOLDER   writes NAME.keras, NAME.h5 (and a SavedModel), inputs and expected outputs
user_model_files.py load2|load3 FOLDER   loads every model of that Keras by the harness, prints differences as JSON
"""

import json
import os
import sys
from pathlib import Path

import numpy as np


def models(keras):
    """Small models with the layers that embedded networks are made of: Sequential, branched, nested."""
    layers = keras.layers
    sequential = keras.Sequential(
        [
            keras.Input((12, 12)),
            layers.Reshape((12, 12, 1)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(10),
            layers.Softmax(),
        ]
    )
    x = inputs = keras.Input((8, 8, 3))
    x = layers.ZeroPadding2D(1)(x)
    x = layers.DepthwiseConv2D(3, activation="relu")(x)
    y = layers.Conv2D(3, 1, padding="same", kernel_regularizer=keras.regularizers.L2(1e-4))(x)
    x = layers.Add()([x, y])
    x = layers.Concatenate()([layers.AveragePooling2D(2)(x), layers.MaxPooling2D(2)(y)])
    x = layers.GlobalAveragePooling2D()(x)
    branched = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))
    body = keras.Sequential([keras.Input((6,)), layers.Dense(5, activation="relu")])
    nested = keras.Sequential([keras.Input((6,)), body, layers.Dense(3)])
    return {"sequential": sequential, "branched": branched, "nested": nested}


def save(version, folder):
    if version == "2":
        from harness.workloads.keras.env import import_tf

        keras = import_tf().keras
    else:
        import keras
    rng = np.random.default_rng(0)
    for name, model in models(keras).items():
        # Nothing may be at its initial value, or weights that were not read would not show.
        model.set_weights([rng.random(w.shape, dtype=np.float32) * 0.2 + 0.05 for w in model.get_weights()])
        model.compile("adam", "mse")
        x = rng.random((4, *model.input_shape[1:]), dtype=np.float32)
        np.savez(folder / f"{name}-keras{version}.npz", x=x, expected=model.predict(x, verbose=0))
        for suffix in ("keras", "h5"):
            model.save(folder / f"{name}-keras{version}.{suffix}")
    if version == "2":
        sequential = models(keras)["sequential"]
        x = np.load(folder / "sequential-keras2.npz")["x"]
        sequential.save(folder / "saved-model", save_format="tf")
        np.savez(folder / "saved-model.npz", x=x, expected=sequential.predict(x, verbose=0))
        save_qat(sequential, folder)


def save_qat(model, folder):
    import tensorflow_model_optimization as tfmot

    qat = tfmot.quantization.keras.quantize_model(model)
    for suffix in ("keras", "h5"):
        qat.save(folder / f"qat.{suffix}")
    x = np.load(folder / "sequential-keras2.npz")["x"]
    np.savez(folder / "qat.npz", x=x, expected=qat.predict(x, verbose=0))


def load(version, folder):
    from harness.core.errors import HarnessError
    from harness.workloads.keras.load import load_keras_model

    found = {}
    for path in sorted(folder.iterdir()):
        samples = folder / f"{path.stem}.npz"
        if path.suffix == ".npz" or not samples.exists() or ("keras3" in path.name) != (version == "3"):
            continue
        try:
            model = load_keras_model(path)
        except HarnessError as error:
            found[path.name] = error.what
            continue
        arrays = np.load(samples)
        found[path.name] = float(abs(model.predict(arrays["x"], verbose=0) - arrays["expected"]).max())
        if path.name == "branched-keras3.keras":
            model.compile("adam", "binary_crossentropy")
            loss = model.fit(arrays["x"], np.array([[0], [1], [0], [1]]), epochs=2, verbose=0).history["loss"]
            found["trained further"] = loss[-1] < loss[0]
    print(json.dumps(found))


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    verb, where = sys.argv[1], Path(sys.argv[2])
    load(verb[-1], where) if verb.startswith("load") else save(verb[-1], where)
