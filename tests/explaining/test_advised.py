"""A layer that loses the score by itself: the advice is a command, and running it regains what was said."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.explaining import ExplainOptions, explain_cell
from harness.results.store import Store
from tests.support.workload_files import write_weighted_h5

OUTLIER, FACTOR = 5, 200.0
FEW = ExplainOptions(samples=100, loss_samples=400, on_device=False)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A network of five Dense layers, one channel of the second far larger than the others, which the third takes back."""
    folder = tmp_path_factory.mktemp("planted")
    rng = np.random.default_rng(3)
    sizes = {"first": 32, "wide": 24, "third": 24, "fourth": 16, "head": 4}
    layers, inputs = [], 16
    for name, units in sizes.items():
        kernel = rng.normal(size=(inputs, units)) * np.sqrt(2 / inputs)
        layers.append([name, "linear" if name == "head" else "relu", kernel, rng.normal(0, 0.1, units)])
        inputs = units
    layers[1][2][:, OUTLIER] *= FACTOR
    layers[1][3][OUTLIER] *= FACTOR
    layers[2][2][OUTLIER] /= FACTOR
    x = rng.normal(size=(1200, 16)).astype(np.float32)
    values = x.astype(np.float64)
    for _, activation, kernel, bias in layers:
        values = values @ kernel + bias
        values = np.maximum(values, 0) if activation == "relu" else values
    y = values.argmax(axis=1)
    np.savez(folder / "planted.npz", x_train=x[:400], y_train=y[:400], x_test=x[400:800], y_test=y[400:800])
    write_weighted_h5(folder / "planted.h5", (16,), *layers)
    return folder


def harness(*words: str) -> None:
    result = CliRunner().invoke(cli, [*words], standalone_mode=False, catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_the_advised_recipe_regains_what_was_said(planted, session_cache, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(session_cache))
    results = planted / "results"
    where = ("--results", str(results), "--no-project")
    model = ("--workload", str(planted / "planted.h5"), "--data", str(planted / "planted.npz"))
    device = ("--device", "host-litert", "--backend", "cpu", "--budget", "2s", "--samples", "400")
    harness("run", *model, *device, "--recipe", "ptq-int8-io", *where)
    e = explain_cell(results, "planted/ptq-int8-io/host-litert/cpu", options=FEW)
    lost = e.float_score - e.score
    (said,) = (layer.loss.regained for layer in e.layers if layer.called == "wide" and layer.loss)
    assert lost > 0.05 and said > 0.5 * lost
    mixed = [advice for advice in e.advice if "mixed[" in advice.what]
    assert [advice.what for advice in mixed] == ["recipe mixed[int16=third+wide]", "recipe mixed[w8=third+wide]"]
    assert mixed[0] == e.advice[0] and "alone back in float node" in mixed[0].why

    words = shlex.split(mixed[0].command)
    assert words[:2] == ["harness", "run"]
    harness(*words[1:], *where)
    with Store.open(results, create=False) as store:
        scores = {record.key.recipe: record.score for record in store.cells()}
    assert scores["mixed[int16=third+wide]"] - scores["ptq-int8-io"] > 0.8 * said
