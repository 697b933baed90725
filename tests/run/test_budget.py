"""`--budget` shrinks samples, never cells."""

import pytest

from harness.boards.base import BenchPlan
from harness.core.errors import UserInputError
from harness.run.budget import MIN_BENCH_NS, MIN_BENCH_SAMPLES, MIN_EVAL_SAMPLES, Budget, parse_duration


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("text, seconds", [("90s", 90), ("8m", 480), ("1.5h", 5400), ("1h30m", 5400)])
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text, words",
    [(text, "not a duration") for text in ("", "-5m", "8 minutes", "m", "8m!", "nan", "5m30")]
    + [(text, "has no unit of time") for text in ("5", "90", "1.5", "0")]
    + [("0s", "no time at all")],
)
def test_what_is_no_duration_is_refused(text, words):
    with pytest.raises(UserInputError, match=words):
        parse_duration(text)


def test_without_a_budget_every_cell_gets_the_full_plan():
    budget = Budget(total_s=None, cells=1000)
    assert budget.bench_plan() == BenchPlan()
    assert budget.eval_samples(10_000, 1e9) == 10_000


def test_a_generous_budget_keeps_the_promised_minimum():
    plan = Budget(total_s=600, cells=10, clock=Clock()).bench_plan()
    assert (plan.min_samples, plan.min_ns) == (BenchPlan().min_samples, BenchPlan().min_ns)


def test_a_tight_budget_shrinks_timing_and_evaluation():
    budget = Budget(total_s=100, cells=100, clock=Clock())
    plan = budget.bench_plan()
    assert plan.max_ns < 500_000_000
    assert budget.eval_samples(10_000, 1e6) == pytest.approx(300, abs=1)


def test_a_spent_budget_still_runs_every_cell_with_the_least_that_says_something():
    clock = Clock()
    budget = Budget(total_s=10, cells=5, clock=clock)
    clock.now = 60
    assert budget.bench_plan().min_samples == MIN_BENCH_SAMPLES
    assert budget.bench_plan().min_ns == MIN_BENCH_NS
    assert budget.eval_samples(10_000, 1e9) == MIN_EVAL_SAMPLES
    assert budget.eval_samples(10, 1e9) == 10


def test_time_that_cells_did_not_use_goes_to_the_later_ones():
    clock = Clock()
    budget = Budget(total_s=100, cells=10, clock=clock)
    first = budget.sampling_s()
    for _ in range(5):
        clock.now += 2
        budget.cell_done(overhead_s=0.5)
    assert budget.sampling_s() > first


def test_fixed_costs_are_learned():
    clock = Clock()
    budget = Budget(total_s=100, cells=10, clock=clock)
    before = budget.sampling_s()
    budget.cell_done(overhead_s=8.0)
    after = budget.sampling_s() * 9 / 10
    assert after < before
