"""Keras 2 copies of Keras 3 models: equal on real samples, or refused by the layer's name."""

from __future__ import annotations

import numpy as np
import pytest

from harness.workloads.keras.keras2_copy import TOLERANCE, difference

COPIED = (
    "nested", "nested-shared", "nested-two-answers", "branches", "shared-layer", "arithmetic", "leaky-prelu", "norms",
    "augmented", "gelu", "mixed-precision", "uint8-input", "sigmoid-behind-reshape", "lstm", "lstm-both-ways", "gru",
    "lstm-stateful", "gru-unrolled", "attention", "words",
)  # fmt: skip
REFUSED = {
    "hard-sigmoid": "layer 'gate' (Dense) uses hard_sigmoid, which is another function in Keras 2",
    "gru-hard-sigmoid": "(GRU) uses hard_sigmoid, which is another function in Keras 2",
    "lstm-hard-sigmoid": "(LSTM) uses hard_sigmoid, which is another function in Keras 2",
    "hard-silu": "(Conv2D) uses the activation hard_silu, which Keras 2 does not have",
    "celu": "(Conv2D) uses the activation celu, which Keras 2 does not have",
    "rms-normalization": "layer 'rms_normalization' (RMSNormalization) is a kind of layer that Keras 2 does not have",
    "slice": "layer 'get_item' (GetItem) is an operation that Keras 2 has no layer for",
}


@pytest.mark.parametrize("name", COPIED)
def test_a_copy_computes_what_keras_3_does(keras2_copies, name):
    assert isinstance(keras2_copies[name], float), keras2_copies[name]
    assert keras2_copies[name] <= TOLERANCE


@pytest.mark.parametrize("name", REFUSED)
def test_what_keras_2_cannot_compute_is_refused_by_the_layers_name(keras2_copies, name):
    assert REFUSED[name] in keras2_copies[name]


def test_every_model_is_looked_at(keras2_copies):
    assert {*COPIED, *REFUSED} == {name for name in keras2_copies if "trusted" not in name}


@pytest.mark.parametrize("name, layer", [("hard-sigmoid, trusted", "'gate'"), ("gru-hard-sigmoid, trusted", "'gru")])
def test_a_copy_that_computes_something_else_is_found_by_comparing(keras2_copies, name, layer):
    assert "computes something else in Keras 2 than in Keras 3 (outputs differ by" in keras2_copies[name]
    assert keras2_copies[name].startswith(f"layer {layer}")


@pytest.mark.parametrize(
    "values, expected, apart",
    [
        ([0.0, 1.0], [0.0, 2.0], 0.5),
        ([0.0, 1.0], [0.0, 1.0], 0.0),
        ([5.0, 5.0], [5.0, 5.0], 0.0),
        ([np.nan, 1.0], [np.nan, 1.0], 0.0),
        ([np.nan, 1.0], [0.0, 1.0], np.inf),
        ([np.inf, 1.0], [np.inf, 1.0], 0.0),
        ([-np.inf, 1.0], [np.inf, 1.0], np.inf),
        ([np.nan], [np.nan], 0.0),
        ([[0.0, 1.0]], [0.0, 1.0], np.inf),
    ],
)
def test_differences_are_shares_of_the_range(values, expected, apart):
    assert difference(np.float32(values), np.float32(expected)) == pytest.approx(apart)


def test_outputs_that_hardly_vary_are_not_held_to_their_own_noise():
    expected = np.float32([0.5, 0.5 + 1e-7, 0.5])
    assert difference(expected + np.float32(6e-8), expected) < 1e-3
