"""What outputs say about the question, beside an outcome that stays what it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.judge.cell import judge
from harness.prepare.prepared import ReferenceOutputs
from harness.reports.report import Report
from harness.reports.tables import cell_text
from harness.workloads.metrics.registry import get_metric
from tests.judge.facts import LABELS, OUTPUTS, context, measured, model

MANY = np.tile(LABELS, 5)


def cell(outputs, labels, *, reference=None, float_answers=None, **changes):
    """The record of a cell with these outputs, [N, 10], that its reference gives too unless it is told otherwise."""
    reference = ReferenceOutputs(identity="oracle 1.0", outputs=(outputs if reference is None else reference,))
    prepared = model(
        labels=labels, reference=reference, sample_ids=np.arange(len(labels)), float_answers=float_answers, **changes
    )
    facts = measured(outputs)
    return judge(replace(facts, samples=len(labels)), prepared, context())


def misread(record):
    return [f.code for f in record.findings if f.severity == "error"]


def one_hot(classes):
    return np.eye(10, dtype=np.float32)[classes]


def test_nothing_is_said_of_a_good_cell():
    assert misread(cell(OUTPUTS, LABELS)) == []


@pytest.mark.parametrize("shift", [1, -1, 3])
def test_labels_that_count_otherwise(shift):
    record = cell(one_hot(MANY), (MANY + shift) % 10)
    assert (record.outcome, record.accuracy, misread(record)) == ("ok", 0.0, ["labels-renumbered"])
    assert "100 of 100 answers are right if" in record.findings[0].what


def test_labels_of_other_samples():
    record = cell(one_hot(MANY), np.random.default_rng(0).permutation(MANY))
    assert (record.outcome, misread(record)) == ("ok", ["score-at-chance"])


def test_a_variant_that_lost_everything_says_that_the_float_model_did_not():
    record = cell(one_hot(np.full_like(MANY, 3)), MANY, float_answers=MANY)
    assert misread(record) == ["score-at-chance"]
    assert record.findings[0].what.endswith("the float model is right on 200, so this variant lost it")
    lost_too = cell(one_hot(np.full_like(MANY, 3)), MANY, float_answers=np.full_like(MANY, 3))
    assert lost_too.findings[0].what.endswith("the float model is right on 20, no better either")


def test_numbers_no_nearer_than_their_median():
    labels = np.random.default_rng(1).normal(size=(200, 1)).astype(np.float32)
    outputs = np.random.default_rng(2).normal(size=(200, 1)).astype(np.float32)
    assert misread(cell(outputs, labels, metric=get_metric("mean_absolute_error"))) == ["score-at-chance"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_the_model_itself_cannot_say_is_not_the_runtimes_fault(value):
    outputs = OUTPUTS.copy()
    outputs[[4, 7]] = value
    record = cell(outputs, LABELS)
    assert (record.outcome, misread(record)) == ("ok", ["model-not-finite"])
    assert "2 of 40 samples, first on test sample 4: oracle 1.0 gives it too" in record.findings[0].what


def test_what_only_the_board_cannot_say_is_wrong():
    outputs = OUTPUTS.copy()
    outputs[4] = np.nan
    record = cell(outputs, LABELS, reference=OUTPUTS)
    assert (record.outcome, misread(record)) == ("wrong", [])


def test_a_board_that_is_wrong_where_the_model_is_defined_stays_wrong():
    reference = OUTPUTS.copy()
    reference[0] = np.nan
    outputs = np.roll(OUTPUTS, 1, axis=1)
    assert cell(outputs, LABELS, reference=reference).outcome == "wrong"


def test_a_model_that_says_nothing_at_all_is_undecided():
    record = cell(np.full_like(OUTPUTS, np.nan), LABELS)
    assert (record.outcome, misread(record)) == ("undecided", ["model-not-finite"])
    assert record.reason == "the model itself gives no finite number, so its outputs tell nothing"


def test_a_number_for_another_question_stands_with_its_reason_and_is_never_the_answer():
    good, bad = cell(OUTPUTS, LABELS), cell(one_hot(MANY), (MANY + 1) % 10)
    (answer,) = Report.of([bad]).answers
    assert answer.pick is None
    assert "not the question: the labels number the classes otherwise than the model (labels-renumbered)" in cell_text(
        bad
    )
    (answer,) = Report.of([good]).answers
    assert [c.record for c in answer.candidates] == [good] and "not the question" not in cell_text(good)
