"""What an answer may not name for want of evidence: of a part of a run, of a score that guessing reaches; in plain words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.core.finding import Finding
from harness.reports.answer.answer import find_answers, not_run
from harness.reports.answer.words import sentence
from harness.workloads.metrics.registry import get_metric
from tests.support.answered import FLOATS, LABELS, Told, answer, error, labels_of, left_out, text, wrong_at


@pytest.fixture
def told() -> Told:
    return Told(LABELS, FLOATS)


def test_a_run_that_was_killed_says_how_much_of_it_is_missing(told):
    cells = [told.cell("ptq-float32", FLOATS), told.cell("ft-float32", FLOATS)]
    keys = [cell.key for cell in cells]
    planned = [*keys, *(replace(keys[0], recipe=name) for name in ("ptq-int8-io", "ptq-default", "qat-int8-io"))]
    missing = not_run([*planned, replace(keys[0], device="never-reached")], keys)
    first, second = find_answers(cells, told, missing=missing)
    assert sentence(first) == "nothing to ship: 3 of 5 cells were not run"
    assert second.title == first.title
    assert (second.device, sentence(second)) == ("never-reached", "nothing to ship: 1 of 1 cells was not run")
    cells.append(told.cell("ptq-int8-io", FLOATS))
    (found,) = find_answers(cells, told, missing=not_run(planned, [cell.key for cell in cells]))
    assert found.pick.recipe == "ptq-int8-io"
    assert "not run: 2 of 5 cells were not run: the answer is without them" in text(found)


def test_without_anything_missing_nothing_is_said_of_it(told):
    cells = [told.cell("ptq-float32", FLOATS)]
    assert not_run([cells[0].key], [cells[0].key]) == {}
    assert sentence(answer(told, cells)) == "nothing to ship: only controls ran well"


@pytest.mark.parametrize("right, named", [(6, False), (10, False), (12, True), (32, True)])
def test_a_score_that_guessing_may_have_reached_names_no_winner(right, named):
    """64 samples of ten classes: 6.4 are right by guessing, and 11 are within what chance gives."""
    labels = labels_of(64)
    told = Told(labels, labels)
    found = answer(told, [told.cell("ptq-int8-io", wrong_at(labels, range(64 - right)))], max_drop=1 - 1e-9)
    if named:
        assert found.pick is not None
    else:
        assert sentence(found) == "nothing to ship: 64 samples do not show that the score is better than guessing"


def test_numbers_that_are_no_nearer_than_one_constant_name_no_winner():
    labels = np.linspace(-1, 1, 40)[:, None]
    told = Told(labels, labels, get_metric("mean_absolute_error"))
    near, far = told.cell("ptq-int8-io", labels * 0.9), told.cell("ptq-default", np.zeros_like(labels))
    found = answer(told, [near, far], max_drop=10)
    assert found.pick.recipe == "ptq-int8-io"
    assert "do not show that the score is better than guessing" in left_out(found)["ptq-default/cpu"]


def test_sentences_have_plain_words_and_codes_in_brackets_alone(told):
    shifted = told.cell("ptq-int8-io", FLOATS)
    shifted.findings = [error("labels-renumbered"), error("few-samples")]
    broken = told.cell("ptq-default", FLOATS)
    broken.findings = [error("node-runs-in-float")]
    warned = told.cell("ptq-int8", FLOATS)
    warned.findings = [Finding(code="no-float-twin", severity="warning", where="w", what="it has no twin")]
    found = answer(told, [shifted, broken, warned])
    assert left_out(found) == {
        "ptq-int8-io/cpu": "the score answers another question: the labels number the classes otherwise than the model "
        "(labels-renumbered); there are too few different samples (few-samples)",
        "ptq-default/cpu": "what (node-runs-in-float)",
    }
    assert "warning: it has no twin (no-float-twin)" in text(found)
