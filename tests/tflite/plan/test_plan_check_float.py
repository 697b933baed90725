"""What the plan runtime refuses of the float32 ops, each with its reason."""

from __future__ import annotations

import re

import pytest

from tests.support.plan_builder import CONSTANT, NONE
from tests.support.plan_fields import changed_plan, refusal
from tests.support.plan_runtime import BAD_MODEL, HostRuntime

_HUGE = 0x7FFFFFFF
_OUTSIDE = "does not lie inside the arena"
_WINDOWS = ("FLOAT_CONV_2D", "FLOAT_DEPTHWISE_CONV_2D", "FLOAT_MAX_POOL_2D", "FLOAT_AVERAGE_POOL_2D")
_WEIGHTED = ("FLOAT_CONV_2D", "FLOAT_DEPTHWISE_CONV_2D", "FLOAT_TRANSPOSE_CONV")
_PAIRS = ("FLOAT_PAIR", "FLOAT_COMPARE", "FLOAT_BATCH_MATMUL")
_ROWS = ("FLOAT_SOFTMAX", "FLOAT_L2_NORMALIZATION")
_STATES = ("FLOAT_SVDF", "FLOAT_LSTM")
_UNARY = (
    "FLOAT_MAX_POOL_2D",
    "FLOAT_AVERAGE_POOL_2D",
    "FLOAT_REDUCE",
    "FLOAT_MAP",
    *_ROWS,
    "FLOAT_ARG_MAX",
    "FLOAT_RESIZE_BILINEAR",
)
_RULES = [
    ((*_WEIGHTED, *_UNARY, *_STATES), {"input": NONE}, "an operand is missing"),
    ((*_WEIGHTED, *_UNARY, *_STATES), {"input": 0x3FFFFFFC}, _OUTSIDE),
    ((*_WEIGHTED, "FLOAT_MAP", *_ROWS), {"output": 2}, "multiple of 4|does not lie inside the arena"),
    (_WEIGHTED, {"weights": NONE}, "an operand is missing"),
    (_WEIGHTED, {"weights": CONSTANT | 0x100000}, "does not lie inside the plan's constants"),
    (_WEIGHTED, {"bias": CONSTANT | 0x100000}, "does not lie inside the plan's constants"),
    (_WEIGHTED, {"multipliers": 0}, "an operand that float32 ops have no use for is there"),
    (_WEIGHTED, {"per_channel": 1}, "no use for is not 0"),
    (_WEIGHTED, {"input_offset": 1}, "no use for is not 0"),
    (_WEIGHTED, {"output_channels": _HUGE}, "does not lie inside|groups|multiplier"),
    (_WINDOWS, {"pad_top": 32767}, "wholly in the padding"),
    (_WINDOWS, {"output_height": _HUGE}, "larger than the windows that fit"),
    (_WINDOWS, {"stride_width": 0}, "not in 1..32767"),
    (("FLOAT_TRANSPOSE_CONV",), {"dilation_height": 2}, "a dilation of TRANSPOSE_CONV is not 1"),
    (("FLOAT_TRANSPOSE_CONV",), {"filter_channels": 77}, "are not those of its input"),
    (("FLOAT_MAX_POOL_2D",), {"is_uint8": 1}, "no use for is not 0"),
    (("FLOAT_REDUCE", *_PAIRS), {"rank": 7}, "rank is not in 1..6"),
    (("FLOAT_REDUCE", *_PAIRS), {"dims": 0}, "a dimension is 0"),
    (("FLOAT_REDUCE",), {"reduced": 2}, "neither 0 nor 1"),
    (("FLOAT_REDUCE",), {"reduction": 4}, "a reduction is none"),
    (("FLOAT_PAIR",), {"pairing": 8}, "an op on pairs is none"),
    (("FLOAT_PAIR",), {"pairing": -1}, "an op on pairs is none"),
    (("FLOAT_COMPARE",), {"comparison": 6}, "comparison is not in 0..5"),
    (_PAIRS, {"strides1": -1}, "dimension or stride is negative"),
    (_PAIRS, {"dims": 3, "strides2": _HUGE}, "does not lie inside|overlaps an input"),
    (("FLOAT_BATCH_MATMUL",), {"rows": 0x10000, "columns": 0x10000}, _OUTSIDE),
    (("FLOAT_BATCH_MATMUL",), {"depth": _HUGE, "depth_stride1": _HUGE}, "does not lie inside"),
    (("FLOAT_MAP",), {"function": 16}, "a function is none"),
    (("FLOAT_MAP",), {"count": _HUGE}, _OUTSIDE),
    (_ROWS, {"rows": 0x10000, "depth": 0x10000}, _OUTSIDE),
    (_ROWS, {"depth": 0}, "not positive"),
    (("FLOAT_SOFTMAX",), {"logarithm": 2}, "neither 0 nor 1"),
    (("FLOAT_ARG_MAX",), {"size": _HUGE}, _OUTSIDE),
    (("FLOAT_RESIZE_BILINEAR",), {"rows": 0}, "a table is not a constant"),
    (("FLOAT_RESIZE_BILINEAR",), {"row_parts": NONE}, "an operand is missing"),
    (_STATES, {"state": NONE}, "a size but no place"),
    (_STATES, {"state": CONSTANT | 64}, "does not lie in the arena"),
    (("FLOAT_SVDF",), {"rank": 100}, "no multiple of its rank"),
    (("FLOAT_LSTM",), {"gates": 5}, "not 3 or 4 gates"),
    (("FLOAT_LSTM",), {"units": _HUGE}, _OUTSIDE),
]


@pytest.mark.parametrize(
    ("ops", "changes", "reason"), _RULES, ids=lambda value: "-".join(value) if isinstance(value, dict) else ""
)
def test_a_node_with_a_wrong_field_is_refused_with_the_reason(
    ops: tuple[str, ...], changes: dict[str, int], reason: str, plans: dict[str, bytes], plan_runtime: HostRuntime
) -> None:
    for op in ops:
        error = refusal(plan_runtime, changed_plan(plans[op], op, changes))
        assert re.search(reason, error.text), f"{op}: {error.text}"
        assert (error.code, error.node) == (BAD_MODEL, 0)
