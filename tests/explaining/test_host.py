"""What this machine computes of each layer: a planted outlier channel is named, and putting its layer back to float regains."""

import numpy as np
import pytest

from harness.explain.cause import cause_of, worst_layers
from harness.explain.document import Layer
from harness.explaining.floatmodel import FloatModel
from harness.explaining.host import HostArithmetic
from harness.tflite.graph import read_graph
from harness.workloads.metrics.registry import get_metric
from tests.support.small_nets import Net
from tests.support.small_quantizer import Style, calibrate, quantize

SAMPLES = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
OUTLIER, FACTOR = 5, 60.0


def net():
    """Three dense layers; one channel of the second is far larger than the others, and the third takes it back."""
    n = Net((16,))
    rng = np.random.default_rng(3)
    second, third = rng.normal(size=(24, 32)) / 6, rng.normal(size=(4, 24)) / 5
    second[OUTLIER] *= FACTOR
    third[:, OUTLIER] /= FACTOR
    x = n.dense(n.inputs[0], 32, activation="relu")
    x = n.dense(x, 24, weights=second.astype(np.float32))
    return n.model(n.dense(x, 4, weights=third.astype(np.float32)))


@pytest.fixture(scope="module")
def run(litert):
    return lambda model, inputs: litert.run(model, inputs, kernels="default")


@pytest.fixture(scope="module")
def arithmetic(litert, run):
    model = quantize(net(), calibrate(net(), [SAMPLES], litert), Style(float_io=True))
    labels = run(net(), [SAMPLES])[0].argmax(axis=1)
    return HostArithmetic(
        data=model,
        graph=read_graph(model),
        inputs=[SAMPLES],
        run_float=run,
        plain=FloatModel(data=net(), inputs=None, words="float.tflite"),
        metric=get_metric("top1"),
        labels=labels,
    )


@pytest.fixture(scope="module")
def found(arithmetic):
    found = arithmetic.prepare()
    arithmetic.errors(found, 100)
    arithmetic.losses(found, None)
    return found


def test_the_layer_with_the_outlier_channel_adds_most_error_and_says_why(arithmetic, found):
    graph = arithmetic.graph
    layers = tuple(Layer(node=n.index, op=n.op, name="", error=found.errors.get(n.index)) for n in graph.nodes)
    worst = worst_layers(layers)[0]
    second = [node for node in graph.nodes if node.op == "FULLY_CONNECTED"][1]
    assert worst.node == second.index
    cause = cause_of(worst.error, dtype="int8", weight_dtype="int8")
    assert cause.name == "outlier-channels" and f"outlier channel {OUTLIER}: " in cause.words
    assert found.compared_with == "the float model float.tflite" and found.error_samples == 100


def test_putting_it_back_to_float_regains_what_was_lost(arithmetic, found):
    second = [node for node in arithmetic.graph.nodes if node.op == "FULLY_CONNECTED"][1]
    assert found.float_score == 1.0 and found.score < 0.97
    best = max(found.losses, key=lambda node: found.losses[node].regained)
    assert best == second.index
    loss = found.losses[best]
    assert loss.low > 0 and loss.regained > 0.8 * (1 - found.score) and loss.error_left < 0.2
    assert all(other.regained < 0.3 * loss.regained for node, other in found.losses.items() if node != best)


def test_the_error_of_the_last_layer_is_that_of_the_models_outputs(arithmetic, found, run):
    (quantized,) = run(arithmetic._twin.model, [SAMPLES[:100]])
    (plain,) = run(net(), [SAMPLES[:100]])
    noise = ((quantized.astype(float) - plain) ** 2).sum()
    last = [node for node in arithmetic.graph.nodes if node.op == "FULLY_CONNECTED"][-1]
    assert found.errors[last.index].sqnr_db == pytest.approx(
        10 * np.log10((plain.astype(float) ** 2).sum() / noise), abs=0.01
    )


def test_without_the_float_model_the_twin_stands_for_it_and_says_so(arithmetic, run):
    alone = HostArithmetic(
        data=arithmetic.data, graph=arithmetic.graph, inputs=[SAMPLES], run_float=run, no_plain="none was given"
    )
    found = alone.prepare()
    alone.errors(found, 50)
    assert "the model itself without rounding" in found.compared_with and "none was given" in found.compared_with
    assert all(error.from_weights in (0.0, None) for error in found.errors.values())
    assert any(error.sqnr_db is not None for error in found.errors.values())
