"""What a reader of a quantization-aware model should know: traps in which training is not what it seems."""

from __future__ import annotations

from typing import Any

from harness.core.finding import Finding
from harness.variants.audit.summary import is_symmetric, kernel_range_shape, range_values
from harness.variants.recipe import Recipe

#: classes of layers that own weights worth quantizing
_WEIGHTED = ("Conv2D", "DepthwiseConv2D", "Dense", "Conv1D", "SeparableConv2D", "Conv2DTranspose")
_ACTIVATIONS = ("Activation", "ReLU", "LeakyReLU", "Softmax")


def qat_findings(summary: dict[str, Any], recipe: Recipe | None) -> list[Finding]:
    """Every finding about a model summary, in the order of its layers.

    Args:
        summary: from `harness.variants.qat.summary.describe`.
        recipe: what was asked; None compares the quantizers' own settings with what came of them.
    """
    layers = summary["layers"]
    if not summary["totals"]["added_params"]:
        asked_qat = recipe is not None and recipe.training.base == "qat" and recipe.training.simulated is None
        return [
            Finding(
                code="not-quantization-aware",
                severity="error" if asked_qat else "info",
                where="model",
                what="no layer carries a quantization wrapper: this is a plain float model",
                fix="train it with a qat recipe" if asked_qat else "",
            )
        ]
    findings = _separate_activation(summary) + _around(layers, recipe)
    if summary.get("without_values"):
        findings.append(
            Finding(
                code="no-recorded-values",
                severity="info",
                where="model",
                what="layers and shapes are from the file's description; its recorded ranges cannot be read: TFMOT does not load "
                "back the .keras files with quantize wrappers that it writes",
                fix="save the model as .h5 to see its ranges",
            )
        )
    # A mixed recipe takes the trained weights, and its ranges from calibration.
    takes_ranges = recipe is None or recipe.conversion.mix is None
    findings += [f for f in _unquantized_inputs(layers) if takes_ranges or f.code != "input-without-range"]
    for layer in layers:
        if layer["weight_quantizer"] is not None:
            findings += _asked_against_got(layer, recipe)
        findings += _diverged(layer)
    return findings + (_unsettled(layers) if takes_ranges else [])


def _around(layers: list[dict[str, Any]], recipe: Recipe | None) -> list[Finding]:
    """Layers that a training of the whole model left in float, because TFMOT has no scheme for them."""
    if recipe is None or recipe.training.base != "qat" or recipe.training.scope != "model":
        return []
    left = [layer for layer in layers if not layer["wrapped"] and layer["class"] not in ("InputLayer", "QuantizeLayer")]
    if not left:
        return []
    named = ", ".join(f"{layer['name']} ({layer['class']})" for layer in left)
    one = len(left) == 1
    return [
        Finding(
            code="annotated-around",
            severity="warning",
            where=", ".join(layer["name"] for layer in left),
            what=f"{'this layer trains' if one else f'these {len(left)} layers train'} in float, because TFMOT cannot train "
            f"{'it' if one else 'them'} with quantization: {named}; the other layers train with it",
            fix="nothing, if the score is good enough: a conversion that calibrates quantizes them after training",
        )
    ]


def _separate_activation(summary: dict[str, Any]) -> list[Finding]:
    """Wrapped layers whose weights train in plain float."""
    layers = summary["layers"]
    names = set(summary["totals"]["layers_without_weight_quantizer"])
    trapped: list[str] = []
    others: list[str] = []
    for position, layer in enumerate(layers):
        if layer["name"] in names:
            following = layers[position + 1]["class"] if position + 1 < len(layers) else None
            trap = following in _ACTIVATIONS and layer["quantize_config"] == "NoOpQuantizeConfig"
            (trapped if trap else others).append(layer["name"])
    findings = []
    if trapped:
        findings.append(
            Finding(
                code="no-weight-quantizer",
                severity="error",
                where=", ".join(trapped),
                what=f"{_layers_are(trapped)} wrapped but without a weight quantizer, because TFMOT's 8-bit scheme swaps in "
                "NoOpQuantizeConfig before a separate activation layer: these weights train as if they were not quantized, and "
                "the converter quantizes them afterwards",
                fix="put the activation inside the layer (activation='relu'), or name a quantizer (qat-q[last,per-channel])",
            )
        )
    if others:
        findings.append(
            Finding(
                code="no-weight-quantizer",
                severity="error",
                where=", ".join(others),
                what=f"{_layers_are(others)} wrapped but without a weight quantizer: these weights train as if they were not "
                "quantized, and the converter quantizes them afterwards",
                fix="give the layer a QuantizeConfig that returns its weights",
            )
        )
    return findings


def _layers_are(names: list[str]) -> str:
    return f"{len(names)} layers are" if len(names) > 1 else "this layer is"


def _unquantized_inputs(layers: list[dict[str, Any]]) -> list[Finding]:
    """Layers with quantized weights that are fed by a value without a range: they cannot become integer ops by themselves."""
    findings = []
    ranged = False
    for layer in layers:
        has_range = layer["output_quantizer"] is not None or layer["activation_quantizer"] is not None
        if layer["weight_quantizer"] is not None and not ranged:
            findings.append(
                Finding(
                    code="input-without-range",
                    severity="warning",
                    where=layer["name"],
                    what=f"the input of {layer['name']} ({layer['class']}) carries no quantizer: Optimize.DEFAULT alone leaves "
                    "this layer in float, weights included",
                    fix="convert with a representative dataset (an int8 conversion), or train the whole model",
                )
            )
        if has_range:
            ranged = True
        elif layer["class"] in _WEIGHTED and not layer["wrapped"]:
            ranged = False
        if layer["class"] in _WEIGHTED and not layer["wrapped"]:
            findings.append(
                Finding(
                    code="layer-not-annotated",
                    severity="info",
                    where=layer["name"],
                    what=f"{layer['name']} ({layer['class']}) is not wrapped: it trains in float and has no recorded range",
                )
            )
    return findings


def _asked_against_got(layer: dict[str, Any], recipe: Recipe | None) -> list[Finding]:
    """Per-axis, symmetry and bits: what was asked against what the range variables are."""
    quantizer = layer["weight_quantizer"]
    asked = recipe.training.quantizer if recipe else None
    if layer["class"] not in ("Conv2D", "Dense"):
        asked = None  # a named quantizer applies to these two; the rest keeps the scheme's own
    per_channel = asked.per_channel if asked else quantizer.get("per_axis")
    symmetric = asked.symmetric if asked else quantizer.get("symmetric")
    bits = asked.weight_bits if asked else quantizer.get("num_bits")
    findings = []
    shape = kernel_range_shape(layer)
    if per_channel and shape == [] and not quantizer.get("per_axis"):
        findings.append(
            Finding(
                code="per-channel-not-applied",
                severity="info",
                where=layer["name"],
                what=f"the recipe asks for one range per channel, and this {layer['class']} layer was given a per-tensor "
                "quantizer",
            )
        )
    elif per_channel and shape == []:
        findings.append(
            Finding(
                code="per-axis-ignored",
                severity="error",
                where=layer["name"],
                what=f"{quantizer['class']} was asked for one range per channel and kernel_min has shape []: it ignores "
                "per_axis without a word",
                fix="use a quantizer that keeps one range per channel: qat-q[last,per-channel] or qat-q[allvalues-pc]",
            )
        )
    elif per_channel is False and shape:
        findings.append(
            Finding(
                code="per-tensor-ignored",
                severity="warning",
                where=layer["name"],
                what=f"one range for the whole kernel was asked for, and kernel_min has shape {shape}",
            )
        )
    low, high = range_values(layer, "kernel")
    if low and high and symmetric and not is_symmetric(low, high):
        findings.append(
            Finding(
                code="asymmetric-range",
                severity="error",
                where=layer["name"],
                what="symmetric weights were asked for, and the recorded range is not centred on 0",
                fix="the converter stores a weight zero point other than 0, which integer CONV_2D refuses",
            )
        )
    if symmetric is False:
        findings.append(
            Finding(
                code="asymmetric-weights-asked",
                severity="warning",
                where=layer["name"],
                what="asymmetric weights were asked for: TFLite's specification wants a weight zero point of 0, so whether the "
                "result loads depends on the extremes of the trained weights",
                fix="leave out `asymmetric`",
            )
        )
    if bits and quantizer.get("num_bits") and bits != quantizer["num_bits"]:
        findings.append(
            Finding(
                code="other-bits",
                severity="error",
                where=layer["name"],
                what=f"{bits}-bit weights were asked for, and the quantizer has {quantizer['num_bits']}",
            )
        )
    elif bits and bits < 8:
        findings.append(
            Finding(
                code="fewer-bits",
                severity="info",
                where=layer["name"],
                what=f"trains with {bits}-bit weights; the converter may store them as int8 all the same, with the accuracy of "
                f"{bits} bits at the size of 8: see weight-bits among the findings of the .tflite",
            )
        )
    return findings


def _unsettled(layers: list[dict[str, Any]]) -> list[Finding]:
    """Ranges behind a ReLU that reach far below 0 still carry their start value."""
    found: list[tuple[str, float, float]] = []
    for layer in layers:
        relu = layer["class"] == "ReLU" or layer["activation"] in ("relu", "relu6")
        low, high = range_values(layer, "post_activation")
        if not (low and high):
            low, high = range_values(layer, "output")
        if relu and low and high and low[0] < -0.1 * (high[0] - low[0]):
            found.append((layer["name"], low[0], high[0]))
    if not found:
        return []
    _, low_end, high_end = found[0]
    return [
        Finding(
            code="activation-range-unsettled",
            severity="warning",
            where=", ".join(name for name, _, _ in found),
            what=f"the recorded range {'of each ' if len(found) > 1 else ''}(such as {low_end:.4g} .. {high_end:.4g}) lies "
            "behind a ReLU, which gives nothing below 0: the moving average starts at -6..6 and forgets it by 0.1 % a step, so "
            "that few steps leave it there, and about half of the integers are never used",
            fix="fine-tune for thousands of steps, or take the ranges from calibration (a float-trained int8 recipe)",
        )
    ]


def _diverged(layer: dict[str, Any]) -> list[Finding]:
    for variable in layer["variables"]:
        value = variable.get("value", 0.0)
        if value is None or (isinstance(value, list) and None in value):
            return [
                Finding(
                    code="range-not-a-number",
                    severity="error",
                    where=layer["name"],
                    what=f"{variable['name']} is not a finite number: the training diverged",
                    fix="lower the learning rate",
                )
            ]
    return []
