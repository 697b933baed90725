"""An answer about models with several outputs: no output may lose more than is allowed, and better means worse in none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.measure.scoring import OUTPUT_FIELDS, score
from harness.reports.answer.answer import find_answer
from harness.reports.answer.limits import Limits
from harness.results.record import CellRecord
from harness.workloads.metrics.registry import get_metric
from tests.judge.facts import model
from tests.support.answered import FLOATS, LABELS, Told, left_out, wrong_at

RMSE = get_metric("rmse", unit="rad")
ANGLES = np.linspace(0, 1, 500, dtype=np.float32)[:, None]
NOISE = np.random.default_rng(0).normal(scale=0.1, size=ANGLES.shape).astype(np.float32)


class ToldTwo(Told):
    """What cells answered of a kind and of an angle."""

    def two(self, recipe: str, kinds: np.ndarray, angles: np.ndarray, **changes) -> CellRecord:
        """A cell with both outputs; the float model's angles are off by NOISE."""
        record = self.cell(recipe, kinds, **changes)
        section = score([angles], 500, model(metric=RMSE, labels=ANGLES, float_answers=ANGLES + NOISE))
        entry = {"output": "angle"} | {name: getattr(section, name) for name in OUTPUT_FIELDS}
        main = {"output": "kind"} | {name: getattr(record, name) for name in OUTPUT_FIELDS}
        record.output_scores, record.score_output = [main, entry], "kind"
        known = self._known[id(record)]
        angle = replace(known, metric=RMSE, labels=ANGLES, answers=angles, float_answers=ANGLES + NOISE, output="angle")
        self._known[id(record)] = replace(known, output="kind", further=(angle,))
        return record


@pytest.fixture
def told() -> ToldTwo:
    return ToldTwo(LABELS, FLOATS)


def test_what_loses_too_much_in_another_output_is_not_recommended(told):
    good = told.two("ptq-int8-io", FLOATS, ANGLES + NOISE, us=10)
    fast = told.two("ptq-default", FLOATS, ANGLES + 2 * NOISE, us=1)
    answer = find_answer([good, fast], told, Limits())
    assert answer.pick.recipe == "ptq-int8-io"
    assert left_out(answer)["ptq-default/cpu"] == "output angle loses 0.101 rad, more than 0.00101 rad"


def test_better_in_one_output_and_worse_in_the_other_is_no_better(told):
    both = told.two("ptq-int8-io", wrong_at(LABELS, range(60)), ANGLES + NOISE / 2)
    other = told.two("ptq-default", FLOATS, ANGLES + NOISE)
    answer = find_answer([both, other], told, Limits(max_drop=0.5))
    assert {c.recipe: c.layer for c in answer.candidates} == {"ptq-int8-io": 0, "ptq-default": 0}
    best = told.two("ptq-aeq-dyn8", FLOATS, ANGLES + NOISE / 2)
    answer = find_answer([best, other], told, Limits())
    assert {c.recipe: c.layer for c in answer.candidates} == {"ptq-aeq-dyn8": 0, "ptq-default": 1}
