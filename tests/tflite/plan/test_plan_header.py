"""What the plan runtime refuses of a plan as a whole: header, sections, input table, damage on the way."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest

from tests.support.plan_builder import OPS, PlanBuilder, with_crc
from tests.support.plan_fields import refusal
from tests.support.plan_runtime import (
    BAD_MODEL,
    NO_NODE,
    TOO_LARGE,
    UNSUPPORTED_OP,
    HostRuntime,
)

_HUGE = 0x7FFFFFFF


def test_the_node_that_is_wrong_is_named(plan_runtime: HostRuntime) -> None:
    def plan(third: int | str) -> bytes:
        made = PlanBuilder(arena_bytes=8)
        made.node("COPY", 0, 4, 4)
        made.node("FLIP_SIGN", 4, 4, 4)
        made.node(third, 0, 4, 400)
        made.output(4, "int8", 4)
        return made.build()

    wrong, unknown = refusal(plan_runtime, plan("COPY")), refusal(plan_runtime, plan(99))
    assert (wrong.code, wrong.node) == (BAD_MODEL, 2)
    assert (unknown.code, unknown.node, unknown.text) == (UNSUPPORTED_OP, 2, "this firmware does not have the op")
    assert refusal(plan_runtime, plan(0)).code == UNSUPPORTED_OP
    assert refusal(plan_runtime, plan(max(OPS.values()) + 1)).code == UNSUPPORTED_OP


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
        ({"reset_nodes": 2}, "more nodes run at a reset than there are"),
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
    error = refusal(plan_runtime, _small(**header), arena_bytes=16)
    assert re.search(reason, error.text), error.text
    assert error.code == BAD_MODEL
    assert error.node in (0, 1, NO_NODE)


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ((0, 8, 6, 8), "unknown type"),
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
    assert reason in refusal(plan_runtime, with_crc(bytes(plan))).text


@pytest.mark.parametrize("section", ["nodes", "constants"])
def test_an_empty_section_has_a_place_too(section: str, plan_runtime: HostRuntime) -> None:
    def plan(**header: int) -> bytes:
        made = PlanBuilder(arena_bytes=4)
        made.output(0, "int8", 4)
        return made.build(**header)

    plan_runtime.load(plan())
    for offset in (0, 60, 84, 0xFFFFFFF0):
        assert "inside the plan" in refusal(plan_runtime, plan(**{f"{section}_offset": offset})).text
    assert "not aligned" in refusal(plan_runtime, plan(**{f"{section}_offset": 66})).text


def test_inputs_that_overlap_are_refused(plan_runtime: HostRuntime) -> None:
    plan = PlanBuilder(arena_bytes=16)
    plan.input(0, "int8", 5)
    plan.input(4, "int8", 4)
    plan.output(0, "int8", 4)
    assert "two inputs of the plan overlap" in refusal(plan_runtime, plan.build()).text


def test_damage_on_the_way_is_noticed_wherever_it_happens(plan_runtime: HostRuntime) -> None:
    plan = _small()
    for at in range(64, len(plan)):
        damaged = plan[:at] + bytes([plan[at] ^ 0x10]) + plan[at + 1 :]
        assert "CRC-32" in refusal(plan_runtime, damaged, arena_bytes=16).text
    for length in range(len(plan)):
        assert re.search("not a plan|length", refusal(plan_runtime, plan[:length], arena_bytes=16).text)


def test_a_plan_for_a_larger_arena_is_too_large(plan_runtime: HostRuntime) -> None:
    error = refusal(plan_runtime, _small(), arena_bytes=15)
    assert (error.code, error.node) == (TOO_LARGE, NO_NODE)
    assert "larger arena than this board has" in error.text
