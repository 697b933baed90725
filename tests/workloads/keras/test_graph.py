"""What a description says of a model's ends: shapes and probabilities behind every kind of head."""

from __future__ import annotations

import pytest

from harness.core.errors import UserInputError
from harness.workloads.keras.file import read_keras_file
from harness.workloads.keras.graph import keras_ends
from tests.support.workload_files import layer, sequential, write_keras_zip

INPUT = layer("InputLayer", batch_shape=[None, 6, 6, 2])
FLAT = layer("InputLayer", batch_shape=[None, 8])
SIGMOID = layer("Dense", units=1, activation="sigmoid")


def ends(tmp_path, config):
    found = keras_ends(read_keras_file(write_keras_zip(tmp_path / "m.keras", config, "3.15.1")))
    return found.outputs[0].units, found.outputs[0].squashed_by is not None


def functional(layers, last, first="x"):
    config = {"name": "m", "layers": layers, "input_layers": [first, 0, 0], "output_layers": [last, 0, 0]}
    return {"class_name": "Functional", "config": config}


def test_a_mapping_of_several_outputs_has_no_order_and_is_refused(tmp_path):
    model = functional([node("InputLayer", "x", batch_shape=[None, 4]), node("Dense", "a", "x", units=2),
                        node("Dense", "b", "x", units=2)], "b")  # fmt: skip
    model["config"]["output_layers"] = {"b": ["b", 0, 0], "a": ["a", 0, 0]}
    with pytest.raises(UserInputError, match="a mapping of outputs, 'b', 'a'"):
        ends(tmp_path, model)
    model["config"]["output_layers"] = {"b": ["b", 0, 0]}
    assert ends(tmp_path, model) == (2, False)


def node(class_name, name, *before, **config):
    tensors = [
        {"class_name": "__keras_tensor__", "config": {"shape": None, "keras_history": [b, 0, 0]}} for b in before
    ]
    calls = [{"args": [tensors if len(tensors) > 1 else tensors[0]], "kwargs": {}}] if before else []
    return {"class_name": class_name, "name": name, "config": {"name": name, **config}, "inbound_nodes": calls}


@pytest.mark.parametrize(
    "tail, units, squashed",
    [
        ([SIGMOID, layer("Reshape", target_shape=[1])], 1, True),
        ([SIGMOID, layer("Flatten")], 1, True),
        ([layer("Dense", units=4, activation="softmax"), layer("Reshape", target_shape=[2, 2])], 2, True),
        ([layer("Dense", units=6, activation="linear"), layer("Reshape", target_shape=[-1, 3])], 3, False),
        ([layer("Dense", units=1, activation="linear"), layer("Reshape", target_shape=[1])], 1, False),
        ([SIGMOID, layer("Rescaling", scale=2.0)], 1, False),
        ([SIGMOID, layer("Dropout", rate=0.1), layer("Identity")], 1, True),
        ([layer("Dense", units=3, activation="softmax"), layer("LeakyReLU")], 3, False),
        ([layer("LSTM", units=5)], 5, False),
        ([layer("Bidirectional", layer=layer("GRU", units=5))], 10, False),
        ([layer("Unheard", setting=3)], None, False),
    ],
)
def test_the_head_of_a_chain(tmp_path, tail, units, squashed):
    assert ends(tmp_path, sequential(FLAT, *tail)) == (units, squashed)


def test_places_are_counted_where_their_number_is_known(tmp_path):
    head = layer("Conv2D", filters=1, activation="sigmoid"), layer("Reshape", target_shape=[36]), layer("Flatten")
    assert ends(tmp_path, sequential(INPUT, *head)) == (36, True)
    assert ends(tmp_path, sequential(INPUT, head[0], head[2])) == (None, True)


def test_a_head_inside_a_model_within_the_model(tmp_path):
    inner = {**sequential(FLAT, SIGMOID), "name": "inner"}
    assert ends(tmp_path, sequential(FLAT, layer("Dense", units=8), inner)) == (1, True)
    assert ends(tmp_path, sequential(FLAT, inner, layer("Reshape", target_shape=[1]))) == (1, True)


def test_branches_are_a_probability_only_if_each_of_them_is(tmp_path):
    def joined(activation):
        first = node("Dense", "a", "x", units=2, activation="sigmoid")
        second = node("Dense", "b", "x", units=3, activation=activation)
        source = node("InputLayer", "x", batch_shape=[None, 8])
        return functional([source, first, second, node("Concatenate", "c", "a", "b", axis=-1)], "c")

    assert ends(tmp_path, joined("sigmoid")) == (5, True)
    assert ends(tmp_path, joined("linear")) == (5, False)


@pytest.mark.parametrize("last, squashed", [("Sigmoid", True), ("Softmax", True), ("Add", False)])
def test_operations_of_keras_3_are_read_like_layers(tmp_path, last, squashed):
    source, dense = (
        node("InputLayer", "x", batch_shape=[None, 8]),
        node("Dense", "d", "x", units=4, activation="linear"),
    )
    before = ("d", "d") if last == "Add" else ("d",)
    assert ends(tmp_path, functional([source, dense, node(last, "o", *before)], "o")) == (4, squashed)


def test_a_model_that_reads_itself_ends(tmp_path):
    source, loop = node("InputLayer", "x", batch_shape=[None, 8]), node("ReLU", "a", "b")
    with pytest.raises(UserInputError, match="damaged"):
        ends(tmp_path, functional([source, loop, node("ReLU", "b", "a")], "b"))


def test_a_class_of_ones_own_is_named(tmp_path):
    config = {"class_name": "Sub", "module": None, "registered_name": "Mine>Sub", "config": {"units": 1}}
    with pytest.raises(UserInputError, match="the model is of the class 'Mine>Sub', which is code of your own"):
        ends(tmp_path, config)
