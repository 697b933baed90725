"""What the plan runtime refuses of the ops that plan_from_64.h has, each with its reason."""

from __future__ import annotations

import re

import pytest

from tests.support.plan_builder import CONSTANT, NONE
from tests.support.plan_fields import changed_plan, refusal
from tests.support.plan_runtime import BAD_MODEL, HostRuntime

_HUGE = 0x7FFFFFFF
_OUTSIDE = "does not lie inside the arena"

_RULES = [
    (("TAKE",), {"depth": 7}, "rank is not in 1..6"),
    (("TAKE",), {"depth": 0}, "rank is not in 1..6"),
    (("TAKE",), {"dims": 0}, "a dimension is 0"),
    (("TAKE",), {"dims": _HUGE}, "does not lie inside"),
    (("TAKE",), {"picks": _HUGE}, _OUTSIDE),
    (("TAKE",), {"inner": 0}, "not positive"),
    (("TAKE",), {"batches": 0x10000, "outer": 0x10000}, _OUTSIDE),
    (("TAKE",), {"index_bytes": 2}, "an index has not 4 or 8 bytes"),
    (("TAKE",), {"indices": NONE}, "an operand is missing"),
    (("TAKE",), {"indices": 2}, "multiple of 4"),
    (("TAKE",), {"indices": CONSTANT | 0x10000}, "does not lie inside the plan's constants"),
    (("CAST",), {"from": 7}, "a type of CAST is unknown"),
    (("CAST",), {"to": -1}, "a type of CAST is unknown"),
    (("CAST",), {"from": 5, "input": 2}, "multiple of 4"),
    (("CAST",), {"count": _HUGE}, _OUTSIDE),
    (("INTEGERS",), {"operation": 8}, "operation of integers is not in 0..7"),
    (("INTEGERS",), {"low": 1, "high": 0}, "range of integers ends before it begins"),
    (("INTEGERS",), {"input1": NONE}, "an operand is missing"),
    (("INTEGERS",), {"strides2": -1}, "dimension or stride is negative"),
    (("INTEGERS", "DIV"), {"dims": 0}, "a dimension is 0"),
    (("DIV",), {"shift": 31}, "shift is not in -31..30"),
    (("DIV",), {"input2": NONE}, "an operand is missing"),
    (("SOFTMAX_8_16",), {"depth": 4096}, "not in 1..4095"),
    (("SOFTMAX_8_16",), {"output": 1}, "multiple of 4"),
    (("CONV_2D_4", "DEPTHWISE_CONV_2D_4", "FULLY_CONNECTED_4"), {"at_once": 0}, "not positive"),
    (("CONV_2D_4", "FULLY_CONNECTED_4"), {"at_once": _HUGE}, "more channels of 4-bit weights|belong together"),
    (("DEPTHWISE_CONV_2D_4",), {"at_once": 1}, "channels that belong together"),
    (("CONV_2D_4", "DEPTHWISE_CONV_2D_4", "FULLY_CONNECTED_4"), {"scratch": NONE}, "a size but no place"),
    (("CONV_2D_4", "DEPTHWISE_CONV_2D_4", "FULLY_CONNECTED_4"), {"scratch_bytes": 4}, "too little scratch memory"),
    (("CONV_2D_4", "DEPTHWISE_CONV_2D_4", "FULLY_CONNECTED_4"), {"weights": NONE}, "an operand is missing"),
    (("FULLY_CONNECTED_4",), {"inputs": _HUGE}, "does not lie inside"),
    (("CONV_2D_4",), {"filter_height": 32767}, "window|too little scratch|does not lie"),
    (("SVDF_8",), {"rank": 100}, "no multiple of its rank"),
    (("SVDF_8",), {"state": NONE}, "a size but no place"),
    (("SVDF_8",), {"memory": _HUGE}, "does not lie inside"),
    (("SVDF_8",), {"state_zero_point": 128}, "zero point or value"),
]


@pytest.mark.parametrize(("ops", "changes", "reason"), _RULES)
def test_a_node_with_a_wrong_field_is_refused_with_the_reason(
    ops: tuple[str, ...], changes: dict[str, int], reason: str, plans: dict[str, bytes], plan_runtime: HostRuntime
) -> None:
    for op in ops:
        error = refusal(plan_runtime, changed_plan(plans[op], op, changes))
        assert re.search(reason, error.text), f"{op}: {error.text}"
        assert (error.code, error.node) == (BAD_MODEL, 0)
