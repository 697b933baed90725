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
