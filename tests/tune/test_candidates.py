"""Cheap errors find a planted outlier and order what the device is given; what crashes costs one candidate."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from harness.tflite.graph import read_graph
from harness.tune.candidates import Explorer, chosen
from harness.tune.scored import Scored, Scorer
from harness.tune.scorers import ScorerProcess
from harness.variants.convert.layers import layer_ops
from harness.variants.convert.units import units_of
from tests.support.small_nets import Net
from tests.variants.test_mixed import LAYERS, SAMPLES, named, network, with_signature


def explored(model, has_time=lambda: True):
    scorer, graph = Scorer(model, SAMPLES, LAYERS), read_graph(model)
    return Explorer(
        lambda recipe, by_layer: scorer.score(recipe, by_layer=by_layer), graph, layer_ops(graph, LAYERS), has_time
    ).explore()  # fmt: skip


def branched():
    """A channel of `first` is 300 times the others and read by two convolutions, so that equalisation may not touch it."""
    net, rng = Net((8, 8, 2), seed=3), np.random.default_rng(5)
    weights, readers = rng.normal(0, 0.3, (6, 3, 3, 2)), rng.normal(0, 0.3, (2, 4, 3, 3, 6))
    weights[0] *= 300
    readers[..., 0] /= 300
    x = named(net, net.conv(net.inputs[0], 6, weights=weights, bias=np.zeros(6)), "m/first/Relu")
    left, right = (net.conv(x, 4, weights=kernel) for kernel in readers)
    x = net.add(named(net, left, "m/second/Relu"), right)
    return with_signature(net.model(net.dense(net.reshape(x, (1, 256)), 4)))


@pytest.fixture(scope="module")
def planted():
    return explored(branched())


def test_the_planted_layer_gains_most_out_of_int8(planted):
    unit, gain = planted.units[0]
    assert unit.layers == ("first", "second", "op2") and gain > 6


def test_a_layer_is_taken_out_with_those_that_read_it():
    model = network()
    units = {unit.layer: unit.layers for unit in units_of(read_graph(model), layer_ops(read_graph(model), LAYERS))}
    assert units["first"] == ("first", "second")
    assert units["second"] == ("second", "pool", "op3", "head")
    assert "pool" not in units


def test_the_device_is_given_something_of_every_sort_and_no_file_twice(planted):
    picked = chosen(planted, 10)
    assert any("w8=" in one.recipe or "[w8" in one.recipe for one in picked)
    assert any("int16" in one.recipe for one in picked) and any("=" not in one.recipe for one in picked)
    assert len({one.sha256 for one in picked}) == len(picked)


def test_what_is_too_large_is_not_given_to_the_device(planted):
    most = min(one.size_bytes for one in planted.good) + 200
    assert all(one.size_bytes <= most for one in chosen(planted, 10, most))


def test_without_time_nothing_more_is_asked():
    answers = iter([True] * 4)
    found = explored(network(), lambda: next(answers, False))
    assert found.stopped and len(found.scored) == 4


def test_of_one_file_under_several_names_the_shortest_counts():
    found = explored(network())
    found.scored = {
        name: Scored(recipe=name, sha256="same", size_bytes=1) for name in ("mixed[n=32]", "mixed[int8]", "mixed[n=9]")
    }
    assert [one.recipe for one in found.good] == ["mixed[n=9]"]


def test_a_process_scores_and_a_crash_costs_one_candidate(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(network())
    with ScorerProcess(path, SAMPLES[:4], LAYERS) as scorers:
        first = scorers.score("mixed[int8]", by_layer=True)
        assert first.refused is None and first.sqnr_db > 10 and len(first.layers_db) == 6
        assert scorers.score("mixed[float=nowhere]").refused.startswith("the recipe names the layer 'nowhere'")
        os.kill(scorers._process.pid, signal.SIGKILL)
        assert scorers.score("mixed[int16]").refused == "scoring it crashed the process"
        assert scorers.score("mixed[int8]").sha256 == first.sha256


def test_scores_are_of_real_values():
    scorer = Scorer(network(), SAMPLES, LAYERS)
    assert scorer.score("mixed[float]").sqnr_db == 200
    errors = dict(scorer.score("mixed[int8]", by_layer=True).layers_db)
    assert np.all([20 < db < 80 for db in errors.values()])
