"""A whole search here, interrupted and gone on with: trials are cells, the proof is on unseen samples, a name is enough."""

from __future__ import annotations

import pytest

from harness.reports.answer.limits import Limits
from harness.results.record import CellRecord
from harness.results.store import Store
from harness.run.jobs import Watcher
from harness.tune import search as module
from harness.tune.options import TuneOptions
from harness.tune.show import again, lines, result_json, sentence
from harness.tune.tune import tune
from harness.variants.build.build import build_outcomes
from tests.support.fixtures_build import request_for

OPTIONS = TuneOptions(
    workload="mnist-cnn", device="host-litert", samples=60, trials=1, jobs=1, limits=Limits(prefer="size"), budget_s=200
)


@pytest.fixture(scope="module")
def searched(built, session_cache, tmp_path_factory):
    """A search that Ctrl-C ended after its first cell, and its result when it had gone on."""
    results = tmp_path_factory.mktemp("tuned") / "results"
    finished: list[CellRecord] = []

    def once(record):
        finished.append(record)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE_DIR", str(session_cache))
        patch.setattr(module, "PLAIN", ("ptq-float32", "ptq-int8-io"))
        with pytest.raises(KeyboardInterrupt):
            tune(OPTIONS, results, watcher=Watcher(cell_finished=once))
        with Store.open(results, create=False) as store:
            state = store.run("latest").state
        result = tune(None, results, resume="latest", watcher=Watcher(cell_finished=finished.append))
        (outcome,) = build_outcomes([request_for(result.exploration.chosen[0])])
    return state, finished, result, outcome.artifact


def test_an_interrupted_search_goes_on_with_what_it_has(searched):
    state, finished, result, _ = searched
    assert state == "interrupted" and len({record.key for record in finished}) == len(finished) == len(result.records)
    assert {record.run for record in finished} == {result.run}


def test_trials_and_proof_are_cells_of_different_samples(searched):
    _, _, result, _ = searched
    sides = {}
    for record in result.records:
        sides.setdefault(record.dataset_name.rpartition("-")[2], set()).add(record.key.recipe)
    assert sides["search"] == {"ptq-float32", "ptq-int8-io", *result.exploration.chosen}
    assert {"ptq-float32", "ptq-int8-io"} < sides["proof"] <= sides["search"]
    assert not set(result.split.search) & set(result.split.proof)
    assert {c.record.dataset_name for c in (*result.before.candidates, *result.after.candidates)} == {
        next(r.dataset_name for r in result.records if r.dataset_name.endswith("-proof"))
    }


def test_the_name_of_a_trial_makes_the_same_bytes(searched):
    _, _, result, artifact = searched
    (recipe,) = result.exploration.chosen
    assert artifact.sha256 in {r.artifact_sha256 for r in result.records if r.key.recipe == recipe}


def test_the_result_is_stated_with_its_figures(searched):
    _, _, result, _ = searched
    said = dict(lines(result))
    assert "lose at most 1.0 point to the float model; of those the smallest" in said["asked"]
    assert "by a hash of their values" in said["samples"]
    assert f"{result.exploration.scored} variants" in said["tried"]
    assert sentence(result.verdict)
    told = result_json(result)
    assert told["run"] == result.run and told["samples"]["proof"] == len(result.split.proof)
    assert {row["recipe"] for row in told["before"]} <= {"ptq-int8-io"}
    winner = result.verdict.winner
    if winner is not None:
        assert result.model.read_bytes() and again(result).startswith(
            "harness run --workload mnist-cnn --device host-litert"
        )
        assert told["winner"]["sha256"] == winner.record.artifact_sha256
