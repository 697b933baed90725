"""A score that the recipe lost is told from one that the board lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.judge.cell import judge
from harness.measure.op_facts import OpFacts, OpsFacts
from harness.prepare.prepared import ReferenceOutputs
from harness.workloads.metrics.registry import get_metric
from tests.judge.facts import LABELS, context, measured, model

MANY = np.tile(LABELS, 5)
#: 60 of 200 answers are other ones
LOSSY = np.where(np.arange(200) < 60, (MANY + 1 + np.arange(200) % 7) % 10, MANY)


def soft(classes):
    return np.where(np.eye(10, dtype=bool)[classes], 0.9, 0.01).astype(np.float32)


def record_of(outputs, *, ops=None, twin=None, companion=None, float_answers=MANY, **changes):
    twin = outputs if twin is None else twin
    reference = ReferenceOutputs(
        identity="float twin on oracle 1.0",
        outputs=(twin,),
        companions=(twin if companion is None else companion,),
        kind="twin",
        trusted=True,
    )
    labels = changes.pop("labels", MANY)
    prepared = model(
        labels=labels, reference=reference, sample_ids=np.arange(len(labels)), float_answers=float_answers, **changes
    )
    return judge(replace(measured(outputs, ops=ops), samples=len(labels)), prepared, context())


def losses(record):
    return [finding.what for finding in record.findings if finding.code == "lost-before-device"]


def test_what_the_recipe_lost_is_said_and_not_held_against_the_device():
    record = record_of(soft(LOSSY))
    assert (record.outcome, record.reason, record.score) == ("ok", None, pytest.approx(0.7))
    (what,) = losses(record)
    assert what.startswith("the float model scores 1 and this one 0.7") and what.endswith("what this .tflite says")


def test_rounding_that_changes_answers_is_named_as_the_cause():
    right = OpFacts(node=0, op="CONV_2D", dtype="int8", samples=32, off=np.array([100]), worst_steps=0.01)
    record = record_of(soft(LOSSY), companion=soft(MANY), ops=OpsFacts(ops=(right,)))
    (what,) = losses(record)
    assert record.outcome == "ok", "outputs that rounding blurs so much tell nothing, but the ops do"
    assert what.endswith("; rounding its activations to integers changes 30% of its answers")


def test_an_undecided_cell_blames_neither():
    record = record_of(soft(LOSSY), companion=soft(MANY))
    assert record.outcome == "undecided" and not losses(record)


def test_a_cell_that_is_wrong_lost_it_on_the_device():
    record = record_of(soft(LOSSY), twin=soft(MANY))
    assert record.outcome == "wrong" and not losses(record)


@pytest.mark.parametrize(
    "answers",
    [MANY, np.where(np.arange(200) < 10, (MANY + 1) % 10, MANY)],
    ids=["no loss", "a loss of a twentieth"],
)
def test_small_losses_need_no_word(answers):
    assert not losses(record_of(soft(answers)))


def test_without_a_float_model_nothing_is_called_lost():
    assert not losses(record_of(soft(LOSSY), float_answers=None))


def test_errors_that_grow_are_a_loss_too_and_errors_that_shrink_are_none():
    labels = np.random.default_rng(1).normal(size=(200, 1)).astype(np.float32)
    near, far = labels + 0.1, labels + 0.2
    io = replace(model().artifact.outputs[0], shape=(1, 1))
    artifact = replace(model().artifact, outputs=(io,))
    common = {"labels": labels, "metric": get_metric("mean_absolute_error"), "artifact": artifact}
    assert losses(record_of(far, float_answers=near, **common))[0].startswith(
        "the float model scores 0.1 and this one 0.2"
    )
    assert not losses(record_of(near, float_answers=far, **common))
