"""What the plan runtime refuses of the ops on 16-bit activations that have records of their own, each with its reason."""

from __future__ import annotations

import re
import struct

import pytest

from tests.support.plan_builder import CONSTANT, NONE, with_crc
from tests.support.plan_fields import changed_plan, field_word, refusal
from tests.support.plan_runtime import BAD_MODEL, HostRuntime

_HUGE = 0x7FFFFFFF
_PAIRS = ("BATCH_MATMUL_16", "COMPARE_16", "PRELU_16", "SQUARED_DIFFERENCE")
_OUTSIDE = "does not lie inside the arena"

_RULES = [
    (_PAIRS, {"rank": 7}, "rank is not in 1..6"),
    (_PAIRS, {"dims": 0}, "a dimension is 0"),
    (_PAIRS, {"dims": _HUGE}, _OUTSIDE),
    (_PAIRS, {"input2": NONE}, "an operand is missing"),
    (_PAIRS, {"strides1": -1}, "dimension or stride is negative"),
    (_PAIRS, {"dims": 3, "strides2": _HUGE}, "does not lie inside|overlaps an input"),
    (("BATCH_MATMUL_16", "COMPARE_16", "PRELU_16"), {"input1": 1}, "multiple of 4|overlaps|inside"),
    (("BATCH_MATMUL_16", "PRELU_16"), {"multiplier": -1}, "a multiplier is negative"),
    (("BATCH_MATMUL_16",), {"input1_offset": 1}, "of 16-bit activations is not 0"),
    (("BATCH_MATMUL_16",), {"shift": 8}, "of 64-bit sums is not in -31..7"),
    (("BATCH_MATMUL_16",), {"shift": -32}, "of 64-bit sums is not in -31..7"),
    (("BATCH_MATMUL_16",), {"columns": 0x10000, "rows": 0x10000}, _OUTSIDE),
    (("BATCH_MATMUL_16",), {"depth": _HUGE, "depth_stride1": _HUGE}, "does not lie inside"),
    (("COMPARE_16",), {"holds": 0}, "comparison is not in 1..6"),
    (("COMPARE_16",), {"holds": 7}, "comparison is not in 1..6"),
    (("PRELU_16",), {"alpha_offset": 1}, "of 16-bit activations is not 0"),
    (("PRELU_16",), {"alpha_shift": 31}, "shift is not in -31..30"),
    (("SQUARED_DIFFERENCE",), {"item_bytes": 3}, "not 1 or 2 bytes"),
    (("SQUARED_DIFFERENCE",), {"item_bytes": 2, "input1_offset": 1}, "offset of 16-bit activations is not 0"),
    (("SQUARED_DIFFERENCE",), {"item_bytes": 2, "output_offset": -1}, "offset of 16-bit activations is not 0"),
    (("SQUARED_DIFFERENCE",), {"input1_shift": 1}, "shift is not in -31..0"),
    (("SQUARED_DIFFERENCE",), {"output_shift": 31}, "shift is not in -31..30"),
    (("RESIZE_BILINEAR_16",), {"rows": 0}, "a table is not a constant"),
    (("RESIZE_BILINEAR_16",), {"column_parts": NONE}, "an operand is missing"),
    (("RESIZE_BILINEAR_16",), {"channels": _HUGE}, _OUTSIDE),
    (("RESIZE_BILINEAR_16",), {"output": 1}, "multiple of 4|overlaps"),
    (("SQRT_16",), {"input_mantissa": 1 << 24}, "mantissa has not 24 bits"),
    (("SQRT_16",), {"output_mantissa": 0}, "mantissa has not 24 bits"),
    (("SQRT_16",), {"input_exponent": 105}, "exponent is not in -149..104"),
    (("SQRT_16",), {"output_exponent": -150}, "exponent is not in -149..104"),
    (("LSTM_16",), {"units": _HUGE}, _OUTSIDE),
    (("LSTM_16",), {"inputs": _HUGE}, "does not lie inside"),
    (("LSTM_16",), {"steps": 0}, "not positive"),
    (("LSTM_16",), {"time_major": 2}, "neither 0 nor 1"),
    (("LSTM_16",), {"state": NONE}, "a size but no place"),
    (("LSTM_16",), {"state": CONSTANT | 64}, "does not lie in the arena"),
    (("LSTM_16",), {"multipliers": 0}, "a table is not a constant"),
    (("LSTM_16",), {"shifts": NONE}, "an operand is missing"),
    (("LSTM_16",), {"table": NONE}, "an operand is missing"),
    (("LSTM_16",), {"bias": CONSTANT | 65}, "does not lie inside|multiple of 4"),
    (("LSTM_16",), {"recurrent_weights": CONSTANT | 0x10000}, "does not lie inside the plan's constants"),
    (("LSTM_16",), {"hidden_shift": 31}, "shift is not in -31..30"),
    (("LSTM_16",), {"cell_integer_bits": 7}, "not in 0..6"),
    (("LSTM_16",), {"cell_clip": 32768}, "not in 0..32767"),
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


@pytest.mark.parametrize(
    ("op", "table", "value", "reason"),
    [
        ("RESIZE_BILINEAR_16", "rows", 1000, "row or column of a resized image"),
        ("RESIZE_BILINEAR_16", "column_parts", 1025, "is not in 0..1024"),
        ("LSTM_16", "multipliers", -1, "a multiplier is negative"),
        ("LSTM_16", "shifts", 8, "of 64-bit sums is not in -31..7"),
    ],
)
def test_values_of_tables_are_looked_at(
    op: str, table: str, value: int, reason: str, plans: dict[str, bytes], plan_runtime: HostRuntime
) -> None:
    plan = bytearray(plans[op])
    node = struct.unpack_from("<I", plan, 20)[0]
    place = struct.unpack_from("<I", plan, node + 4 * field_word(op, table))[0] & ~CONSTANT
    struct.pack_into("<i", plan, place, value)
    assert reason in refusal(plan_runtime, with_crc(bytes(plan))).text
