"""Where the samples of several inputs stand among arrays, and what a model's inputs are called."""

from __future__ import annotations

import pytest

from harness.core.errors import UserInputError
from harness.core.tensor import TensorIo
from harness.tflite.graph import Graph, read_graph
from harness.workloads.input_keys import array_of, input_keys
from harness.workloads.input_names import ModelInput, argument_names, graph_inputs, names_in_order
from tests.support.tiny_model import Node, Tensor, build

IO = TensorIo(name="x", dtype="float32", shape=(-1, 4))


def inputs(*names: str) -> list[ModelInput]:
    return [ModelInput(name=name, io=IO) for name in names]


def test_parts_by_name():
    keys = ["x_train_b", "x_test_a", "x_test_b", "x_train_a", "y_test", "y_train", "scale_a", "sequence"]
    found = input_keys(keys, inputs("a", "b"), "d.npz")
    assert found.parts == {
        "x_test": {"a": "x_test_a", "b": "x_test_b"},
        "x_train": {"a": "x_train_a", "b": "x_train_b"},
    }
    assert found.test == "x_test" and found.others == ("y_test", "y_train", "scale_a", "sequence")


@pytest.mark.parametrize("keys", [["x_a", "x_b", "y"], ["a", "b", "y"], ["a", "x_b", "y"]])
def test_all_samples_as_one(keys):
    found = input_keys(keys, inputs("a", "b"), "d.npz")
    assert found.parts == {"x": {"a": keys[0], "b": keys[1]}} and found.test == "x"


def test_an_input_that_is_called_like_a_part():
    found = input_keys(["x_test_a", "x_b"], inputs("test_a", "b"), "d.npz")
    assert found.parts == {"x": {"test_a": "x_test_a", "b": "x_b"}}


def test_an_input_that_is_called_like_labels():
    assert input_keys(["x_y", "x_b", "y"], inputs("y", "b"), "d").parts["x"] == {"y": "x_y", "b": "x_b"}
    with pytest.raises(UserInputError, match="no array for the model's input 'y'"):
        input_keys(["b", "y"], inputs("y", "b"), "d.npz")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["x_test_a", "y_test"], "no array for the model's input 'b'"),
        (["x_test_a", "x_test_b", "x_train_a"], "no array for the model's input 'b'"),
        (["x_test_a", "x_test_b", "x_test_c"], "the array 'x_test_c' is of no input"),
        (["a", "b", "c"], "the array 'c' is of no input"),
        (["x_test", "y_test"], "the array 'x_test' is of no input"),
        (["y"], "has no samples"),
    ],
)
def test_what_does_not_fit_is_told_with_both_sides(keys, words):
    with pytest.raises(UserInputError, match=words) as caught:
        input_keys(keys, inputs("a", "b"), "d.npz")
    assert "'a', 'b'" in caught.value.what and ", ".join(keys) in caught.value.what
    assert "_a, x_" in (caught.value.hint or "")


def test_of_one_input_nothing_is_asked_for():
    found = input_keys(["x_test", "x_train", "y_test", "more"], [], "d.npz")
    assert found.parts == {"x_test": {"": "x_test"}, "x_train": {"": "x_train"}} and found.others == ("y_test", "more")
    assert array_of("scale", "") == "scale" and array_of("scale", "a") == "scale_a"


def test_names_that_tensorflow_takes_are_all_different():
    assert argument_names(["image", "my-img/0", "7"]) == ("image", "my_img_0", "input_7")
    assert len(set(argument_names(["a-b", "a_b", "a b"]))) == 3


def finished(*names: str) -> Graph:
    """A model that adds its inputs, whose tensors are called so."""
    tensors = [Tensor(name=name, shape=(1, 4), dtype="float32") for name in (*names, "out")]
    add = Node(op="ADD", inputs=(0, 1), outputs=(2,), options="AddOptions")
    return read_graph(build(tensors, [add], inputs=(0, 1), outputs=(2,)))


def test_the_inputs_of_a_finished_model_are_called_without_what_converters_add():
    found = graph_inputs(finished("serving_default_b:0", "serving_default_my_a:0"))
    assert [one.name for one in found] == ["b", "my_a"] and found[0].io.shape == (-1, 4)
    assert "serving_default_b:0" in found[0].aliases
    assert [one.name for one in graph_inputs(finished("same", "same"))] == ["0", "1"]


def test_inputs_are_known_by_name_in_whatever_order_the_converter_put_them():
    graph = finished("serving_default_b:0", "serving_default_my_a:0")
    assert names_in_order(graph, ["my-a", "b"]) == ("b", "my-a")
    with pytest.raises(UserInputError, match="inputs are 'b', 'my_a', and those of the data are 'b', 'c'"):
        names_in_order(graph, ["b", "c"])


def test_a_name_of_the_model_comes_before_one_that_was_made_of_another():
    first, second = argument_names(["a-b", "a_b"])
    assert names_in_order(finished(second, first), ["a-b", "a_b"]) == ("a_b", "a-b")
