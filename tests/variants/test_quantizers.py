"""The named QAT quantizers: what is asked, what TFMOT makes of it, and our own per-axis AllValues quantizer."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UnsupportedError
from harness.tflite.graph import read_graph
from harness.variants.convert import ptq
from harness.variants.qat import quantizers
from harness.variants.qat import training as qat
from harness.variants.qat.summary import describe
from harness.variants.qat.wrapping import quantize
from harness.variants.recipe import CONVERSIONS, parse_quantizer, parse_recipe
from tests.support.small_models import conv_net, dense_net, random_data, small_workload

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("keras2")]


def trained(quantizer: str, **model):
    """A conv net trained a few steps with a named quantizer."""
    quantized = quantize(conv_net(**model), parse_recipe(f"qat-q[{quantizer}]-int8-io").training)
    qat.fine_tune(small_workload(), random_data(), quantized, 0)
    return quantized


def layer(model, kind):
    return next(found for found in describe(model)["layers"] if found["class"] == kind)


def range_shape(described):
    return next(v["shape"] for v in described["variables"] if v["name"].endswith("kernel_min"))


@pytest.mark.parametrize(
    "quantizer, shape",
    [
        ("last", []),
        ("last,per-channel", [32]),
        ("movavg", []),
        ("allvalues", []),
        ("allvalues,per-channel", []),
        ("allvalues-pc", [32]),
    ],
)
def test_the_shape_of_kernel_min_is_what_each_quantizer_really_does(quantizer, shape):
    # TFMOT's AllValuesQuantizer(per_axis=True) silently stays per-tensor: that is the published question.
    model = quantize(conv_net(), parse_recipe(f"qat-q[{quantizer}]-int8-io").training)
    assert range_shape(layer(model, "Conv2D")) == shape
    assert range_shape(layer(model, "Dense")) == []


def test_a_per_channel_moving_average_is_refused_and_explained():
    with pytest.raises(UnsupportedError, match="AssertionError.*allvalues-pc"):
        quantize(conv_net(), parse_recipe("qat-q[movavg,per-channel]-int8-io").training)


@pytest.mark.parametrize("conversion", ["int8-io", "default"])
def test_allvalues_pc_gives_32_scales_in_the_file(conversion):
    model = trained("allvalues-pc")
    graph = read_graph(ptq.convert(model, CONVERSIONS[conversion], representative=random_data().x_train))
    conv = next(node for node in graph.nodes if node.op == "CONV_2D")
    weights = graph.input_at(conv, 1)
    assert (weights.dtype, len(set(weights.scales)), set(weights.zero_points)) == ("int8", 32, {0})


def test_allvalues_pc_scales_are_the_recorded_ranges():
    model = trained("allvalues-pc", follower="fused")
    conv = layer(model, "Conv2D")
    high = next(v["value"] for v in conv["variables"] if v["name"].endswith("kernel_max"))
    graph = read_graph(ptq.convert(model, CONVERSIONS["default"]))
    node = next(node for node in graph.nodes if node.op == "CONV_2D")
    np.testing.assert_allclose(graph.input_at(node, 1).scales, np.array(high) / 127, rtol=1e-6)


class FakeLayer:
    """Takes the variables that a quantizer builds."""

    def add_weight(self, name, shape, initializer, trainable):
        import tensorflow as tf

        assert trainable is False
        return tf.Variable(initializer(shape), name=name)


def our_quantizer(text):
    return quantizers.make_weight_quantizer(parse_quantizer(f"allvalues-pc,{text}"), "Conv2D")


def run(quantizer, *batches, training=True):
    """Feeds batches; returns the last output and the ranges."""
    variables = quantizer.build((*batches[0].shape[:-1], batches[0].shape[-1]), "kernel", FakeLayer())
    for batch in batches:
        out = quantizer(batch, training, variables)
    return out.numpy(), variables["min_var"].numpy(), variables["max_var"].numpy()


def test_ranges_cover_all_values_ever_seen_per_channel():
    a = np.array([[[[-1.0, 0.25]]], [[[0.5, 3.0]]]], np.float32)
    b = np.array([[[[0.75, -2.0]]], [[[0.1, 0.0]]]], np.float32)
    _, low, high = run(our_quantizer("asymmetric"), a, b)
    np.testing.assert_array_equal(low, [-1.0, -2.0])
    np.testing.assert_array_equal(high, [0.75, 3.0])


def test_ranges_widen_and_never_shrink():
    wide, narrow = np.full((1, 1, 1, 2), 4.0, np.float32), np.full((1, 1, 1, 2), 0.5, np.float32)
    _, low, high = run(our_quantizer("symmetric"), wide, narrow)
    np.testing.assert_array_equal(high, [4.0, 4.0])
    np.testing.assert_array_equal(low, [-4.0, -4.0])


def test_zero_is_inside_every_range():
    _, low, high = run(our_quantizer("asymmetric"), np.array([[[[2.0, -3.0]]]], np.float32))
    np.testing.assert_array_equal(low, [0.0, -3.0])
    np.testing.assert_array_equal(high, [2.0, 0.0])


@pytest.mark.parametrize("bits", [4, 8])
def test_a_symmetric_full_range_has_the_proportion_of_twos_complement(bits):
    levels = 2**bits
    _, low, high = run(our_quantizer(f"full,w{bits}"), np.array([[[[1.0, -1.0]]]], np.float32))
    np.testing.assert_allclose(low, [-levels / (levels - 2), -1.0], rtol=1e-6)
    np.testing.assert_allclose(high, [1.0, (levels - 2) / levels], rtol=1e-6)


def test_values_come_out_on_the_grid_of_their_channel():
    values = np.random.default_rng(0).normal(size=(3, 3, 2, 5)).astype(np.float32)
    out, _, high = run(our_quantizer("w8"), values)
    steps = out / (high / 127)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert np.abs(out - values).max() <= (high / 127).max() / 2 * 1.001


def test_inference_uses_the_ranges_and_leaves_them_alone():
    quantizer = our_quantizer("symmetric")
    variables = quantizer.build((1, 1, 1, 1), "kernel", FakeLayer())
    quantizer(np.full((1, 1, 1, 1), 1.0, np.float32), True, variables)
    out = quantizer(np.full((1, 1, 1, 1), 5.0, np.float32), False, variables)
    assert out.numpy().item() == pytest.approx(1.0) and variables["max_var"].numpy().item() == 1.0


def test_settings_are_passed_on_as_asked():
    conv = layer(
        quantize(conv_net(), parse_recipe("qat-q[last,per-channel,asymmetric,full,w4,a16]-int8").training), "Conv2D"
    )
    assert conv["weight_quantizer"] == {
        "class": "LastValueQuantizer",
        "num_bits": 4,
        "per_axis": True,
        "symmetric": False,
        "narrow_range": False,
    }


def test_activation_bits_reach_every_activation_and_the_input():
    summary = describe(quantize(conv_net(), parse_recipe("qat-q[last,a6]-int8").training))
    found = [
        found["num_bits"]
        for described in summary["layers"]
        for found in (described["activation_quantizer"], described["output_quantizer"])
        if found
    ]
    assert len(found) == 3 and set(found) == {6}  # input, ReLU output, Dense output


@pytest.mark.parametrize("follower", ["bn-relu", "activation", "bn"])
def test_only_the_end_of_a_folded_chain_is_quantized(follower):
    layers = describe(quantize(conv_net(follower=follower), parse_recipe("qat-q[last]-int8").training))["layers"]
    position = next(i for i, found in enumerate(layers) if found["class"] == "Conv2D")
    end = next(i for i, found in enumerate(layers) if found["class"] == "Flatten") - 1
    quantized = [
        i for i in range(position, end + 1) if layers[i]["activation_quantizer"] or layers[i]["output_quantizer"]
    ]
    assert quantized == [end]


def test_a_separate_relu_does_not_take_a_named_quantizer_away():
    named = layer(quantize(conv_net(follower="activation"), parse_recipe("qat-q[last]-int8").training), "Conv2D")
    default = layer(quantize(conv_net(follower="activation"), parse_recipe("qat-int8").training), "Conv2D")
    assert named["weight_quantizer"]["class"] == "LastValueQuantizer"
    assert default["weight_quantizer"] is None  # the published trap: NoOpQuantizeConfig


def test_per_channel_on_a_model_without_convolutions_is_refused():
    with pytest.raises(UnsupportedError, match="no Conv2D layer"):
        quantize(dense_net(), parse_recipe("qat-q[allvalues-pc]-int8").training)


def test_four_bit_weights_use_fifteen_levels():
    model = trained("allvalues-pc,w4", follower="fused")
    graph = read_graph(ptq.convert(model, CONVERSIONS["default"]))
    node = next(node for node in graph.nodes if node.op == "CONV_2D")
    values = graph.input_at(node, 1).data()
    assert (values.min(), values.max()) == (-7, 7)
