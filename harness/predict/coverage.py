"""Which nodes of a model will a delegate take? Answered from its table, without the delegate and without a board."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.tflite.arithmetic import is_integer
from harness.tflite.delegates.table import (
    DelegateTable,
    Rule,
    known_delegates,
    load_delegate_table,
    schema_op_name,
)
from harness.tflite.graph import Graph, Node, Tensor
from harness.tflite.post_process import POST_PROCESS

__all__ = [
    "DelegateTable",
    "NodeCoverage",
    "delegate_coverage",
    "known_delegates",
    "load_delegate_table",
    "schema_op_name",
    "table_coverage",
]


@dataclass(frozen=True, kw_only=True)
class NodeCoverage:
    """One node of the main subgraph: will the delegate take it, and if not, why not."""

    node: int
    op: str
    taken: bool
    reason: str | None = None


def delegate_coverage(
    delegate_name: str,
    graph: Graph,
    *,
    options: Mapping[str, str] | None = None,
    devices_option: str | os.PathLike[str] | None = None,
) -> list[NodeCoverage]:
    """What a delegate makes of each node of a model, in the order of the file.

    Args:
        delegate_name: as device profiles name it, such as `vx`.
        options: the delegate's options, where one of them makes it refuse operators.

    Raises:
        UserInputError: there is no table for this delegate, or it is faulty.
    """
    return table_coverage(load_delegate_table(delegate_name, devices_option), graph, options=options)


def table_coverage(
    table: DelegateTable, graph: Graph, *, options: Mapping[str, str] | None = None
) -> list[NodeCoverage]:
    """The same for a table at hand."""
    named = (options or {}).get(table.refuse_option or "", "")
    excluded = {schema_op_name(word) for word in named.split(",") if word}
    return [_node_coverage(table, graph, node, excluded) for node in graph.nodes]


def _node_coverage(table: DelegateTable, graph: Graph, node: Node, excluded: set[str | None]) -> NodeCoverage:
    reason = _refusal(table, graph, node, excluded)
    return NodeCoverage(node=node.index, op=node.op, taken=reason is None, reason=reason)


def _refusal(table: DelegateTable, graph: Graph, node: Node, excluded: set[str | None]) -> str | None:
    if node.op in excluded:
        return f"the delegate's option `{table.refuse_option}` names {node.op}"
    if node.op == "CUSTOM" and node.custom_name in table.taken_custom:
        return None
    if node.custom_name == POST_PROCESS:
        return f"{POST_PROCESS} decodes and suppresses boxes in float, which no delegate does"
    if node.op == "CUSTOM":
        return f"custom operator {node.custom_name}: {table.title} does not have it"
    if node.op not in table.taken:
        listed = "lists it as not supported" if node.op in table.refused else "does not have this operator"
        return f"{table.title} {listed}"
    for rule in table.rules:
        why = _matches(rule, graph, node)
        if why is not None:
            return why
    return None


def _matches(rule: Rule, graph: Graph, node: Node) -> str | None:
    """The rule's text when all that it states holds for the node, else None."""
    if (rule.ops and node.op not in rule.ops) or node.op in rule.except_ops:
        return None
    outputs = list(graph.node_outputs(node))
    if not (_output_holds(rule, outputs) and _options_hold(rule, node) and _pair_holds(rule, graph, node, outputs)):
        return None
    offender = _offender(rule, graph, node, outputs)
    if offender is None and _speaks_of_inputs(rule):
        return None
    types = {f"input{i}": _dtype(graph.input_at(node, i)) for i in range(4)}
    output = outputs[0].dtype if outputs else "nothing"
    return rule.why.format(op=node.op, output0=output, offender=offender.dtype if offender else "", **types)


def _dtype(tensor: Tensor | None) -> str:
    return tensor.dtype if tensor is not None else "absent"


_INPUT_FIELDS = tuple(name for name in Rule.model_fields if name.startswith("input_"))


def _speaks_of_inputs(rule: Rule) -> bool:
    return any(getattr(rule, name) not in (None, ()) for name in _INPUT_FIELDS)


def _offender(rule: Rule, graph: Graph, node: Node, outputs: Sequence[Tensor]) -> Tensor | None:
    """The first input that meets every `input_` condition."""
    positions = rule.inputs or tuple(range(len(node.inputs)))
    for position in positions:
        tensor = graph.input_at(node, position)
        if tensor is not None and _input_holds(rule, tensor, outputs):
            return tensor
    return None


def _says(wanted: bool | None, fact: bool) -> bool:
    return wanted is None or wanted == fact


def _input_holds(rule: Rule, tensor: Tensor, outputs: Sequence[Tensor]) -> bool:
    return (
        (not rule.input_dtype or tensor.dtype in rule.input_dtype)
        and (not rule.input_dtype_not or tensor.dtype not in rule.input_dtype_not)
        and _says(rule.input_constant, tensor.is_constant)
        and _says(rule.input_quantized, is_integer(tensor))
        and _says(rule.input_per_channel, tensor.per_channel)
        and _says(rule.input_zero_point, any(tensor.zero_points))
        and (rule.input_rank_over is None or len(tensor.shape) > rule.input_rank_over)
        and (rule.input_rank_not is None or len(tensor.shape) != rule.input_rank_not)
        and _says(rule.input_empty, 0 in tensor.shape)
        and _says(rule.input_scale_differs, bool(outputs) and not _same_scale(tensor, outputs[0]))
        and (rule.input_last_over is None or (tensor.shape or (1,))[-1] > rule.input_last_over)
    )


def _same_scale(a: Tensor, b: Tensor) -> bool:
    return (a.scales, a.zero_points) == (b.scales, b.zero_points)


def _output_holds(rule: Rule, outputs: Sequence[Tensor]) -> bool:
    """The `output_` conditions: types hold when any output meets them, the rest speak of the first."""
    types = [t.dtype for t in outputs]
    first = outputs[0] if outputs else None
    return (
        (not rule.output_dtype or any(t in rule.output_dtype for t in types))
        and (not rule.output_dtype_not or any(t not in rule.output_dtype_not for t in types))
        and (rule.output_quantized is None or any(is_integer(t) == rule.output_quantized for t in outputs))
        and (rule.output_per_channel is None or any(t.per_channel == rule.output_per_channel for t in outputs))
        and (
            rule.output_shape_unknown is None
            or (first is not None and (first.shape == ()) == rule.output_shape_unknown)
        )
        and (rule.output_scale_not is None or (first is not None and first.scales != (rule.output_scale_not,)))
    )


def _options_hold(rule: Rule, node: Node) -> bool:
    return (
        all(node.options.get(name) in values for name, values in rule.option.items())
        and all(name in node.options and node.options[name] not in values for name, values in rule.option_not.items())
        and (not rule.option_set or any(node.options.get(name) for name in rule.option_set))
    )


def _pair_holds(rule: Rule, graph: Graph, node: Node, outputs: Sequence[Tensor]) -> bool:
    """Conditions between two tensors."""
    if rule.types_differ is not None:
        first, second = (graph.input_at(node, i) for i in rule.types_differ)
        if first is None or second is None or first.dtype == second.dtype:
            return False
    if rule.output_type_differs is not None:
        source = graph.input_at(node, rule.output_type_differs)
        if source is None or all(t.dtype == source.dtype for t in outputs):
            return False
    source, weights = graph.input_at(node, 0), graph.input_at(node, 1)
    grouped = bool(
        source
        and weights
        and len(source.shape) == len(weights.shape) == 4
        and source.shape[3] != weights.shape[3]
        and source.shape[0] != 1
    )
    batch = bool(source and outputs and source.shape[:1] != outputs[0].shape[:1])
    return _says(rule.grouped_batch, grouped) and _says(rule.batch_differs, batch)
