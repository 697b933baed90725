"""A `mixed[...]` recipe for a model of which few layers lose most of the score: those in int16 or float, the rest as it was."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.core.errors import UserInputError
from harness.explain.cause import CauseName
from harness.explain.document import Explanation, Layer
from harness.variants.mix import LayerKind, Mix, mix_of
from harness.variants.recipe import Recipe, parse_recipe

#: more layers than this are no few
_FEW = 3
#: the share of what is lost that they have to give back, each alone back in float
_MOST = 0.5
#: what chance explains, of all layers that were tried
_ALPHA = 0.05
#: error that is left with one layer in float, below which that layer makes most of it
_ERROR_LEFT = 0.5
#: causes that 16-bit activations do not help
_KINDS = {"int16": "int16", "w8": "computed in float, from int8 weights", "float": "float"}
_OF_WEIGHTS = ("weights", "few-weight-bits", "per-tensor-weights")


@dataclass(frozen=True, kw_only=True)
class MixedRecipe:
    """A recipe with the reason for it, in words."""

    recipe: str
    why: str


def mixed_recipes(
    e: Explanation,
    recipe: str,
    cause: CauseName,
    units: Mapping[str, Sequence[str]],
    refused: Collection[LayerKind] = (),
) -> list[MixedRecipe]:
    """What to run where few layers lose most, the smaller file first; empty where many do, or where their names are not known.

    Args:
        recipe: the one that was explained.
        cause: of the worst layer's own error.
        units: layer -> what leaves int8 with it, itself included; all by the names that recipes have for them.
        refused: kinds of layers that the device has no kernel for.
    """
    losing = losing_layers(e)
    try:
        asked = parse_recipe(recipe)
    except UserInputError:
        return []
    mix = _mix(asked)
    if not losing or mix is None or any(layer.called is None for layer in losing):
        return []
    layers = list(dict.fromkeys(layer.called for layer in losing if layer.called is not None))
    kinds: list[LayerKind] = ["int16", "w8"] if mix.base == "int8" else ["float"]
    names = list(dict.fromkeys(name for layer in layers for name in units.get(layer, (layer,))))
    if cause in _OF_WEIGHTS:  # what the layer writes may stay as it is
        kinds, names = ["float"], layers
    found = []
    for kind in (kind for kind in kinds if kind not in refused):
        changed = mix_of(mix, {**dict(mix.layers), **dict.fromkeys(names, kind)})
        found.append(MixedRecipe(recipe=_named(asked, changed), why=_why(e, losing, len(names) - len(layers), kind)))
    return found


def calibrated_again(recipe: str) -> MixedRecipe | None:
    """Trained weights with ranges from calibration, where training left its own; None for every other recipe."""
    try:
        asked = parse_recipe(recipe)
    except UserInputError:
        return None
    mix = _mix(asked)
    if asked.training.base != "qat" or asked.conversion.mix is not None or mix is None or mix.base != "int8":
        return None
    why = "the trained weights, and ranges from calibration: those of a short training hardly move from their start"
    return MixedRecipe(recipe=_named(asked, mix), why=why)


def losing_layers(e: Explanation) -> list[Layer]:
    """The few layers that lose most, the worst first: by the score, or by the outputs' error where there is none."""
    tried = [layer for layer in e.layers if layer.loss is not None]
    if e.score is None or e.float_score is None:
        alone = [x for x in tried if x.loss and x.loss.error_left is not None and x.loss.error_left < _ERROR_LEFT]
        return sorted(alone, key=lambda x: x.loss.error_left or 0.0 if x.loss else 0.0)[:1]
    lost = e.float_score - e.score
    better = [
        (abs(layer.loss.regained), layer)
        for layer in tried
        if layer.loss is not None
        and layer.loss.regained is not None
        and layer.loss.regained * lost > 0
        and (layer.loss.p is None or layer.loss.p * len(tried) < _ALPHA)
    ]
    better.sort(key=lambda one: -one[0])
    few = better[:_FEW]
    for count in range(1, len(few) + 1):
        if sum(regained for regained, _ in few[:count]) >= _MOST * abs(lost):
            return [layer for _, layer in few[:count]]
    return []


def _mix(recipe: Recipe) -> Mix | None:
    """The mix that makes of every layer what a recipe makes of it; None where there is none."""
    conversion = recipe.conversion
    if conversion.mix is not None:
        return conversion.mix
    if conversion.simulated is not None or recipe.dynamic_batch:
        return None
    if recipe.promised_arithmetic == "integer":
        base: LayerKind = "int16" if conversion.int16_activations else "int8"
        return Mix(base=base, per_tensor=not conversion.per_channel, float_io=conversion.io_type == "float32")
    return Mix(base="w8") if recipe.promised_arithmetic == "hybrid" else None


def _named(recipe: Recipe, mix: Mix) -> str:
    training = recipe.training
    if training.scope == "layers":
        name = f"mixed[{mix.text},qat={'+'.join(training.layers)}]"
    else:
        name = f"{training.name}-mixed[{mix.text}]"
    made = parse_recipe(name)
    return replace(made, calibration=recipe.calibration if made.conversion.representative else None).name


def _why(e: Explanation, losing: Sequence[Layer], readers: int, kind: LayerKind) -> str:
    if e.score is None or e.float_score is None:
        left = losing[0].loss.error_left if losing[0].loss is not None else None
        said = f"{losing[0].title} alone back in float leaves {left or 0:.0%} of the error"
    else:
        parts = [
            f"{x.title} {x.loss.regained:+.4f}" for x in losing if x.loss is not None and x.loss.regained is not None
        ]
        each = "each " if len(parts) > 1 else ""
        said = f"{each}alone back in float {' and '.join(parts)} of the {e.float_score - e.score:.4f} that are lost"
    it, them = ("this layer is", "it") if len(losing) == 1 else ("these layers are", "them")
    more = f", with what reads {them}" if readers else ""
    return f"{said}; only {it} {_KINDS[kind]}{more}"
