"""What a reader of a .tflite should know: promises not kept, weights that load by luck, ranges that waste integers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from harness.core.finding import Finding
from harness.tflite.arithmetic import is_integer, node_types, weights_of
from harness.tflite.features import Features, newest_runtimes, runtime_supports
from harness.tflite.graph import Graph, Node, Tensor, model_io
from harness.variants.audit.ranges import FAKE_QUANTIZED, FOLDED, RecordedRanges
from harness.variants.audit.report import TheoryRow
from harness.variants.audit.theory import CARRYING_OPS, integer_extremes
from harness.variants.recipe import Recipe

#: findings about one runtime, which their `where` names as records do: `tflite-runtime 2.14.0`
RUNTIME_CODES = frozenset({"runtime-refuses", "runtime-wrong"})
#: types of values that are counted and not measured
_COUNTING = frozenset({"int32", "int64", "uint32", "uint64", "bool", "string"})
#: a stored scale further than this from the computed one is not a matter of rounding
_ULP_LIMIT = 4.0
#: the converter leaves weights with fewer elements than this in float when it quantizes dynamically
_MIN_DYNAMIC_ELEMENTS = 1024


def tflite_findings(
    graph: Graph, found: Features, theory: list[TheoryRow], recipe: Recipe | None, summary: dict[str, Any] | None
) -> list[Finding]:
    """Every finding about a .tflite, in the order of the model.

    Args:
        graph, found: the model and its features.
        theory: its rows of recomputed scales.
        recipe: the promise to check; None skips what only a promise can break.
        summary: the training's summary, if there is one.
    """
    findings: list[Finding] = []
    if recipe is not None:
        findings += _promise(graph, found, recipe)
        findings += _io_types(graph, recipe)
        findings += _asked_weights(graph, recipe)
    findings += _asymmetric_weights(graph, recipe)
    findings += _runtimes(graph)
    findings += _dynamic(graph)
    findings += _unused_levels(graph)
    findings += _theory(theory)
    if recipe is None or recipe.conversion.mix is None:
        findings += _range_not_used(graph, theory, summary)
    findings += _relu_ranges(graph)
    if graph.subgraph_count > 1:
        findings.append(
            Finding(
                code="several-subgraphs",
                severity="info",
                where="model",
                what=f"the model has {graph.subgraph_count} subgraphs; tables and theory show the first, op versions all of them",
            )
        )
    if summary is None and recipe is not None and recipe.training.base == "qat":
        findings.append(
            Finding(
                code="no-training-summary",
                severity="info",
                where="model",
                what="the training's recorded ranges are not at hand, so learned scales could not be recomputed",
                fix="audit WORKLOAD:RECIPE instead of the file",
            )
        )
    return findings


def _names(graph: Graph, nodes: Iterable[Node]) -> str:
    return ", ".join(f"{node.op} (node {node.index})" for node in nodes)


def _promise(graph: Graph, found: Features, recipe: Recipe) -> list[Finding]:
    """Arithmetic against the recipe's promise."""
    by_kind: dict[str, list[Node]] = {}
    for node, kind in zip(graph.nodes, found.arithmetic, strict=True):
        by_kind.setdefault(kind, []).append(node)
    # An op that only moves values takes whatever type it is given: it is not the one to look at.
    by_kind = {name: [node for node in nodes if node.op not in CARRYING_OPS] for name, nodes in by_kind.items()}
    computing = sum(len(nodes) for name, nodes in by_kind.items() if name not in ("convert", "index"))
    loose = by_kind.get("float", []) + by_kind.get("weight-only", []) + by_kind.get("hybrid", [])
    promised = recipe.promised_arithmetic
    if promised == "integer" and loose:
        dense_only = recipe.training.scope == "dense" and not recipe.conversion.representative
        why = (
            "only the Dense layers were quantized in training, and a Dense layer's input carries no quantizer there: the "
            "converter knows no scale for it, keeps the kernel in float and the weights with it"
            if dense_only
            else "these ops lack the ranges of their inputs, or have no integer kernel"
        )
        fix = (
            "give the converter a representative dataset (an int8 conversion), or train the whole model quantization-aware"
            if dense_only
            else "convert with a representative dataset and integer kernels only"
        )
        return [
            Finding(
                code="float-ops",
                severity="error",
                where=_names(graph, loose),
                what=f"{len(loose)} of {computing} computing ops run in float although {recipe.name} promises integers: {why}",
                fix=fix,
            )
        ]
    if promised == "hybrid":
        return _hybrid_promise(graph, by_kind, recipe)
    if promised == "float" and (by_kind.get("integer") or by_kind.get("hybrid")):
        nodes = by_kind.get("integer", []) + by_kind.get("hybrid", [])
        return [
            Finding(
                code="integer-ops",
                severity="info",
                where=_names(graph, nodes),
                what=f"{len(nodes)} of {computing} computing ops run in integers although {recipe.name} promises float: "
                "the trained ranges decide, whatever the conversion asks",
            )
        ]
    return []


def _hybrid_promise(graph: Graph, by_kind: dict[str, list[Node]], recipe: Recipe) -> list[Finding]:
    findings = []
    small = [n for n in by_kind.get("float", []) if (w := weights_of(graph, n)) is not None and w.dtype == "float32"]
    if small:
        sizes = ", ".join(f"{n.op} {weights_of(graph, n).element_count}" for n in small)  # type: ignore[union-attr]
        dynamic = recipe.conversion.converter == "tflite"
        findings.append(
            Finding(
                code="float-weights",
                severity="info",
                where=_names(graph, small),
                what=f"weights stay float32 ({sizes} elements)"
                + (f": the converter leaves those under {_MIN_DYNAMIC_ELEMENTS} elements alone" if dynamic else ""),
            )
        )
    if not by_kind.get("hybrid") and by_kind.get("float"):
        findings.append(
            Finding(
                code="nothing-quantized",
                severity="warning",
                where="model",
                what=f"no op computes with integer weights although {recipe.name} promises dynamic-range quantization",
                fix="nothing in this model is large enough or of a kind that the converter quantizes; float32 is the same model",
            )
        )
    return findings


def _io_types(graph: Graph, recipe: Recipe) -> list[Finding]:
    """Input and output types against those the recipe asks of the converter."""
    if recipe.conversion.converter != "tflite":
        return []
    findings = []
    asked = recipe.conversion.io_type
    for side, tensors in zip(("input", "output"), model_io(graph), strict=True):
        for io in tensors:
            # Token numbers and class numbers are no quantized values: no converter option changes their type.
            if io.dtype != asked and io.dtype not in _COUNTING:
                findings.append(
                    Finding(
                        code="io-type",
                        severity="error",
                        where=f"{side} {io.name}",
                        what=f"the {side} is {io.dtype}, and {recipe.name} asks for {asked}",
                        fix="the converter sets these types only on integer models: see findings about float ops",
                    )
                )
    return findings


def _asked_weights(graph: Graph, recipe: Recipe) -> list[Finding]:
    """Bits and granularity of stored weights against what was asked."""
    findings = []
    quantizer = recipe.training.quantizer
    weights = [
        (n, w) for n in graph.nodes if (w := weights_of(graph, n)) is not None and w.is_constant and is_integer(w)
    ]
    wider = [(n, w) for n, w in weights if quantizer and (w.bits or 8) > quantizer.weight_bits]
    if quantizer and wider:
        levels = max(int(np.unique(w.data()).size) for _, w in wider)
        stored = ", ".join(sorted({w.dtype for _, w in wider}))
        findings.append(
            Finding(
                code="weight-bits",
                severity="warning",
                where=_names(graph, (n for n, _ in wider)),
                what=f"training used {quantizer.weight_bits}-bit weights, and these are stored as {stored} (with at most "
                f"{levels} different values in a tensor): nothing is saved",
                fix="the converter keeps the bits only where it can take the learned ranges over: train per-channel where a "
                "BatchNormalization is folded in, or use ptq-aeq-dyn4",
            )
        )
    if not recipe.conversion.per_channel:
        per_channel = [n for n, w in weights if w.per_channel]
        if per_channel:
            findings.append(
                Finding(
                    code="per-channel-weights",
                    severity="warning",
                    where=_names(graph, per_channel),
                    what=f"{recipe.name} asks for one scale per weight tensor, and these have one per channel",
                    fix="the training fixed per-channel ranges; use a float-trained recipe (ptq-int8-pt-io)",
                )
            )
    return findings


def _asymmetric_weights(graph: Graph, recipe: Recipe | None) -> list[Finding]:
    findings = []
    nodes = [n for n in graph.nodes if (t := node_types(graph, n)) and t.weight_zero_point and t.constant]
    if nodes:
        zeros = {z for n in nodes if (w := weights_of(graph, n)) for z in w.zero_points if z}
        findings.append(
            Finding(
                code="asymmetric-weights",
                severity="error" if any(n.op == "CONV_2D" for n in nodes) else "warning",
                where=_names(graph, nodes),
                what=f"weight zero points are not 0 ({', '.join(map(str, sorted(zeros)))}): integer CONV_2D refuses to load, "
                "integer FULLY_CONNECTED accepts them per-tensor, and other kernels leave them out and compute wrong values",
                fix="train with symmetric weights (the default)",
            )
        )
    asked = recipe.training.quantizer if recipe else None
    if asked and not asked.symmetric:
        lucky = [
            n
            for n in graph.nodes
            if n not in nodes
            and (w := weights_of(graph, n)) is not None
            and w.is_constant
            and is_integer(w)
            # Stored per-channel though trained per-tensor: measured anew, and then always symmetric.
            and w.per_channel == asked.per_channel
        ]
        if lucky:
            findings.append(
                Finding(
                    code="asymmetric-weights-by-luck",
                    severity="warning",
                    where=_names(graph, lucky),
                    what="the training asked for asymmetric weights and the zero points came out as 0 this time, so these load: "
                    "it depends on the extremes of the trained weights, and the next training may give another",
                    fix="train with symmetric weights (the default)",
                )
            )
    return findings


def _runtimes(graph: Graph) -> list[Finding]:
    """Runtimes that refuse the model or get it wrong."""
    findings = []
    for name, version in newest_runtimes():
        support = runtime_supports(name, version, graph, kernels="default")
        if support.loads is False:
            findings.append(
                Finding(
                    code="runtime-refuses",
                    severity="warning",
                    where=f"{name} {version}",
                    what=f"does not load there: {'; '.join(support.reasons[:3])}",
                    fix="avoid what is named (default-pt has per-tensor Dense weights, int8 symmetric 8-bit ones), or use a "
                    "runtime that takes it",
                )
            )
        elif support.right is False:
            findings.append(
                Finding(
                    code="runtime-wrong",
                    severity="error",
                    where=f"{name} {version}",
                    what=f"loads and computes wrong values there: {'; '.join(support.reasons[:3])}",
                    fix="use a newer runtime on the board, or per-tensor weights (default-pt)",
                )
            )
    return findings


def _dynamic(graph: Graph) -> list[Finding]:
    shape_ops = [n for n in graph.nodes if n.op in ("SHAPE", "STRIDED_SLICE", "PACK")]
    open_inputs = [graph.tensors[i] for i in graph.inputs if graph.tensors[i].is_dynamic]
    if not open_inputs:
        return []
    shapes = ", ".join(f"{t.name} {list(t.shape_signature or t.shape)}" for t in open_inputs)
    cost = f"; {len(shape_ops)} ops only compute shapes ({_names(graph, shape_ops)})" if shape_ops else ""
    return [
        Finding(
            code="dynamic-shapes",
            severity="warning" if shape_ops else "info",
            where=shapes,
            what=f"the input shape is open (-1){cost}; many delegates refuse graphs with dynamic shapes",
            fix="convert from a concrete function of batch 1 (a recipe without -dynbatch)",
        )
    ]


def _unused_levels(graph: Graph) -> list[Finding]:
    """Weight channels whose integers stay in the inner half: a bit or more of their resolution is lost."""
    findings = []
    for node in graph.nodes:
        weights = weights_of(graph, node)
        if weights is None or not weights.is_constant or not is_integer(weights) or weights.is_sparse:
            continue
        low, high = integer_extremes(weights)
        if weights.dtype == "uint8":
            low, high = low - np.asarray(weights.zero_points), high - np.asarray(weights.zero_points)
        q_max = 2 ** ((weights.bits or 8) - 1) - 1
        reach = np.maximum(np.abs(low), np.abs(high))
        used = reach > 0  # a channel of zeros loses nothing
        idle = used & (reach <= q_max // 2)
        if idle.any():
            lost_bits = int(np.floor(np.log2(q_max / reach[idle].min())))
            findings.append(
                Finding(
                    code="unused-levels",
                    severity="warning" if lost_bits >= 3 else "info",
                    where=f"{node.op} (node {node.index})",
                    what=f"{int(idle.sum())} of {idle.size} weight scales are more than twice as wide as their weights: up to "
                    f"{lost_bits} of {weights.bits} bits of resolution are not used",
                    fix="train for longer or with another quantizer: the recorded range is far from the weights'"
                    if lost_bits >= 3
                    else "",
                )
            )
    return findings


def _theory(theory: list[TheoryRow]) -> list[Finding]:
    findings = []
    for row in theory:
        # The zero point may be off by one where the exact quotient lies halfway between two integers.
        off = row.computed_zero_point is not None and abs(row.computed_zero_point - row.stored_zero_point) > 1
        if (row.ulp is not None and row.ulp > _ULP_LIMIT) or off:
            findings.append(
                Finding(
                    code="theory-disagrees",
                    severity="warning",
                    where=f"tensor {row.tensor} {row.name}",
                    what=f"the stored scale {row.stored_scale:.9g} (zero point {row.stored_zero_point}) is not the "
                    f"{row.computed_scale:.9g} ({row.computed_zero_point}) that follows from {row.source}",
                    fix="the converter used another range than the one recorded here",
                )
            )
    return findings


def _range_not_used(graph: Graph, theory: list[TheoryRow], summary: dict[str, Any] | None) -> list[Finding]:
    """Weights that were trained with one range and stored with another; none where no range was trained."""
    if summary is None:
        return []
    recorded = RecordedRanges(summary, graph)
    anew = [
        row
        for row in theory
        if row.role == "weights"
        and row.source.endswith((FAKE_QUANTIZED, f"{FOLDED})"))
        and recorded.learned_weights(graph.tensors[row.tensor]) is not None
    ]
    if not anew:
        return []
    return [
        Finding(
            code="learned-range-not-used",
            severity="info",
            where=", ".join(f"tensor {row.tensor}" for row in anew),
            what="the converter measured these weights anew instead of taking over the range they were trained with: it folded a "
            "scaling (such as a BatchNormalization) into them, or stores per-channel what was trained per-tensor",
        )
    ]


def _relu_ranges(graph: Graph) -> list[Finding]:
    """Outputs behind a ReLU whose integers reach far below 0: levels that no value ever takes."""
    wasted: list[tuple[Node, Tensor, float]] = []
    for node in graph.nodes:
        if node.options.get("fused_activation_function") not in ("RELU", "RELU6") and node.op not in ("RELU", "RELU6"):
            continue
        for tensor in graph.node_outputs(node):
            if is_integer(tensor) and tensor.dtype in ("int8", "uint8") and not tensor.per_channel:
                q_min = -128 if tensor.dtype == "int8" else 0
                share = (tensor.zero_points[0] - q_min) / 256
                if share > 0.1:
                    wasted.append((node, tensor, share))
    if not wasted:
        return []
    shares = sorted(share for _, _, share in wasted)
    span = f"{shares[0]:.0%}" if f"{shares[0]:.0%}" == f"{shares[-1]:.0%}" else f"{shares[0]:.0%} to {shares[-1]:.0%}"
    return [
        Finding(
            code="activation-range-unsettled",
            severity="warning",
            where=_names(graph, (node for node, _, _ in wasted)),
            what=f"{span} of the integers stand for negative values that no ReLU gives: in quantization-aware training the "
            "moving average of a range starts at -6..6 and forgets it by 0.1 % a step, so that few steps leave it there",
            fix="fine-tune for thousands of steps, or take the ranges from calibration (a float-trained int8 recipe)",
        )
    ]
