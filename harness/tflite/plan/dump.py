"""A plan as text, for people and tests."""

from __future__ import annotations

from collections.abc import Iterator

from harness.tflite.plan.base import Plan
from harness.tflite.plan.layout import PlanIo, ReadPlan, read_plan
from harness.tflite.plan.words import CONSTANT, NONE, ReadRecord


def dump(plan: Plan | bytes) -> str:
    """What a plan does, node by node, with addresses; of a `Plan` also which nodes of the model it comes from.

    Raises:
        UserInputError: bytes that are no plan, or a damaged one.
    """
    source = plan if isinstance(plan, Plan) else None
    data = plan.data if isinstance(plan, Plan) else plan
    return "\n".join(_lines(read_plan(data), len(data), source)) + "\n"


def _lines(read: ReadPlan, size_bytes: int, source: Plan | None) -> Iterator[str]:
    yield (
        f"plan, {size_bytes} bytes ({len(read.constants)} of constants), arena {read.arena_bytes} bytes, "
        f"{len(read.nodes)} nodes"
    )
    if source is not None:
        yield f"of model {source.model_sha256[:12]}, for {source.kernels} kernels"
    for name, table in (("input", read.inputs), ("output", read.outputs)):
        for index, entry in enumerate(table):
            yield f"{name} {index}: {_io(entry)}"
    for index, node in enumerate(read.nodes):
        origin = ""
        if source is not None and source.ops[index].node is not None:
            origin = f"  # node {source.ops[index].node} {source.ops[index].tflite_op} '{source.ops[index].output}'"
        when = " (at a reset only)" if index < read.reset_nodes else ""
        yield f"{index}: {_node(node)}{when}{origin}"
    if source is not None:
        yield from _spans(source)


def _io(entry: PlanIo) -> str:
    return f"{entry.dtype} x {entry.elements} at {entry.arena_offset}"


def _node(node: ReadRecord) -> str:
    operands = [f"{name}={_address(value)}" for name, value in node.operands.items() if value != NONE]
    rank = node.fields.get("rank")
    fields = []
    for name, value in node.fields.items():
        if isinstance(value, list) and isinstance(rank, int):
            value = value[:rank]
        fields.append(f"{name}={value:.9g}" if isinstance(value, float) else f"{name}={value}".replace(" ", ""))
    return f"{node.op} {' '.join(operands)} | {' '.join(fields)}"


def _address(word: int | list[int]) -> str:
    if isinstance(word, list):
        return "[" + ",".join(_address(one) for one in word) + "]"
    if word == NONE:
        return "none"
    return f"const+{word & ~CONSTANT}" if word & CONSTANT else str(word)


def _spans(source: Plan) -> Iterator[str]:
    yield "arena:"
    for span in sorted(source.tensors, key=lambda one: (one.first, one.offset)):
        taken = f", over '{span.over}'" if span.over else ""
        yield (
            f"  {span.offset:>7} .. {span.offset + span.size_bytes:<7} nodes {span.first} to {span.last}: {span.role} "
            f"'{span.name}'{taken}"
        )
