"""What the plan runtime refuses, and that it says where and why."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.support import kernels_abi
from tests.support.fixtures_plan import valid_plans
from tests.support.plan_builder import CONSTANT, NONE, OPS, PlanBuilder, with_crc
from tests.support.plan_runtime import (
    BAD_MODEL,
    NO_NODE,
    RUNTIME,
    TOO_LARGE,
    UNSUPPORTED_OP,
    HostRuntime,
    PlanRefusedError,
)

_HUGE = 0x7FFFFFFF
_LOWEST = -0x80000000


@pytest.fixture(scope="module")
def plans(plan_library: Path) -> dict[str, bytes]:
    """A valid plan of one node for every op."""
    return {op: max(found, key=len) for op, found in valid_plans(plan_library, 8).items()}


def _refusal(runtime: HostRuntime, plan: bytes, **options: int) -> PlanRefusedError:
    with pytest.raises(PlanRefusedError) as refused:
        runtime.load(plan, **options)
    assert runtime.arena_used == 0
    return refused.value


def _field(op: str, name: str) -> int:
    """The word of a record that holds a field, read from plan.h and kernels.h; `dims+1` is the second of an array."""
    name, _plus, offset = name.partition("+")
    text = re.sub(r"/\*.*?\*/", "", (RUNTIME / "plan.h").read_text(), flags=re.DOTALL)
    records = {match[2]: match[1] for match in re.finditer(r"typedef struct \{([^}]*)\} (\w+);", text)}
    words = _flatten(records, records[_RECORDS.get(op, f"plan_{op.lower()}")])
    return words.index(name) + int(offset or 0)


def _flatten(records: dict[str, str], body: str) -> list[str]:
    words: list[str] = []
    for kind, names in re.findall(r"(\w+) ([^;]+);", body):
        for name in names.split(","):
            if kind in records:
                words += _flatten(records, records[kind])
            elif kind.startswith("kn_"):
                for field, field_type in kernels_abi.structures()[kind]._fields_:
                    words += [field] * (kernels_abi.MAX_RANK if hasattr(field_type, "_length_") else 1)
            else:
                words.append(name.strip())
    return words


_RECORDS = {
    "CONV_2D": "plan_conv",
    "DEPTHWISE_CONV_2D": "plan_conv",
    "MAX_POOL_2D": "plan_pool",
    "AVERAGE_POOL_2D": "plan_pool",
    "SUB": "plan_add",
    "MAXIMUM": "plan_pair",
    "MINIMUM": "plan_pair",
    "FLIP_SIGN": "plan_copy",
    "RESIZE_NEAREST": "plan_resize",
    "DEQUANTIZE": "plan_quantize",
}


def _changed(plan: bytes, op: str, changes: dict[str, int]) -> bytes:
    node = struct.unpack_from("<I", plan, 20)[0]
    changed = bytearray(plan)
    for name, value in changes.items():
        struct.pack_into("<I", changed, node + 4 * _field(op, name), value & 0xFFFFFFFF)
    return with_crc(bytes(changed))


_WINDOWED = ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D")
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_WEIGHTED = (*_CONVOLUTIONS, "FULLY_CONNECTED")
_PAIRS = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")
_COUNTED = ("COPY", "LOOKUP", "RESCALE", "LEAKY_RELU", "HARD_SWISH", "QUANTIZE", "DEQUANTIZE", "FLIP_SIGN")
_ONE_INPUT = ("MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "PAD", "SOFTMAX", "GATHER", "RESIZE_NEAREST", *_COUNTED)
_SCALED = ("MEAN", "MUL", "RESCALE", "LEAKY_RELU")

#: ops, the fields that are changed, and the reason
_RULES = [
    (tuple(OPS), {"output": 0x3FFFFFFF}, "does not lie inside the arena"),
    (tuple(OPS), {"output": NONE}, "an output does not lie in the arena"),
    (tuple(OPS), {"output": CONSTANT | 64}, "an output does not lie in the arena"),
    ((*_WEIGHTED, *_ONE_INPUT), {"input": 0x3FFFFFFF}, "does not lie inside the arena"),
    ((*_WEIGHTED, *_ONE_INPUT), {"input": NONE}, "an operand is missing"),
    ((*_WEIGHTED, *_ONE_INPUT), {"input": CONSTANT | 0x10000}, "does not lie inside the plan's constants"),
    ((*_WEIGHTED, *_ONE_INPUT), {"input": CONSTANT}, "does not lie inside the plan's constants"),
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
    (_COUNTED, {"count": 0}, "not positive"),
    (_COUNTED, {"count": _HUGE}, "does not lie inside the arena"),
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
        error = _refusal(plan_runtime, _changed(plans[op], op, changes))
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
    error = _refusal(plan_runtime, with_crc(bytes(plan)))
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
        place = struct.unpack_from("<I", plan, node + 4 * _field(op, table))[0] & ~CONSTANT
        struct.pack_into("<i", plan, place, value)
        assert reason in _refusal(plan_runtime, with_crc(bytes(plan))).text


def _two_inputs(
    second: int, op: str = "ADD", dims: tuple[int, int] = (2, 3), strides: tuple[int, int] = (3, 1), output: int = 0
) -> bytes:
    """input1 and the output at 0, 6 elements each, input2 at `second`."""
    plan = PlanBuilder(arena_bytes=32)
    broadcast = kernels_abi.struct("kn_broadcast", rank=2, dims=dims, strides1=strides, strides2=(3, 1))
    params = kernels_abi.struct(
        "kn_add_params",
        left_shift=20,
        input1_offset=0,
        input1_multiplier=1 << 30,
        input1_shift=0,
        input2_offset=0,
        input2_multiplier=1 << 30,
        input2_shift=0,
        output_offset=0,
        output_multiplier=1 << 30,
        output_shift=-18,
        activation_min=-128,
        activation_max=127,
        rounding=0,
    )
    plan.node(op, 0, second, output, broadcast, *([params] if op in ("ADD", "SUB") else []))
    plan.output(0, "int8", 6)
    return plan.build()


@pytest.mark.parametrize("op", ["ADD", "SUB", "MAXIMUM", "MINIMUM"])
def test_a_pair_may_overwrite_an_input_that_is_not_repeated_and_no_other(op: str, plan_runtime: HostRuntime) -> None:
    plan_runtime.load(_two_inputs(8, op))
    plan_runtime.load(_two_inputs(0, op))
    for plan in (
        _two_inputs(8, op, strides=(0, 1)),
        _two_inputs(8, op, strides=(1, 2)),
        _two_inputs(4, op),
        _two_inputs(8, op, output=1),
        _two_inputs(8, op, output=5),
        _two_inputs(8, op, output=9),
    ):
        assert "overlaps an input where its op does not allow it" in _refusal(plan_runtime, plan).text


@pytest.mark.parametrize("op", sorted(_ONE_INPUT))
def test_an_output_lies_on_its_input_only_where_the_kernel_allows_it(
    op: str, plans: dict[str, bytes], plan_runtime: HostRuntime
) -> None:
    same = _changed(plans[op], op, {"input": 0, "output": 0})
    shifted = _changed(
        plans[op], op, {"input": 0, "output": 4, "count": 5} if op in _COUNTED else {"input": 0, "output": 4}
    )
    if op in ("QUANTIZE", "DEQUANTIZE") or op not in _COUNTED:
        assert "overlaps an input" in _refusal(plan_runtime, same).text
    else:
        plan_runtime.load(same)
    if op != "COPY":
        assert re.search("overlaps an input|inside the arena", _refusal(plan_runtime, shifted).text)


def test_a_copy_may_overlap_its_input_anyhow(plan_runtime: HostRuntime) -> None:
    plan = PlanBuilder(arena_bytes=12)
    plan.input(0, "int8", 8)
    plan.node("COPY", 0, 4, 8)
    plan.output(4, "int8", 8)
    plan_runtime.load(plan.build())
    assert plan_runtime.run([np.arange(8, dtype=np.int8)])[0].tolist() == list(range(8))


def test_scratch_keeps_clear_of_input_and_output(plan_runtime: HostRuntime) -> None:
    def plan(scratch: int) -> bytes:
        made = PlanBuilder(arena_bytes=24)
        weights, table = made.constant(np.ones(8, np.int8)), made.constant(np.zeros(1, np.int32))
        params = kernels_abi.struct(
            "kn_fully_connected_params",
            batches=1,
            inputs=8,
            outputs=1,
            input_offset=0,
            weights_offset=0,
            output_offset=0,
            activation_min=-128,
            activation_max=127,
            rounding=0,
        )
        made.node("FULLY_CONNECTED", 0, weights, NONE, NONE, table, table, scratch, 8, 8, 0, params)
        made.output(8, "int8", 1)
        return made.build()

    plan_runtime.load(plan(12))
    assert "scratch memory overlaps an input" in _refusal(plan_runtime, plan(0)).text
    assert "scratch memory overlaps the output" in _refusal(plan_runtime, plan(8)).text
    assert "multiple of 4" in _refusal(plan_runtime, plan(13)).text


def test_the_node_that_is_wrong_is_named(plan_runtime: HostRuntime) -> None:
    def plan(third: int | str) -> bytes:
        made = PlanBuilder(arena_bytes=8)
        made.node("COPY", 0, 4, 4)
        made.node("FLIP_SIGN", 4, 4, 4)
        made.node(third, 0, 4, 400)
        made.output(4, "int8", 4)
        return made.build()

    wrong, unknown = _refusal(plan_runtime, plan("COPY")), _refusal(plan_runtime, plan(99))
    assert (wrong.code, wrong.node) == (BAD_MODEL, 2)
    assert (unknown.code, unknown.node, unknown.text) == (UNSUPPORTED_OP, 2, "this firmware does not have the op")
    assert _refusal(plan_runtime, plan(0)).code == UNSUPPORTED_OP
    assert _refusal(plan_runtime, plan(max(OPS.values()) + 1)).code == UNSUPPORTED_OP


def _small(**header: int) -> bytes:
    plan = PlanBuilder(arena_bytes=16)
    plan.constant(np.zeros(16, np.int8))
    plan.node("COPY", 0, 8, 8)
    plan.input(0, "int8", 8)
    plan.output(8, "int8", 8)
    return plan.build(**header)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"magic": 0x4C504E4C}, "not a plan"),
        ({"version": 2}, "version"),
        ({"bytes": 64}, "length"),
        ({"bytes": _HUGE}, "length"),
        ({"reserved1": 1}, "reserved"),
        ({"arena_bytes": 0x40000001}, "over 1 GiB"),
        ({"node_count": 0xFFFF}, "65534 nodes"),
        ({"node_count": 2}, "does not end inside the nodes"),
        ({"node_count": 0}, "longer than its count"),
        ({"nodes_bytes": 15}, "whole words"),
        ({"nodes_bytes": 12}, "does not end inside the nodes"),
        ({"nodes_bytes": 0xFFFFFFFC}, "inside the plan"),
        ({"nodes_offset": 0}, "inside the plan"),
        ({"nodes_offset": 82}, "not aligned"),
        ({"nodes_offset": 0xFFFFFFF0}, "inside the plan"),
        ({"nodes_offset": 72}, "overlap"),
        ({"io_offset": 84}, "overlap"),
        ({"io_offset": 0x7FFFFFFC}, "inside the plan"),
        ({"input_count": 65}, "over 64"),
        ({"output_count": 0xFFFFFFFF}, "over 64"),
        ({"output_count": 0}, "no output"),
        ({"output_count": 4}, "inside the plan"),
        ({"constants_offset": 68}, "not aligned|overlap"),
        ({"constants_bytes": 32}, "overlap"),
        ({"arena_bytes": 15}, "inside the arena"),
    ],
)
def test_a_header_that_is_not_true_is_refused(header: dict[str, int], reason: str, plan_runtime: HostRuntime) -> None:
    plan_runtime.load(_small())
    error = _refusal(plan_runtime, _small(**header), arena_bytes=16)
    assert re.search(reason, error.text), error.text
    assert error.code == BAD_MODEL
    assert error.node in (0, 1, NO_NODE)


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ((0, 8, 3, 8), "unknown type"),
        ((0, 8, 0, 4), "are not those of its elements"),
        ((0, 8, 2, 8), "are not those"),
        ((0, 0, 0, 0), "no elements"),
        ((2, 8, 0, 8), "multiple of 4"),
        ((12, 8, 0, 8), "inside the arena"),
        ((0xFFFFFFFC, 8, 0, 8), "inside the arena"),
        ((0, 0, 2, 0x40000000), "are not those"),
    ],
)
def test_a_wrong_entry_of_the_input_table_is_refused(
    first: tuple[int, ...], reason: str, plan_runtime: HostRuntime
) -> None:
    plan = bytearray(_small())
    struct.pack_into("<4I", plan, struct.unpack_from("<I", plan, 28)[0], *first)
    assert reason in _refusal(plan_runtime, with_crc(bytes(plan))).text


@pytest.mark.parametrize("section", ["nodes", "constants"])
def test_an_empty_section_has_a_place_too(section: str, plan_runtime: HostRuntime) -> None:
    def plan(**header: int) -> bytes:
        made = PlanBuilder(arena_bytes=4)
        made.output(0, "int8", 4)
        return made.build(**header)

    plan_runtime.load(plan())
    for offset in (0, 60, 84, 0xFFFFFFF0):
        assert "inside the plan" in _refusal(plan_runtime, plan(**{f"{section}_offset": offset})).text
    assert "not aligned" in _refusal(plan_runtime, plan(**{f"{section}_offset": 66})).text


def test_inputs_that_overlap_are_refused(plan_runtime: HostRuntime) -> None:
    plan = PlanBuilder(arena_bytes=16)
    plan.input(0, "int8", 5)
    plan.input(4, "int8", 4)
    plan.output(0, "int8", 4)
    assert "two inputs of the plan overlap" in _refusal(plan_runtime, plan.build()).text


def test_damage_on_the_way_is_noticed_wherever_it_happens(plan_runtime: HostRuntime) -> None:
    plan = _small()
    for at in range(64, len(plan)):
        damaged = plan[:at] + bytes([plan[at] ^ 0x10]) + plan[at + 1 :]
        assert "CRC-32" in _refusal(plan_runtime, damaged, arena_bytes=16).text
    for length in range(len(plan)):
        assert re.search("not a plan|length", _refusal(plan_runtime, plan[:length], arena_bytes=16).text)


def test_a_plan_for_a_larger_arena_is_too_large(plan_runtime: HostRuntime) -> None:
    error = _refusal(plan_runtime, _small(), arena_bytes=15)
    assert (error.code, error.node) == (TOO_LARGE, NO_NODE)
    assert "larger arena than this board has" in error.text
