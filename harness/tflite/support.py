"""Will a runtime load a model, and will it get it right? Answered from data files, one per runtime version.

A runtime can accept every op version of a model and still compute it wrongly: tflite-runtime 2.14.0 reads per-channel
FULLY_CONNECTED weights with float activations as if the first channel's scale held for all. Each file in `runtimes/` lists
the op versions that a runtime registers (made by `harness.tflite.probe`, which asks the runtime itself) and rules found by
running one-op models against numpy (tests/tflite/test_features.py and test_runtime_defects.py run them again).
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from harness.core.errors import UserInputError, unknown_name
from harness.tflite.arithmetic import NodeTypes, node_types, weights_of
from harness.tflite.custom_ops import custom_op_words
from harness.tflite.dimensions import has_impossible_dimension
from harness.tflite.graph import Graph, Node
from harness.tflite.post_process import POST_PROCESS, read_post_process
from harness.tflite.row_sums import overflowing_rows

#: as in `harness.boards.base.BackendSpec.kernels`
Kernels = Literal["reference", "default", "no-default-delegate"]

_FOLDER = Path(__file__).parent / "runtimes"


@dataclass(frozen=True, kw_only=True)
class Support:
    """A prediction.

    Attributes:
        loads: will the interpreter be created and its tensors allocated; None when the data cannot tell.
        right: will its outputs be those of the model's definition (to rounding); None when it does not load or the data
            cannot tell.
        reasons: what speaks against it, a sentence each, with op and node.
        advice: what helps, where a rule knows better than its node's features.
    """

    loads: bool | None
    right: bool | None
    reasons: list[str]
    advice: tuple[str, ...] = ()


def known_runtimes() -> tuple[tuple[str, str], ...]:
    """(name, version) of every runtime there is a data file for."""
    return tuple(sorted((data["runtime"], data["version"]) for data in map(_read, _FOLDER.glob("*.json"))))


def newest_runtimes() -> tuple[tuple[str, str], ...]:
    """(name, version) of the newest known version of each runtime: those that a reader who asked for none is told about."""
    newest: dict[str, str] = {}
    for name, version in known_runtimes():
        newest[name] = max(newest.get(name, version), version, key=lambda v: [int(part) for part in v.split(".")])
    return tuple(newest.items())


def runtime_supports(
    runtime_name: str,
    version: str,
    graph: Graph,
    *,
    kernels: Kernels = "reference",
    machine: str | None = None,
    elsewhere: Collection[int] = (),
) -> Support:
    """Predicts what a runtime makes of a model.

    Args:
        runtime_name: `tflite-runtime` or `ai-edge-litert`.
        version: such as `2.14.0`. A version without a data file gives a Support that says nothing.
        graph: the model.
        kernels: the op resolver. `reference` (BUILTIN_REF) registers fewer op versions than the others in old runtimes;
            `default` adds XNNPACK.
        machine: the board's processor family as `uname -m` says it; rules of one family are left out where it is None.
        elsewhere: nodes that a delegate takes: what the runtime's own kernels get wrong does not concern them.

    Raises:
        UserInputError: for a runtime name without any data file.
    """
    names = {name for name, _ in known_runtimes()}
    if runtime_name not in names:
        raise unknown_name("runtime", runtime_name, names)
    path = _FOLDER / f"{runtime_name}-{version}.json"
    if not path.is_file():
        known = ", ".join(v for n, v in known_runtimes() if n == runtime_name)
        return Support(
            loads=None, right=None, reasons=[f"no data about {runtime_name} {version} (there is for {known})"]
        )
    data = _read(path)
    refusals, unknowns = _op_refusals(data, graph, kernels)
    refusals += [
        f"tensor {t.index} '{t.name}': the runtime does not know the type {t.dtype}"
        for t in graph.tensors
        if t.dtype not in data["tensor_types"]
    ]
    refusals += _dimension_refusals(graph)
    wrongs: list[str] = []
    advice: dict[str, None] = {}
    for node in graph.nodes:
        types = node_types(graph, node)
        for rule in data["rules"]:
            if _matches(rule, types or _without_weights(graph, node), kernels, machine) and _fits(rule, graph, node):
                rows = overflowing_rows(graph, node) if rule.get("row_sums_overflow") else None
                if rows == () or (rule["effect"] == "wrong" and node.index in elsewhere):
                    continue
                reasons = refusals if rule["effect"] == "refused" else wrongs
                which = f" ({len(rows)} of its outputs: {_numbers(rows)})" if rows else ""
                advice.update({rule["advice"]: None} if "advice" in rule else {})
                reasons.append(f"node {node.index} {node.op}: {rule['why']}{which}")
                break
        else:
            if types and types.constant and not _proven(data, types):
                unknowns.append(f"node {node.index} {node.op}: nothing is known of {types.weight} weights here")
    if refusals:
        return Support(loads=False, right=None, reasons=refusals + wrongs)
    if wrongs:
        return Support(loads=None if unknowns else True, right=False, reasons=wrongs + unknowns, advice=tuple(advice))
    if unknowns:
        return Support(loads=None, right=None, reasons=unknowns)
    return Support(loads=True, right=True, reasons=[])


@cache
def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _op_refusals(data: dict[str, Any], graph: Graph, kernels: Kernels) -> tuple[list[str], list[str]]:
    """Ops and versions that the resolver does not register, and custom ops that only the board can tell about."""
    table = data["op_versions"]["reference" if kernels == "reference" else "builtin"]
    # The two tables differ, and a reader sees the refusals of several backends side by side.
    whose = f"this runtime's {'reference' if kernels == 'reference' else 'optimized'} kernels have"
    refusals, unknowns = [], []
    seen: set[tuple[str, int]] = set()
    nodes: tuple[Node, ...] = (*graph.nodes, *graph.other_nodes)
    for node in nodes:
        key = (node.custom_name or node.op, node.version)
        if key in seen:
            continue
        seen.add(key)
        if node.op == "CUSTOM":
            if node.custom_name == POST_PROCESS and (fault := _post_process_fault(node)) is not None:
                refusals.append(fault)
            if node.custom_name not in data.get("custom_ops", []):
                unknowns.append(custom_op_words(node.custom_name))
            continue
        lowest, highest = table.get(node.op, (0, 0))
        if not highest:
            refusals.append(f"{node.op}: {whose} no such op")
        elif not lowest <= node.version <= highest:
            span = f"versions {lowest} to {highest}" if highest > lowest else f"version {highest} only"
            refusals.append(f"{node.op} version {node.version}: {whose} {span}")
    return refusals, unknowns


def _post_process_fault(node: Node) -> str | None:
    """What is wrong with the options of a detector's last op, which every runtime reads before it runs; None where nothing is."""
    try:
        read_post_process(node)
    except UserInputError as error:
        return str(error)
    return None


def _dimension_refusals(graph: Graph) -> list[str]:
    """Tensors whose scales are said to lie along an axis that they have not: every release of every runtime refuses them."""
    return [
        f"tensor {t.index} '{t.name}': its quantized_dimension is {t.quantized_dimension}, and it has {len(t.shape)} dimensions"
        for t in graph.tensors
        if has_impossible_dimension(t)
    ]


def _proven(data: dict[str, Any], types: NodeTypes) -> bool:
    proven = data["proven_weights"]
    return types.weight in proven["*"] or types.weight in proven.get(types.op, ())


def _numbers(rows: tuple[int, ...]) -> str:
    return ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")


def _without_weights(graph: Graph, node: Node) -> NodeTypes:
    """The types of a node without weights: that of its first input that holds numbers."""
    flowing = next((t for t in graph.node_inputs(node) if not t.is_constant), None)
    return NodeTypes(
        op=node.op,
        activation=flowing.dtype
        if flowing is not None and (flowing.is_quantized or flowing.dtype == "float32")
        else None,
        weight="",
        per_channel=None,
        weight_zero_point=False,
        constant=False,
    )


def _fits(rule: dict[str, Any], graph: Graph, node: Node) -> bool:
    """The conditions of a rule on shapes and scales.

    `output_rank_from`: the output has at least so many axes. `flattens_input`: the op reads more than the last axis of its input
    as one row. `rescales`: input and output have different scales.
    """
    source, outputs = next(graph.node_inputs(node), None), list(graph.node_outputs(node))
    if source is None or not outputs:
        return True
    weights = weights_of(graph, node)
    seen = {
        "flattens_input": weights is not None and len(source.shape) > 2 and source.shape[-1:] != weights.shape[-1:],
        "rescales": source.scales != outputs[0].scales,
    }
    if len(outputs[0].shape) < rule.get("output_rank_from", 0):
        return False
    return all(rule.get(key, value) == value for key, value in seen.items())


def _matches(rule: dict[str, Any], types: NodeTypes, kernels: Kernels, machine: str | None) -> bool:
    """Does a rule speak of this node? A key that a rule leaves out does not matter to it."""
    return (
        kernels in rule.get("kernels", (kernels,))
        and machine in rule.get("machines", (machine,))
        and types.op in rule["ops"]
        and types.weight in rule.get("weight", (types.weight,))
        and types.activation in rule.get("activation", (types.activation,))
        and rule.get("per_channel", types.per_channel) == types.per_channel
        and rule.get("weight_zero_point", types.weight_zero_point) == types.weight_zero_point
    )
