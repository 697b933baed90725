"""Whether a search found anything: its pick against the plain recipes on unseen samples, never by chance."""

from __future__ import annotations

import pytest

from harness.reports.answer.limits import Limits
from harness.tune.show import limits_text, sentence
from harness.tune.verdict import judge
from tests.support.answered import FLOATS, LABELS, Told, answer, wrong_at

MIXED = "mixed[int16=second]"
PICKED = (MIXED, "cpu")


def told(mixed=range(20), plain=range(120), **figures):
    """The float model, int8 with its errors, and a searched variant; `figures` are the variant's."""
    evidence = Told(LABELS, FLOATS)
    base = [
        evidence.cell("ptq-float32", FLOATS, us=20, size=80_000),
        evidence.cell("ptq-int8-io", wrong_at(LABELS, plain), us=10, size=20_000),
    ]
    searched = [evidence.cell(MIXED, wrong_at(LABELS, mixed), **{"us": 12, "size": 21_000, **figures})]
    return evidence, base, [*base, *searched]


def verdict(picked=PICKED, limits=None, **changes):
    evidence, base, everything = told(**changes)
    limits = limits or {}
    return judge(answer(evidence, base, **limits), answer(evidence, everything, **limits), picked, evidence)


def test_limits_that_no_plain_recipe_keeps_to_are_a_find():
    found = verdict()
    assert found.found and found.winner.recipe == MIXED and found.against is None
    assert "no plain recipe keeps to the limits" in sentence(found)


def test_a_search_that_had_no_time_says_so():
    evidence, base, _ = told()
    found = judge(
        answer(evidence, base, max_drop=0.5), answer(evidence, base, max_drop=0.5), None, evidence, tried=False
    )
    assert not found.found and found.winner.recipe == "ptq-int8-io"
    assert sentence(found).startswith("nothing was searched, and of the plain recipes ptq-int8-io on cpu is the one")
    assert "the time was over" in sentence(found) and "--budget" in sentence(found)


def test_a_better_score_is_shown_in_pairs():
    found = verdict(limits={"max_drop": 0.5, "prefer": "size"})
    assert found.found and found.against.recipe == "ptq-int8-io"
    assert found.compared.told_apart and found.compared.samples == 500
    assert "20.0 points better than ptq-int8-io, but 1.2x slower" in found.why
    assert found.compared.low < found.compared.delta < found.compared.high


def test_what_cannot_be_told_apart_is_nothing_found():
    found = verdict(mixed=range(21), plain=range(22), us=10.1, size=20_100)
    assert not found.found and found.winner.recipe == "ptq-int8-io"
    assert f"{MIXED} cannot be told from ptq-int8-io in score, speed or size" in sentence(found)


def test_a_smaller_file_is_a_find_only_where_it_is_much_smaller():
    assert verdict(mixed=range(20), plain=range(20), us=10, size=19_500).found is False
    found = verdict(mixed=range(20), plain=range(20), us=10, size=15_000)
    assert found.found and "smaller than ptq-int8-io" in found.why


def test_a_faster_variant_is_a_find():
    found = verdict(mixed=range(20), plain=range(20), us=7)
    assert found.found and "1.4x faster than ptq-int8-io" in found.why


def test_a_pick_that_misses_the_limit_on_unseen_samples_did_not_hold():
    found = verdict(mixed=range(60), plain=range(120))
    assert not found.found and found.winner is None
    assert "did not hold on samples that it was not picked by: it loses 8.0 points" in found.why


def test_a_pick_that_went_wrong_on_unseen_samples_did_not_hold():
    found = verdict(plain=range(20), outcome="wrong", reason="64 of 256 samples are off")
    assert not found.found and found.winner.recipe == "ptq-int8-io"
    assert "did not hold" in found.why and "64 of 256" in found.why


def test_another_searched_variant_never_takes_the_place_of_the_pick():
    """What looks best on the unseen samples is no find: that would be choosing by them."""
    evidence, base, everything = told(mixed=range(60))
    lucky = evidence.cell("mixed[w8]", FLOATS, us=9, size=15_000)
    found = judge(answer(evidence, base), answer(evidence, [*everything, lucky]), PICKED, evidence)
    assert not found.found


@pytest.mark.parametrize("picked", [("ptq-int8-io", "cpu"), None])
def test_a_search_that_picked_nothing_of_its_own_says_so(picked):
    found = verdict(picked=picked, plain=range(20))
    assert not found.found and found.winner.recipe == "ptq-int8-io"
    assert "nothing better than ptq-int8-io on cpu was found" in sentence(found)


def test_nothing_at_all_keeps_to_the_limits():
    found = verdict(picked=None)
    assert found.winner is None
    assert sentence(found) == "nothing to take: nothing keeps to the limits, neither a plain recipe nor a searched one"


def test_objective_and_limits_are_stated():
    evidence, _, everything = told()
    limits = Limits(max_drop=0.02, max_latency_ns=5e6, max_size_bytes=200_000, prefer="size")
    text = limits_text(limits, answer(evidence, everything))
    assert (
        text
        == "lose at most 2.0 points to the float model, take at most 5.00 ms, have at most 200,000 bytes; of those the smallest"
    )
