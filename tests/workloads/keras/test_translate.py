"""Keras 3 descriptions in the words of Keras 2, without either Keras."""

from __future__ import annotations

import pytest

from harness.core.errors import UserInputError
from harness.workloads.keras.load import plain_description
from harness.workloads.keras.translate import CopyRefusedError, to_keras2


def layer(class_name, name=None, module="keras.layers", calls=None, **config):
    node = {"module": module, "class_name": class_name, "registered_name": None, "config": {"name": name, **config}}
    return {**node, "name": name, "inbound_nodes": calls} if calls is not None else node


def tensor(name, node=0, index=0, shape=(None, 8, 8, 4)):
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": list(shape), "dtype": "float32", "keras_history": [name, node, index]},
    }


def call(*arguments, **settings):
    return [{"args": list(arguments), "kwargs": settings}]


def functional(*layers, last):
    config = {"name": "m", "layers": list(layers), "input_layers": ["x", 0, 0], "output_layers": [last, 0, 0]}
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config}


def sequential(*layers, name="m"):
    return {"module": "keras", "class_name": "Sequential", "config": {"name": name, "layers": list(layers)}}


INPUT = layer("InputLayer", "x", calls=[], batch_shape=[None, 8, 8, 4], dtype="float32")


def only(*layers):
    """The plain descriptions of a Sequential model's layers."""
    return to_keras2(sequential(*layers), where="m")["config"]["layers"]


def operation(class_name, *arguments, **config):
    """The layer that an operation on `x` becomes in a functional model."""
    node = layer(class_name, "op", module="keras.src.ops.numpy", calls=call(*arguments), **config)
    return to_keras2(functional(INPUT, node, last="op"), where="m")["config"]["layers"][-1]


def test_modules_policies_and_functions_become_names():
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}
    function = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}
    (found,) = only(layer("Dense", "d", units=1, dtype=policy, activation=function))
    assert found == {
        "class_name": "Dense",
        "config": {"name": "d", "units": 1, "dtype": "float32", "activation": "relu"},
    }


def test_settings_get_the_names_of_keras_2():
    first, second = only(layer("InputLayer", "i", batch_shape=[None, 4]), layer("LeakyReLU", "l", negative_slope=0.3))
    assert first["config"]["batch_input_shape"] == [None, 4]
    assert second["config"] == {"name": "l", "alpha": 0.3}


def test_calls_of_models_within_the_model_count_from_one():
    inner = sequential(layer("InputLayer", "i", batch_shape=[None, 8, 8, 4]), layer("ReLU", "r"), name="inner")
    nested = {**inner, "name": "inner", "inbound_nodes": call(tensor("x")) + call(tensor("inner"))}
    after = layer("ReLU", "after", calls=call(tensor("inner", 1)))
    found = to_keras2(functional(INPUT, nested, after, last="after"), where="m")["config"]["layers"]
    assert found[1]["inbound_nodes"] == [[["x", 0, 0, {}]], [["inner", 1, 0, {}]]]
    assert found[2]["inbound_nodes"] == [[["inner", 2, 0, {}]]]


def test_a_sequential_model_without_an_input_has_no_first_call():
    nested = {**sequential(layer("ReLU", "r"), name="inner"), "name": "inner", "inbound_nodes": call(tensor("x"))}
    found = to_keras2(functional(INPUT, nested, last="inner"), where="m")["config"]
    assert found["output_layers"] == [["inner", 0, 0]]


@pytest.mark.parametrize("key", ["activation", "recurrent_activation"])
def test_hard_sigmoid_is_another_function_and_refused_by_name(key):
    with pytest.raises(
        CopyRefusedError, match="layer 'g' .GRU. uses hard_sigmoid, which is another function"
    ) as refusal:
        only(layer("GRU", "g", units=3, **{key: "hard_sigmoid"}))
    assert "ptq recipes" in refusal.value.hint


@pytest.mark.parametrize("name", ["hard_silu", "celu", "squareplus", "sparsemax", "glu", "my_own"])
def test_activations_that_keras_2_does_not_have_are_refused(name):
    with pytest.raises(CopyRefusedError, match=f"layer 'd' .Dense. uses the activation {name}"):
        only(layer("Dense", "d", units=1, activation=name))


def test_an_activation_inside_a_wrapper_is_seen():
    wrapped = layer("TimeDistributed", "t", layer=layer("Dense", "d", units=1, activation="hard_sigmoid"))
    with pytest.raises(CopyRefusedError, match="hard_sigmoid"):
        only(wrapped)


@pytest.mark.parametrize("kind", ["RandomRotation", "RandomFlip", "RandomErasing", "MixUp"])
def test_augmentation_does_nothing_in_a_copy(kind):
    assert only(layer(kind, "a", factor=0.1, seed=3)) == [
        {"class_name": "Dropout", "config": {"name": "a", "rate": 0.0}}
    ]


def test_settings_that_mean_nothing_are_left_out_and_others_refused():
    model = sequential(layer("Dense", "d", units=1, lora_rank=None, quantization_config=None))
    known = {"Dense": frozenset({"name", "units"})}
    assert to_keras2(model, where="m", settings=known.get)["config"]["layers"][0]["config"] == {"name": "d", "units": 1}
    with pytest.raises(CopyRefusedError, match="layer 'd' .Dense. has the setting rms_scaling=True"):
        to_keras2(sequential(layer("Dense", "d", units=1, rms_scaling=True)), where="m", settings=known.get)


def test_a_kind_of_layer_that_keras_2_does_not_have_is_refused():
    with pytest.raises(
        CopyRefusedError, match="layer 'n' .RMSNormalization. is a kind of layer that Keras 2 does not have"
    ):
        to_keras2(sequential(layer("RMSNormalization", "n")), where="m", settings=lambda name: None)


@pytest.mark.parametrize(
    "class_name, arguments, config, kind, settings",
    [
        ("Add", [tensor("x"), tensor("x")], {}, "Add", {}),
        ("Multiply", [tensor("x"), tensor("x")], {}, "Multiply", {}),
        ("Add", [tensor("x"), 2.0], {}, "Rescaling", {"scale": 1.0, "offset": 2.0}),
        ("Subtract", [1.0, tensor("x")], {}, "Rescaling", {"scale": -1.0, "offset": 1.0}),
        ("TrueDivide", [tensor("x"), 4], {}, "Rescaling", {"scale": 0.25, "offset": 0.0}),
        ("Relu", [tensor("x")], {}, "Activation", {"activation": "relu"}),
        ("Softmax", [tensor("x")], {"axis": -1}, "Activation", {"activation": "softmax"}),
        ("Concatenate", [[tensor("x"), tensor("x")]], {"axis": -1}, "Concatenate", {"axis": -1}),
        ("Reshape", [tensor("x")], {"newshape": [-1, 256]}, "Reshape", {"target_shape": [256]}),
        ("Transpose", [tensor("x")], {"axes": [0, 3, 1, 2]}, "Permute", {"dims": [3, 1, 2]}),
        ("Mean", [tensor("x")], {"axis": [1, 2], "keepdims": True}, "GlobalAveragePooling2D", {"keepdims": True}),
    ],
)
def test_operations_become_the_layer_that_does_the_same(class_name, arguments, config, kind, settings):
    found = operation(class_name, *arguments, **config)
    assert (found["class_name"], found["config"]) == (kind, {"name": "op", **settings})


@pytest.mark.parametrize(
    "class_name, arguments, config",
    [
        ("GetItem", [tensor("x"), [0]], {}),
        ("TrueDivide", [1.0, tensor("x")], {}),
        ("TrueDivide", [tensor("x"), 0], {}),
        ("Add", [tensor("x"), float("inf")], {}),
        ("Add", [tensor("x"), {"class_name": "__numpy__", "config": {"value": [1], "dtype": "float32"}}], {}),
        ("Softmax", [tensor("x")], {"axis": 1}),
        ("Reshape", [tensor("x")], {"newshape": [4, 64]}),
        ("Mean", [tensor("x")], {"axis": [3], "keepdims": False}),
        ("Einsum", [tensor("x")], {"subscripts": "abcd->ab"}),
    ],
)
def test_operations_without_counterpart_are_refused_by_name(class_name, arguments, config):
    with pytest.raises(
        CopyRefusedError, match=f"layer 'op' .{class_name}. is an operation that Keras 2 has no layer for"
    ):
        operation(class_name, *arguments, **config)


def test_attention_keeps_its_arguments():
    node = layer("MultiHeadAttention", "a", calls=call(tensor("x"), tensor("x"), use_causal_mask=False), num_heads=2)
    found = to_keras2(functional(INPUT, node, last="a"), where="m")["config"]["layers"][-1]
    assert found["inbound_nodes"] == [[["x", 0, 0, {"use_causal_mask": False, "value": ["x", 0, 0]}]]]


def test_several_arguments_of_another_layer_are_refused_by_name():
    node = layer("GRU", "g", calls=call(tensor("x"), tensor("x")), units=2)
    with pytest.raises(CopyRefusedError, match="layer 'g' .GRU. is called with several arguments"):
        to_keras2(functional(INPUT, node, last="g"), where="m")


@pytest.mark.parametrize(
    "damage", [{"class_name": "Sequential", "config": {}}, {"class_name": "Functional", "config": {"layers": [3]}}]
)
def test_a_damaged_description_is_told_apart_from_a_refusal(damage):
    with pytest.raises(UserInputError, match="damaged"):
        to_keras2(damage, where="m")


def test_descriptions_of_keras_2_keep_class_names_alone():
    config = {"module": "os", "class_name": "Dense", "config": {"units": 1}, "registered_name": "x>y"}
    assert plain_description(config) == {"class_name": "Dense", "config": {"units": 1}}
