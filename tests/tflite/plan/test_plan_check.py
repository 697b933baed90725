"""What the plan runtime refuses, and that it says where and why."""

from __future__ import annotations

import re
import struct

import pytest

from tests.support.plan_builder import CONSTANT, NONE, OPS, with_crc
from tests.support.plan_fields import COUNTED, COUNTED_16, ONE_INPUT, changed_plan, field_word, refusal
from tests.support.plan_runtime import (
    BAD_MODEL,
    HostRuntime,
)

_HUGE = 0x7FFFFFFF
_LOWEST = -0x80000000


_WINDOWED = ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D")
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_WEIGHTED = (*_CONVOLUTIONS, "FULLY_CONNECTED")
_PAIRS = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")
_CONVOLUTIONS_16 = ("CONV_2D_16", "DEPTHWISE_CONV_2D_16")
_TRANSPOSED = ("TRANSPOSE_CONV", "TRANSPOSE_CONV_16")
_WEIGHTED_16 = (*_CONVOLUTIONS_16, "TRANSPOSE_CONV_16")
_PAIRS_16 = ("ADD_16", "SUB_16")
_SCALED = ("MEAN", "MUL", "RESCALE", "LEAKY_RELU")

#: ops, the fields that are changed, and the reason
_RULES = [
    (tuple(OPS), {"output": 0x3FFFFFFF}, "does not lie inside the arena"),
    (tuple(OPS), {"output": NONE}, "an output does not lie in the arena"),
    (tuple(OPS), {"output": CONSTANT | 64}, "an output does not lie in the arena"),
    ((*_WEIGHTED, *ONE_INPUT), {"input": 0x3FFFFFFF}, "does not lie inside the arena"),
    ((*_WEIGHTED, *ONE_INPUT), {"input": NONE}, "an operand is missing"),
    ((*_WEIGHTED, *ONE_INPUT), {"input": CONSTANT | 0x10000}, "does not lie inside the plan's constants"),
    ((*_WEIGHTED, *ONE_INPUT), {"input": CONSTANT}, "does not lie inside the plan's constants"),
    (_PAIRS, {"input2": NONE}, "an operand is missing"),
    (_WINDOWED, {"stride_height": 0}, "stride or dilation is not in 1..32767"),
    (_WINDOWED, {"stride_width": 32768}, "stride or dilation is not in 1..32767"),
    (_WINDOWED, {"filter_height": -1}, "filter size, stride or dilation"),
    (_WINDOWED, {"filter_height": 1, "pad_top": 1}, "wholly in the padding"),
    (_WINDOWED, {"pad_left": -1}, "padding is not in 0..32767"),
    (_WINDOWED, {"output_height": 1000}, "larger than the windows that fit"),
    (_WINDOWED, {"output_width": _HUGE}, "larger than the windows that fit"),
    (_WINDOWED, {"batches": 0}, "not positive"),
    (_WINDOWED, {"input_height": 0x10000, "input_width": 0x10000}, "does not lie inside|more than 2\\^23 pixels"),
    (("AVERAGE_POOL_2D",), {"input_height": 4096, "input_width": 4096}, "more than 2\\^23 pixels"),
    (("AVERAGE_POOL_2D",), {"is_uint8": 2}, "neither 0 nor 1"),
    (_CONVOLUTIONS, {"dilation_width": 0}, "stride or dilation is not in 1..32767"),
    (_CONVOLUTIONS, {"output_channels": 0}, "not positive"),
    (_CONVOLUTIONS, {"filter_height": 32767, "filter_width": 32767}, "more than 2\\^26 inputs"),
    (("CONV_2D",), {"filter_height": 8192, "filter_width": 8192, "input_channels": 2}, "more than 2\\^26 inputs"),
    (("CONV_2D",), {"filter_channels": 100}, "do not divide into groups"),
    (("DEPTHWISE_CONV_2D",), {"filter_channels": 100}, "times the depth multiplier"),
    (_WEIGHTED, {"input_offset": 129}, "offset is not in -127..128"),
    (_WEIGHTED, {"weights_offset": -128}, "offset is not in -127..128"),
    (_WEIGHTED, {"output_offset": 128}, "zero point or value is not in -128..127"),
    (_WEIGHTED, {"activation_min": 100, "activation_max": 99}, "ends before it begins"),
    (_WEIGHTED, {"activation_max": 128}, "activation maximum is not in"),
    (_WEIGHTED, {"rounding": 2}, "neither 0 nor 1"),
    (_WEIGHTED, {"per_channel": -1}, "neither 0 nor 1"),
    (_WEIGHTED, {"weights": NONE}, "an operand is missing"),
    (_WEIGHTED, {"multipliers": 0}, "a table is not a constant"),
    (_WEIGHTED, {"shifts": NONE}, "an operand is missing"),
    (_WEIGHTED, {"bias": CONSTANT | 65}, "multiple of 4"),
    (_WEIGHTED, {"folded": CONSTANT | 66}, "multiple of 4"),
    (_WEIGHTED, {"scratch": NONE, "scratch_bytes": 4}, "a size but no place"),
    (_WEIGHTED, {"scratch": 0, "scratch_bytes": 0}, "a place but no size"),
    (_WEIGHTED, {"scratch": CONSTANT | 64, "scratch_bytes": 4}, "scratch memory does not lie in the arena"),
    (_WEIGHTED, {"scratch": 0, "scratch_bytes": _HUGE}, "does not lie inside the arena"),
    ((*_WEIGHTED_16, "TRANSPOSE_CONV"), {"input": 0x3FFFFFFF}, "does not lie inside the arena"),
    ((*_WEIGHTED_16, "TRANSPOSE_CONV"), {"weights": NONE}, "an operand is missing"),
    ((*_WEIGHTED_16, "TRANSPOSE_CONV"), {"multipliers": 0}, "a table is not a constant"),
    ((*_WEIGHTED_16, "TRANSPOSE_CONV"), {"bias": CONSTANT | 65}, "does not lie inside|multiple of 4"),
    (
        (*_WEIGHTED_16, "TRANSPOSE_CONV"),
        {"output_channels": _HUGE},
        "does not lie inside|2\\^26|do not divide|times the",
    ),
    (_WEIGHTED_16, {"input": 1}, "multiple of 4|overlaps"),
    (_WEIGHTED_16, {"wide": 2}, "neither 0 nor 1"),
    (_WEIGHTED_16, {"input_offset": 1}, "of 16-bit activations is not 0"),
    (_WEIGHTED_16, {"output_offset": -1}, "of 16-bit activations is not 0"),
    (_WEIGHTED_16, {"activation_max": 32768}, "not in -32768..32767"),
    (_WEIGHTED_16, {"activation_min": 9, "activation_max": 8}, "ends before it begins"),
    (_CONVOLUTIONS_16, {"stride_height": 0}, "stride or dilation is not in 1..32767"),
    (_CONVOLUTIONS_16, {"output_width": _HUGE}, "larger than the windows that fit"),
    (_CONVOLUTIONS_16, {"filter_height": 1, "pad_top": 1}, "wholly in the padding"),
    (_TRANSPOSED, {"dilation_height": 2}, "dilation of TRANSPOSE_CONV is not 1"),
    (_TRANSPOSED, {"weights_offset": 1}, "is not 0"),
    (_TRANSPOSED, {"filter_channels": 100}, "channels of TRANSPOSE_CONV"),
    (_TRANSPOSED, {"stride_width": 0}, "stride or dilation"),
    (_TRANSPOSED, {"filter_height": 32767, "filter_width": 32767}, "more than 2\\^26 weights"),
    (_TRANSPOSED, {"output_height": _HUGE}, "does not lie inside the arena"),
    (_PAIRS_16, {"left_shift": 20}, "left shift of a 16-bit addition"),
    (_PAIRS_16, {"input1_offset": 1}, "of 16-bit activations is not 0"),
    (_PAIRS_16, {"input2": NONE}, "an operand is missing"),
    (_PAIRS_16, {"rank": 7}, "rank is not in 1..6"),
    (_PAIRS_16, {"dims": 3, "strides2": _HUGE}, "does not lie inside"),
    (_PAIRS_16, {"output": 1}, "multiple of 4"),
    (COUNTED_16, {"count": 0}, "not positive"),
    (COUNTED_16, {"count": _HUGE}, "does not lie inside the arena"),
    (("LEAKY_RELU_16", "REQUANTIZE"), {"multiplier": -1}, "a multiplier is negative"),
    (("LEAKY_RELU_16",), {"input_zero_point": 1}, "of 16-bit activations is not 0"),
    (("REQUANTIZE",), {"input_bytes": 3}, "not 1, 2 or 4 bytes"),
    (("REQUANTIZE",), {"output_bytes": 0}, "not 1, 2 or 4 bytes"),
    (("REQUANTIZE",), {"input_bytes": 1, "input_zero_point": 128}, "zero point of REQUANTIZE"),
    (("REQUANTIZE",), {"input_bytes": 2, "input_zero_point": 32768}, "zero point of REQUANTIZE"),
    (("REQUANTIZE",), {"input_bytes": 4, "input_zero_point": 5}, "zero point of REQUANTIZE"),
    (("REQUANTIZE",), {"output_bytes": 1, "activation_max": 128}, "range of REQUANTIZE"),
    (("REQUANTIZE",), {"activation_min": 5, "activation_max": 4}, "range of REQUANTIZE"),
    (("FULLY_CONNECTED",), {"inputs": 0x10000, "outputs": 0x10000}, "does not lie inside"),
    (("MEAN", "PAD", "GATHER", *_PAIRS), {"rank": 0}, "rank is not in 1..6"),
    (("MEAN", "PAD", "GATHER", *_PAIRS), {"rank": 7}, "rank is not in 1..6"),
    (("MEAN", "GATHER", *_PAIRS), {"dims": 0}, "a dimension is 0"),
    (("MEAN", "GATHER", *_PAIRS), {"dims": -5}, "dimension or stride is negative"),
    (
        ("MEAN", "GATHER", *_PAIRS),
        {"rank": 2, "dims": 0x10000, "dims+1": 0x10000},
        "does not lie inside the arena|reads outside",
    ),
    (("MEAN",), {"reduced": 2}, "neither 0 nor 1"),
    (_PAIRS, {"strides1": -1}, "dimension or stride is negative"),
    (_PAIRS, {"dims": 3, "strides2": _HUGE}, "does not lie inside"),
    (("ADD", "SUB"), {"left_shift": 21}, "left shift of an addition is not 20"),
    (("ADD", "SUB"), {"input2_shift": 31}, "shift is not in -31..30"),
    (_SCALED, {"shift": -32}, "shift is not in -31..30"),
    (_SCALED, {"multiplier": -1}, "a multiplier is negative"),
    (("LEAKY_RELU",), {"alpha_shift": 31}, "shift is not in -31..30"),
    (("HARD_SWISH",), {"output_multiplier": 32768}, "multiplier of HARD_SWISH"),
    (("HARD_SWISH",), {"relu_multiplier": -1}, "multiplier of HARD_SWISH"),
    (("HARD_SWISH",), {"output_shift": 1}, "output shift of HARD_SWISH"),
    (("HARD_SWISH",), {"relu_shift": -16}, "relu shift of HARD_SWISH"),
    (("SOFTMAX",), {"depth": 4096}, "depth of SOFTMAX is not in 1..4095"),
    (("SOFTMAX",), {"shift": 32}, "shift of SOFTMAX is not in 0..31"),
    (("SOFTMAX",), {"difference_min": 1}, "smallest difference of SOFTMAX"),
    (("SOFTMAX",), {"rows": 0}, "not positive"),
    (COUNTED, {"count": 0}, "not positive"),
    (COUNTED, {"count": _HUGE}, "does not lie inside the arena"),
    (("RESCALE", "QUANTIZE", "DEQUANTIZE"), {"count": _LOWEST}, "not positive"),
    (("LOOKUP",), {"table": NONE}, "an operand is missing"),
    (("LOOKUP",), {"table": CONSTANT | 65}, "does not lie inside the plan's constants"),
    (("QUANTIZE", "DEQUANTIZE"), {"scale": 0}, "scale is not a positive, finite"),
    (("QUANTIZE", "DEQUANTIZE"), {"scale": 0x7F800000}, "scale is not a positive, finite"),
    (("QUANTIZE", "DEQUANTIZE"), {"scale": 0xBF800000}, "scale is not a positive, finite"),
    (("QUANTIZE",), {"input": 2}, "multiple of 4"),
    (("DEQUANTIZE",), {"output": 2}, "multiple of 4"),
    (("PAD",), {"before": -1}, "padding is not in 0..32767"),
    (("PAD",), {"after": 30000}, "does not lie inside the arena"),
    (("PAD",), {"input_dims": 0}, "a dimension is 0"),
    (("PAD",), {"value": 128}, "zero point or value"),
    (("GATHER",), {"start": _HUGE}, "does not lie inside the arena"),
    (("GATHER",), {"start": -1}, "negative"),
    (("GATHER",), {"start": 0, "rank": 1, "dims": 2, "strides": -1}, "before its input's first element"),
    (("GATHER",), {"start": 0, "rank": 1, "dims": 3, "strides": _LOWEST}, "reads outside its input"),
    (("GATHER",), {"start": 0, "rank": 1, "dims": 2, "strides": 0x100000}, "does not lie inside the arena"),
    (("RESIZE_NEAREST",), {"input_height": 1}, "a row of a resized image"),
    (("RESIZE_NEAREST",), {"rows": 0}, "a table is not a constant"),
    (("RESIZE_NEAREST",), {"channels": 0}, "not positive"),
    (("CONCATENATION",), {"outer": 0}, "not positive"),
    (("CONCATENATION",), {"outer": _HUGE}, "does not lie inside the arena"),
    (("CONCATENATION",), {"inputs": 0}, "no or of too many inputs"),
    (("CONCATENATION",), {"inputs": 33}, "no or of too many inputs"),
    (("CONCATENATION",), {"inputs": 32}, "length is not that of its op"),
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


@pytest.mark.parametrize("op", sorted(OPS))
@pytest.mark.parametrize("longer", [-1, 1])
def test_a_node_of_another_length_is_refused(
    op: str, longer: int, plans: dict[str, bytes], plan_runtime: HostRuntime
) -> None:
    plan = bytearray(plans[op])
    node, size = struct.unpack_from("<2I", plan, 20)
    head = struct.unpack_from("<I", plan, node)[0]
    struct.pack_into("<I", plan, node, head + (longer << 16))
    error = refusal(plan_runtime, with_crc(bytes(plan)))
    assert error.code == BAD_MODEL
    assert size == 4 * (head >> 16)
    assert re.search("length is not that of its op|shorter than its op|does not end inside", error.text)


def test_values_of_tables_are_looked_at(plans: dict[str, bytes], plan_runtime: HostRuntime) -> None:
    for op, table, value, reason in (
        ("CONV_2D", "multipliers", -1, "multiplier of a channel is negative"),
        ("FULLY_CONNECTED", "shifts", 31, "shift of a channel"),
        ("DEPTHWISE_CONV_2D", "shifts", -32, "shift of a channel"),
        ("RESIZE_NEAREST", "rows", -1, "row of a resized image"),
        ("RESIZE_NEAREST", "columns", 1000, "column of a resized image"),
    ):
        plan = bytearray(plans[op])
        node = struct.unpack_from("<I", plan, 20)[0]
        place = struct.unpack_from("<I", plan, node + 4 * field_word(op, table))[0] & ~CONSTANT
        struct.pack_into("<i", plan, place, value)
        assert reason in refusal(plan_runtime, with_crc(bytes(plan))).text
