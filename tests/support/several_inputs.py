"""Models with several inputs, with samples and what Keras itself answers; made in a process of its own.

several_inputs.py save2 FOLDER   writes NAME.h5 and NAME (a SavedModel) of Keras 2; NAME.npz and NAME.expected.npz
several_inputs.py save3 FOLDER   writes NAME.keras of Keras 3, and `signature`, a SavedModel without layers
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

COUNT = 120


def models(keras):
    """Name -> model, all with three classes."""
    layers = keras.layers
    # Of names that sort otherwise than the inputs stand, so that nothing works by its position.
    image, vector = keras.Input((8, 8, 3), name="photo"), keras.Input((5,), name="facts")
    seen = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    seen = layers.GlobalAveragePooling2D(name="pool")(seen)
    joined = layers.Concatenate(name="join")([seen, layers.Dense(6, activation="relu", name="hidden")(vector)])
    mixed = keras.Model([image, vector], layers.Dense(3, activation="softmax", name="classes")(joined))

    left, right = keras.Input((6,), name="right"), keras.Input((6,), name="left")
    shared = keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="relu", name="inside")], name="shared")
    apart = layers.Subtract(name="apart")([shared(left), shared(right)])
    siamese = keras.Model([left, right], layers.Dense(3, activation="softmax", name="same")(apart))

    words, mask = keras.Input((7,), dtype="int32", name="words"), keras.Input((7,), name="mask")
    vectors = layers.Embedding(30, 4, name="table")(words)
    kept = layers.Multiply(name="kept")([vectors, layers.Reshape((7, 1), name="column")(mask)])
    pooled = layers.GlobalAveragePooling1D(name="mean")(kept)
    # Of a mapping, as Keras takes them too.
    text = keras.Model({"words": words, "mask": mask}, layers.Dense(3, activation="softmax", name="topic")(pooled))
    return {"mixed": mixed, "siamese": siamese, "text": text}


def samples(name: str, seed: int) -> dict[str, np.ndarray]:
    """Input -> samples; the inputs lie on different scales, so that an exchange shows."""
    rng = np.random.default_rng(seed)
    if name == "mixed":
        return {
            "photo": rng.random((COUNT, 8, 8, 3), np.float32),
            "facts": 3 * rng.standard_normal((COUNT, 5), np.float32),
        }
    if name in ("siamese", "signature"):
        return {"right": rng.standard_normal((COUNT, 6), np.float32), "left": rng.random((COUNT, 6), np.float32) * 4}
    return {
        "words": rng.integers(0, 30, (COUNT, 7)).astype(np.int32),
        "mask": rng.integers(0, 2, (COUNT, 7)).astype(np.float32),
    }


def write_samples(folder: Path, name: str, answer) -> None:
    """NAME.npz with the labels that a model gives for most samples, and its answers to the test samples."""
    arrays, labels = {}, np.random.default_rng(9)
    for part, seed in (("train", 1), ("test", 2)):
        x = samples(name, seed)
        answers = answer(x)
        chosen = answers.argmax(axis=1)
        wrong = labels.random(COUNT) < 0.1
        arrays |= {f"x_{part}_{key}": values for key, values in x.items()}
        arrays[f"y_{part}"] = np.where(wrong, (chosen + 1) % answers.shape[1], chosen)
        if part == "test":
            np.savez(folder / f"{name}.expected.npz", answers=answers, right=(~wrong).mean())
    np.savez(folder / f"{name}.npz", **arrays)


def save(version: str, folder: Path) -> None:
    if version == "2":
        from harness.workloads.keras.env import import_tf

        keras = import_tf().keras
    else:
        import keras
    keras.utils.set_random_seed(3)
    for name, model in models(keras).items():
        rng = np.random.default_rng(4)
        model.set_weights([rng.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()])
        given = (lambda x: x) if name == "text" else (lambda x, m=model: [x[tensor.name] for tensor in m.inputs])
        write_samples(folder, name, lambda x: np.asarray(model.predict(given(x), verbose=0)))  # noqa: B023
        if version == "3":
            model.save(folder / f"{name}.keras")
            continue
        model.save(folder / f"{name}.h5")
        model.save(folder / name, save_format="tf")
    if version == "3":
        save_signature(folder)


def save_signature(folder: Path) -> None:
    from harness.workloads.keras.env import import_keras3

    tf, _ = import_keras3()
    weights = np.random.default_rng(5).standard_normal((6, 3)).astype(np.float32)

    class Net(tf.Module):
        def __init__(self):
            self.weights = tf.Variable(weights)

        @tf.function(input_signature=[tf.TensorSpec([None, 6], name="right"), tf.TensorSpec([None, 6], name="left")])
        def compare(self, right, left):
            return {"shares": tf.nn.softmax(tf.matmul(right - left / 2, self.weights))}

    def answer(x):
        powers = np.exp((x["right"] - x["left"] / 2) @ weights)
        return powers / powers.sum(axis=1, keepdims=True)

    net = Net()
    tf.saved_model.save(net, str(folder / "signature"), signatures={"compare": net.compare})
    write_samples(folder, "signature", answer)


if __name__ == "__main__":
    save(sys.argv[1][-1], Path(sys.argv[2]))
