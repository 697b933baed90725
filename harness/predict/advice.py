"""What to do about a model that a runtime or a delegate does not take: the converter setting or recipe that helps."""

from __future__ import annotations

from collections.abc import Sequence

from harness.predict.coverage import NodeCoverage
from harness.tflite.features import Features
from harness.tflite.graph import Graph
from harness.tflite.support import Kernels, Support, newest_runtimes, runtime_supports

_PER_TENSOR_DENSE = (
    "FULLY_CONNECTED weights are quantized per channel, which this runtime does not know: recipe ptq-default-pt or"
    " qat-default-pt (converter._experimental_disable_per_channel_quantization_for_dense_layers = True)"
)
_PER_TENSOR_INTEGER = "recipe ptq-int8-pt-io quantizes all weights per tensor"
_EIGHT_BITS = "4-bit weights need a newer runtime; 8-bit recipes (ptq-int8-io, ptq-default-pt) load"
_INTEGER = (
    "the delegate computes in integers from end to end: a fully integer recipe such as ptq-int8-io (representative dataset,"
    " int8 inputs and outputs) leaves it more nodes"
)
_FIXED_BATCH = (
    "shapes are computed at run time: convert a concrete function of batch 1 (every recipe without -dynbatch does)"
)
_SYMMETRIC = "weights have zero points: use a symmetric weight quantizer (qat-int8-io, or qat-q[...,symmetric]-int8-io)"
_NO_INT16 = "16-bit activations: ptq-int8-io has 8-bit ones"


def advise(
    graph: Graph,
    found: Features,
    support: Support,
    nodes: Sequence[NodeCoverage] | None,
    *,
    runtime: str,
    kernels: Kernels,
) -> list[str]:
    """Sentences that each name a setting, a recipe or a runtime. Empty when nothing speaks against the model.

    Args:
        graph: the model, and `found`, its features.
        support: what `runtime` makes of it.
        nodes: what the delegate makes of it, where there is one.
        runtime: `NAME VERSION`.
        kernels: the op resolver the prediction was made for.
    """
    lines: list[str] = []
    if support.loads is False or support.right is False:
        lines += support.advice or _for_runtime(found)
        better = _better_runtimes(graph, runtime, kernels)
        if better:
            lines.append(f"as it is, the model runs on {', '.join(better)}")
        elif not lines:
            lines.append("convert with a TensorFlow no newer than the board's runtime, which writes older op versions")
    if nodes is not None and not all(node.taken for node in nodes):
        lines += _for_delegate(graph, found, nodes)
    return list(dict.fromkeys(lines))


def _for_runtime(found: Features) -> list[str]:
    flags = found.flags
    advice = []
    if "int4" in flags or "int2" in flags:
        advice.append(_EIGHT_BITS)
    elif "per-channel-dense-hybrid" in flags:
        advice.append(_PER_TENSOR_DENSE)
    elif "per-channel-dense-integer" in flags:
        advice.append(_PER_TENSOR_INTEGER)
    if "asymmetric-weights" in flags:
        advice.append(_SYMMETRIC)
    if "int16-activations" in flags:
        advice.append(_NO_INT16)
    return advice


def _better_runtimes(graph: Graph, runtime: str, kernels: Kernels) -> list[str]:
    """Other runtimes known here that load the model and compute it rightly."""
    better = []
    for name, version in newest_runtimes():
        support = runtime_supports(name, version, graph, kernels=kernels)
        if f"{name} {version}" != runtime and support.loads and support.right:
            better.append(f"{name} {version}")
    return better


def _for_delegate(graph: Graph, found: Features, nodes: Sequence[NodeCoverage]) -> list[str]:
    refused = {node.node for node in nodes if not node.taken}
    kinds = {found.arithmetic[position] for position, node in enumerate(graph.nodes) if node.index in refused}
    advice = []
    if "int16-activations" in found.flags:
        advice.append(_NO_INT16)
    elif kinds & {"hybrid", "float", "weight-only"}:
        advice.append(_INTEGER)
    if "dynamic-shapes" in found.flags:
        advice.append(_FIXED_BATCH)
    return advice
