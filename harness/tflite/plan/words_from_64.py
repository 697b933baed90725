"""The records of the ops from number 64 on: devices/cortex_m/runtime/plan_from_64.h in Python."""

from __future__ import annotations

from harness.tflite.plan.record import CONV, DENSE, Record, words_of

_UNARY = "@input @output"
_PAIR = "@input1 @input2 @output rank dims[] strides1[] strides2[]"

RECORDS_FROM_64: dict[str, Record] = {
    "TAKE": Record(
        number=64, words=words_of("@input @indices @output batches outer picks depth dims[] inner index_bytes")
    ),
    "CAST": Record(number=65, words=words_of(_UNARY, "count from to")),
    "INTEGERS": Record(number=66, words=words_of(_PAIR, "operation low high")),
    "DIV": Record(
        number=67,
        words=words_of(
            _PAIR, "input1_offset input2_offset output_offset multiplier shift activation_min activation_max rounding"
        ),
    ),
    "SOFTMAX_8_16": Record(number=68, words=words_of(_UNARY, "rows depth multiplier shift difference_min")),
    "SVDF_8": Record(
        number=69,
        words=words_of(
            "@input @state @feature_weights @time_weights @bias @output batches inputs filters rank memory input_offset "
            "output_offset multiplier1 shift1 multiplier2 shift2 state_zero_point"
        ),
    ),
    "CONV_2D_4": Record(number=70, words=words_of(*CONV, "at_once")),
    "DEPTHWISE_CONV_2D_4": Record(number=71, words=words_of(*CONV, "at_once")),
    "FULLY_CONNECTED_4": Record(number=72, words=words_of(*DENSE, "at_once")),
}
