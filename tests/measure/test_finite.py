"""NaN and infinity: those of the model itself are nobody's error, those of a board alone are."""

from __future__ import annotations

import numpy as np
import pytest

from harness.judge import cell
from harness.measure.finite import defined, own_not_finite
from harness.measure.rule import judge
from harness.prepare.prepared import ReferenceOutputs
from tests.judge.facts import OUTPUTS, context, measured, model

RNG = np.random.default_rng(0)
EXACT = RNG.normal(size=(80, 4))
BAD = [np.nan, np.inf, -np.inf]


def spoiled(values, rows, value):
    values = values.copy()
    values[rows] = value
    return values


def verdict_of(device, rounded):
    clamped = np.where(np.isfinite(rounded), rounded + RNG.normal(size=rounded.shape) * 0.01, rounded)
    return judge([device], [rounded], [clamped], steps=[None], arithmetic=["float"], classes=[None]).verdict


@pytest.mark.parametrize("value", BAD)
def test_samples_on_which_the_model_says_nothing_are_found(value):
    assert np.flatnonzero(own_not_finite([spoiled(EXACT, [3, 7], value), EXACT])).tolist() == [3, 7]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("other", [*BAD, 0.5])
def test_where_the_model_is_undefined_a_board_may_say_anything(value, other):
    reference, board = spoiled(EXACT, [3], value), spoiled(EXACT, [3], other)
    (ours,), (theirs,), _ = defined([board], [reference], [reference])
    assert np.array_equal(ours, theirs)
    assert verdict_of(board, reference) == "ok"


@pytest.mark.parametrize("value", BAD)
def test_what_only_the_board_gives_is_its_error(value):
    reference = spoiled(EXACT, [3], np.nan)
    assert verdict_of(spoiled(reference, [9], value), reference) == "wrong"
    (ours,), _, _ = defined([spoiled(reference, [9], value)], [reference], [reference])
    assert not np.isfinite(ours[9]).any()


def test_a_model_that_never_says_anything_cannot_tell():
    nothing = np.full_like(EXACT, np.nan)
    assert verdict_of(nothing, nothing) == "undecided"


def test_the_comparison_with_a_reference_leaves_undefined_places_out():
    outputs = spoiled(OUTPUTS, [3, 5], np.nan)
    twin = ReferenceOutputs(identity="twin", outputs=(outputs,), kind="twin")
    record = cell.judge(measured(outputs), model(reference=twin), context())
    assert (record.outcome, record.nrmse, record.agreement) == ("ok", 0.0, 1.0)
