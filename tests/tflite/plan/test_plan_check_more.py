"""What the plan runtime refuses of the ops that plan_more.h has, each with its reason."""

from __future__ import annotations

import re
import struct

import pytest

from tests.support.plan_builder import CONSTANT, NONE, with_crc
from tests.support.plan_fields import changed_plan, field_word, refusal
from tests.support.plan_runtime import BAD_MODEL, HostRuntime

_HUGE = 0x7FFFFFFF
_POOLS = ("MAX_POOL_2D_16", "AVERAGE_POOL_2D_16")
_PAIRS = ("COMPARE", "PRELU", "BATCH_MATMUL", "MUL_16", "MAXIMUM_16", "MINIMUM_16")
_OUTSIDE = "does not lie inside the arena"

_RULES = [
    (("REDUCE",), {"item_bytes": 3}, "not 1 or 2 bytes"),
    (("REDUCE",), {"item_bytes": 0}, "not 1 or 2 bytes"),
    (("REDUCE",), {"smallest": 2}, "neither 0 nor 1"),
    (("REDUCE", "MEAN_16"), {"reduced": -1}, "neither 0 nor 1"),
    (("REDUCE", "MEAN_16", "SELECT", *_PAIRS), {"rank": 7}, "rank is not in 1..6"),
    (("REDUCE", "MEAN_16", "SELECT", *_PAIRS), {"rank": 0}, "rank is not in 1..6"),
    (("REDUCE", "MEAN_16", "SELECT", *_PAIRS), {"dims": 0}, "a dimension is 0"),
    (("REDUCE", "MEAN_16", "SELECT", *_PAIRS), {"dims": _HUGE}, _OUTSIDE),
    (("MEAN_16",), {"input_zero_point": 1}, "of 16-bit activations is not 0"),
    (("ARG_MAX",), {"size": 0}, "not positive"),
    (("ARG_MAX",), {"size": _HUGE}, _OUTSIDE),
    (("ARG_MAX",), {"outer": 0x10000, "inner": 0x10000}, _OUTSIDE),
    (("ARG_MAX",), {"output": 2}, "multiple of 4"),
    (("COMPARE",), {"comparison": 6}, "comparison is not in 0..5"),
    (("COMPARE",), {"comparison": -1}, "comparison is not in 0..5"),
    (("COMPARE",), {"input2_shift": 31}, "shift is not in -31..30"),
    (_PAIRS, {"input2": NONE}, "an operand is missing"),
    (_PAIRS, {"strides1": -1}, "dimension or stride is negative"),
    (_PAIRS, {"dims": 3, "strides2": _HUGE}, "does not lie inside|overlaps an input"),
    (("SELECT",), {"condition": NONE}, "an operand is missing"),
    (("SELECT",), {"dims": 3, "strides0": _HUGE}, "does not lie inside|overlaps an input"),
    (("SELECT",), {"strides2": -1}, "dimension or stride is negative"),
    (("RESIZE_BILINEAR",), {"rows": 0}, "a table is not a constant"),
    (("RESIZE_BILINEAR",), {"row_parts": 0}, "a table is not a constant"),
    (("RESIZE_BILINEAR",), {"column_parts": NONE}, "an operand is missing"),
    (("RESIZE_BILINEAR",), {"channels": 0}, "not positive"),
    (("PRELU",), {"alpha_shift": -32}, "shift is not in -31..30"),
    (("PRELU", "BATCH_MATMUL"), {"multiplier": -1}, "a multiplier is negative"),
    (("BATCH_MATMUL",), {"rows": 0}, "not positive"),
    (("BATCH_MATMUL",), {"depth": _HUGE, "depth_stride1": _HUGE}, "does not lie inside"),
    (("BATCH_MATMUL",), {"columns": 0x10000, "rows": 0x10000}, _OUTSIDE),
    (("BATCH_MATMUL",), {"depth_stride2": -1}, "dimension or stride is negative"),
    (("L2_NORMALIZATION",), {"depth": 32768}, "not in 1..32767"),
    (("L2_NORMALIZATION",), {"zero_point": 128}, "zero point or value"),
    (_POOLS, {"is_uint8": 1}, "of 16-bit activations is not 0"),
    (_POOLS, {"stride_height": 0}, "stride or dilation is not in 1..32767"),
    (_POOLS, {"output_width": _HUGE}, "larger than the windows that fit"),
    (_POOLS, {"output": 1}, "multiple of 4"),
    (("MUL_16",), {"activation_max": 32768}, "not in -32768..32767"),
    (("MUL_16",), {"input1_offset": 1}, "of 16-bit activations is not 0"),
    (("LOOKUP_16", "SIGMOID_16"), {"table": NONE}, "an operand is missing"),
    (("LOOKUP_16", "SIGMOID_16"), {"table": CONSTANT | 65}, "does not lie inside|multiple of 4"),
    (("SIGMOID_16",), {"multiplier": 65536}, "multiplier of LOGISTIC or TANH"),
    (("SIGMOID_16",), {"right_shift": 32}, "right shift is not in 0..31"),
    (("SIGMOID_16",), {"tanh": 2}, "neither 0 nor 1"),
    (("QUANTIZE_16", "DEQUANTIZE_16"), {"scale": 0}, "scale is not a positive, finite"),
    (("QUANTIZE_16", "DEQUANTIZE_16"), {"zero_point": 1}, "of 16-bit activations is not 0"),
    (("FILL",), {"count": 0}, "not positive"),
    (("FILL",), {"count": _HUGE}, _OUTSIDE),
    (("FILL",), {"value": 200}, "zero point or value"),
    (("SVDF",), {"rank": 100}, "no multiple of its rank"),
    (("SVDF",), {"memory": _HUGE}, "does not lie inside"),
    (("SVDF",), {"state": NONE}, "a size but no place"),
    (("SVDF",), {"state": CONSTANT | 64}, "does not lie in the arena"),
    (("SVDF",), {"time_weights": NONE}, "an operand is missing"),
    (("SVDF",), {"feature_weights": CONSTANT | 0x10000}, "does not lie inside the plan's constants"),
    (("SVDF",), {"shift2": 31}, "shift is not in -31..30"),
    (("LSTM",), {"gates": 5}, "not 3 or 4 gates"),
    (("LSTM",), {"gates": 2}, "not 3 or 4 gates"),
    (("LSTM",), {"units": _HUGE}, _OUTSIDE),
    (("LSTM",), {"inputs": _HUGE}, "does not lie inside"),
    (("LSTM",), {"steps": 0}, "not positive"),
    (("LSTM",), {"time_major": 2}, "neither 0 nor 1"),
    (("LSTM",), {"state": NONE}, "a size but no place"),
    (("LSTM",), {"state": CONSTANT | 64}, "does not lie in the arena"),
    (("LSTM",), {"multipliers": 0}, "a table is not a constant"),
    (("LSTM",), {"shifts": NONE}, "an operand is missing"),
    (("LSTM",), {"bias": CONSTANT | 65}, "does not lie inside|multiple of 4"),
    (("LSTM",), {"recurrent_weights": CONSTANT | 0x10000}, "does not lie inside the plan's constants"),
    (("LSTM",), {"hidden_shift": 31}, "shift is not in -31..30"),
    (("LSTM",), {"cell_integer_bits": 7}, "not in 0..6"),
    (("LSTM",), {"cell_clip": 32768}, "not in 0..32767"),
    (("SOFTMAX_16",), {"depth": 32768}, "not in 1..32767"),
    (("SOFTMAX_16",), {"exp_table": NONE}, "an operand is missing"),
    (("SOFTMAX_16",), {"reciprocal_table": 0x3FFFFFFE}, _OUTSIDE),
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


def test_values_of_tables_are_looked_at(plans: dict[str, bytes], plan_runtime: HostRuntime) -> None:
    for table, value, reason in (
        ("rows", -1, "row or column of a resized image"),
        ("columns", 1000, "row or column of a resized image"),
        ("row_parts", 1025, "is not in 0..1024"),
        ("column_parts", -1, "is not in 0..1024"),
    ):
        plan = bytearray(plans["RESIZE_BILINEAR"])
        node = struct.unpack_from("<I", plan, 20)[0]
        place = struct.unpack_from("<I", plan, node + 4 * field_word("RESIZE_BILINEAR", table))[0] & ~CONSTANT
        struct.pack_into("<i", plan, place, value)
        assert reason in refusal(plan_runtime, with_crc(bytes(plan))).text
