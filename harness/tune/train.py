"""Trainings that a search tries: QAT of the layers that lose most, on the best common settings, with its control beside it."""

from __future__ import annotations

from harness.tune.explore import Exploration
from harness.variants.mix import can_name
from harness.variants.recipe import parse_recipe

#: so many layers are trained at most
_MOST_LAYERS = 3
#: the Keras layers whose weights QAT can quantize
_TRAINABLE = ("Conv2D", "DepthwiseConv2D", "Dense", "Conv2DTranspose")


def qat_recipes(exploration: Exploration) -> list[str]:
    """The recipe that trains the worst layers, and `ft-...` that trains as long without quantization; empty where none can be."""
    classes = exploration.classes
    worst = [unit.layer for unit, gain in exploration.units if gain > 0]
    named = [layer for layer in worst if classes.get(layer) in _TRAINABLE and can_name(layer)][:_MOST_LAYERS]
    if not named or exploration.common is None:
        return []
    text = exploration.common.removeprefix("mixed[").removesuffix("]")
    trained = parse_recipe(f"mixed[{text},qat={'+'.join(named)}]").name
    return [trained, parse_recipe(f"ft-mixed[{text}]").name]
