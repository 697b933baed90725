"""Conversions do what the recipe table says, and refusals are the converter's reasons in a reader's length."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UnsupportedError
from harness.tflite.graph import read_graph
from harness.variants.convert import ptq
from harness.variants.recipe import CONVERSIONS
from tests.support.small_models import dense_net

slow = pytest.mark.slow
pytestmark = pytest.mark.usefixtures("keras2")


def weights_of(artifact, op):
    graph = read_graph(artifact.path)
    node = next(node for node in graph.nodes if node.op == op)
    return graph.input_at(node, 1)


@slow
def test_default_is_per_channel_dense_and_default_pt_is_not(built):
    assert weights_of(built["ptq-default"], "FULLY_CONNECTED").per_channel
    assert not weights_of(built["ptq-default-pt"], "FULLY_CONNECTED").per_channel


@slow
def test_weight_only_stores_int8_and_computes_in_float(built):
    graph = read_graph(built["ptq-wo8"].path)
    dense = next(node for node in graph.nodes if node.op == "FULLY_CONNECTED")
    assert {tensor.dtype for tensor in graph.node_inputs(dense)} == {"float32"}
    stored = graph.producers[dense.inputs[1]]
    assert stored.op == "DEQUANTIZE" and graph.tensors[stored.inputs[0]].dtype == "int8"


@slow
def test_an_integer_conversion_leaves_nothing_in_float(built):
    graph = read_graph(built["ptq-int8-io"].path)
    assert not [tensor.name for node in graph.nodes for tensor in graph.node_outputs(node) if tensor.dtype == "float32"]


@slow
def test_qat_with_default_is_the_integer_model(built):
    graph = read_graph(built["qat-default"].path)
    assert {node.op for node in graph.nodes} == {
        "QUANTIZE",
        "RESHAPE",
        "CONV_2D",
        "MAX_POOL_2D",
        "FULLY_CONNECTED",
        "DEQUANTIZE",
    }
    assert weights_of(built["qat-default"], "FULLY_CONNECTED").dtype == "int8"


@slow
def test_dense_only_qat_with_default_stays_in_float(built):
    graph = read_graph(built["qat-dense-default"].path)
    dense = next(node for node in graph.nodes if node.op == "FULLY_CONNECTED")
    assert graph.tensors[dense.inputs[0]].dtype == "float32"


@slow
def test_the_batch_is_one_unless_it_is_asked_to_be_open(built):
    fixed, opened = (read_graph(built[name].path) for name in ("ptq-int8-io", "ptq-int8-io-dynbatch"))
    assert not any(tensor.is_dynamic for tensor in fixed.tensors)
    assert opened.tensors[opened.inputs[0]].is_dynamic


@slow
@pytest.mark.parametrize(
    "conversion, dtypes",
    [
        ("float32", {"float32"}),
        ("int8", {"float32"}),
        ("int8-io", {"int8"}),
        ("uint8-io", {"uint8"}),
        ("int16x8", {"float32"}),
        ("int8-pt-io", {"int8"}),
        ("float16", {"float32"}),
        ("aeq-static8", {"float32", "int8"}),
        ("aeq-dyn4", {"float32"}),
    ],
)
def test_every_conversion_of_a_small_model_has_the_io_it_promises(conversion, dtypes):
    samples = np.random.default_rng(0).random((20, 6), dtype=np.float32)
    graph = read_graph(ptq.convert(dense_net(), CONVERSIONS[conversion], representative=samples))
    assert {graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)} <= dtypes


@slow
def test_the_same_model_converts_to_the_same_bytes():
    assert ptq.convert(dense_net(), CONVERSIONS["float32"]) == ptq.convert(dense_net(), CONVERSIONS["float32"])


@slow
def test_per_tensor_conversion_has_one_scale_everywhere():
    samples = np.random.default_rng(0).random((20, 6), dtype=np.float32)
    graph = read_graph(ptq.convert(dense_net(), CONVERSIONS["int8-pt-io"], representative=samples))
    assert max(len(tensor.scales) for tensor in graph.tensors) == 1


@slow
def test_calibration_without_samples_is_refused():
    with pytest.raises(UnsupportedError, match="representative samples"):
        ptq.convert(dense_net(), CONVERSIONS["int8-io"], representative=None)


@slow
def test_an_open_input_shape_is_refused():
    from harness.workloads.keras.env import import_tf

    layers = import_tf().keras.layers
    x = layers.Input((None, 4))
    with pytest.raises(UnsupportedError, match="open beyond the batch"):
        ptq.convert(import_tf().keras.Model(x, layers.Dense(2)(x)), CONVERSIONS["float32"])


@slow
def test_what_ai_edge_quantizer_refuses_says_who_refused():
    with pytest.raises(UnsupportedError, match="^AI Edge Quantizer: "):
        ptq.quantize_with_aeq(b"no model at all", CONVERSIONS["wo8"], None)
