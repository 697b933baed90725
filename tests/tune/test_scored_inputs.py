"""The cheap error of a candidate of a model with several inputs: each is fed and calibrated by its own samples. No TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from harness.tune.scored import Scorer
from harness.tune.scorers import ScorerProcess
from harness.variants.convert.ranges import tensor_ranges
from harness.variants.recipe import parse_recipe
from harness.workloads.rows import InputRows
from tests.support.small_nets import Net

LAYERS = ("op0", "op1", "op2")
RNG = np.random.default_rng(3)
WEIGHTS = RNG.normal(size=(2, 3, 4)).astype(np.float32)
#: in another order than the model has its inputs, and on other scales
SAMPLES = InputRows(
    {"input_1_1": 50 * RNG.random((40, 4), np.float32), "input_0_0": RNG.standard_normal((40, 4), np.float32)}
)


@pytest.fixture(scope="module")
def model() -> bytes:
    net = Net((4,), (4,))
    first, second = (
        net.dense(source, 3, weights=w, bias=np.zeros(3)) for source, w in zip(net.inputs, WEIGHTS, strict=True)
    )
    return net.model(net.concat(first, second))


def test_each_input_gets_its_own_range(model):
    ranges = tensor_ranges(model, SAMPLES, parse_recipe("mixed[int8]").conversion.mix)
    for name, rows in SAMPLES.of.items():
        assert (ranges[name].low, ranges[name].high) == (rows.min(), rows.max())


@pytest.mark.parametrize("words", ["int8", "w8"])
def test_candidates_are_scored_by_what_the_float_model_answers(model, words):
    scorer = Scorer(model, SAMPLES, LAYERS)
    given = [SAMPLES.of["input_0_0"] @ WEIGHTS[0].T, SAMPLES.of["input_1_1"] @ WEIGHTS[1].T]
    np.testing.assert_allclose(np.concatenate(scorer._answers), np.concatenate(given, axis=1), rtol=1e-4, atol=1e-4)
    assert scorer.score(f"mixed[{words}]", by_layer=True).sqnr_db > 30


def test_a_process_of_its_own_gets_all_inputs(model, tmp_path):
    (tmp_path / "m.tflite").write_bytes(model)
    with ScorerProcess(tmp_path / "m.tflite", SAMPLES, LAYERS) as scorers:
        found = scorers.score("mixed[int8]")
    assert found.refused is None and found == Scorer(model, SAMPLES, LAYERS).score("mixed[int8]")
