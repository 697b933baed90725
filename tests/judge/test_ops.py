"""What single ops say of a cell: they explain wrong outputs, decide what outputs cannot tell, and settle doubts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.boards.base import BackendSpec
from harness.judge.cell import judge
from harness.measure.op_facts import OpFacts, OpsFacts
from harness.prepare.prepared import ReferenceOutputs
from tests.judge.facts import COUNT, OUTPUTS, context, measured, model

RIGHT = OpFacts(node=0, op="CONV_2D", dtype="int8", samples=32, off=np.array([90, 10]), worst_steps=0.01)
#: a tenth of the outputs of this one is two steps off
WRONG = OpFacts(node=4, op="SUM", dtype="int8", samples=32, off=np.bincount([0] * 90 + [200] * 10), worst_steps=2.0)
SKIPPED = OpFacts(node=5, op="ADD", dtype="int8", skipped="the device does not run it alone: no")


def judged(outputs, *ops, reference=None, unchecked=(), problem=None, prepared=None):
    facts = None if not ops and problem is None else OpsFacts(ops=ops, unchecked=unchecked, problem=problem)
    prepared = prepared or model()
    if reference is not None:
        prepared = replace(prepared, reference=reference)
    return judge(measured(outputs, ops=facts), prepared, context())


SHIFTED = np.roll(OUTPUTS, 1, axis=1)
#: every sample has the same outputs: nothing can be told by them
FLAT = np.tile(OUTPUTS[:1], (COUNT, 1))
FLAT_TWIN = ReferenceOutputs(identity="float twin", outputs=(FLAT,), kind="twin", trusted=True)


def codes(record):
    return [finding.code for finding in record.findings if finding.code != "score-at-chance"]


def test_wrong_outputs_are_explained_by_the_op_that_errs():
    record = judged(SHIFTED, RIGHT, WRONG)
    assert record.outcome == "wrong" and record.reason.startswith("it differs from the model's definition by ")
    assert (
        "; alone on the device, node 4 SUM is wrong: 10% of its outputs are more than 1 step off, the worst by 2"
        in record.reason
    )
    assert record.op_check["right"] == 1 and record.op_check["verdict"] == "wrong"
    (op,) = record.op_check["wrong"]
    assert (op["node"], op["op"], op["beyond"], op["worst_steps"]) == (4, "SUM", 0.1, 2.0)
    assert codes(record) == ["op-wrong"] and record.findings[0].where.endswith("node 4")


@pytest.mark.parametrize(
    ("ops", "problem", "words"),
    [
        (
            (RIGHT,),
            None,
            "all 1 ops are right when each runs alone on the device, so it is what the device makes of the whole",
        ),
        (
            (RIGHT, SKIPPED),
            None,
            "1 of 2 ops are right when each runs alone; not checked: the device does not run it alone",
        ),
        ((), "no LiteRT here", "its ops could not be checked one by one: no LiteRT here"),
        (
            (RIGHT,),
            "the board was lost",
            "1 ops are right when each runs alone, and the others were not checked: the board was lost",
        ),
    ],
)
def test_wrong_outputs_stay_wrong_whatever_the_ops_say(ops, problem, words):
    record = judged(SHIFTED, *ops, problem=problem)
    assert record.outcome == "wrong" and words in record.reason


def test_what_outputs_cannot_tell_the_ops_decide():
    assert judged(FLAT, reference=FLAT_TWIN).outcome == "undecided"
    right = judged(FLAT, RIGHT, reference=FLAT_TWIN)
    assert (right.outcome, right.reason) == ("ok", None) and codes(right) == ["decided-by-ops"]
    wrong = judged(FLAT, RIGHT, WRONG, reference=FLAT_TWIN)
    assert wrong.outcome == "wrong" and wrong.reason.startswith("alone on the device, node 4 SUM is wrong: ")
    assert "of the outputs alone: the outputs are the same for every sample" in wrong.reason
    for ops, unchecked in (((RIGHT, SKIPPED), ()), ((RIGHT,), (7,))):
        open_ = judged(FLAT, *ops, unchecked=unchecked, reference=FLAT_TWIN)
        assert open_.outcome == "undecided" and "not checked" in open_.reason


def test_outputs_equal_to_the_bit_to_kernels_that_are_known_right_are_right():
    """Where nothing else can tell, such as on a board whose firmware runs one model only."""
    rng = np.random.default_rng(0)
    stored = rng.integers(-1, 2, (COUNT, 10)).astype(np.int8)
    io = replace(model().artifact.outputs[0], dtype="int8", scale=0.5)
    twin = ReferenceOutputs(identity="float twin", outputs=(stored * np.float32(0.5),), kind="twin", trusted=True)
    prepared = model(artifact=replace(model().artifact, outputs=(io,)), lsb=(0.5,), reference=twin)
    exact = replace(prepared, exact=ReferenceOutputs(identity="exact", outputs=(stored,)))
    assert judged(stored, prepared=prepared).outcome == "undecided"
    record = judged(stored, SKIPPED, prepared=exact)
    assert record.outcome == "ok" and codes(record) == ["decided-by-bits"]
    assert judged(stored, WRONG, prepared=exact).outcome == "wrong"
    off = stored.copy()
    off[0, 0] += 1
    assert judged(off, SKIPPED, prepared=exact).outcome == "undecided"
    flat = replace(prepared, exact=ReferenceOutputs(identity="exact", outputs=(np.zeros_like(stored),)))
    assert judged(np.zeros_like(stored), SKIPPED, prepared=flat).outcome == "undecided"


def test_a_doubt_is_settled_by_an_op_that_errs_and_by_nothing_else():
    rng = np.random.default_rng(0)
    many = rng.uniform(0, 1, (128, 10)).astype(np.float32)
    noise = rng.normal(size=many.shape)
    spread = np.sqrt(np.mean((many - many.mean(0)) ** 2))
    doubtful = (many + noise * 1.5 * 0.005 * spread / np.sqrt(np.mean(noise**2))).astype(np.float32)
    prepared = model(
        labels=None, metric=None, float_answers=None, sample_ids=np.arange(128), arithmetic=("float",),
        reference=ReferenceOutputs(identity="float twin", outputs=(many,), kind="twin", trusted=True),
    )  # fmt: skip
    assert judged(doubtful, prepared=prepared).outcome == "ok"
    assert judged(doubtful, RIGHT, SKIPPED, prepared=prepared).outcome == "ok"
    record = judged(doubtful, RIGHT, WRONG, prepared=prepared)
    assert record.outcome == "wrong" and "node 4 SUM" in record.reason and "1.5 times" in record.reason


def test_several_wrong_ops_are_named_and_the_rest_counted():
    ops = [replace(WRONG, node=n) for n in range(5)]
    record = judged(SHIFTED, *ops)
    assert "node 0 SUM is wrong" in record.reason and "and so are node 1 SUM and node 2 SUM and 2 more" in record.reason
    assert len(record.op_check["wrong"]) == 5 and codes(record) == ["op-wrong"] * 5


def test_values_that_are_no_numbers_leave_no_infinity_in_the_record():
    outputs = OUTPUTS.copy()
    outputs[3, 3] = np.inf
    record = judged(outputs)
    assert record.outcome == "wrong" and "1 of 400 values are not finite numbers" in record.reason
    assert record.nrmse is None and record.reference_figures[0]["not_finite"] == 1
    assert "error" not in record.reference_figures[0]


def test_a_reference_that_nobody_has_shown_right_accuses_nobody():
    for trusted, outcome in ((True, "wrong"), (False, "undecided")):
        reference = ReferenceOutputs(
            identity="runtime 9", outputs=(OUTPUTS,), trusted=trusted, why="it has no float twin: CAST"
        )
        record = judged(SHIFTED, reference=reference)
        assert record.outcome == outcome and "coarse, because it has no float twin: CAST" in record.reference_rule
    assert "has not been shown right for this model" in record.reason
    assert judged(OUTPUTS, reference=reference).outcome == "ok"


def test_outputs_of_another_shape_are_wrong():
    record = judged(OUTPUTS[:, :9])
    assert record.outcome == "wrong" and "outputs of shape" in record.reason


def test_exact_kernels_are_compared_beside_the_verdict():
    exact = ReferenceOutputs(identity="tflite-runtime 2.14.0 BUILTIN_REF", outputs=(np.zeros((COUNT, 10), np.int8),))
    io = replace(model().artifact.outputs[0], dtype="int8", scale=0.05)
    twin = ReferenceOutputs(identity="float twin", outputs=(OUTPUTS,), kind="twin", trusted=True)
    prepared = model(artifact=replace(model().artifact, outputs=(io,)), lsb=(0.05,), exact=exact, reference=twin)
    stored = np.round(OUTPUTS / 0.05).astype(np.int8)
    record = judged(stored, prepared=prepared)
    assert record.outcome == "ok" and record.exact_reference == exact.identity
    assert record.max_lsb_diff == 20 and record.mismatch_share == 0.1


def test_a_delegate_that_sums_in_float16_has_a_wider_bound():
    from harness.predict.prediction import Prediction
    from harness.tflite.memory import MemoryEstimate

    many = np.random.default_rng(0).normal(size=(128, 5)).astype(np.float32)
    off = many + np.random.default_rng(1).normal(size=many.shape).astype(np.float32) * 0.03
    prepared = model(
        labels=None, metric=None, float_answers=None, sample_ids=np.arange(128), arithmetic=("float",),
        reference=ReferenceOutputs(identity="float twin", outputs=(many,), kind="twin", trusted=True),
        artifact=replace(model().artifact, outputs=(replace(model().artifact.outputs[0], shape=(1, 5)),)),
    )  # fmt: skip
    predicted = Prediction(
        device="b", backend="npu", runtime="r 1", runtime_assumed=False, delegate="half", loads=None, right=None, nodes=None,
        total_nodes=2, partitions=None, fits=None, memory=MemoryEstimate(file_bytes=1, arena_bytes=1, complete=True),
        float16_accumulation=True,
    )  # fmt: skip
    npu = context(backend=BackendSpec(name="npu", delegate_path="/half.so"))
    assert judge(measured(off), prepared, npu).outcome == "wrong"
    record = judge(measured(off, prediction=predicted), prepared, npu)
    assert record.outcome == "ok" and "4.0% of the outputs' spread" in record.reference_rule
