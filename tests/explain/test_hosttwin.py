"""Layers are put back to float, found in the float model, and their weights told apart, on networks that are really run."""

import numpy as np
import pytest

from harness.explain.hosttwin import HostTwin, tapped
from harness.explain.matching import Match, NoMatch, match_models
from harness.tflite.graph import read_graph
from tests.support.small_nets import Net
from tests.support.small_quantizer import Style, calibrate, quantize

SAMPLES = np.random.default_rng(0).normal(size=(24, 8, 8, 2)).astype(np.float32)


def net(seed=0):
    n = Net((8, 8, 2), seed=seed)
    a = n.conv(n.inputs[0], 8, stride=2)
    b = n.conv(a, 8, kernel=1, activation=None)
    c = n.conv(a, 8, kernel=1, activation=None)
    return n.model(n.dense(n.reduce(n.add(n.add(a, b), c)), 5))


@pytest.fixture(scope="module")
def ranges(litert):
    return calibrate(net(), [SAMPLES], litert)


@pytest.fixture(scope="module")
def run(litert):
    return lambda model, inputs: litert.run(model, inputs, kernels="default")


STYLES = pytest.mark.parametrize(
    "style", [Style(float_io=True), Style(activations="float32"), Style(per_channel=False, float_io=True)]
)


def matched(model):
    found = match_models(read_graph(model), read_graph(net()))
    assert isinstance(found, Match)
    return found


@STYLES
def test_every_layer_is_found_in_the_float_model(ranges, style):
    model = quantize(net(), ranges, style)
    graph, match = read_graph(model), matched(model)
    assert match.missing == ()
    for node, other in match.nodes.items():
        assert graph.nodes[node].op == read_graph(net()).nodes[other].op
    # The two 1x1 convolutions read the same: only their weights tell them apart.
    assert sorted(match.nodes.values()) == list(range(len(read_graph(net()).nodes)))


@STYLES
def test_with_all_layers_back_in_float_it_is_the_float_model(ranges, run, style):
    model = quantize(net(), ranges, style)
    twin = HostTwin(model, read_graph(model), matched(model).constants)
    (plain,) = run(net(), [SAMPLES])
    (quantized,) = run(twin.model, [SAMPLES])
    (back,) = run(twin.with_float(range(len(read_graph(model).nodes))), [SAMPLES])
    assert np.abs(back - plain).max() < 1e-5 < 1e-3 < np.abs(quantized - plain).max()


def test_one_layer_back_in_float_changes_only_what_follows(ranges, run):
    model = quantize(net(), ranges, Style(float_io=True))
    graph = read_graph(model)
    twin = HostTwin(model, graph, matched(model).constants)
    conv = next(node for node in graph.nodes if node.op == "CONV_2D")
    dense = next(node for node in graph.nodes if node.op == "FULLY_CONNECTED")
    before, after = (
        run(tapped(m, [twin.placed(conv.outputs[0])])[0], [SAMPLES])[0]
        for m in (twin.model, twin.with_float([dense.index]))
    )
    assert np.array_equal(before, after)
    (changed,), (quantized,) = run(twin.with_float([dense.index]), [SAMPLES]), run(twin.model, [SAMPLES])
    assert not np.array_equal(changed, quantized)


def test_a_shadow_has_float_weights_on_the_same_inputs(ranges, run):
    model = quantize(net(), ranges, Style(float_io=True))
    graph, match = read_graph(model), matched(model)
    twin = HostTwin(model, graph, match.constants)
    first = next(node for node in graph.nodes if node.op == "CONV_2D")
    shadows, places = twin.with_shadows([first.index])
    tap, given = tapped(shadows, [places[first.index].unrounded, places[first.index].shadow, first.inputs[0]])
    unrounded, shadow, fed = run(tap, [SAMPLES])
    assert given[2] == first.inputs[0]
    plain = read_graph(net())
    alone, _ = tapped(net(), [plain.nodes[0].outputs[0]])
    (right,) = run(alone, [fed])
    assert np.allclose(shadow, right, atol=1e-5) and not np.allclose(unrounded, right, atol=1e-4)


def test_the_model_of_another_training_is_refused(ranges):
    found = match_models(read_graph(quantize(net(), ranges)), read_graph(net(seed=9)))
    assert isinstance(found, NoMatch) and "of another training" in found.why


def test_a_model_of_other_inputs_is_refused(ranges):
    other = Net((4, 4, 2))
    found = match_models(
        read_graph(quantize(net(), ranges)), read_graph(other.model(other.dense(other.reduce(other.inputs[0]), 5)))
    )
    assert isinstance(found, NoMatch) and "other shapes" in found.why


# Normalization that stands behind a layer here, and is folded into it in the float model

SCALE = np.geomspace(0.2, 6, 8).astype(np.float32)


def normalized(*, folded):
    """A convolution with batch normalization and ReLU, and a dense layer; both ways compute the same."""
    n = Net((8, 8, 2))
    rng = np.random.default_rng(4)
    weights, shift = rng.normal(0, 0.3, (8, 3, 3, 2)), rng.normal(0, 0.1, 8)
    last = rng.normal(0, 0.3, (5, 8))
    if folded:
        x = n.conv(n.inputs[0], 8, weights=weights * SCALE[:, None, None, None], bias=shift)
    else:
        x = n.conv(n.inputs[0], 8, weights=weights, bias=np.zeros(8), activation=None)
        x = n.mul(x, n.editor.tensor("scale", (8,), "float32", data=SCALE))
        x = n.add(x, n.editor.tensor("shift", (8,), "float32", data=shift.astype(np.float32)), activation="relu")
    return n.model(n.dense(n.reduce(x), 5, weights=last, bias=np.zeros(5)))


def test_normalization_behind_a_layer_is_that_inside_its_counterpart(litert, run):
    model = quantize(normalized(folded=False), calibrate(normalized(folded=False), [SAMPLES], litert), Style())
    graph, plain = read_graph(model), read_graph(normalized(folded=True))
    match = match_models(graph, plain)
    assert isinstance(match, Match) and match.missing == ()
    conv, mul, add = graph.nodes[:3]
    assert match.unfolded == (conv.index,)
    assert match.tensors[add.outputs[0]] == plain.nodes[0].outputs[0]
    assert not {conv.outputs[0], mul.outputs[0]} & match.tensors.keys()
    (right,) = run(tapped(normalized(folded=True), [plain.nodes[0].outputs[0]])[0], [SAMPLES])
    float_graph = read_graph(normalized(folded=False))
    (same,) = run(tapped(normalized(folded=False), [float_graph.nodes[2].outputs[0]])[0], [SAMPLES])
    assert np.allclose(right, same, atol=1e-4)
    unfolded = float_graph.nodes[0]
    weights = float_graph.tensors[unfolded.inputs[1]].data()
    assert np.allclose(match.constants[conv.index, 1], weights, atol=0.01 * np.abs(weights).max())
    assert (conv.index, 2) not in match.constants


def test_weights_that_a_scheme_rounded_in_float_are_told_from_the_float_models():
    weights = np.random.default_rng(4).normal(size=(5, 8)).astype(np.float32)

    def net_of(values):
        n = Net((8,))
        return n.model(n.dense(n.inputs[0], 5, weights=values, bias=np.zeros(5)))

    match = match_models(read_graph(net_of(np.round(weights * 4) / 4)), read_graph(net_of(weights)))
    assert isinstance(match, Match) and [*match.constants] == [(0, 1)]
    assert np.array_equal(match.constants[0, 1], weights)
