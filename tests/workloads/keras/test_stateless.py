"""Layers that keep their state between calls are described without it, in the words of both Kerases."""

import copy

from harness.workloads.keras.stateless import to_stateless


def model(stateful, batch):
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [batch, 8, 8], "name": "in"}},
        {
            "class_name": "Bidirectional",
            "config": {"name": "both", "layer": {"class_name": "LSTM", "config": {"stateful": stateful, "units": 4}}},
        },
        {"class_name": "Dense", "config": {"batch_input_shape": [batch, 8], "units": 10}},
    ]
    return {"class_name": "Sequential", "config": {"layers": layers, "build_input_shape": [batch, 8, 8]}}


def test_the_state_goes_and_the_batch_that_it_fixed():
    config = model(True, 1)
    to_stateless(config)
    assert config == model(False, None)


def test_a_model_without_state_keeps_its_batch():
    config = model(False, 1)
    before = copy.deepcopy(config)
    to_stateless(config)
    assert config == before
