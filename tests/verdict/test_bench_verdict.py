"""A sample of benchmarks/bench_verdict.py: no false alarm on any kind of noise, stated changes are found."""

import pytest

from benchmarks.bench_verdict import TARGET_TWICE, run_bench
from benchmarks.verdict.others import fixed, prediction_interval
from benchmarks.verdict.series import KINDS, generated


@pytest.fixture(scope="module")
def outcome():
    return run_bench(cells=150, nights=30, rounds=4, others=False)


def test_no_unchanged_cell_is_called_worse(outcome):
    assert {row.kind: row.alarms for row in outcome.rows} == dict.fromkeys(KINDS, 0.0)


def test_twice_the_stated_change_is_found_within_two_nights(outcome):
    shares = [row.twice_2 for row in outcome.rows]
    assert sum(shares) / len(shares) >= TARGET_TWICE and min(shares) >= 0.9
    assert sum(row.night_2 for row in outcome.rows) / len(shares) >= 0.8


def test_boards_are_told_as_boards(outcome):
    assert (outcome.board_told, outcome.board_blamed) == (1.0, 0)
    assert (outcome.drift_told, outcome.drift_blamed) == (1.0, 0)
    assert outcome.creeping_night <= 20


def test_a_new_runtime_that_changes_nothing_is_not_blamed(outcome):
    assert outcome.epoch_blamed == 0 and outcome.epoch_beyond > 0


def test_exact_quantities_have_no_false_alarm_and_no_miss(outcome):
    assert outcome.exact.alarms == outcome.exact.missed == 0 and outcome.exact.planted > 2000


def test_what_it_is_compared_with_alarms_on_the_same_series():
    values = generated("t3", 2000, 40).sessions.mean(axis=2)
    assert fixed(values).any() and prediction_interval(values).any()
