"""Stored explanations as rows and words: for the terminal, the workbook's sheet Explain and the page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError
from harness.core.printable import one_line
from harness.explain.document import Explanation, Layer, LayerError, OpDivergence
from harness.explain.words import divergence_words
from harness.reports.values import duration_text
from harness.results.objects import ObjectStore, open_objects
from harness.results.record import CellRecord

if TYPE_CHECKING:
    import pandas as pd

    from harness.reports.report import Report

#: columns of the sheet Explain behind the cell's key
COLUMNS = [
    "explained_run",
    "node",
    "op",
    "ran_on",
    "on_device",
    "on_device_beyond_share",
    "on_device_worst",
    "steps_off",
    "worst_channel",
    "worst_channel_error",
    "worst_sample",
    "worst_sample_error",
    "own_db",
    "sqnr_db",
    "cosine",
    "weights_share",
    "rounding_share",
    "saturation_share",
    "saturated_share",
    "range_used_share",
    "range_bulk_share",
    "channel_spread",
    "outlier_channels",
    "weight_db",
    "weight_spread",
    "score_delta_regained",
    "score_delta_low",
    "score_delta_high",
    "error_left",
    "cost",
    "cost_without_delegate",
    "cost_unit",
    "cause",
]
_TEXT = 600


def stored_explanation(record: CellRecord, objects: ObjectStore) -> Explanation | None:
    """What `harness explain` found of a cell last; None where nobody asked, or it cannot be read any more."""
    if record.explanation_object is None:
        return None
    try:
        return Explanation.from_json(objects.get_json(record.explanation_object))
    except (HarnessError, ValueError):
        return None


def explain_table(records: Iterable[CellRecord], objects: ObjectStore) -> pd.DataFrame:
    """One row per layer of every explained cell."""
    from harness.reports import tables

    rows = []
    for record in records:
        explanation = stored_explanation(record, objects)
        if explanation is not None:
            head = tables.key_of(record)
            rows += [head | layer_row(explanation, layer) for layer in explanation.layers]
    return tables.table(rows, [*tables.KEY, *COLUMNS])


def explanation_notes(report: Report) -> list[str]:
    """The answer for every explained cell, and what to try, for the head of the sheet."""
    if report.results is None:
        return []
    objects, found = open_objects(report.results), []
    for record in report.shown:
        e = stored_explanation(record, objects)
        if e is not None:
            found.append(one_line(f"{record.key.text_with_seed}: {e.answer}"))
            found += [one_line(f"Try {what}{f' ({command})' if command else ''}") for what, command in advice_lines(e)]
    return found


def layer_row(e: Explanation, layer: Layer) -> dict[str, Any]:
    """The values of COLUMNS of one layer; None where a part was not asked."""
    d, error, loss, cost = told(layer), layer.error, layer.loss, layer.cost
    return {
        "explained_run": e.run,
        "node": layer.node,
        "op": layer.op,
        "ran_on": layer.ran_on,
        "on_device": one_line(divergence_words(d), _TEXT) if d is not None else None,
        "on_device_beyond_share": d.beyond if d else None,
        "on_device_worst": d.worst if d else None,
        "steps_off": histogram_text(d) or None if d else None,
        "worst_channel": d.worst_channel if d else None,
        "worst_channel_error": d.worst_channel_error if d else None,
        "worst_sample": d.worst_sample if d else None,
        "worst_sample_error": d.worst_sample_error if d else None,
        "own_db": error.own_db if error else None,
        "sqnr_db": error.sqnr_db if error else None,
        "cosine": error.cosine if error else None,
        "weights_share": error.from_weights if error else None,
        "rounding_share": error.from_rounding if error else None,
        "saturation_share": error.from_saturation if error else None,
        "saturated_share": error.saturated if error else None,
        "range_used_share": error.used if error else None,
        "range_bulk_share": error.bulk if error else None,
        "channel_spread": error.channel_spread if error else None,
        "outlier_channels": outliers_text(error) or None if error else None,
        "weight_db": error.weight_db if error else None,
        "weight_spread": error.weight_spread if error else None,
        "score_delta_regained": loss.regained if loss else None,
        "score_delta_low": loss.low if loss else None,
        "score_delta_high": loss.high if loss else None,
        "error_left": loss.error_left if loss else None,
        "cost": cost.value if cost else None,
        "cost_without_delegate": cost.beside if cost else None,
        "cost_unit": e.cost_unit if cost else None,
        "cause": one_line(layer.cause, _TEXT) or None,
    }


def outliers_text(error: LayerError) -> str:
    """`5 (12.2x), 7 (4.1x)`: channels far larger than the median one, the largest first."""
    return ", ".join(f"{channel} ({factor:.3g}x)" for channel, factor in error.outliers)


def told(layer: Layer) -> OpDivergence | None:
    """The divergence that says most: a wrong one, else the one of the op alone, else the one inside the model."""
    known = [d for d in (layer.alone, layer.inside) if d is not None]
    return next(
        (d for d in known if d.is_wrong), next((d for d in known if d.kind is not None), known[0] if known else None)
    )


def head_lines(e: Explanation) -> list[str]:
    """What was asked, the answer, and how it was got."""
    return [f"Asked: {e.asked}", f"Answer: {e.answer}", *e.got]


def advice_lines(e: Explanation) -> list[tuple[str, str]]:
    """(what and why, command) of everything to try."""
    return [(f"{advice.what}: {advice.why}", advice.command) for advice in e.advice]


def cost_text(e: Explanation, value: float | None) -> str:
    """A cost in the unit of its explanation."""
    if value is None:
        return ""
    return duration_text(value) if e.cost_unit == "ns" else f"{value:,.0f}"


def kind_text(layer: Layer) -> str:
    """What the device made of a layer, in a word or two."""
    d = told(layer)
    if d is None:
        return ""
    if d.kind is None:
        return "not told"
    if d.kind == "rounding":
        return f"rounding {d.not_nearest or 0:.1%}"
    if d.is_wrong:
        return (
            d.kind.upper()
            if layer.alone is d or layer.alone is None or not layer.alone.kind
            else f"{d.kind.upper()} inside"
        )
    return "ok" if d.kind in ("right", "exact") else d.kind


def histogram_text(d: OpDivergence) -> str:
    """The differences in steps that occur, such as `0: 96.1 %, +4: 3.9 %`."""
    total = sum(count for _, count in d.histogram)
    if not total:
        return ""
    ends = (d.histogram[0][0], d.histogram[-1][0])
    parts = []
    for lsb, count in d.histogram:
        if count:
            beyond = " and more" if lsb in ends else ""
            parts.append(f"{lsb:+d}{beyond}: {count / total:.1%}" if lsb else f"0: {count / total:.1%}")
    return ", ".join(parts)
