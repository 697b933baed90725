"""The audit of a `mixed[...]` recipe: what every layer truly got, read from the file, against what the recipe asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.errors import UnsupportedError
from harness.core.finding import Finding
from harness.tflite.arithmetic import WEIGHTED_OPS, is_integer, node_arithmetic, weights_of
from harness.tflite.graph import Graph
from harness.variants.audit.theory import CARRYING_OPS
from harness.variants.convert.layers import LayerOp, OpChoice, layer_ops, resolve
from harness.variants.recipe import Recipe

#: what a kind is, for a sentence
_WORDS = {
    "int8": "int8",
    "int16": "int16 activations",
    "w8": "float arithmetic from int8 weights",
    "float": "float",
    "hybrid": "float activations, integer weights",
}


@dataclass(frozen=True, kw_only=True)
class GotOp:
    """An op of a quantized model.

    Attributes:
        kind: one of `harness.variants.mix.KINDS`, or `hybrid`; None of an op that computes shapes and indices only.
        granularity: `per-channel` or `per-tensor` of integer weights with more than one channel; "" of all others.
    """

    op: LayerOp
    kind: str | None
    granularity: str

    @property
    def text(self) -> str:
        return _WORDS[self.kind or "float"] + (f", {self.granularity} weights" if self.granularity else "")


def got_ops(graph: Graph, layers: Sequence[str]) -> list[GotOp]:
    """What each op of a quantized model computes in, in the order of the float model.

    Args:
        layers: the names of the Keras model's layers, in its order.
    """
    return [GotOp(op=op, kind=_kind(graph, op), granularity=_granularity(graph, op)) for op in layer_ops(graph, layers)]


def _kind(graph: Graph, op: LayerOp) -> str | None:
    arithmetic = node_arithmetic(graph, op.node)
    if arithmetic in ("convert", "index"):
        return None
    if arithmetic != "integer":
        return {"float": "float", "weight-only": "w8"}.get(arithmetic, "hybrid")
    flowing = [t for t in (*graph.node_outputs(op.node), *graph.node_inputs(op.node)) if not t.is_constant]
    return next((t.dtype for t in flowing if is_integer(t)), None)


def _granularity(graph: Graph, op: LayerOp) -> str:
    weights = weights_of(graph, op.node)
    if weights is None:
        return ""
    if not weights.is_constant:  # widened by DEQUANTIZE in front of a float kernel
        producer = graph.producers.get(weights.index)
        source = None if producer is None or producer.op != "DEQUANTIZE" else graph.input_at(producer, 0)
        weights = source or weights
    if not weights.is_constant or not is_integer(weights):
        return ""
    return "per-channel" if weights.per_channel else "per-tensor"


def layer_names_of(summary: dict[str, Any] | None) -> list[str]:
    """The names of the float model's layers from a training's summary, whatever the training put around them."""
    names = []
    for layer in (summary or {}).get("layers", []):
        name = str(layer["name"]).split("/")[-1]
        names.append(name.removeprefix("quant_") if layer["wrapped"] else name)
    return names


def mixed_findings(graph: Graph, recipe: Recipe, summary: dict[str, Any] | None) -> list[Finding]:
    """What every layer got, and each layer that did not get what was asked for it."""
    mix = recipe.conversion.mix
    if mix is None:
        return []
    got = got_ops(graph, layer_names_of(summary))
    computing = [one for one in got if one.kind is not None and one.op.node.op not in CARRYING_OPS]
    findings = [
        Finding(code="mixed-layers", severity="info", where="model", what=_grouped(computing)),
    ]
    try:
        choices = resolve(mix, [one.op for one in got])
    except UnsupportedError:
        return findings  # without the training's summary nobody knows the layers' names
    for one, choice in zip(got, choices, strict=True):
        found = _against(one, choice) if one in computing else None
        if found is not None:
            findings.append(found)
    return findings


def _grouped(ops: Sequence[GotOp]) -> str:
    """`int8, per-channel weights: conv2d, dense; float: softmax`."""
    groups: dict[str, list[str]] = {}
    for one in ops:
        groups.setdefault(one.text, []).append(one.op.name)
    return "; ".join(f"{text}: {', '.join(dict.fromkeys(names))}" for text, names in groups.items())


def _against(one: GotOp, choice: OpChoice) -> Finding | None:
    """The finding of an op that is not what was asked."""
    asked = "float" if choice.kind == "w8" and one.op.node.op not in WEIGHTED_OPS else choice.kind
    if one.kind == asked:
        wanted = "per-tensor" if choice.per_tensor else "per-channel"
        if not one.granularity or one.granularity == wanted or _is_one_channel(one, wanted):
            return None
        what = f"{one.op.name} ({one.op.node.op}): {wanted} weights were asked for, and these are {one.granularity}"
    else:
        what = (
            f"{one.op.name} ({one.op.node.op}) was to be {_WORDS[asked]} and is {_WORDS[one.kind or 'float']}: the quantizer "
            "has no such form of this op"
        )
    return Finding(
        code="mixed-not-granted",
        severity="warning",
        where=f"{one.op.node.op} (node {one.op.node.index})",
        what=what,
        fix="leave it as it is, which costs this layer and no other, or name another kind for it",
    )


def _is_one_channel(one: GotOp, wanted: str) -> bool:
    """Weights of one output channel have one scale either way."""
    return wanted == "per-channel" and one.granularity == "per-tensor"


def note_findings(notes: dict[str, Any] | None) -> list[Finding]:
    """What the file itself cannot tell of how it came about.

    Args:
        notes: of `harness.variants.convert.mixed.MixedModel`, as the manifest keeps them; None of all other recipes.
    """
    if notes is None:
        return []
    findings = []
    if notes.get("samples"):
        what = f"the ranges of {notes['ranges']} tensors were taken from {notes['samples']:,} calibration samples"
        findings.append(Finding(code="mixed-calibrated", severity="info", where="model", what=what))
    evened = notes.get("equalised")
    if evened is not None:
        findings.append(_equalised(evened["pairs"], evened["most"]))
    return findings


def _equalised(pairs: Sequence[Sequence[str]], most: float) -> Finding:
    if pairs:
        named = ", ".join(f"{first} -> {second}" for first, second in pairs)
        what = f"the weights of {len(pairs)} pairs of layers were equalised, by up to a factor of {most:.3g}: {named}"
        return Finding(code="mixed-equalised", severity="info", where="model", what=what)
    return Finding(
        code="mixed-equalised",
        severity="warning",
        where="model",
        what="no two layers could be equalised: that takes two with weights of which the first feeds the second alone, with "
        "nothing but ReLU, pooling, padding and reshaping between them",
        fix="leave `equalise` out: this is the same model",
    )
