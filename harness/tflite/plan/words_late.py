"""The records of the ops from number 64 on: devices/cortex_m/runtime/plan_late.h in Python."""

from __future__ import annotations

from harness.tflite.plan.record import Record, words_of

_UNARY = "@input @output"
_PAIR = "@input1 @input2 @output rank dims[] strides1[] strides2[]"

LATE_RECORDS: dict[str, Record] = {
    "TAKE": Record(
        number=64, words=words_of("@input @indices @output batches outer picks depth dims[] inner index_bytes")
    ),
    "CAST": Record(number=65, words=words_of(_UNARY, "count from to")),
    "INTEGERS": Record(number=66, words=words_of(_PAIR, "operation low high")),
}
