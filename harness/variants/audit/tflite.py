"""The audit of a .tflite: what is stored, what computes in what, and whether that is what the recipe promised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.core.errors import UserInputError
from harness.tflite.arithmetic import weights_of
from harness.tflite.features import Features, features, is_integer_model, output_lsb
from harness.tflite.graph import Graph, Tensor, model_io, read_graph
from harness.tflite.post_process import POST_PROCESS, post_process_node, read_post_process
from harness.variants.audit.findings import tflite_findings
from harness.variants.audit.mixed import mixed_findings
from harness.variants.audit.report import AuditReport, OpRow, TensorRow, sorted_findings
from harness.variants.audit.theory import theory_rows
from harness.variants.recipe import Recipe


def audit_graph(
    graph: Graph, target: str, recipe: Recipe | None = None, summary: dict[str, Any] | None = None
) -> AuditReport:
    """Audits a model that was read.

    Args:
        graph: from `read_graph`.
        target: what to call it in the report.
        recipe: what it was built by; None checks no promise.
        summary: what its training recorded (`harness.variants.qat.summary.describe`), for the theory.

    Raises:
        UserInputError: a constant of the model does not fill its shape.
    """
    found = features(graph)
    mixed = recipe is not None and recipe.conversion.mix is not None
    # A mixed recipe takes the weights that were trained, and no range that the training left.
    theory = theory_rows(graph, None if mixed else summary)
    findings = tflite_findings(graph, found, theory, recipe, summary)
    if recipe is not None:
        findings += mixed_findings(graph, recipe, summary)
    return AuditReport(
        target=target,
        kind="tflite",
        recipe=recipe.name if recipe else None,
        facts=_facts(graph, found, recipe),
        ops=[
            OpRow(
                node=node.index,
                op=node.custom_name or node.op,
                version=node.version,
                arithmetic=found.arithmetic[node.index],
                inputs=_types(graph.node_inputs(node)),
                outputs=_types(graph.node_outputs(node)),
            )
            for node in graph.nodes
        ],
        tensors=[_tensor_row(graph, tensor) for tensor in graph.tensors],
        theory=theory,
        findings=sorted_findings(findings),
    )


def audit_tflite(path: Path | str, recipe: Recipe | None = None, summary: dict[str, Any] | None = None) -> AuditReport:
    """Audits a .tflite file; see `audit_graph`.

    Raises:
        UserInputError: the file cannot be read, is no .tflite, or is damaged.
    """
    return audit_graph(read_graph(path), str(path), recipe, summary)


def _types(tensors: Any) -> str:
    return " ".join(tensor.dtype for tensor in tensors)


def _facts(graph: Graph, found: Features, recipe: Recipe | None) -> dict[str, Any]:
    inputs, outputs = model_io(graph)
    kinds = sorted({kind for kind in found.arithmetic if kind not in ("convert", "index")})
    return {
        "size_bytes": graph.size_bytes,
        "nodes": len(graph.nodes),
        "subgraphs": graph.subgraph_count,
        "arithmetic": " + ".join(kinds) or "none",
        "promised": recipe.promised_arithmetic if recipe else None,
        "integer_model": is_integer_model(graph),
        "inputs": [f"{io.dtype}{list(io.shape)}" for io in inputs],
        "outputs": [f"{io.dtype}{list(io.shape)}" for io in outputs],
        "output_lsb": list(output_lsb(graph)),
        "features": sorted(found.flags),
        "op_versions": dict(sorted(found.op_versions.items())),
        "constant_bytes": sum(t.buffer_bytes for t in graph.tensors),
        **_detection(graph),
    }


def _detection(graph: Graph) -> dict[str, str]:
    """What a detector's last op does, by its options; nothing of other models."""
    node = post_process_node(graph)
    if node is None:
        return {}
    try:
        return {"detection": f"{POST_PROCESS}: {read_post_process(node).words}"}
    except UserInputError as error:
        return {"detection": str(error)}


def _tensor_row(graph: Graph, tensor: Tensor) -> TensorRow:
    return TensorRow(
        tensor=tensor.index,
        name=tensor.name,
        role=tensor_role(graph, tensor),
        dtype=tensor.dtype,
        bits=tensor.bits,
        shape=list(tensor.shape_signature or tensor.shape),
        granularity=(f"per-channel ({len(tensor.scales)})" if tensor.per_channel else "per-tensor")
        if tensor.is_quantized
        else "-",
        scale=_span(tensor.scales) if tensor.is_quantized else "",
        zero_point=_span(tensor.zero_points) if tensor.is_quantized else "",
        size_bytes=tensor.buffer_bytes,
    )


def tensor_role(graph: Graph, tensor: Tensor) -> str:
    """`input`, `output`, `weights`, `bias`, `constant` (axes, shapes and the like) or `activation`."""
    if tensor.index in graph.inputs:
        return "input"
    if tensor.index in graph.outputs:
        return "output"
    if not tensor.is_constant:
        return "activation"
    for node in graph.consumers.get(tensor.index, ()):
        weights = weights_of(graph, node)
        if weights is not None and weights.index == tensor.index:
            return "weights"
        # A smaller constant that DEQUANTIZE widens for a float kernel is that kernel's weights.
        if node.op == "DEQUANTIZE" and tensor.dtype != "float32":
            return "weights"
        if weights is not None and tensor.dtype in ("float32", "int32", "int64") and len(tensor.shape) <= 1:
            return "bias"
    return "constant"


def _span(values: tuple[float, ...]) -> str:
    """One value, or the lowest and highest of several."""
    low, high = min(values), max(values)
    text = (lambda v: str(v)) if isinstance(low, int) else (lambda v: f"{v:.5g}")
    return text(low) if low == high else f"{text(low)} .. {text(high)}"
