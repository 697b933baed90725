"""Lifetimes of the buffers of a plan, and their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.tflite.plan.base import Role, TensorSpan
from harness.tflite.plan.memory import Block, Placement, Takeover, place_blocks
from harness.tflite.plan.values import Buffer, Step


@dataclass(frozen=True, kw_only=True)
class Arena:
    """Where each buffer lies: `offsets` by id of the buffer; `spans` for people."""

    offsets: dict[int, int]
    arena_bytes: int
    lower_bound_bytes: int
    spans: tuple[TensorSpan, ...]


def plan_arena(steps: Sequence[Step], inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> Arena:
    """Lifetimes from the order of the steps: an input lives from before the first step to its last reader, an output to the end,
    scratch during its step. In place where a step allows it and nobody reads the old value later."""
    buffers: dict[int, Buffer] = {id(one): one for one in inputs}
    first: dict[int, int] = {id(one): -1 for one in inputs}
    last = dict(first)
    for index, step in enumerate(steps):
        for buffer in (*step.reads, *([step.scratch] if step.scratch else []), step.writes):
            buffers.setdefault(id(buffer), buffer)
            first.setdefault(id(buffer), index)
            last[id(buffer)] = index
    for buffer in outputs:
        last[id(buffer)] = len(steps)
    for key, buffer in buffers.items():
        if buffer.is_state:
            first[key], last[key] = -1, len(steps)
    order = list(buffers)
    number = {key: i for i, key in enumerate(order)}
    blocks = [Block(size_bytes=buffers[key].size_bytes, first=first[key], last=last[key]) for key in order]
    takeovers = [
        Takeover(old=number[id(old)], new=number[id(step.writes)])
        for index, step in enumerate(steps)
        for old in dict.fromkeys(step.in_place)
        if last[id(old)] == index
    ]
    placement = place_blocks(blocks, takeovers)
    return Arena(
        offsets={key: placement.offsets[i] for i, key in enumerate(order)},
        arena_bytes=placement.arena_bytes,
        lower_bound_bytes=placement.lower_bound_bytes,
        spans=_spans([buffers[key] for key in order], blocks, placement),
    )


def _spans(buffers: Sequence[Buffer], blocks: Sequence[Block], placement: Placement) -> tuple[TensorSpan, ...]:
    over = {one.new: buffers[one.old].name for one in placement.takeovers}
    return tuple(
        TensorSpan(
            name=buffer.name,
            role=_role(buffer),
            tensors=tuple(dict.fromkeys(buffer.tensors)),
            offset=placement.offsets[i],
            size_bytes=buffer.size_bytes,
            first=blocks[i].first,
            last=blocks[i].last,
            over=over.get(i),
        )
        for i, buffer in enumerate(buffers)
    )


def _role(buffer: Buffer) -> Role:
    if buffer.is_scratch:
        return "scratch"
    if buffer.is_state:
        return "state"
    return "input" if buffer.is_input else "output" if buffer.is_output else "tensor"
