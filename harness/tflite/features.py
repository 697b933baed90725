"""What a model needs of a runtime, judged by what is in it and not by version numbers alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from harness.tflite.arithmetic import NodeArithmetic, is_integer, node_arithmetic, node_types, weights_of
from harness.tflite.graph import Graph
from harness.tflite.support import Support, known_runtimes, newest_runtimes, runtime_supports

__all__ = [
    "Features", "Support", "features", "is_integer_model", "known_runtimes", "newest_runtimes", "output_lsb", "runtime_supports",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Features:
    """What a model is made of.

    Attributes:
        flags: any of `float`, `weight-only`, `hybrid`, `integer` (arithmetic that occurs); `per-channel-dense-hybrid`,
            `per-channel-dense-integer`; `int4`, `int2` (stored types); `float16-weights`; `int16-activations`;
            `asymmetric-weights`; `dynamic-shapes`; `blockwise`; `sparse`; `custom-ops`; `subgraphs` (more than one).
        arithmetic: for each node of the main subgraph, in order.
        op_versions: highest version of each op.
        custom_ops: names of custom operators.
    """

    flags: frozenset[str]
    arithmetic: tuple[NodeArithmetic, ...]
    op_versions: dict[str, int]
    custom_ops: tuple[str, ...]


def features(graph: Graph) -> Features:
    """What `graph` needs of a runtime."""
    arithmetic = tuple(node_arithmetic(graph, node) for node in graph.nodes)
    flags: set[str] = {kind for kind in arithmetic if kind not in ("convert", "index")}
    for node in graph.nodes:
        types = node_types(graph, node)
        if types is None:
            continue
        if types.op in ("FULLY_CONNECTED", "BATCH_MATMUL") and types.per_channel:
            flags.add(f"per-channel-dense-{'hybrid' if types.activation == 'float32' else 'integer'}")
        if types.weight_zero_point and types.constant:
            flags.add("asymmetric-weights")
        if types.constant and types.weight in ("float16", "bfloat16"):
            flags.add("float16-weights")
    for tensor in graph.tensors:
        if tensor.dtype in ("int4", "uint4", "int2"):
            flags.add("int2" if tensor.dtype == "int2" else "int4")
        if tensor.dtype == "int16" and is_integer(tensor) and not tensor.is_constant:
            flags.add("int16-activations")
        if tensor.details == "blockwise":
            flags.add("blockwise")
        if tensor.is_sparse:
            flags.add("sparse")
        if tensor.is_dynamic:
            flags.add("dynamic-shapes")
    versions: Counter[str] = Counter()
    for node in (*graph.nodes, *graph.other_nodes):
        versions[node.op] = max(versions[node.op], node.version)
    custom = tuple(sorted({n.custom_name or "?" for n in (*graph.nodes, *graph.other_nodes) if n.op == "CUSTOM"}))
    if custom:
        flags.add("custom-ops")
    if graph.subgraph_count > 1:
        flags.add("subgraphs")
    return Features(flags=frozenset(flags), arithmetic=arithmetic, op_versions=dict(versions), custom_ops=custom)


def is_integer_model(graph: Graph) -> bool:
    """True when every node that computes does so in integers; QUANTIZE and DEQUANTIZE at the edges are allowed."""
    kinds = {node_arithmetic(graph, node) for node in graph.nodes} - {"convert", "index"}
    return kinds == {"integer"}


def output_lsb(graph: Graph) -> tuple[float | None, ...]:
    """The quantization step of each output, in the output's own unit; None where an output has none.

    A quantized output has its own scale. A float output that comes straight out of DEQUANTIZE has the scale of what was
    dequantized: its values still lie on that grid. Dequantized weights do not count.
    """
    steps: list[float | None] = []
    for index in graph.outputs:
        tensor, producer = graph.tensors[index], graph.producers.get(index)
        if producer is not None and producer.op == "DEQUANTIZE" and not is_integer(tensor):
            source = graph.input_at(producer, 0)
            tensor = source if source is not None and not source.is_constant else tensor
        quantized = is_integer(tensor) and not tensor.per_channel
        steps.append(tensor.scales[0] if quantized else None)
    return tuple(steps)


def weighted_nodes(graph: Graph) -> tuple[int, ...]:
    """The nodes that have weights, whatever type those are."""
    return tuple(node.index for node in graph.nodes if weights_of(graph, node) is not None)
