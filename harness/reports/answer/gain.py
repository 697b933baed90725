"""What quantization-aware training itself gained: each `qat-*` cell against its control, which had the same training without it.

A recipe of QAT trains on, and training on helps by itself. Only the control `ft-*`, the float model trained on with exactly
the steps that QAT gets and then quantized after training, tells the two apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.reports.answer.candidates import recipe_of
from harness.reports.answer.compare import Compared, compare_together
from harness.reports.answer.evidence import Evidence
from harness.results.record import CellRecord
from harness.variants.recipe import CONVERSIONS, Recipe


@dataclass(frozen=True, kw_only=True)
class QatGain:
    """A cell of QAT against its control on the same backend.

    Attributes:
        control: the control's cell; None where none ran well.
        tested: QAT's score against the control's; in words why it could not be compared.
        wanted: the control's recipe, for a sentence that says what to run.
    """

    record: CellRecord
    wanted: str
    control: CellRecord | None
    tested: Compared | str


def qat_gains(records: Sequence[CellRecord], evidence: Evidence) -> list[QatGain]:
    """The gain of every cell of QAT among some sound cells of one device; the comparisons are one family."""
    pairs = [
        (record, recipe, _control(record, recipe, records))
        for record in records
        if (recipe := recipe_of(record.key.recipe)) is not None
        and recipe.training.base == "qat"
        and recipe.conversion.name != "float32"
    ]
    sides = [_sides(record, control, evidence) for record, _, control in pairs]
    return [
        QatGain(record=record, wanted=_names(recipe)[0], control=control, tested=tested)
        for (record, recipe, control), tested in zip(pairs, compare_together(sides), strict=True)
    ]


def _sides(record: CellRecord, control: CellRecord | None, evidence: Evidence):
    if control is None:
        return "its control did not run, or did not run well"
    mine, theirs = evidence.answers(record), evidence.answers(control)
    return mine if isinstance(mine, str) else theirs if isinstance(theirs, str) else (mine, theirs)


def _control(record: CellRecord, recipe: Recipe, records: Sequence[CellRecord]) -> CellRecord | None:
    """The control's cell on the same backend, of the same seed."""
    key = record.key
    beside = {r.key.recipe: r for r in records if (r.key.backend, r.key.seed) == (key.backend, key.seed)}
    return next((beside[name] for name in _names(recipe) if name in beside), None)


def _names(recipe: Recipe) -> list[str]:
    """The controls of a recipe, the closest first: the same conversion, then others of the same arithmetic, because QAT with
    the default conversion gives the integer model, which the control needs an integer conversion for.
    """
    own, promised = recipe.conversion.name, recipe.promised_arithmetic
    alike = [c.name for c in CONVERSIONS.values() if c.arithmetic == promised and c.name != own]
    same_width = [n for n in alike if CONVERSIONS[n].int16_activations == recipe.conversion.int16_activations]
    first = [own] if recipe.conversion.arithmetic == promised else []
    return [f"ft-{name}" for name in (*first, *(n for n in same_width if CONVERSIONS[n].converter == "tflite"))]
