"""The rule behind the outcome `wrong`."""

from dataclasses import replace

import numpy as np
import pytest

from harness.core.tensor import TensorIo
from harness.judge.outputs import rounding_words
from harness.measure.divergence import Divergence, compare
from harness.workloads.base import Tolerance
from harness.workloads.metrics.registry import get_metric

TOP1 = get_metric("top1")
INT8 = (TensorIo(name="out", dtype="int8", shape=(1, 10), scale=1 / 256, zero_point=-128),)
FLOAT = (TensorIo(name="out", dtype="float32", shape=(1, 10)),)


def int8_outputs(seed=0, n=256):
    return np.random.default_rng(seed).integers(-128, 127, (n, 10)).astype(np.int8)


def judge(mine, reference, *, io=INT8, lsb=(1 / 256,), metric=TOP1, on_npu=False, tolerance=None):
    return compare(
        [mine], [reference], metric=metric, tolerance=tolerance or Tolerance(), io=io, lsb=lsb, on_npu=on_npu
    )


def test_equal_outputs_are_right_and_bit_identical():
    verdict = judge(int8_outputs(), int8_outputs())
    assert not verdict.wrong and verdict.bit_identical
    assert (verdict.max_lsb_diff, verdict.mismatch_share, verdict.agreement) == (0.0, 0.0, 1.0)


def test_one_step_everywhere_is_rounding():
    reference = int8_outputs()
    verdict = judge((reference + 1).astype(np.int8), reference)
    assert not verdict.wrong
    assert verdict.max_lsb_diff == 1.0


def test_two_steps_on_more_than_one_percent_is_wrong_and_says_so():
    reference = int8_outputs()
    mine = reference.copy()
    mine[:6, :5] = np.clip(mine[:6, :5].astype(int) - 2, -128, 127)
    verdict = judge(mine, reference)
    assert verdict.wrong
    assert "more than 1 LSB off" in verdict.reason and "99%" in verdict.rule


def test_one_wild_output_in_a_thousand_is_within_the_share():
    reference = np.zeros((256, 10), dtype=np.int8)
    mine = reference.copy()
    mine[0, 0] = 100
    verdict = judge(mine, reference)
    assert not verdict.wrong
    assert verdict.max_lsb_diff == 100


def test_the_tolerance_can_be_widened():
    reference = int8_outputs() // 2
    assert judge((reference + 3).astype(np.int8), reference).wrong
    assert not judge((reference + 3).astype(np.int8), reference, tolerance=Tolerance(integer_lsb=3)).wrong


def test_float_outputs_of_an_integer_model_are_counted_in_its_steps():
    reference = np.zeros((256, 10), dtype=np.float32)
    verdict = judge(reference + np.float32(2 * 0.05), reference, io=FLOAT, lsb=(0.05,))
    assert verdict.wrong
    assert verdict.max_lsb_diff == pytest.approx(2.0)


def test_float_rounding_of_a_dequantized_step_is_not_two_steps():
    reference = np.zeros((256, 10), dtype=np.float32)
    verdict = judge(reference + np.float32(0.05) * np.float32(1.0000001), reference, io=FLOAT, lsb=(0.05,))
    assert not verdict.wrong


def test_float_models_are_judged_by_nrmse_and_agreement():
    rng = np.random.default_rng(1)
    reference = rng.normal(size=(256, 10)).astype(np.float32)
    near = judge(reference * np.float32(1.001), reference, io=FLOAT, lsb=(None,))
    assert not near.wrong and near.max_lsb_diff is None and near.nrmse == pytest.approx(0.001, rel=0.01)
    far = judge(rng.normal(size=(256, 10)).astype(np.float32), reference, io=FLOAT, lsb=(None,))
    assert far.wrong and "NRMSE" in far.reason and "agreement" in far.reason


def test_outputs_that_are_not_finite_are_wrong():
    reference = np.ones((256, 10), dtype=np.float32)
    mine = reference.copy()
    mine[3, 3] = np.nan
    assert judge(mine, reference, io=FLOAT, lsb=(None,)).wrong


def test_an_npu_is_judged_by_its_answers_not_its_last_bit():
    reference = np.zeros((256, 10), dtype=np.int8)
    reference[np.arange(256), np.arange(256) % 10] = 100
    mine = np.clip(reference.astype(int) + 5, -128, 127).astype(np.int8)
    assert not judge(mine, reference, on_npu=True).wrong
    assert judge(mine, reference, on_npu=False).wrong


def test_an_npu_that_returns_zeros_is_wrong():
    reference = np.zeros((256, 10), dtype=np.int8)
    reference[np.arange(256), np.arange(256) % 10] = 100
    assert judge(np.zeros_like(reference), reference, on_npu=True).wrong


def test_models_without_classes_have_no_agreement_and_are_still_judged():
    reference = np.random.default_rng(2).normal(size=(64, 640)).astype(np.float32)
    verdict = judge(reference * np.float32(1.2), reference, io=FLOAT, lsb=(None,), metric=None, on_npu=True)
    assert verdict.agreement is None
    assert verdict.wrong


def test_shapes_that_differ_are_a_defect_not_a_verdict():
    with pytest.raises(ValueError, match="shape"):
        judge(np.zeros((4, 10), np.int8), np.zeros((4, 9), np.int8))


def test_a_step_before_a_final_sigmoid_may_become_several_of_the_output():
    reference = np.zeros((256, 1), dtype=np.int8)
    io = (TensorIo(name="out", dtype="int8", shape=(1, 1), scale=1 / 256, zero_point=-128),)
    arguments = {"metric": get_metric("binary"), "tolerance": Tolerance(), "io": io, "lsb": (1 / 256,), "on_npu": False}
    within = compare([reference + np.int8(6)], [reference], steps=(6.4,), **arguments)
    assert not within.wrong and within.max_lsb_diff == 6 and "<= 6.4 LSB" in within.rule
    assert compare([reference + np.int8(7)], [reference], steps=(6.4,), **arguments).wrong


def test_the_smallest_bound_that_accepts_is_known():
    """For deep integer models: what to write behind --tolerance integer_lsb=."""
    reference = int8_outputs()
    off = np.random.default_rng(1).integers(-3, 4, reference.shape)
    mine = np.clip(reference.astype(int) + off, -128, 127).astype(np.int8)
    mine[0, 0] = np.int8(-128) if reference[0, 0] > 0 else np.int8(127)  # one wild output is within the share
    verdict = judge(mine, reference)
    assert verdict.wrong and verdict.accepting_lsb == 3
    assert not judge(mine, reference, tolerance=Tolerance(integer_lsb=3)).wrong
    assert judge(mine, reference, tolerance=Tolerance(integer_lsb=2)).wrong
    assert judge(mine, reference, on_npu=True).accepting_lsb is None
    infinite = np.full((4, 10), np.nan, np.float32)
    assert judge(infinite, np.ones_like(infinite), io=FLOAT).accepting_lsb is None


def test_the_reason_says_when_answers_agree_all_the_same():
    verdict = Divergence(
        wrong=True,
        rule="r",
        reason="far off",
        samples=256,
        max_lsb_diff=4.0,
        mismatch_share=0.3,
        agreement=0.984,
        nrmse=0.01,
        bit_identical=False,
        accepting_lsb=4,
    )
    words = rounding_words(verdict, 42)
    assert "agree with the reference's in 98.4%" in words and "add up over 42 nodes" in words
    assert "`--tolerance integer_lsb=4` accepts them" in words
    assert rounding_words(replace(verdict, agreement=0.9), 42) == ""
    assert rounding_words(replace(verdict, agreement=None), 42) == ""
    assert rounding_words(replace(verdict, accepting_lsb=None), 42) == ""
