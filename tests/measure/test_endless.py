"""A model whose loop never ends is found out before the push, costs one limit, and says which. The real LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from harness.judge.stored import recall
from harness.measure.alone import _request_starts
from harness.measure.reference import References
from harness.results.objects import ObjectStore
from harness.run.measured import measure_plan
from harness.run.options import RunOptions
from harness.session.session import run_session
from harness.tflite.graph import read_graph
from harness.tflite.state import has_loop
from tests.support.looping_models import doubling
from tests.support.tiny_model import float_mlp

WHY = "its loop (WHILE) had not ended after 0.5 s for {} on this machine (ai-edge-litert 2.3.0); --deadline "
ENDS, NEVER = [3.0] * 40, [0.0] * 40


def prepared(tmp_path, values, inference_s=0.5):
    """The model of `harness measure` on these inputs."""
    (tmp_path / "loop.tflite").write_bytes(doubling((1, 1)))
    np.savez(tmp_path / "loop.npz", x_test=np.array(values, np.float32)[:, None])
    options = RunOptions(
        workloads=(str(tmp_path / "loop.tflite"),),
        devices=("host-litert",),
        data=str(tmp_path / "loop.npz"),
        deadline_s=inference_s,
    )
    plan = measure_plan(options, 256)
    return options, plan


@pytest.mark.parametrize(
    "values, which", [(NEVER, "the first sample"), (ENDS + NEVER[:1], "one of the samples")], ids=["first", "later"]
)
def test_a_loop_without_an_end_is_told_by_its_limit(tmp_path, values, which):
    _, plan = prepared(tmp_path, values)
    [model] = plan.prepare(lambda *_: None)
    assert model.endless.startswith(WHY.format(which)) and model.reference is None


def test_a_loop_that_ends_is_a_model_as_any_other(tmp_path):
    _, plan = prepared(tmp_path, ENDS, inference_s=None)
    [model] = plan.prepare(lambda *_: None)
    assert model.endless is None
    np.testing.assert_array_equal(model.reference.outputs[0], np.full((len(ENDS), 1), 193.0))
    assert has_loop(read_graph(doubling())) and not has_loop(read_graph(float_mlp()))


def test_its_cells_are_unsupported_without_a_board_and_are_judged_so_again(tmp_path):
    options, plan = prepared(tmp_path, NEVER)
    result = run_session(options, tmp_path / "results", command=["test"], plan=plan)
    assert {record.outcome for record in result.records} == {"unsupported"} and result.exit_code == 0
    for record in result.records:
        assert record.reason.startswith(WHY.format("the first sample")) and record.load_ns is None
        again = recall(record, ObjectStore(tmp_path / "results")).judge()
        assert (again.outcome, again.reason) == (record.outcome, record.reason)


def test_sequences_are_not_cut_into_requests():
    assert _request_starts(10, 4, None) == [0, 4, 8]
    assert _request_starts(10, 4, np.array([0, 3, 5, 9])) == [0, 5, 9]
    assert _request_starts(10, 100, np.array([0, 3])) == [0]


def test_the_references_take_what_they_need_in_requests_of_their_pace(tmp_path, monkeypatch):
    """A first inference that took long makes small requests; the answers are the same."""
    monkeypatch.setattr("harness.measure.alone._HEADROOM", 1 << 40)
    _, plan = prepared(tmp_path, [float(n) for n in range(1, 41)], inference_s=None)
    [model] = plan.prepare(lambda *_: None)
    expected = [n * 2 ** max(0, int(np.ceil(np.log2(100 / n)))) + 1 for n in range(1, 41)]
    order = model.sample_ids
    with References() as references:
        arrays = references._run(_oracle(), model.artifact.file, model, len(expected))
    np.testing.assert_array_equal(arrays[0][:, 0], np.array(expected)[order])


def _oracle():
    from harness.measure.reference import LITERT_REF

    return LITERT_REF
