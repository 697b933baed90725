"""Small models of Keras 3 of every kind that users bring, saved and asked in a process of its own.

keras3_models.py save FOLDER   (with Keras 3) writes NAME.keras, NAME.npz (x, y, expected) and NAME/ (what a copy is made from)
keras3_models.py copy FOLDER   (with Keras 2) copies every model, prints JSON: NAME -> difference, or why there is no copy;
                               `NAME, trusted` is a copy for which Keras 2 may call another function of the same name
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

#: samples per model
COUNT = 96


def image_models(keras):
    """Models of [8, 8, 1] images."""
    layers, ops = keras.layers, keras.ops

    def sequential(*middle, head=None):
        tail = [head] if head else [layers.Dense(10, activation="softmax")]
        return keras.Sequential([keras.Input((8, 8, 1)), *middle, layers.Flatten(), *tail])

    def functional(body, dtype="float32"):
        source = keras.Input((8, 8, 1), dtype=dtype)
        return keras.Model(source, layers.Dense(10, activation="softmax")(layers.Flatten()(body(source))))

    def conv(filters=4, **settings):
        return layers.Conv2D(filters, 3, padding="same", **{"activation": "relu", **settings})

    def backbone(name):
        return keras.Sequential([keras.Input((8, 8, 4)), conv(), layers.LeakyReLU(negative_slope=0.3)], name=name)

    def shared_nested(x):
        block, first = backbone("block"), conv()
        start = first(x)
        return layers.Add()([block(start), block(block(start))])

    def two_answers(x):
        inside = keras.Input((8, 8, 1))
        low = conv()(inside)
        inner = keras.Model(inside, [low, conv(activation="silu")(low)], name="two")
        first, second = inner(x)
        return first + second

    def squeeze_excite(x):
        y = conv()(x)
        gate = layers.Dense(4, activation="hard_sigmoid", name="gate")(layers.GlobalAveragePooling2D(keepdims=True)(y))
        return y * gate

    def arithmetic(x):
        y = conv()(2.0 * x - 1.0)
        return ops.concatenate([ops.relu(y - 0.1), y / 2.0], axis=-1)

    middle = keras.Sequential([keras.Input((8, 8, 1)), conv(), keras.Sequential([conv()], name="deep")], name="middle")
    return {
        "nested": keras.Sequential(
            [keras.Input((8, 8, 1)), middle, layers.Flatten(), layers.Dense(10, activation="softmax")]
        ),
        "nested-shared": functional(shared_nested),
        "nested-two-answers": functional(two_answers),
        "branches": functional(
            lambda x: layers.Concatenate()([conv()(x), layers.DepthwiseConv2D(3, padding="same")(x)])
        ),
        "shared-layer": functional(lambda x: (lambda s: layers.Add()([s(s(conv()(x))), conv()(x)]))(conv())),
        "arithmetic": functional(arithmetic),
        "slice": functional(lambda x: conv()(x)[:, 1:-1]),
        "leaky-prelu": sequential(conv(activation=None), layers.LeakyReLU(negative_slope=0.5), conv(), layers.PReLU()),
        "norms": sequential(conv(), layers.LayerNormalization(), conv(), layers.BatchNormalization()),
        "augmented": sequential(
            layers.RandomTranslation(0.1, 0.1), layers.RandomRotation(0.1), layers.RandomContrast(0.1), conv()
        ),
        "hard-sigmoid": functional(squeeze_excite),
        "hard-silu": sequential(conv(activation="hard_silu")),
        "celu": sequential(conv(activation="celu")),
        "gelu": sequential(conv(activation="gelu")),
        "rms-normalization": sequential(conv(), layers.RMSNormalization()),
        "mixed-precision": sequential(conv(dtype="mixed_float16"), layers.BatchNormalization(dtype="mixed_float16")),
        "uint8-input": functional(lambda x: conv()(layers.Rescaling(1 / 255)(x)), dtype="uint8"),
        "sigmoid-behind-reshape": keras.Sequential(
            [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid"), layers.Reshape((1,))]
        ),
    }


def sequence_models(keras):
    """Models of [6, 8] sequences, and of 12 numbers of words."""
    layers = keras.layers

    def recurrent(*middle):
        return keras.Sequential([keras.Input((6, 8)), *middle, layers.Dense(10, activation="softmax")])

    def attention(x):
        y = layers.Dense(8)(x)
        return layers.LayerNormalization()(y + layers.MultiHeadAttention(2, 4)(y, y))

    source, words = keras.Input((6, 8)), keras.Input((12,), dtype="int32")
    pooled = layers.GlobalAveragePooling1D()
    return {
        "lstm": recurrent(layers.LSTM(6)),
        # Its batch is fixed, as Keras wants it of a layer that keeps its state between calls.
        "lstm-stateful": keras.Sequential(
            [keras.Input(batch_shape=(1, 6, 8)), layers.LSTM(6, stateful=True), layers.Dense(10, activation="softmax")]
        ),
        "lstm-both-ways": recurrent(layers.Bidirectional(layers.LSTM(6))),
        "gru": recurrent(layers.GRU(6)),
        "gru-unrolled": recurrent(layers.GRU(6, unroll=True)),
        "gru-hard-sigmoid": recurrent(layers.GRU(6, recurrent_activation="hard_sigmoid")),
        "lstm-hard-sigmoid": recurrent(layers.LSTM(6, recurrent_activation="hard_sigmoid")),
        "attention": keras.Model(source, layers.Dense(10, activation="softmax")(pooled(attention(source)))),
        "words": keras.Model(
            words,
            layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling1D()(layers.Embedding(50, 6)(words))),
        ),
    }


def save(folder):
    import keras

    from harness.workloads.keras.keras2_copy import leave
    from harness.workloads.keras.load import load_keras_model

    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(1)
    for name, model in {**image_models(keras), **sequence_models(keras)}.items():
        # Nothing may be at its initial value, or weights that were not read would not show.
        for weight in model.weights:
            spread = 0.5 if weight.name in ("gamma", "moving_variance", "alpha") else 0.3
            values = rng.random(weight.shape) * spread + (spread if spread == 0.5 else 0)
            weight.assign(
                values if "kernel" not in weight.name and weight.name != "embeddings" else weight + values - 0.15
            )
        model.save(folder / f"{name}.keras")
        x = samples(model, rng)
        labels = rng.integers(0, 2 if model.output_shape[-1] == 1 else 10, COUNT)
        labels[:10] = np.arange(10) % (2 if model.output_shape[-1] == 1 else 10)
        np.savez(folder / f"{name}.npz", x_train=x, y_train=labels, x_test=x, y_test=labels)
        for layer in (layer for layer in model.layers if getattr(layer, "stateful", False)):
            layer.stateful = False  # every sample starts from the initial state
        np.save(folder / f"{name}.expected.npy", model.predict(x, verbose=0, batch_size=model.input_shape[0] or 32))
        (folder / name).mkdir()
        leave(load_keras_model(folder / f"{name}.keras"), x.astype(np.float32), folder / name)


def samples(model, rng):
    shape = (COUNT, *model.input_shape[1:])
    if model.inputs[0].dtype == "int32":
        return rng.integers(0, 50, shape)
    return (
        rng.integers(0, 256, shape).astype(np.uint8)
        if model.inputs[0].dtype == "uint8"
        else rng.random(shape, np.float32)
    )


def copy(folder):
    from harness.workloads.keras import translate

    found = {path.stem: copied(path, folder / path.stem) for path in sorted(folder.glob("*.keras"))}
    # What is not known to differ is found by the comparison alone.
    translate._Translation._check_activations = lambda self, config: None
    for name in ("hard-sigmoid", "gru-hard-sigmoid"):
        found[f"{name}, trusted"] = copied(folder / f"{name}.keras", folder / name)
    print(json.dumps(found))


def copied(path, left):
    from harness.core.errors import UnsupportedError
    from harness.workloads.keras.keras2_copy import _ANSWERS, _PROBED, difference, make_copy, outputs_of
    from harness.workloads.rows import find_samples, read_samples

    try:
        model = make_copy(path, left)
    except UnsupportedError as error:
        return error.what
    samples = read_samples(find_samples(left, _PROBED))
    return difference(outputs_of(model, samples), np.load(left / _ANSWERS))


if __name__ == "__main__":
    verb, where = sys.argv[1], Path(sys.argv[2])
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    save(where) if verb == "save" else copy(where)
