"""What the answer names, what it leaves out and why: the complaints that led to it, each as a test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.core.finding import Finding
from harness.reports.answer.answer import find_answer, find_answers
from harness.reports.answer.evidence import NoEvidence
from harness.reports.answer.limits import Limits
from harness.reports.answer.rows import answer_rows
from harness.reports.answer.words import gain_lines, sentence
from harness.workloads.metrics.registry import get_metric
from tests.support.answered import FLOATS, LABELS, Told, answer, error, labels_of, left_out, text, wrong_at


@pytest.fixture
def told() -> Told:
    return Told(LABELS, FLOATS)


# -- one pick, in one sentence -------------------------------------------------------------------------------------------


def test_one_plain_sentence_says_what_to_ship(told):
    cells = [
        told.cell("ptq-float32", FLOATS, us=21, size=80_000),
        told.cell(
            "ptq-int8-io",
            wrong_at(LABELS, range(21)),
            us=10,
            size=20_000,
            backend="npu",
            delegate_name="vx",
            delegated_nodes=8,
        ),
        told.cell("ptq-int8-io", wrong_at(LABELS, range(21)), us=18, size=20_000),
    ]
    found = answer(told, cells)
    assert sentence(found) == "ship ptq-int8-io on npu: -0.2 points, 2.1x faster, a quarter of the size"
    assert "500 samples cannot tell from none" in text(found)


def test_across_the_backends_of_a_device_there_is_one_pick(told):
    cells = [
        told.cell(recipe, FLOATS, us=us, size=20_000, backend=backend)
        for recipe in ("ptq-int8-io", "ptq-default")
        for backend, us in (("cpu", 10), ("npu", 30))
    ]
    found = answer(told, cells)
    assert (found.pick.recipe, found.pick.backend) == ("ptq-default", "cpu")
    assert [b.candidate.backend for b in found.beaten if b.candidate.recipe == "ptq-default"] == ["npu"]


def test_every_device_and_dataset_has_an_answer_of_its_own(told):
    cells = [told.cell("ptq-int8-io", FLOATS, device=name) for name in ("one", "two")]
    cells.append(told.cell("ptq-int8-io", FLOATS, device="two", dataset="e" * 64))
    assert [(a.device, a.dataset[0]) for a in find_answers(cells, told)] == [("one", "d"), ("two", "d"), ("two", "e")]


# -- what chance explains is no merit ------------------------------------------------------------------------------------


def test_overlapping_scores_crown_no_winner(told):
    best, other = wrong_at(LABELS, range(15)), wrong_at(LABELS, range(20))
    cells = [
        told.cell("ptq-int8-io", best, us=10, size=30_000),
        told.cell("ptq-default", other, us=10, size=20_000),
    ]
    found = answer(told, cells)
    assert found.pick.recipe == "ptq-default"  # the smaller one of two that 500 samples cannot tell apart
    assert [c.recipe for c in found.as_good] == ["ptq-int8-io"]
    assert "as good: ptq-int8-io: 500 samples cannot tell their scores apart" in text(found)
    assert {c.layer for c in found.candidates} == {0}


def test_a_score_that_is_shown_worse_is_another_group(told):
    cells = [
        told.cell("ptq-int8-io", FLOATS, us=10, size=20_000),
        told.cell("ptq-aeq-dyn4", wrong_at(LABELS, range(50)), us=10, size=10_000),
    ]
    found = answer(told, cells, max_drop=0.1)
    assert [(c.recipe, c.layer) for c in found.candidates] == [("ptq-int8-io", 0), ("ptq-aeq-dyn4", 1)]
    assert found.pick.recipe == "ptq-int8-io"
    assert [c.recipe for c in found.front] == ["ptq-int8-io", "ptq-aeq-dyn4"]
    assert "or: ptq-aeq-dyn4: worse score (-6.0 points), smaller, 10,000 bytes" in text(found)


def test_figures_of_different_sample_counts_are_compared_on_the_samples_that_both_have(told):
    # On all 500 the first one is far better, on the 100 that both ran they are the same.
    long, short = wrong_at(LABELS, range(20)), wrong_at(LABELS[:100], range(20))
    cells = [told.cell("ptq-int8-io", long, size=20_000), told.cell("ptq-default", short, size=15_000)]
    assert cells[0].score == pytest.approx(0.96) and cells[1].score == pytest.approx(0.8)
    found = answer(told, cells)
    assert {c.layer for c in found.candidates} == {0}
    assert found.pick.recipe == "ptq-default"


def test_without_answers_to_each_sample_nothing_is_told_apart(told):
    cells = [
        told.cell("ptq-int8-io", FLOATS, size=30_000),
        told.cell("ptq-aeq-dyn4", wrong_at(LABELS, range(22)), size=10_000),
    ]
    found = find_answer(cells, NoEvidence(), Limits())
    assert {c.layer for c in found.candidates} == {0}
    assert found.pick.recipe == "ptq-aeq-dyn4" and found.pick.delta == pytest.approx(-0.004)


def test_latencies_whose_intervals_meet_are_as_fast(told):
    near = {"latency_median_low_ns": 9_000, "latency_median_high_ns": 11_500}
    cells = [
        told.cell("ptq-int8-io", FLOATS, us=10, size=30_000, **near),
        told.cell("ptq-default", FLOATS, us=11, size=20_000, **near),
    ]
    found = answer(told, cells)
    assert found.pick.recipe == "ptq-default"
    assert [b.reason for b in found.beaten] == ["smaller"]


def test_a_few_bytes_are_not_worth_a_training(told):
    cells = [
        told.cell("qat-int8-io", FLOATS, size=20_000),
        told.cell("ptq-int8-io", FLOATS, size=20_100),
    ]
    assert answer(told, cells).pick.recipe == "ptq-int8-io"


# -- what may not be named -----------------------------------------------------------------------------------------------


def test_what_the_audit_marks_with_an_error_is_no_candidate(told):
    good = told.cell("ptq-int8-io", FLOATS, us=20, size=90_000)
    trap = told.cell("qat-dense-default", FLOATS, us=5, size=10_000, findings=[error("float-op-in-integer-recipe")])
    found = answer(told, [good, trap])
    assert found.pick.record is good
    assert "float-op-in-integer-recipe" in left_out(found)["qat-dense-default/cpu"]


def test_a_score_that_answers_another_question_is_no_candidate(told):
    found = answer(told, [told.cell("ptq-int8-io", FLOATS, findings=[error("few-samples")])])
    said = "the score answers another question: there are too few different samples (few-samples)"
    assert found.pick is None and sentence(found) == f"nothing to ship: {said}"
    assert left_out(found)["ptq-int8-io/cpu"] == said


def test_why_nothing_is_named_is_the_reason_of_what_could_have_been(told):
    reference = told.cell("ptq-int8-io", FLOATS, backend="cpu-ref")
    asked = told.cell("ptq-int8-io", FLOATS, findings=[error("few-samples")])
    wrong = told.cell("ptq-default", FLOATS, outcome="wrong", reason="outputs differ")
    assert (
        sentence(answer(told, [reference])) == "nothing to ship: reference kernels are for checking, not for shipping"
    )
    assert sentence(answer(told, [reference, wrong])) == "nothing to ship: what could be shipped is wrong"
    assert sentence(answer(told, [asked, wrong])) == "nothing to ship: every cell is left out, each with its reason"


def test_a_delegate_that_took_nothing_puts_no_cpus_time_under_its_name(told):
    cpu = told.cell("ptq-int8-io", FLOATS, us=20)
    npu = told.cell("ptq-int8-io", FLOATS, us=10, backend="npu", delegate_name="vx", delegated_nodes=0)
    found = answer(told, [cpu, npu])
    assert found.pick.record is cpu
    assert left_out(found)["ptq-int8-io/npu"] == "vx took 0 of 8 nodes: a CPU's figures under its name"


def test_reference_kernels_are_not_offered(told):
    named = told.cell("ptq-int8-io", FLOATS, us=1, backend="cpu-ref")
    asked = told.cell("ptq-int8-io", FLOATS, us=1, backend="slow", kernels="reference")
    cpu = told.cell("ptq-int8-io", FLOATS, us=20, kernels="default")
    found = answer(told, [named, asked, cpu])
    assert found.pick.record is cpu and set(left_out(found)) == {"ptq-int8-io/cpu-ref", "ptq-int8-io/slow"}


@pytest.mark.parametrize("outcome", ["undecided", "estimated", "wrong", "unsupported", "failed"])
def test_only_what_is_ok_is_named(told, outcome: str):
    bad = replace(told.cell("ptq-int8-io", FLOATS), outcome=outcome, reason="why")
    found = answer(told, [bad])
    assert found.pick is None and left_out(found)["ptq-int8-io/cpu"].startswith(outcome)
    said = "every cell failed" if outcome == "failed" else f"every cell is {outcome}"
    assert sentence(found) == f"nothing to ship: {said}"


def test_two_models_of_one_name_are_not_ranked_with_each_other(told):
    old = told.cell("ptq-int8-io", FLOATS, size=1_000, model_sha256="a" * 64)
    new = told.cell("ptq-default", FLOATS, size=20_000, model_sha256="b" * 64)
    found = answer(told, [old, new])
    assert found.pick.record is new and "another model of the same name" in left_out(found)["ptq-int8-io/cpu"]


def test_every_cell_stands_in_the_rows_once_with_its_role(told):
    cells = [
        told.cell("ptq-float32", FLOATS, us=21, size=80_000),
        told.cell("ptq-int8-io", FLOATS, us=10, size=20_000),
        told.cell("ptq-default", FLOATS, us=30, size=30_000),
        told.cell("ptq-aeq-dyn4", wrong_at(LABELS, range(60)), us=8, size=10_000),
        told.cell("ptq-int8-io", FLOATS, backend="cpu-ref"),
    ]
    roles = {f"{row.record.key.recipe}/{row.record.key.backend}": row.role for row in answer_rows(answer(told, cells))}
    assert roles == {
        "ptq-int8-io/cpu": "pick",
        "ptq-default/cpu": "beaten",
        "ptq-float32/cpu": "control",
        "ptq-aeq-dyn4/cpu": "left out",
        "ptq-int8-io/cpu-ref": "left out",
    }


# -- controls and QAT ----------------------------------------------------------------------------------------------------


def test_controls_are_named_as_such_and_never_picked(told):
    cells = [
        told.cell("ptq-float32", FLOATS, us=1, size=1_000),
        told.cell("ft-int8-io", FLOATS, us=1, size=1_000),
        told.cell("ptq-int8-io", FLOATS, us=10, size=20_000),
    ]
    found = answer(told, cells)
    assert found.pick.recipe == "ptq-int8-io"
    assert "ptq-float32 (control), ft-int8-io (control)" in text(found)
    assert answer(told, cells[:2]).why_none == "only controls ran well"


def test_extra_training_is_not_sold_as_the_gain_of_qat():
    """Of 10,000: the float model has .9200, the control +.0453 by training on alone, QAT +.0444."""
    labels = labels_of(10_000)
    floats = wrong_at(labels, range(800))
    told = Told(labels, floats)
    control, qat = wrong_at(labels, range(347)), wrong_at(labels, range(340), range(900, 916))
    cells = [
        told.cell("ptq-float32", floats),
        told.cell("ft-int8-io", control),
        told.cell("qat-int8-io", qat),
    ]
    assert (cells[2].score_delta, cells[1].score_delta) == (pytest.approx(0.0444), pytest.approx(0.0453))
    [said] = gain_lines(answer(told, cells).gains)
    assert said.startswith(
        "qat-int8-io: what it gained cannot be told from training on: against its control ft-int8-io, -0.09 points"
    )


def test_what_qat_itself_gained_is_said_with_its_p(told):
    cells = [
        told.cell("ft-int8-io", wrong_at(LABELS, range(60))),
        told.cell("qat-int8-io", wrong_at(LABELS, range(20))),
    ]
    [said] = gain_lines(answer(told, cells).gains)
    assert said.startswith("qat-int8-io: QAT itself gained +8.0 points: against its control ft-int8-io (p = ")
    [said] = gain_lines(
        answer(told, [told.cell("ft-int8-io", FLOATS), told.cell("qat-int8-io", wrong_at(LABELS, range(80)))]).gains
    )
    assert "QAT itself lost: -12.0 points" in said


def test_qat_without_its_control_says_what_to_run(told):
    [said] = gain_lines(answer(told, [told.cell("qat-int8-io", LABELS), told.cell("ptq-int8-io", FLOATS)]).gains)
    assert "cannot be told from training on: its control did not run, or did not run well (--recipe ft-int8-io)" in said


@pytest.mark.parametrize(
    ("recipe", "control"),
    [
        ("qat-int8-io", "ft-int8-io"),
        ("qat-default", "ft-int8"),
        ("qat-dense-default", "ft-int8"),
        ("qat-q[last]-int8-io", "ft-int8-io"),
        ("qat-float16", "ft-float16"),
    ],
)
def test_a_control_has_the_conversion_and_arithmetic_of_its_recipe(told, recipe, control):
    others = [told.cell(name, FLOATS) for name in ("ft-float32", "ft-int8-io", "ft-int8", "ft-float16", "ft-default")]
    [gain] = answer(told, [*others, told.cell(recipe, FLOATS)]).gains
    assert gain.control.key.recipe == control


def test_over_several_seeds_the_first_is_answered_and_the_gains_range_is_told(told):
    cells = [
        told.cell(recipe, wrong_at(LABELS, range(wrong)), seed=seed)
        for seed, (qat, control) in enumerate([(20, 22), (25, 18)])
        for recipe, wrong in (("qat-int8-io", qat), ("ft-int8-io", control))
    ]
    found = answer(told, cells)
    assert found.pick.record.key.seed == 0 and "this is seed 0 of 2" in text(found)
    [said] = gain_lines(found.gains)
    assert said.endswith("over 2 seeds -1.4 points to +0.4 points")


def test_what_training_on_gains_by_itself_is_said(told):
    cells = [
        told.cell("ptq-int8-io", FLOATS),
        told.cell("ft-int8-io", LABELS),
        told.cell("ft-float32", LABELS, size=80_000),
    ]
    found = answer(told, cells)
    assert found.pick.recipe == "ptq-int8-io" and found.pick.layer == 1
    assert "more training: ft-float32 (control) to the float model +4.0 points" in text(found)


def test_warnings_of_the_pick_and_figures_of_several_runs_are_said(told):
    same = Finding(code="identical-to-cpu", severity="warning", where="w", what="outputs are bit-identical to cpu")
    cells = [
        told.cell("ptq-int8-io", FLOATS, findings=[same]),
        replace(told.cell("ptq-default", FLOATS, us=90), run="other"),
    ]
    told._known[id(cells[1])] = told._known[id(cells[0])]
    found = text(answer(told, cells))
    assert "warning: outputs are bit-identical to cpu (identical-to-cpu)" in found
    assert "these figures are of 2 runs" in found


# -- clocks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("basis", "why"),
    [("host-emulated", "its times are an emulator's"), ("guest-instructions", "instructions were counted, not time")],
)
def test_a_twin_answers_about_score_size_and_placement_and_says_what_speed_needs(told, basis: str, why: str):
    cells = [
        told.cell("ptq-float32", FLOATS, us=1, size=80_000, time_basis=basis),
        told.cell("ptq-default", FLOATS, us=1, size=20_000, time_basis=basis),
        told.cell(
            "ptq-int8-io",
            FLOATS,
            us=90,
            size=20_100,
            time_basis=basis,
            backend="npu",
            delegate_name="npu-standin",
            delegated_nodes=8,
            partitions=1,
        ),
    ]
    found = answer(told, cells)
    assert sentence(found) == "ship ptq-int8-io on npu: ±0 points, speed needs the board, a quarter of the size"
    assert f"npu-standin 8/8 nodes in 1 part; {why}, so they recommend nothing: measure on the board" in text(found)
    refused = answer(told, cells, max_latency_ns=1e12)
    assert refused.pick is None
    assert left_out(refused)["ptq-int8-io/npu"] == "no time of its own board to hold against the allowed latency"


def test_times_of_two_clocks_are_not_ranked(told):
    cells = [
        told.cell("ptq-int8-io", FLOATS, us=1, size=30_000),
        told.cell("ptq-default", FLOATS, us=50, size=20_000, time_basis="device-cycles"),
    ]
    found = answer(told, cells)
    assert found.no_times == "its times are of several clocks" and found.pick.recipe == "ptq-default"


# -- limits --------------------------------------------------------------------------------------------------------------


def test_limits_leave_out_with_a_reason_each(told):
    cells = [
        told.cell("ptq-int8-io", FLOATS, us=900, size=20_000),
        told.cell("ptq-default", FLOATS, us=10, size=200_000),
        told.cell("ptq-aeq-dyn4", wrong_at(LABELS, range(50)), us=10, size=20_000),
    ]
    found = answer(told, cells, max_drop=0.01, max_latency_ns=100_000, max_size_bytes=50_000)
    assert found.pick is None and sentence(found) == "nothing to ship: no recipe keeps to the limits"
    assert left_out(found) == {
        "ptq-int8-io/cpu": "takes 900 µs, more than 100 µs",
        "ptq-default/cpu": "has 200,000 bytes, more than 50,000",
        "ptq-aeq-dyn4/cpu": "loses 6.0 points, more than 1.0 point",
    }


def test_where_only_the_float_model_keeps_to_the_limits_it_is_named(told):
    cells = [
        told.cell("ptq-float32", FLOATS, us=10, size=80_000),
        told.cell("ptq-int8-io", FLOATS, us=900, size=20_000),
    ]
    found = answer(told, cells, max_latency_ns=100_000)
    assert found.pick is None and sentence(found) == "nothing to ship: only controls keep to the limits: ptq-float32"
    assert "no recipe" in sentence(answer(told, cells, max_latency_ns=1_000))


def test_a_loss_that_is_not_ruled_out_is_said(told):
    found = answer(told, [told.cell("ptq-int8-io", wrong_at(LABELS, range(16), range(400, 407)))], max_drop=0.01)
    assert found.pick is not None
    assert (
        "A loss of up to 2.0 points is not ruled out: more samples would show whether it stays within the allowed 1.0 point"
        in text(found)
    )


def test_preferring_size_takes_the_smallest(told):
    cells = [told.cell("ptq-int8-io", FLOATS, us=5, size=90_000), told.cell("ptq-default", FLOATS, us=50, size=20_000)]
    assert answer(told, cells).pick.recipe == "ptq-int8-io"
    assert answer(told, cells, prefer="size").pick.recipe == "ptq-default"


def test_a_drop_without_a_float_model_cannot_be_held_to():
    told = Told(LABELS, None)
    cell = told.cell("ptq-int8-io", FLOATS)
    assert answer(told, [cell]).pick is not None
    found = answer(told, [cell], max_drop=0.01)
    assert "nothing to hold against the allowed drop" in left_out(found)["ptq-int8-io/cpu"]


# -- other metrics -------------------------------------------------------------------------------------------------------


@pytest.fixture
def thermo() -> Told:
    rng = np.random.default_rng(1)
    labels = rng.normal(20, 5, (400, 1)).astype(np.float32)
    return Told(labels, labels + 1.2, get_metric("mean_absolute_error", unit="K"))


def test_less_may_be_better_and_is_worded_in_its_unit(thermo):
    rng = np.random.default_rng(2)
    near = thermo.floats + rng.normal(0.005, 0.1, thermo.floats.shape).astype(np.float32)
    far = thermo.floats + 0.5
    cells = [
        thermo.cell("ptq-float32", thermo.floats, us=21, size=80_000),
        thermo.cell("ptq-int8-io", near, us=10, size=20_000),
        thermo.cell("ptq-aeq-dyn4", far, us=5, size=10_000),
    ]
    found = answer(thermo, cells)
    assert found.pick.recipe == "ptq-int8-io"
    assert sentence(found).startswith("ship ptq-int8-io on cpu: 0.00")
    assert sentence(found).endswith("K better, 2.1x faster, a quarter of the size") or " K worse, " in sentence(found)
    assert left_out(found)["ptq-aeq-dyn4/cpu"] == "loses 0.5 K, more than 0.012 K"
    assert found.candidates[2].layer == 1
    assert answer(thermo, cells, max_drop=0.6).pick.recipe == "ptq-aeq-dyn4"


def test_a_finished_model_without_labels_is_answered_by_its_agreement(told):
    bare = replace(
        told.cell("as-is", FLOATS),
        **dict.fromkeys(
            (
                "score",
                "score_low",
                "score_high",
                "score_delta",
                "accuracy",
                "accuracy_delta",
                "accuracy_low",
                "accuracy_high",
                "metric",
            )
        ),
        agreement=1.0,
        reference_samples=256,
    )
    found = find_answer([bare], NoEvidence(), Limits())
    assert sentence(found) == "ship net on cpu: 100 % as the reference, 10.0 µs, 20,000 bytes"
