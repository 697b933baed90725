"""Layers that only scale are folded into the kernel beside them: no warning for what that does to its scale."""

import numpy as np
import pytest

from harness.tflite.graph import read_graph
from harness.variants.audit.tflite import audit_graph
from harness.variants.recipe import parse_recipe
from tests.support.tiny_model import Node, Tensor, build, int8_dense

#: twice what the file's kernel of 10 channels holds: what a factor of 1/2 makes of it
LIMIT = 2.54


def layer(name, kind, **fields):
    base = {
        "name": name,
        "class": kind,
        "wrapped": False,
        "quantize_config": None,
        "weight_quantizer": None,
        "activation_quantizer": None,
        "output_quantizer": None,
        "activation": None,
        "variables": [],
    }
    return {**base, **fields}


def dense(learned=False, **fields):
    kernel = {
        "name": "w/kernel:0",
        "added": False,
        "shape": [16, 10],
        "channel_min": [-LIMIT] * 10,
        "channel_max": [LIMIT] * 10,
    }
    ends = [("kernel_min", -LIMIT), ("kernel_max", LIMIT)] if learned else []
    added = [{"name": f"w/{n}:0", "added": True, "shape": [], "value": v} for n, v in ends]
    return layer("w", "Dense", variables=[kernel, *added], **fields)


def codes(layers, recipe="ptq-int8-io"):
    summary = {"layers": layers, "totals": {"added_params": 0, "layers_without_weight_quantizer": []}}
    report = audit_graph(read_graph(int8_dense()), "m", parse_recipe(recipe), summary)
    return {f.code for f in report.findings}


def test_a_kernel_that_is_not_the_recorded_one_is_told():
    assert "theory-disagrees" in codes([layer("flatten", "Flatten"), dense()])


@pytest.mark.parametrize(
    "kind", ["Rescaling", "Normalization", "BatchNormalization", "LayerNormalization", "TFOpLambda"]
)
def test_a_scaling_layer_before_or_behind_the_kernel_explains_it(kind):
    assert "theory-disagrees" not in codes([layer("s", kind), dense()])
    assert "theory-disagrees" not in codes([layer("s", kind), layer("f", "Flatten"), dense()])
    assert "theory-disagrees" not in codes([dense(), layer("d", "Dropout"), layer("s", kind)])


def test_what_stands_between_keeps_the_factor_out():
    assert "theory-disagrees" in codes([layer("s", "Rescaling"), layer("r", "ReLU"), dense()])
    assert "theory-disagrees" in codes([dense(activation="relu"), layer("s", "BatchNormalization")])
    quantized = layer("q", "QuantizeLayer", output_quantizer={"class": "MovingAverageQuantizer"})
    assert "theory-disagrees" in codes([layer("s", "Rescaling"), quantized, dense()])


def test_in_a_model_with_branches_any_scaling_layer_may_be_the_one():
    assert "theory-disagrees" not in codes([layer("s", "Rescaling"), layer("a", "Add"), layer("r", "ReLU"), dense()])


def test_a_range_that_nobody_learned_is_not_told_to_be_unused():
    folded = [dense(), layer("b", "BatchNormalization")]
    assert "learned-range-not-used" not in codes(folded)
    assert "learned-range-not-used" in codes([dense(learned=True), layer("b", "BatchNormalization")], "qat-int8-io")


def test_the_files_kernel_is_half_of_what_the_layer_has():
    graph = read_graph(int8_dense())
    weights = next(t for t in graph.tensors if t.name == "w")
    assert np.abs(weights.data()).max() == 127 and weights.scales == pytest.approx((0.01,))


def test_token_and_class_numbers_are_no_broken_promise_of_a_recipe():
    tensors = [
        Tensor(name="tokens", shape=(1, 4), dtype="int32"),
        Tensor(name="axis", shape=(), dtype="int32", data=np.array(1, np.int32)),
        Tensor(name="class", shape=(1,), dtype="int32"),
    ]
    data = build(tensors, [Node(op="ARG_MAX", inputs=(0, 1), outputs=(2,))], inputs=(0,), outputs=(2,))
    report = audit_graph(read_graph(data), "m", parse_recipe("ptq-int8-io"))
    assert "io-type" not in {f.code for f in report.findings}
    assert "io-type" in codes([dense()], "ptq-float32")
