"""`mixed[...]` on small networks: what each op of the file is, equalisation, ranges, what the audit says. No TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UnsupportedError
from harness.measure.tensor_error import MOST_DB, TensorError, tensor_errors
from harness.tflite.graph import read_graph
from harness.variants.audit.audit import audit_artifact
from harness.variants.audit.mixed import got_ops
from harness.variants.convert.equalise import equalise, find_pairs
from harness.variants.convert.layers import layer_ops
from harness.variants.convert.mixed import quantize_mixed
from harness.variants.convert.ranges import tensor_ranges
from harness.variants.recipe import parse_recipe
from tests.support.small_nets import Net

LAYERS = ("first", "second", "pool", "head")
SAMPLES = np.random.default_rng(7).random((24, 8, 8, 2)).astype(np.float32)


def named(net, tensor, path):
    net.editor.tensors[tensor]["name"] = path
    return tensor


def network(*, outlier=1.0, activation="relu"):
    """Two convolutions, a pool, a flattened Dense layer, SOFTMAX; `outlier` scales a channel between the convolutions."""
    net = Net((8, 8, 2), seed=3)
    rng = np.random.default_rng(5)
    first, second = rng.normal(0, 0.3, (6, 3, 3, 2)), rng.normal(0, 0.3, (5, 3, 3, 6))
    first[0] *= outlier
    second[..., 0] /= outlier
    x = named(
        net,
        net.conv(net.inputs[0], 6, weights=first, bias=np.zeros(6), activation=activation),
        "m/first/Relu;m/first/Conv2D",
    )
    x = named(net, net.conv(x, 5, weights=second), "m/second/Relu")
    x = named(net, net.pool(x), "m/pool/MaxPool")
    x = net.dense(net.reshape(x, (1, 80)), 4)
    net.editor.tensors[x]["name"] = "m/head/BiasAdd"
    return with_signature(net.model(net.softmax(x)))


def with_signature(model):
    """The model with the signature that the converter gives one, which the quantizer keeps true when an end changes."""
    from ai_edge_litert.tools import flatbuffer_utils as utils

    editable, schema = utils.read_model_from_bytearray(bytearray(model)), utils.schema_fb
    graph, signature = editable.subgraphs[0], schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    signature.inputs, signature.outputs = [], []
    for ends, names, tensors in ((signature.inputs, "x", graph.inputs), (signature.outputs, "y", graph.outputs)):
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = names.encode(), int(tensors[0])
        ends.append(entry)
    editable.signatureDefs = [signature]
    return bytes(utils.convert_object_to_bytearray(editable))


def mixed(model, words, samples=SAMPLES):
    return quantize_mixed(model, parse_recipe(f"mixed[{words}]").conversion.mix, LAYERS, samples)


def kinds(model):
    return [(one.op.name, one.kind, one.granularity) for one in got_ops(read_graph(model), LAYERS)]


def outputs(model, samples=SAMPLES):
    from harness.tune.scored import _Outputs

    runner = _Outputs(model, samples, preserve=False)
    return np.concatenate([runner.run(sample) for sample in samples])


def error_db(model, words, **network_settings):
    error = TensorError()
    error.add(outputs(model), outputs(mixed(model, words).model))
    return error.sqnr_db


def test_every_layer_gets_what_the_name_says():
    found = kinds(mixed(network(), "int16=second,w8=head,float=first,per-tensor=second").model)
    assert found == [
        ("first", "float", ""),
        ("second", "int16", "per-tensor"),
        ("pool", "int8", ""),
        ("op3", "int8", ""),
        ("head", "w8", "per-channel"),
        ("op5", "int8", ""),
    ]


def test_an_op_without_a_name_goes_by_its_number():
    assert kinds(mixed(network(), "float=op5").model)[5] == ("op5", "float", "")


def test_the_ends_of_the_model_are_as_the_layers_beside_them():
    def ends(words):
        graph = read_graph(mixed(network(), words).model)
        return graph.tensors[graph.inputs[0]].dtype, graph.tensors[graph.outputs[0]].dtype

    assert ends("int8") == ("int8", "int8")
    assert ends("int16=first,float=op5") == ("int16", "float32")
    assert ends("float-io") == ("float32", "float32")


def test_the_same_name_gives_the_same_bytes():
    assert mixed(network(), "int16=second,cal=mse").model == mixed(network(), "cal=mse,int16=second").model


def test_float_and_int16_lose_next_to_nothing():
    model = network()
    assert error_db(model, "float") == MOST_DB
    assert error_db(model, "int16") > error_db(model, "int8") > 20


def test_a_layer_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UnsupportedError, match="names the layer 'secnd'") as refusal:
        mixed(network(), "int16=secnd")
    assert "near to it: second" in refusal.value.hint


@pytest.mark.parametrize("words", ["int16=op99", "float=first+op6"])
def test_a_number_beyond_the_ops_is_refused(words):
    with pytest.raises(UnsupportedError, match="no op of the float .tflite"):
        mixed(network(), words)


# Equalisation


def test_equalising_changes_ranges_and_nothing_else():
    model = network(outlier=300.0)
    evened = equalise(model)
    assert len(evened.pairs) == 2 and evened.most > 10
    np.testing.assert_allclose(outputs(evened.model), outputs(model), atol=1e-4)
    weights = read_graph(evened.model)
    first = np.abs(weights.tensors[evened.pairs[0].first.inputs[1]].data()).max(axis=(1, 2, 3))
    assert first.max() / first.min() < 10


def test_an_outlier_channel_costs_int8_and_equalising_regains_it():
    model = network(outlier=300.0)
    assert error_db(model, "int8") < error_db(model, "equalise") - 6
    assert error_db(model, "w8=first+second+pool+op3+head+op5") > error_db(model, "int8") + 6


def test_relu6_is_not_equalised():
    pairs = find_pairs(read_graph(network(activation="relu6")))
    assert [pair.first.index for pair in pairs] == [1]


def test_a_tensor_with_two_readers_is_not_equalised():
    net = Net((8, 8, 2))
    x = net.conv(net.inputs[0], 4)
    assert find_pairs(read_graph(net.model(net.add(net.conv(x, 4), net.conv(x, 4))))) == []


def test_depthwise_layers_are_equalised_on_both_sides():
    net = Net((8, 8, 2), seed=2)
    model = net.model(net.dense(net.reduce(net.depthwise(net.conv(net.inputs[0], 4))), 3))
    evened = equalise(model)
    assert len(evened.pairs) == 2
    np.testing.assert_allclose(outputs(evened.model), outputs(model), atol=1e-4)


# Ranges


def test_ranges_hold_what_the_calibration_says():
    model, words = network(), ("int8", "cal=p99", "cal=p90", "cal=mse")
    found = {w: tensor_ranges(model, SAMPLES, parse_recipe(f"mixed[{w}]").conversion.mix) for w in words}
    widths = [found[w]["m/second/Relu"].high for w in words]
    assert widths[0] > widths[1] > widths[2] and widths[0] >= widths[3] > widths[2]
    assert all(ranges["m/second/Relu"].low == 0 for ranges in found.values())


def test_a_stray_value_does_not_widen_a_percentile():
    samples = SAMPLES.copy()
    samples[3, 2, 2, 0] = 500.0
    mix = {w: parse_recipe(f"mixed[{w}]").conversion.mix for w in ("int8", "cal=p99.9", "cal=mse")}
    high = {w: tensor_ranges(network(), samples, mix[w])[read_graph(network()).tensors[0].name].high for w in mix}
    assert high["int8"] == 500 and high["cal=p99.9"] < 5


def test_sixteen_bit_tensors_keep_their_whole_range():
    whole, narrowed = (mixed(network(), words).model for words in ("int16", "int16,cal=p90"))
    assert whole == narrowed


# The audit


def audited(tmp_path, words, model=None):
    recipe = parse_recipe(f"mixed[{words}]")
    made = quantize_mixed(model or network(), recipe.conversion.mix, LAYERS, SAMPLES)
    path = tmp_path / "model.tflite"
    path.write_bytes(made.model)
    layers = [{"name": name, "class": "Conv2D", "wrapped": False} for name in LAYERS]
    return {f["code"]: f for f in audit_artifact(path, recipe, None, made.notes)["findings"]}, layers


def test_the_audit_says_what_each_layer_got(tmp_path):
    found, _ = audited(tmp_path, "int16=op1,equalise")
    assert "mixed-not-granted" not in found
    assert "int16 activations, per-channel weights: " in found["mixed-layers"]["what"]
    assert "24 calibration samples" in found["mixed-calibrated"]["what"]
    assert "2 pairs of layers were equalised" in found["mixed-equalised"]["what"]
    assert "first -> second" in found["mixed-equalised"]["what"]


def test_what_the_quantizer_does_not_take_costs_that_op_and_is_named(tmp_path):
    net = Net((8, 8, 2))
    x = net.unary(
        "LEAKY_RELU", net.conv(net.inputs[0], 4, activation=None), options="LeakyReluOptions", fields={"alpha": 0.1}
    )
    found, _ = audited(tmp_path, "int8", net.model(net.conv(x, 3)))
    assert "op1 (LEAKY_RELU) was to be int8 and is float" in found["mixed-not-granted"]["what"]
    assert found["mixed-layers"]["what"].startswith("int8, per-channel weights: op0, op2")


def test_nothing_to_equalise_is_a_warning(tmp_path):
    net = Net((8,))
    found, _ = audited(tmp_path, "equalise,float", net.model(net.dense(net.inputs[0], 3)))
    assert found["mixed-equalised"]["severity"] == "warning"


# Names and errors


def test_ops_are_told_by_the_layers_whose_paths_their_tensors_keep():
    ops = layer_ops(read_graph(network()), LAYERS)
    assert [op.layers for op in ops] == [("first",), ("second",), ("pool",), (), ("head",), ()]


def test_a_quantized_model_has_the_same_ops():
    plain, quantized = (layer_ops(read_graph(m), LAYERS) for m in (network(), mixed(network(), "w8=second").model))
    assert [(op.number, op.node.op) for op in plain] == [(op.number, op.node.op) for op in quantized]


def test_errors_of_tensors():
    x = np.linspace(-1, 1, 1000)
    errors = tensor_errors({"a": x, "b": x, "c": x}, {"a": x, "b": x + 0.01, "d": x})
    assert set(errors) == {"a", "b"} and errors["a"].sqnr_db == MOST_DB and errors["a"].cosine == pytest.approx(1)
    assert errors["b"].rmse == pytest.approx(0.01)
    assert errors["b"].sqnr_db == pytest.approx(10 * np.log10(np.mean(x**2) / 1e-4))


def test_eight_bits_of_a_uniform_signal_have_the_textbook_error():
    """6.02 dB a bit: uniform over the range, 8 bits give 48 dB (Bennett 1948)."""
    x = np.random.default_rng(0).uniform(-1, 1, 100_000)
    step = 2 / 256
    assert tensor_errors({"x": x}, {"x": np.round(x / step) * step})["x"].sqnr_db == pytest.approx(48.2, abs=0.2)
