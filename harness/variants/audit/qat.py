"""The audit of a Keras model: what quantization-aware training added, line by line, and whether it is what was asked."""

from __future__ import annotations

import re
from typing import Any

from harness.core.errors import UserInputError
from harness.variants.audit.qat_findings import qat_findings
from harness.variants.audit.report import AuditReport, LayerRow, sorted_findings
from harness.variants.audit.summary import is_symmetric, kernel_range_shape, range_values, short_name
from harness.variants.recipe import Quantizer, Recipe

#: last part of a variable's name -> what it is for
PURPOSES = {
    "optimizer_step": "step counter that every wrapper carries; no quantizer of the 8-bit scheme reads it, the converter "
    "drops it",
    "kernel_min": "lower end of the weight range; weights are rounded to its grid in training, and it becomes their scale",
    "kernel_max": "upper end of the weight range, the other half of the same scale",
    "output_min": "lower end of the layer's output range (moving average); becomes the output's scale and zero point",
    "output_max": "upper end of the layer's output range, the other half of the same scale and zero point",
    "post_activation_min": "lower end of the range behind the layer's own activation; becomes the output's scale and zero "
    "point",
    "post_activation_max": "upper end of the range behind the layer's own activation, the other half of the same scale",
    "pre_activation_min": "lower end of the range in front of the layer's own activation, whose output scale the "
    "specification fixes (sigmoid, tanh)",
    "pre_activation_max": "upper end of the range in front of the layer's own activation",
    "input_min": "lower end of the model's input range; becomes the input's scale and zero point",
    "input_max": "upper end of the model's input range, the other half of the same scale and zero point",
}


def audit_qat(model: Any, recipe: Recipe | None = None, target: str = "model") -> AuditReport:
    """Audits a Keras model, quantization-aware or plain.

    Args:
        model: what `harness.variants.qat.summary.describe` returned, or a tf_keras model to describe now.
        recipe: what it was trained by; its quantizer is what was asked for. None takes the quantizers' own settings.
        target: what to call it in the report.

    Raises:
        UserInputError: `model` is a dict, but no such summary.
    """
    summary = model if isinstance(model, dict) else _describe(model)
    if not isinstance(summary.get("layers"), list) or "totals" not in summary:
        raise UserInputError("this is no summary of a trained model", where=target, hint="build the recipe again")
    totals = summary["totals"]
    rows: list[LayerRow] = []
    running = 0
    for layer in summary["layers"]:
        running += layer["params"]
        rows.append(_layer_row(layer, running, recipe.training.quantizer if recipe else None))
    return AuditReport(
        target=target,
        kind="keras",
        recipe=recipe.name if recipe else None,
        layers=rows,
        facts={
            "quantization_aware": is_quantization_aware(summary),
            "float_params": totals["float_params"],
            "added_params": totals["added_params"],
            "params": totals["params"],
            "added_by_role": dict(totals["added_by_role"]),
            "wrapped_layers": totals["wrapped_layers"],
            "layers_without_weight_quantizer": list(totals["layers_without_weight_quantizer"]),
            "explanation": explain_totals(summary),
        },
        findings=sorted_findings(qat_findings(summary, recipe)),
    )


def _describe(model: Any) -> dict[str, Any]:
    from harness.variants.qat.summary import describe

    return describe(model)


def is_quantization_aware(summary: dict[str, Any]) -> bool:
    return summary["totals"]["added_params"] > 0


def explain_totals(summary: dict[str, Any]) -> str:
    """One sentence that adds the numbers up: `7,101 + 14 optimizer_step + 2 ... = 7,131`."""
    totals = summary["totals"]
    parts = [f"{totals['float_params']:,} float"]
    merged: dict[str, int] = {}
    for role, count in totals["added_by_role"].items():
        stem = re.sub(r"^quantize_layer_\d+", "quantize_layer", role.removesuffix("_min").removesuffix("_max"))
        name = f"{stem}_min/max" if stem != role else role
        merged[name] = merged.get(name, 0) + count
    parts += [f"{count} {name}" for name, count in sorted(merged.items(), key=lambda item: -item[1])]
    return f"{' + '.join(parts)} = {totals['params']:,} parameters"


def _layer_row(layer: dict[str, Any], running: int, asked: Quantizer | None) -> LayerRow:
    added = [
        {
            "variable": short_name(v["name"]),
            "count": v["count"],
            "shape": v["shape"],
            "purpose": PURPOSES.get(_purpose_key(layer, v)) or v["role"],
        }
        for v in layer["variables"]
        if v["added"]
    ]
    quantizer = layer["weight_quantizer"]
    return LayerRow(
        name=layer["name"],
        layer_class=layer["class"],
        wrapped=layer["wrapped"],
        quantize_config=layer["quantize_config"],
        float_params=layer["float_params"],
        added_params=layer["added_params"],
        params=layer["params"],
        running_params=running,
        weight_quantizer=quantizer_text(quantizer),
        added=added,
        has_kernel=any(short_name(v["name"]).endswith("kernel") for v in layer["variables"] if not v["added"]),
        output_range=_output_range(layer),
        asked=_asked_text(quantizer, asked) if quantizer else "",
        got=got_text(layer) if quantizer else "",
    )


def _purpose_key(layer: dict[str, Any], variable: dict[str, Any]) -> str:
    short = short_name(variable["name"])
    if layer["class"] == "QuantizeLayer" and short.endswith(("_min", "_max")):
        return f"input{short[-4:]}"
    return short.replace("depthwise_kernel", "kernel")


def quantizer_text(quantizer: dict[str, Any] | None) -> str:
    """A quantizer and its settings in a few words; "" for none."""
    if quantizer is None:
        return ""
    words = [quantizer["class"]]
    if quantizer.get("num_bits"):
        words.append(f"{quantizer['num_bits']} bits")
    for key, yes, no in (
        ("per_axis", "per-axis", "per-tensor"),
        ("symmetric", "symmetric", "asymmetric"),
        ("narrow_range", "narrow", "full"),
    ):
        if quantizer.get(key) is not None:
            words.append(yes if quantizer[key] else no)
    return " ".join(words)


def _asked_text(quantizer: dict[str, Any], asked: Quantizer | None) -> str:
    """What the recipe asks for, or else what the quantizer was told."""
    if asked is not None:
        return (
            f"{'per-channel' if asked.per_channel else 'per-tensor'}, {'symmetric' if asked.symmetric else 'asymmetric'}, "
            f"{asked.weight_bits} bits"
        )
    words = []
    if quantizer.get("per_axis") is not None:
        words.append("per-channel" if quantizer["per_axis"] else "per-tensor")
    if quantizer.get("symmetric") is not None:
        words.append("symmetric" if quantizer["symmetric"] else "asymmetric")
    if quantizer.get("num_bits"):
        words.append(f"{quantizer['num_bits']} bits")
    return ", ".join(words)


def got_text(layer: dict[str, Any]) -> str:
    """What the range variables show: their shape tells per-channel, their values symmetry."""
    low, high = range_values(layer, "kernel")
    shape = kernel_range_shape(layer)
    words = []
    if shape is not None:
        words.append(f"per-channel, kernel_min {shape}" if shape else "per-tensor, kernel_min []")
    if low and high:
        words.append("symmetric" if is_symmetric(low, high) else "asymmetric")
    bits = layer["weight_quantizer"].get("num_bits")
    return ", ".join([*words, *([f"{bits} bits"] if bits else [])])


def _output_range(layer: dict[str, Any]) -> str:
    for kind in ("output", "post_activation", "pre_activation", layer["name"]):
        low, high = range_values(layer, kind)
        if low and high:
            return f"{low[0]:.4g} .. {high[0]:.4g}"
    return ""
