"""What a suite asserts of a cell, and expectations with their reasons."""

import unittest
from dataclasses import replace

import pytest

from harness.core.errors import UserInputError
from harness.results.record import CellKey, CellRecord, FallbackOp, Finding, Fingerprint
from harness.suites.suite import (
    EXPECTED_ERRORS,
    AccuracyDrop,
    CellFailed,
    CellMisread,
    CellNotDelegated,
    CellUndecided,
    CellUnsupported,
    CellWrong,
    ScoreDrop,
    check_record,
    find_expectation,
    load_expectations,
)
from harness.workloads.metrics.registry import get_metric

KEY = CellKey(
    workload="mnist-cnn", recipe="qat-q[allvalues-pc,w4]-int8-io", device="d", backend="cpu", dataset="0", seed=0
)


def record(**fields):
    return CellRecord(key=KEY, run="r", **{"outcome": "ok", "reason": "because", **fields})


@pytest.mark.parametrize(
    "outcome, error",
    [
        ("unsupported", CellUnsupported),
        ("wrong", CellWrong),
        ("undecided", CellUndecided),
        ("failed", CellFailed),
        ("estimated", unittest.SkipTest),
    ],
)
def test_each_bad_outcome_has_an_error_of_its_own_with_the_reason(outcome, error):
    with pytest.raises(error, match="is an estimate" if outcome == "estimated" else "because"):
        check_record(record(outcome=outcome), 0.02)


def delegate_record(taken, **fields):
    npu = Fingerprint(runtime="tflite-runtime 2.14.0", delegate="/usr/lib/libvx_delegate.so")
    left = [FallbackOp(node=n, op="CONV_2D", reason="input is float32") for n in range(5 - (taken or 0))]
    figures = {"delegate_name": "vx", "delegated_nodes": taken, "total_nodes": 5, "fallback": left, "fingerprint": npu}
    return record(**{**figures, **fields})


@pytest.mark.parametrize("foreseen", [False, True])
def test_a_delegate_that_took_nothing_is_no_pass_foreseen_or_not(foreseen):
    cell = delegate_record(0, prediction={"delegated_nodes": 0} if foreseen else None)
    with pytest.raises(CellNotDelegated, match=r"vx took 0 of 5 nodes.*input is float32") as raised:
        check_record(cell, 0.02)
    assert ("foretold" in str(raised.value)) == foreseen


def test_a_delegate_that_took_a_node_or_does_not_tell_passes_and_so_does_a_cpu():
    assert check_record(delegate_record(1), 0.02) is None
    assert check_record(delegate_record(None), 0.02) is None
    assert check_record(record(delegated_nodes=0, total_nodes=5), 0.02) is None


def test_wrong_outputs_weigh_more_than_a_delegate_that_took_nothing():
    with pytest.raises(CellWrong):
        check_record(delegate_record(0, outcome="wrong"), 0.02)


def test_a_score_that_answers_another_question_is_no_pass():
    chance = Finding(code="score-at-chance", severity="error", where="cell", what="55 of 500 are right", fix="look")
    with pytest.raises(CellMisread, match=r"55 of 500 are right \(score-at-chance\) -> look"):
        check_record(record(findings=[chance]), 0.02)
    assert check_record(record(findings=[replace(chance, severity="warning")]), 0.02) is None
    assert check_record(record(findings=[replace(chance, code="float-ops")]), 0.02) is None, (
        "an audit's error is told elsewhere"
    )


def test_every_outcome_that_may_be_expected_has_its_error():
    assert EXPECTED_ERRORS["not-delegated"] is CellNotDelegated and EXPECTED_ERRORS["undecided"] is CellUndecided


def test_an_accuracy_drop_beyond_the_bound_is_told_with_its_figures():
    drop = record(
        accuracy=0.9, accuracy_delta=-0.05, samples=500, only_float_right=30, only_cell_right=5, mcnemar_p=1e-4
    )
    with pytest.raises(AccuracyDrop, match=r"lost 0\.0500.*500 samples.*p = 0\.0001"):
        check_record(drop, 0.02)
    assert check_record(drop, 0.06) is None


def test_one_wrong_answer_of_few_samples_is_no_drop():
    few = record(
        accuracy=31 / 32, accuracy_delta=-1 / 32, samples=32, only_float_right=1, only_cell_right=0, mcnemar_p=1.0
    )
    assert check_record(few, 0.02) is None


def regression(delta, **fields):
    return record(
        metric="mean_absolute_error",
        metric_direction="lower",
        metric_unit="K",
        score=1.5,
        score_delta=delta,
        score_p=0.001,
        score_test="exact paired permutation",
        samples=40,
        **fields,
    )


def test_a_score_of_which_less_is_better_gets_worse_upwards():
    metric = get_metric("mean_absolute_error", unit="K")
    worse = r"gained 0\.3000 K mean absolute error against the float model, more than the accepted 0\.2: 1\.5 K on 40 samples"
    with pytest.raises(ScoreDrop, match=worse):
        check_record(regression(0.3), 0.02, max_score_drop=0.2, metric=metric)
    with pytest.raises(ScoreDrop, match=r"0\.3 K worse in mean absolute error than 0\.2 accepts.*p = 0\.001"):
        check_record(regression(0.3), 0.02, max_score_drop=0.2)
    assert check_record(regression(0.3), 0.02, max_score_drop=0.4) is None
    assert check_record(regression(-0.3), 0.02, max_score_drop=0.2) is None
    assert check_record(replace(regression(0.3), score_p=0.2), 0.02, max_score_drop=0.2) is None


def test_a_bound_on_accuracy_is_none_on_another_metric():
    assert check_record(regression(0.3), 0.02) is None


def test_a_bound_on_the_score_stands_for_the_accuracys_where_it_is_given():
    drop = record(accuracy=0.9, accuracy_delta=-0.05, score=0.9, score_delta=-0.05, score_p=1e-4, samples=500)
    with pytest.raises(AccuracyDrop):
        check_record(drop, 0.5, max_score_drop=0.02)
    assert check_record(drop, 0.02, max_score_drop=0.06) is None


def test_a_cell_without_labels_has_no_drop():
    assert check_record(record(), 0.0) is None


def write(tmp_path, text):
    path = tmp_path / "expectations.yaml"
    path.write_text(text)
    return path


def test_no_file_means_no_expectations(tmp_path):
    assert load_expectations(tmp_path / "expectations.yaml") == []


def test_globs_match_and_brackets_of_recipe_names_are_literal(tmp_path):
    path = write(
        tmp_path, "- {cell: 'mnist-cnn/qat-q[allvalues-pc,w4]-*/*/*', outcome: unsupported, reason: four bits}\n"
    )
    expectation = find_expectation(load_expectations(path), KEY)
    assert expectation.reason == "four bits"


@pytest.mark.parametrize(
    "text, words",
    [
        ("- {cell: a, outcome: ok, reason: b}\n", "outcome must be one of"),
        ("\n- {cell: a, outcome: wrong}\n", r"yaml:2: .*exactly the fields"),
        ("- {cell: a, outcome: wrong, reason: ' '}\n", "needs its reason"),
        ("cell: a\n", "must be a list"),
        ("- [", "not readable as YAML"),
    ],
)
def test_broken_expectations_name_file_and_line(tmp_path, text, words):
    with pytest.raises(UserInputError, match=words):
        load_expectations(write(tmp_path, text))


def test_a_drop_of_points_is_no_bound_of_an_accuracy():
    with pytest.raises(UserInputError, match="a drop of 2 is more than all of a score") as caught:
        check_record(record(accuracy=0.5), 0.02, max_score_drop=2.0)
    assert "0.02" in caught.value.hint
