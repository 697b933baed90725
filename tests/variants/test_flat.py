"""Models within models laid out as one, and refusals of what TFMOT does not quantize."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UnsupportedError
from harness.variants.qat.flat import flattened
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


def names(model):
    return [layer.name for layer in model.layers if layer.__class__.__name__ != "InputLayer"]


def backbone(keras, name="body"):
    layers = keras.layers
    return keras.Sequential(
        [
            layers.InputLayer((8, 8, 3)),
            layers.Conv2D(3, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="bn"),
        ],
        name=name,
    )


def nested(keras, *, shared=True):
    """A model around another one, which is called twice where it is shared."""
    layers = keras.layers
    source = keras.Input((8, 8, 3))
    body, start = backbone(keras), layers.Conv2D(3, 1, name="conv")(source)
    answer = layers.Add()([body(start), body(source) if shared else start])
    model = keras.Model(source, layers.Dense(10, name="head")(layers.Flatten()(answer)))
    # Away from 0 and 1, so that weights in the wrong place show.
    model.set_weights([np.random.default_rng(0).random(w.shape, np.float32) * 0.5 + 0.1 for w in model.get_weights()])
    return model


def same(first, second):
    x = np.random.default_rng(1).random((4, 8, 8, 3), np.float32)
    return np.allclose(first(x, training=False), second(x, training=False), atol=1e-6)


def test_a_model_without_models_inside_is_left_as_it_is(keras):
    model = keras.Sequential([keras.layers.InputLayer((4,)), keras.layers.Dense(2)])
    assert flattened(model) is model


def test_layers_of_models_within_stand_in_their_place_and_compute_the_same(keras):
    model = nested(keras)
    flat = flattened(model)
    assert same(model, flat)
    assert {"conv", "body_conv", "bn", "head"} <= set(names(flat)) and "body" not in names(flat)


def test_models_within_models_within_models(keras):
    inner = keras.Sequential([keras.layers.InputLayer((8, 8, 3)), backbone(keras, "deep")], name="middle")
    model = keras.Sequential(
        [keras.layers.InputLayer((8, 8, 3)), inner, keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    flat = flattened(model)
    assert same(model, flat) and names(flat)[:2] == ["conv", "bn"]


def test_several_answers_and_inputs_of_a_model_within(keras):
    layers = keras.layers
    left, right = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    pair = keras.Model([left, right], [layers.Add()([left, right]), layers.Conv2D(3, 1)(left)], name="pair")
    source = keras.Input((8, 8, 3))
    first, second = pair([layers.Conv2D(3, 1)(source), source])
    model = keras.Model(source, layers.Dense(10)(layers.Flatten()(layers.Concatenate()([second, first]))))
    assert same(model, flattened(model))


def test_a_frozen_backbone_stays_frozen(keras):
    source = keras.Input((8, 8, 3))
    model = keras.Model(source, keras.layers.Flatten()(backbone(keras)(source, training=False)))
    (norm,) = [layer for layer in flattened(model).layers if layer.name == "bn"]
    assert norm.trainable is False


def test_a_nested_model_is_quantized_and_trains(keras):
    model = quantize(nested(keras, shared=False), parse_recipe("qat-int8-io").training)
    before = [weight.copy() for weight in model.get_weights()]
    fine_tune(small_workload(), random_data(), model, 0)
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert {"quant_conv", "quant_body_conv"} <= {layer["name"] for layer in describe(model)["layers"]}


def test_a_named_quantizer_reaches_the_layers_within(keras):
    model = quantize(nested(keras, shared=False), parse_recipe("qat-q[last]-int8-io").training)
    kinds = {layer["name"]: layer["weight_quantizer"] for layer in describe(model)["layers"]}
    assert kinds["quant_body_conv"]["class"] == "LastValueQuantizer"


def test_layers_of_models_within_are_described_by_their_own_names(keras):
    summary = describe(nested(keras))
    assert {layer["name"] for layer in summary["layers"]} >= {"conv", "body/conv", "bn", "head"}
    assert summary["totals"]["params"] == nested(keras).count_params()


def test_a_separable_convolution_gets_names_of_its_own(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.InputLayer((8, 8, 3)),
            layers.Conv2D(4, 3, name="conv2d"),
            layers.SeparableConv2D(4, 3),
            layers.DepthwiseConv2D(3, name="depthwise_conv2d_7"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    found = names(quantize(model, parse_recipe("qat-int8-io").training))
    assert len(set(found)) == len(found) and "quant_separable_conv2d" not in found


def test_a_separable_convolution_becomes_two_layers(keras):
    model = keras.Sequential([keras.layers.InputLayer((8, 8, 3)), keras.layers.SeparableConv2D(4, 3, name="sep")])
    found = names(quantize(model, parse_recipe("qat-int8-io").training))
    assert len(found) == 3


# Refusals


def chain(keras, *layers, shape=(8, 8, 3)):
    return keras.Sequential([keras.layers.InputLayer(shape), *layers])


def bare_function(keras):
    source = keras.Input((8, 8, 3))
    return keras.Model(source, keras.layers.Dense(10)(keras.layers.Flatten()(source[:, 1:-1] * 2.0)))


REFUSED = {
    "a kind of layer": (lambda k: chain(k, k.layers.LayerNormalization(name="norm")), "layer 'norm' (LayerNormalization) cannot"),
    "a recurrent layer": (lambda k: chain(k, k.layers.GRU(4, name="g"), shape=(6, 8)), "layer 'g' (GRU) cannot be trained"),
    "batch normalization by itself": (
        lambda k: chain(k, k.layers.Flatten(), k.layers.BatchNormalization(name="bn")),
        "layer 'bn' (BatchNormalization) cannot be trained with quantization: TFMOT quantizes it right behind",
    ),
    "scaling": (lambda k: chain(k, k.layers.Rescaling(2.0, name="scale")), "layer 'scale' (Rescaling) cannot be trained"),
    "an activation": (
        lambda k: chain(k, k.layers.Conv2D(4, 3, activation="elu", name="c")),
        "layer 'c' (Conv2D) uses the activation elu, which TFMOT cannot quantize; it knows gelu, linear",
    ),
    "words": (
        lambda k: k.Sequential([k.Input((12,), dtype="int32"), k.layers.Embedding(50, 4)]),
        "the model takes whole numbers, such as indices of words",
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", REFUSED)
def test_what_tfmot_cannot_quantize_is_refused_by_the_layers_name(keras, which):
    make, words = REFUSED[which]
    with pytest.raises(UnsupportedError) as refusal:
        quantize(make(keras), parse_recipe("qat-int8-io").training)
    assert words in refusal.value.what
    assert "ptq" in refusal.value.hint
    assert not any(noise in str(refusal.value) for noise in ("QuantizeConfig", "<class", "encountered", "\n"))


@pytest.mark.parametrize(
    "layers, hint",
    [
        (
            lambda k: [k.layers.LayerNormalization(), k.layers.Flatten(), k.layers.Dense(4)],
            "qat-dense trains its Dense layers",
        ),
        (lambda k: [k.layers.LayerNormalization(), k.layers.Conv2D(4, 3)], "ptq recipes quantize it without training"),
        (
            lambda k: [k.layers.Reshape((8, 24)), k.layers.GRU(4), k.layers.Dense(4)],
            "ptq-float32 and ptq-default build it",
        ),
    ],
)
def test_the_recipe_that_works_is_named(keras, layers, hint):
    """A named quantizer takes a model as a whole; plain `qat` goes around what it cannot train."""
    with pytest.raises(UnsupportedError) as refusal:
        quantize(chain(keras, *layers(keras)), parse_recipe("qat-q[last]-int8-io").training)
    assert hint in refusal.value.hint


def test_qat_dense_of_a_model_without_dense_says_so(keras):
    with pytest.raises(UnsupportedError, match="has no Dense layer of its own") as refusal:
        quantize(chain(keras, keras.layers.Conv2D(4, 3)), parse_recipe("qat-dense-default").training)
    assert "ptq" in refusal.value.hint


def test_a_model_that_does_not_train_is_refused_with_the_layer(keras):
    layers = [keras.layers.Flatten(), keras.layers.Dense(10, activity_regularizer="l2", name="d")]
    model = quantize(chain(keras, *layers), parse_recipe("qat-int8-io").training)
    with pytest.raises(UnsupportedError, match="layer 'd' .Dense. has an activity_regularizer"):
        fine_tune(small_workload(), random_data(), model, 0)


def test_a_model_that_does_not_fit_its_labels_is_refused_in_one_sentence(keras):
    model = chain(keras, keras.layers.Flatten(), keras.layers.Dense(3))
    with pytest.raises(UnsupportedError, match="^Keras cannot train this model: ") as refusal:
        fine_tune(small_workload(), random_data(), model, 0)
    assert "\n" not in refusal.value.what and "ptq" in refusal.value.hint
