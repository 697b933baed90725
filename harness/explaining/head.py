"""The head of an explanation: how each part was got, one sentence per part, and what was left out and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.explain.document import Explanation, Layer
from harness.explaining.host import HostFound
from harness.explaining.probe import INSIDE_SAMPLES, Found
from harness.explaining.target import Target
from harness.reports.values import duration_text


def head_of(
    target: Target, e: Explanation, found: Found, host: HostFound | None, problems: Sequence[str]
) -> Iterator[str]:
    """One sentence per part, and what was left out."""
    if found.alone:
        yield (
            f"Ops: each was cut out and run alone on {e.device}, backend {e.backend}, on {e.op_samples} samples with the inputs "
            "that it has in the model, and held against its float twin before rounding: a right kernel is within 1 step."
        )
    if found.inside:
        changed = "changes its outputs" if found.whole_changed else "does not change its outputs"
        yield (
            f"Inside: the whole model ran there with its inner tensors as outputs ({min(INSIDE_SAMPLES, e.op_samples)} samples; "
            f"that {changed}), and each op was held against what the device itself had given it."
        )
    if host is not None and host.error_samples:
        data = target.model.dataset_name
        yield f"Error: on this machine, {host.error_samples} samples of {data}, against {host.compared_with}."
    if host is not None and host.loss_samples:
        how = "the same samples in pairs, 95 % intervals for each layer by itself"
        if e.score is None:
            how = "what is left of the outputs' squared error (no labels, so no score)"
        yield (
            f"Loss: on this machine, not on the device: {host.loss_samples} samples, one layer at a time back in float, {how}."
        )
    between = any(layer.cost is not None and layer.cost.method == "counter" for layer in e.layers)
    if e.cost_unit == "ns" and not between:
        ops = sum(layer.cost.value for layer in e.layers if layer.cost is not None)
        whole = f"; so the whole model takes {duration_text(e.whole_cost)}, and its ops together {duration_text(ops)}"
        yield (
            f"Cost: each op as a model of its own on the device, median of single inferences, time basis {e.cost_basis}"
            f"{whole if e.whole_cost is not None and ops else ''}."
        )
    elif e.cost_unit is not None:
        how = (
            "of models that end one node after the other, as differences; the first has what an inference costs besides"
        )
        yield f"Cost: {e.cost_unit} {'read between the nodes of the whole model, on the first sample' if between else how}."
    yield from _not_asked(e)
    yield from (
        f"Left out: {text.rstrip('. ')}."
        for text in dict.fromkeys((*problems, *found.problems, *(host.problems if host else ())))
    )


def _not_asked(e: Explanation) -> Iterator[str]:
    """The ops that the device could not be asked alone, by the reason."""
    reasons: dict[str, list[Layer]] = {}
    for layer in e.layers:
        if layer.alone is not None and layer.alone.kind is None:
            reasons.setdefault(layer.alone.reason or "no reason is known", []).append(layer)
    for reason, layers in reasons.items():
        more = f" and {len(layers) - 1} more ops" if len(layers) > 1 else ""
        yield f"Left out: {layers[0].title}{more}: {reason.rstrip('. ')}."
