"""Trainings: the control gets exactly QAT's steps, weights travel whole, and refusals say why."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harness.core.errors import UnsupportedError, UserInputError
from harness.variants.qat import training as qat
from harness.variants.qat.summary import describe
from harness.variants.qat.wrapping import quantize
from harness.variants.recipe import parse_recipe
from harness.workloads.keras.env import import_tf
from harness.workloads.metrics.base import Loss
from harness.workloads.metrics.registry import get_metric
from tests.support.small_models import conv_net, dense_net, random_data, small_workload

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("keras2")]


def quantized(name="qat-int8", model=None):
    return quantize(model or conv_net(follower="fused"), parse_recipe(name).training)


def steps_of(model, data, seed=0):
    """What `fit` is called with during fine-tuning: samples, labels, batch size, epochs, learning rate, loss settings."""
    calls = []
    real = model.fit

    def spy(x, y, **options):
        config = model.optimizer.get_config()
        calls.append(
            (
                x.copy(),
                y.copy(),
                options["batch_size"],
                options["epochs"],
                options["shuffle"],
                config["name"],
                float(model.optimizer.learning_rate),
                model.loss.get_config(),
            )
        )
        return real(x, y, **options)

    model.fit = spy
    qat.fine_tune(small_workload(), data, model, seed)
    return calls


@pytest.mark.parametrize("name", ["qat-int8", "qat-dense-int8", "qat-q[last]-int8"])
def test_the_control_gets_exactly_the_steps_of_qat(name):
    data = random_data()
    control, aware = steps_of(conv_net(follower="fused"), data), steps_of(quantized(name), data)
    assert len(control) == len(aware) == small_workload().schedule.finetune_epochs
    for ours, theirs in zip(control, aware, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
        assert ours[2:] == theirs[2:]


def test_fine_tuning_takes_the_first_samples_in_a_new_order_every_epoch():
    data = random_data(count=64)
    first, second = steps_of(conv_net(follower="fused"), data)
    assert len(first[0]) == 48 and not np.array_equal(first[0], second[0])
    used = {row.tobytes() for row in first[0]}
    assert used == {row.tobytes() for row in data.x_train[:48]} == {row.tobytes() for row in second[0]}


def test_training_twice_gives_the_same_weights():
    def weights():
        workload = small_workload(build_model=lambda: conv_net(follower="fused"))
        return qat.weight_arrays(qat.train_float(workload, random_data(), 3))

    first, second = weights(), weights()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_another_seed_gives_another_order():
    data = random_data()
    a, b = steps_of(conv_net(follower="fused"), data, seed=0), steps_of(conv_net(follower="fused"), data, seed=1)
    assert not np.array_equal(a[0][0], b[0][0])


def test_stored_weights_put_a_model_back_as_it_was():
    model = quantized()
    qat.fine_tune(small_workload(), random_data(), model, 0)
    again = quantized()
    qat.set_weight_arrays(again, qat.weight_arrays(model))
    x = random_data().x_test
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


def test_progress_runs_from_nothing_to_all():
    shares = []
    qat.fine_tune(small_workload(), random_data(), conv_net(follower="fused"), 0, shares.append)
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] == 1.0


@pytest.mark.parametrize("labels, task", [(False, "multiclass"), (True, "none")])
def test_without_labels_training_is_refused(labels, task):
    with pytest.raises(UnsupportedError, match="labels"):
        qat.fine_tune(small_workload(task=task), random_data(labels=labels), conv_net(), 0)


def test_a_metric_trains_by_its_loss_and_targets():
    _, keras = import_tf()
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    data = dataclasses.replace(random_data(), x_train=x, y_train=x[:, :2] * 3)
    workload = small_workload(metric=get_metric("mean_absolute_error"))
    qat.fine_tune(workload, data, model, 0)
    assert model.loss.name == "mean_absolute_error"
    before = np.abs(model.predict(x, verbose=0) - data.y_train).mean()
    for _ in range(20):
        qat.fine_tune(workload, data, model, 0)
    assert np.abs(model.predict(x, verbose=0) - data.y_train).mean() < before


def test_a_loss_that_keras_does_not_have_is_named():
    class Odd(type(get_metric("top1"))):
        name = "odd"
        loss = Loss(name="NoSuchLoss")

    with pytest.raises(UserInputError, match="metric 'odd' trains by 'NoSuchLoss', which is no class of keras.losses"):
        qat.fine_tune(small_workload(metric=Odd()), random_data(), conv_net(), 0)


def test_a_finished_model_is_not_trained():
    model = conv_net()
    workload = small_workload(build_model=lambda: model, model_path="/somewhere/model.h5")
    assert qat.train_float(workload, random_data(labels=False), 0) is model


def test_a_finished_tflite_has_no_model_to_train():
    with pytest.raises(UserInputError, match="finished .tflite, which cannot be trained"):
        qat.train_float(small_workload(build_model=None), random_data(), 0)


def test_dense_only_annotation_leaves_the_convolution_alone():
    summary = describe(quantized("qat-dense-int8"))
    wrapped = {layer["class"] for layer in summary["layers"] if layer["weight_quantizer"]}
    assert wrapped == {"Dense"}
    assert not any(layer["class"] == "QuantizeLayer" for layer in summary["layers"])


def test_dense_only_without_a_dense_layer_is_refused():
    from harness.workloads.keras.env import import_tf

    layers = import_tf().keras.layers
    model = import_tf().keras.Sequential([layers.InputLayer((8, 8, 3)), layers.Conv2D(4, 3)])
    with pytest.raises(UnsupportedError, match="no Dense layer"):
        quantized("qat-dense-int8", model)


def test_a_named_quantizer_takes_no_model_with_a_layer_that_tfmot_does_not_know():
    from harness.workloads.keras.env import import_tf

    layers = import_tf().keras.layers
    model = import_tf().keras.Sequential(
        [
            layers.InputLayer((6,)),
            layers.LayerNormalization(name="strange"),
            layers.Dense(10),
        ]
    )
    with pytest.raises(UnsupportedError, match="strange"):
        quantized("qat-q[last]-int8", model)


def test_binary_labels_are_a_column_of_floats():
    from harness.workloads.keras.env import import_tf

    layers = import_tf().keras.layers
    model = import_tf().keras.Sequential([layers.InputLayer((6,)), layers.Dense(1, activation="sigmoid")])
    workload = small_workload(task="binary", from_logits=False)
    data = random_data(shape=(6,))
    before = model.get_weights()[0].copy()
    qat.fine_tune(workload, data, model, 0)
    assert not np.array_equal(before, model.get_weights()[0])


def test_the_summary_counts_every_parameter():
    model = quantized("qat-int8", dense_net())
    summary = describe(model)
    assert summary["totals"]["params"] == model.count_params()
    assert summary["totals"]["float_params"] == dense_net().count_params()
    assert sum(summary["totals"]["added_by_role"].values()) == summary["totals"]["added_params"]
