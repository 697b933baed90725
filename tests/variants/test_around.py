"""QAT around layers that TFMOT has no scheme for, and of some layers only."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UnsupportedError
from harness.variants.audit.qat import audit_qat
from harness.variants.qat.strip import strip
from harness.variants.qat.summary import describe
from harness.variants.qat.training import fine_tune, seed_everything
from harness.variants.qat.wrapping import quantize
from harness.variants.recipe import parse_recipe
from tests.support.small_models import random_data, small_workload


@pytest.fixture
def keras(keras2):
    from harness.workloads.keras.env import import_tf

    seed_everything(0)
    return import_tf().keras


def chain(keras, *layers):
    return keras.Sequential([keras.layers.InputLayer((8, 8, 3)), *layers])


def around_an_activation(keras):
    layers = keras.layers
    parts = [layers.Conv2D(4, 3, activation="elu", name="c"), layers.Conv2D(4, 3, activation="relu", name="kept")]
    return chain(keras, *parts, layers.Flatten(), layers.Dense(10))


def around_normalization(keras):
    layers = keras.layers
    parts = [layers.Conv2D(4, 3, name="kept"), layers.BatchNormalization(name="folded"), layers.ReLU()]
    return chain(keras, *parts, layers.LayerNormalization(name="norm"), layers.Flatten(), layers.Dense(10, name="head"))


def around_a_function(keras):
    source = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="kept")(source[:, 1:-1] * 2.0)
    return keras.Model(source, keras.layers.Dense(10)(keras.layers.Flatten()(x)))


AROUND = {
    "an activation": (around_an_activation, ["c"]),
    "a kind of layer": (around_normalization, ["norm"]),
    "a TensorFlow function": (around_a_function, ["tf.__operators__.getitem", "tf.math.multiply"]),
}


@pytest.mark.parametrize("which", AROUND)
def test_what_tfmot_cannot_train_costs_that_layer_and_is_named(keras, which):
    make, left = AROUND[which]
    recipe = parse_recipe("qat-int8-io")
    model = quantize(make(keras), recipe.training)
    fine_tune(small_workload(), random_data(), model, 0)
    summary = describe(model)
    assert {layer["name"] for layer in summary["layers"] if layer["weight_quantizer"]} >= {"quant_kept"}
    (finding,) = [f for f in audit_qat(summary, recipe).findings if f.code == "annotated-around"]
    assert finding.where.split(", ") == left


def test_words_in_front_of_dense_layers_train_with_quantization(keras):
    model = keras.Sequential([keras.Input((12,), dtype="int32"), keras.layers.Embedding(50, 4), keras.layers.Dense(4)])
    summary = describe(quantize(model, parse_recipe("qat-int8-io").training))
    assert [layer["class"] for layer in summary["layers"] if layer["weight_quantizer"]] == ["Dense"]


# Some layers only


def test_only_the_named_layers_are_trained_with_what_folds_into_them(keras):
    model = quantize(around_normalization(keras), parse_recipe("mixed[qat=kept]").training)
    wrapped = {layer["name"] for layer in describe(model)["layers"] if layer["wrapped"]}
    assert {"quant_kept", "quant_folded"} <= wrapped and not any("head" in name or "norm" in name for name in wrapped)


@pytest.mark.parametrize("name, words", [("nowhere", "has none of that name"), ("norm", "cannot be trained")])
def test_a_layer_that_cannot_be_trained_is_named_with_those_that_can(keras, name, words):
    with pytest.raises(UnsupportedError, match=words) as refusal:
        quantize(around_normalization(keras), parse_recipe(f"mixed[qat={name}]").training)
    assert "kept" in refusal.value.hint


def test_stripping_gives_the_float_model_with_the_trained_weights(keras):
    plain = around_normalization(keras)
    before = plain.get_weights()
    trained = quantize(around_normalization(keras), parse_recipe("mixed[qat=kept]").training)
    fine_tune(small_workload(), random_data(), trained, 0)
    stripped = strip(trained, plain)
    assert all(not np.array_equal(a, b) for a, b in zip(before, stripped.get_weights(), strict=True))
    for name, layer in (("quant_kept", "kept"), ("quant_folded", "folded"), ("norm", "norm"), ("head", "head")):
        own = {weight.name.split(":")[0].split("/")[-1]: weight.numpy() for weight in trained.get_layer(name).weights}
        for weight in stripped.get_layer(layer).weights:
            np.testing.assert_array_equal(weight.numpy(), own[weight.name.split(":")[0].split("/")[-1]])


def test_a_separable_convolution_gets_the_weights_of_the_two_layers_that_tfmot_made_of_it(keras):
    def separable():
        layers, source = keras.layers, keras.Input((8, 8, 3))
        first = layers.SeparableConv2D(3, 3, padding="same", name="first")(source)
        second = layers.SeparableConv2D(3, 3, padding="same", name="second")(source)
        return keras.Model(source, layers.Flatten()(layers.Add()([first, second])))

    plain = separable()
    before = plain.get_weights()
    again = separable()
    again.set_weights(before)
    trained = quantize(again, parse_recipe("qat-int8-io").training)
    kernels = {layer.name: layer.get_weights()[0] for layer in trained.layers if "depthwise" in layer.name}
    of = {
        name: next(k for k, values in kernels.items() if np.array_equal(values, plain.get_layer(name).get_weights()[0]))
        for name in ("first", "second")
    }
    fine_tune(small_workload(), random_data(), trained, 0)
    stripped = strip(trained, plain)
    assert of["first"] != of["second"]
    for name, source in of.items():
        np.testing.assert_array_equal(
            stripped.get_layer(name).get_weights()[0], trained.get_layer(source).get_weights()[0]
        )
    assert all(not np.array_equal(a, b) for a, b in zip(before, stripped.get_weights(), strict=True))
