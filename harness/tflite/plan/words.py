"""The records of a plan word by word: devices/cortex_m/runtime/plan.h in Python (a test reads the header and compares).

Writing and reading of one record; `layout.py` has the file around it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.tflite.plan.record import CONV, DENSE, MAX_RANK, WEIGHTED, Record, words_of
from harness.tflite.plan.words_float import FLOAT_RECORDS
from harness.tflite.plan.words_from_64 import RECORDS_FROM_64

MAX_CONCATENATION_INPUTS = 32
NONE = 0xFFFFFFFF
CONSTANT = 0x80000000

_CONV_16 = (f"{WEIGHTED} wide", CONV[1])
_UNARY = "@input @output"
_COUNTED = "@input @output count"
_POOL = (
    _UNARY,
    "batches channels input_height input_width output_height output_width filter_height filter_width stride_height "
    "stride_width pad_top pad_left activation_min activation_max is_uint8",
)
_PAIR = "@input1 @input2 @output rank dims[] strides1[] strides2[]"
_SUM = (
    _PAIR,
    "left_shift input1_offset input1_multiplier input1_shift input2_offset input2_multiplier input2_shift "
    "output_offset output_multiplier output_shift activation_min activation_max rounding",
)
_MEAN = (_UNARY, "rank dims[] reduced[] input_zero_point output_zero_point multiplier shift rounding")
_MUL = (_PAIR, "input1_offset input2_offset output_offset multiplier shift activation_min activation_max rounding")
_BILINEAR = (
    _UNARY,
    "@rows @row_parts @columns @column_parts batches input_height input_width output_height output_width channels",
)
_PRELU = (_PAIR, "input_offset alpha_offset output_offset multiplier shift alpha_multiplier alpha_shift")
_MATMUL = (
    _PAIR,
    "rows depth columns row_stride1 depth_stride1 depth_stride2 column_stride2 input1_offset input2_offset "
    "output_offset multiplier shift",
)

RECORDS: dict[str, Record] = {
    "CONV_2D": Record(number=1, words=words_of(*CONV)),
    "DEPTHWISE_CONV_2D": Record(number=2, words=words_of(*CONV)),
    "FULLY_CONNECTED": Record(
        number=3,
        words=words_of(*DENSE),
    ),
    "MAX_POOL_2D": Record(number=4, words=words_of(*_POOL)),
    "AVERAGE_POOL_2D": Record(number=5, words=words_of(*_POOL)),
    "MEAN": Record(number=6, words=words_of(*_MEAN)),
    "ADD": Record(number=7, words=words_of(*_SUM)),
    "SUB": Record(number=8, words=words_of(*_SUM)),
    "MUL": Record(number=9, words=words_of(*_MUL)),
    "MAXIMUM": Record(number=10, words=words_of(_PAIR)),
    "MINIMUM": Record(number=11, words=words_of(_PAIR)),
    "CONCATENATION": Record(number=12, words=words_of("@output outer inputs"), listed=True),
    "COPY": Record(number=13, words=words_of(_COUNTED)),
    "PAD": Record(number=14, words=words_of(_UNARY, "rank input_dims[] before[] after[] value")),
    "SOFTMAX": Record(number=15, words=words_of(_UNARY, "rows depth multiplier shift difference_min")),
    "LOOKUP": Record(number=16, words=words_of(_COUNTED, "@table")),
    "RESCALE": Record(
        number=17,
        words=words_of(
            _COUNTED, "input_zero_point output_zero_point multiplier shift activation_min activation_max rounding"
        ),
    ),
    "LEAKY_RELU": Record(
        number=18,
        words=words_of(_COUNTED, "input_zero_point output_zero_point multiplier shift alpha_multiplier alpha_shift"),
    ),
    "HARD_SWISH": Record(
        number=19,
        words=words_of(
            _COUNTED, "input_zero_point output_zero_point output_multiplier output_shift relu_multiplier relu_shift"
        ),
    ),
    "GATHER": Record(number=20, words=words_of(_UNARY, "rank dims[] strides[] start")),
    "RESIZE_NEAREST": Record(
        number=21,
        words=words_of(_UNARY, "@rows @columns batches input_height input_width output_height output_width channels"),
    ),
    "QUANTIZE": Record(number=22, words=words_of(_COUNTED, "zero_point scale:f")),
    "DEQUANTIZE": Record(number=23, words=words_of(_COUNTED, "zero_point scale:f")),
    "FLIP_SIGN": Record(number=24, words=words_of(_COUNTED)),
    "CONV_2D_16": Record(number=25, words=words_of(*_CONV_16)),
    "DEPTHWISE_CONV_2D_16": Record(number=26, words=words_of(*_CONV_16)),
    "TRANSPOSE_CONV": Record(number=27, words=words_of(*CONV)),
    "TRANSPOSE_CONV_16": Record(number=28, words=words_of(*_CONV_16)),
    "ADD_16": Record(number=29, words=words_of(*_SUM)),
    "SUB_16": Record(number=30, words=words_of(*_SUM)),
    "LEAKY_RELU_16": Record(
        number=31,
        words=words_of(_COUNTED, "input_zero_point output_zero_point multiplier shift alpha_multiplier alpha_shift"),
    ),
    "REQUANTIZE": Record(
        number=32,
        words=words_of(
            _COUNTED,
            "input_bytes output_bytes input_zero_point output_zero_point multiplier shift activation_min activation_max "
            "rounding",
        ),
    ),
    "REDUCE": Record(number=33, words=words_of(_UNARY, "rank dims[] reduced[] item_bytes smallest")),
    "ARG_MAX": Record(number=34, words=words_of(_UNARY, "outer size inner smallest")),
    "COMPARE": Record(
        number=35,
        words=words_of(
            _PAIR,
            "comparison input1_offset input1_multiplier input1_shift input2_offset input2_multiplier input2_shift",
        ),
    ),
    "SELECT": Record(
        number=36, words=words_of("@condition @input1 @input2 @output rank dims[] strides0[] strides1[] strides2[]")
    ),
    "RESIZE_BILINEAR": Record(number=37, words=words_of(*_BILINEAR)),
    "PRELU": Record(number=38, words=words_of(*_PRELU)),
    "BATCH_MATMUL": Record(number=39, words=words_of(*_MATMUL)),
    "L2_NORMALIZATION": Record(number=40, words=words_of(_UNARY, "rows depth zero_point")),
    "MAX_POOL_2D_16": Record(number=41, words=words_of(*_POOL)),
    "AVERAGE_POOL_2D_16": Record(number=42, words=words_of(*_POOL)),
    "MEAN_16": Record(number=43, words=words_of(*_MEAN)),
    "MUL_16": Record(number=44, words=words_of(*_MUL)),
    "MAXIMUM_16": Record(number=45, words=words_of(_PAIR)),
    "MINIMUM_16": Record(number=46, words=words_of(_PAIR)),
    "LOOKUP_16": Record(number=47, words=words_of(_COUNTED, "@table")),
    "SIGMOID_16": Record(number=48, words=words_of(_COUNTED, "@table multiplier right_shift tanh")),
    "SOFTMAX_16": Record(number=49, words=words_of(_UNARY, "@exp_table @reciprocal_table rows depth multiplier shift")),
    "FILL": Record(number=50, words=words_of("@output count value")),
    "ASSIGN": Record(number=52, words=words_of(_COUNTED)),
    "QUANTIZE_16": Record(number=53, words=words_of(_COUNTED, "zero_point scale:f")),
    "DEQUANTIZE_16": Record(number=54, words=words_of(_COUNTED, "zero_point scale:f")),
    "SVDF": Record(
        number=51,
        words=words_of(
            "@input @state @feature_weights @time_weights @bias @output batches inputs filters rank memory input_offset "
            "output_offset multiplier1 shift1 multiplier2 shift2"
        ),
    ),
    **RECORDS_FROM_64,
    **FLOAT_RECORDS,
    "LSTM": Record(
        number=55,
        words=words_of(
            "@input @state @input_weights @recurrent_weights @bias @multipliers @shifts @output batches steps inputs units "
            "gates time_major input_offset state_zero_point hidden_zero_point hidden_multiplier hidden_shift "
            "cell_integer_bits cell_clip"
        ),
    ),
    # of 16-bit activations; SQUARED_DIFFERENCE of int8 too
    "RESIZE_BILINEAR_16": Record(number=56, words=words_of(*_BILINEAR)),
    "BATCH_MATMUL_16": Record(number=57, words=words_of(*_MATMUL)),
    "COMPARE_16": Record(number=58, words=words_of(_PAIR, "holds")),
    "PRELU_16": Record(number=59, words=words_of(*_PRELU)),
    "SQUARED_DIFFERENCE": Record(
        number=60,
        words=words_of(
            _PAIR,
            "item_bytes input1_offset input1_multiplier input1_shift input2_offset input2_multiplier input2_shift "
            "output_offset output_multiplier output_shift",
        ),
    ),
    "SQRT_16": Record(
        number=61, words=words_of(_COUNTED, "input_mantissa input_exponent output_mantissa output_exponent")
    ),
    "LSTM_16": Record(
        number=62,
        words=words_of(
            "@input @state @input_weights @recurrent_weights @bias @multipliers @shifts @table @output batches steps inputs "
            "units time_major hidden_multiplier hidden_shift cell_integer_bits cell_clip"
        ),
    ),
}
NAMES = {record.number: name for name, record in RECORDS.items()}


def ops_mask(ops: Collection[str]) -> int:
    """Bit n: op n of plan.h."""
    return sum(1 << RECORDS[op].number for op in set(ops))


def built_ops(mask: int) -> dict[str, str]:
    """The macros of plan.h that say which ops a build has, in C."""
    return {"PLAN_BUILT_OPS": f"{mask & (1 << 64) - 1:#x}ull", "PLAN_BUILT_LATE_OPS": f"{mask >> 64:#x}ull"}


def ops_defines(mask: int) -> tuple[str, ...]:
    """The same as flags of a compiler."""
    return tuple(f"-D{name}={value}" for name, value in built_ops(mask).items())


def pack_record(
    op: str,
    operands: Mapping[str, object],
    fields: Mapping[str, int | float | Sequence[int]],
    address: Callable[[object], int],
) -> bytes:
    """One record.

    Args:
        operands, fields: exactly the names of `RECORDS[op]`; CONCATENATION has the lists `input`, `tables`, `inner_sizes`.
        address: an operand's word.

    Raises:
        ValueError: a missing or unknown name, or a number that does not fit: a defect of the caller.
    """
    record = RECORDS[op]
    names = {word.name: word for word in record.words}
    lists = {"input", "tables", "inner_sizes"} if record.listed else set()
    if set(operands) | set(fields) != set(names) | lists:
        raise ValueError(f"{op}: got {sorted({*operands, *fields})}, the record has {sorted({*names, *lists})}")
    body = bytearray()
    for word in record.words:
        if word.kind == "operand":
            body += struct.pack("<I", address(operands[word.name]))
        elif word.kind == "array":
            values = [int(v) for v in fields[word.name]]  # type: ignore[union-attr]
            body += struct.pack(f"<{MAX_RANK}i", *values, *[0] * (MAX_RANK - len(values)))
        else:
            body += struct.pack("<f" if word.kind == "float" else "<i", fields[word.name])
    if record.listed:
        for name in ("input", "tables"):
            body += b"".join(struct.pack("<I", address(one)) for one in operands[name])  # type: ignore[attr-defined]
        body += b"".join(struct.pack("<i", size) for size in fields["inner_sizes"])  # type: ignore[union-attr]
    return struct.pack("<I", record.number | (1 + len(body) // 4) << 16) + bytes(body)


@dataclass(frozen=True, kw_only=True)
class ReadRecord:
    """One record of a plan as read: `operands` and `fields` by name (lists for arrays and CONCATENATION)."""

    op: str
    operands: dict[str, int | list[int]]
    fields: dict[str, int | float | list[int]]


def unpack_record(data: bytes | memoryview) -> ReadRecord:
    """The record that fills `data`, head included.

    Raises:
        ValueError: an unknown op, or a length that is not the op's.
    """
    head = struct.unpack_from("<I", data)[0]
    op = NAMES.get(head & 0xFFFF)
    if op is None:
        raise ValueError(f"op {head & 0xFFFF} is none of this version")
    record = RECORDS[op]
    words = len(data) // 4
    if words < record.length or (words != record.length and not record.listed):
        raise ValueError(f"{op} of {words} words instead of {record.length}")
    operands: dict[str, int | list[int]] = {}
    fields: dict[str, int | float | list[int]] = {}
    at = 4
    for word in record.words:
        if word.kind == "operand":
            operands[word.name] = struct.unpack_from("<I", data, at)[0]
        elif word.kind == "array":
            fields[word.name] = list(struct.unpack_from(f"<{MAX_RANK}i", data, at))
        else:
            fields[word.name] = struct.unpack_from("<f" if word.kind == "float" else "<i", data, at)[0]
        at += 4 * word.count
    if record.listed:
        count = fields["inputs"]
        assert isinstance(count, int)
        if not 1 <= count <= MAX_CONCATENATION_INPUTS or words != record.length + 3 * count:
            raise ValueError(f"{op} of {count} inputs in {words} words")
        operands["input"] = list(struct.unpack_from(f"<{count}I", data, at))
        operands["tables"] = list(struct.unpack_from(f"<{count}I", data, at + 4 * count))
        fields["inner_sizes"] = list(struct.unpack_from(f"<{count}i", data, at + 8 * count))
    return ReadRecord(op=op, operands=operands, fields=fields)
