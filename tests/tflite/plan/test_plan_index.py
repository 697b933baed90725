"""What is computed of indices, and what the reference leaves open: indices that name nothing, divisors of 0, floats too large."""

from __future__ import annotations

import re

import numpy as np
import pytest

from harness.tflite.plan import check, make_plan
from tests.support.fixtures_kernels import ReferenceRuntime
from tests.support.index_models import WORDS, embedding, texts
from tests.support.kernel_cases import Case
from tests.support.op_models import Op, Tensor, build_model
from tests.support.plan_builder import PlanBuilder
from tests.support.plan_runtime import RUN_FAILED, HostRuntime, PlanRefusedError
from tests.support.wide_cases import activation


def _pair(op: str, first: Tensor, second: Tensor) -> bytes:
    return build_model(Op(name=op), [first, second], Tensor(shape=(4,), dtype=first.dtype))


def _no_kernels(_kernels: object) -> np.ndarray:
    raise NotImplementedError("a whole model is not one kernel")


def _plain(dtype: str = "int32", data: np.ndarray | None = None) -> Tensor:
    return Tensor(shape=(4,), dtype=dtype, data=data)


@pytest.mark.parametrize("ids", ["int32", "int64"])
def test_an_embedding_gives_what_the_reference_gives(
    ids: str, plan_runtime: HostRuntime, reference_runtime: ReferenceRuntime
) -> None:
    model, rows = embedding(ids), texts(30, ids)
    plan_runtime.load(make_plan(model).data)
    cases = [Case(op="model", text="", model=model, inputs=(row[None],), run=_no_kernels) for row in rows]
    classes = set()
    for row, expected in zip(rows, reference_runtime.run(cases), strict=True):
        scores, best = plan_runtime.run([row])
        assert scores.tolist() == expected.ravel().tolist()
        assert (best.dtype, best.tolist()) == (np.int64, [int(np.argmax(scores))])
        classes.add(int(best[0]))
    assert len(classes) > 2


@pytest.mark.parametrize(("ids", "wrong"), [("int32", WORDS), ("int32", -1), ("int64", 1 << 32), ("int64", -1)])
def test_an_index_that_names_nothing_ends_that_inference_only(ids: str, wrong: int, plan_runtime: HostRuntime) -> None:
    plan_runtime.load(make_plan(embedding(ids)).data)
    rows = texts(2, ids)
    before = plan_runtime.run([rows[0]])[0].tolist()
    rows[1, 3] = wrong
    with pytest.raises(PlanRefusedError, match="index of GATHER or GATHER_ND lies outside its dimension") as refused:
        plan_runtime.run([rows[1]])
    assert (refused.value.code, refused.value.node) == (RUN_FAILED, 0)
    assert plan_runtime.run([rows[0]])[0].tolist() == before


@pytest.mark.parametrize("op", ["DIV", "FLOOR_DIV", "FLOOR_MOD"])
def test_a_division_by_0_ends_that_inference_and_the_smallest_number_wraps(op: str, plan_runtime: HostRuntime) -> None:
    plan_runtime.load(make_plan(_pair(op, _plain(), _plain())).data)
    values = np.array([7, -7, -(2**31), 1], np.int32)
    with pytest.raises(PlanRefusedError, match="a division by 0"):
        plan_runtime.run([values, np.array([1, 0, 1, 1], np.int32)])
    expected = {"DIV": [3, -3, -(2**31), 0], "FLOOR_DIV": [3, -4, -(2**31), -1], "FLOOR_MOD": [1, 1, 0, -4]}
    assert plan_runtime.run([values, np.array([2, 2, -1, -5], np.int32)])[0].tolist() == expected[op]


def test_a_quotient_of_8_bits_is_the_nearest_one_however_small_and_by_0_there_is_none(
    plan_runtime: HostRuntime,
) -> None:
    """Where the dividend is small the reference shifts a number by more than 31, and gives anything."""
    source, divisor = activation((4,), 0.1, "int8", 2), activation((4,), 0.05, "int8", -100)
    model = build_model(
        Op(name="DIV", options_table="DivOptions"), [source, divisor], activation((4,), 0.1, "int8", 63)
    )
    plan_runtime.load(make_plan(model).data)
    values, divisors = np.array([2, 3, 1, -128], np.int8), np.array([127, 127, 100, -128], np.int8)
    exact = np.minimum((values - 2.0) / ((divisors + 100.0) * 0.05) + 63, 127)
    assert np.abs(plan_runtime.run([values, divisors])[0] - exact).max() <= 0.51
    with pytest.raises(PlanRefusedError, match="a division by 0"):
        plan_runtime.run([values, np.full(4, -100, np.int8)])


def test_floats_that_no_integer_holds_become_the_nearest_one(plan_runtime: HostRuntime) -> None:
    values = np.array([np.nan, np.inf, -np.inf, -1e30, 1e30, 0.99, -0.99, -3.7], np.float32)
    for dtype in ("int8", "uint8", "int16", "int32", "int64"):
        model = build_model(
            Op(name="CAST", options_table="CastOptions"),
            [Tensor(shape=(8,), dtype="float32")],
            Tensor(shape=(8,), dtype=dtype),
        )
        plan_runtime.load(make_plan(model).data)
        info = np.iinfo(dtype)
        expected = [0, info.max, info.min, info.min, info.max, 0, 0, max(-3, info.min)]
        assert plan_runtime.run([values])[0].tolist() == expected, dtype


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (_pair("DIV", _plain(), _plain(data=np.array([1, 0, 1, 1], np.int32))), "divides by a constant 0"),
        (_pair("ADD", _plain("int64"), _plain("int64")), "is int64.*that of int32: cast it"),
        (_pair("FLOOR_MOD", activation((4,), 0.1, "int8"), activation((4,), 0.1, "int8")), "int8.*of int32"),
    ],
)
def test_what_stays_unsupported_says_why_and_what_to_do(model: bytes, text: str) -> None:
    reasons = check(model)
    assert reasons and re.search(text, str(reasons[0])), reasons


def test_an_answer_that_a_reset_lacked_is_forgotten_with_its_plan(plan_runtime: HostRuntime) -> None:
    """Plans from elsewhere may have any op among the nodes of a reset, here one whose index names nothing."""

    def plan(reset_index: int, **header: int) -> bytes:
        made = PlanBuilder()
        row, index = made.constant(np.arange(4, dtype=np.int8)), made.constant(np.array([reset_index], np.int32))
        target = made.arena(4)
        # batches, outer, picks, depth, dims, inner, bytes of an index
        made.node("TAKE", row, index, target, 1, 1, 1, 1, [1, *[0] * 5], 4, 4)
        result = made.arena(4)
        made.node("COPY", target, result, 4)
        made.output(result, "int8", 4)
        return made.build(**header)

    plan_runtime.load(plan(9, reset_nodes=1))
    plan_runtime.load(plan(0))
    assert plan_runtime.run([])[0].tolist() == [0, 1, 2, 3]
