"""A calibration study as a table and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.reports.scores import number_text
from harness.reports.values import clean
from harness.verdict.enough import CalibrationFound, CalibrationPoint, EnoughSamples

if TYPE_CHECKING:
    import pandas as pd

#: choices in words
CHOICE_WORDS = {
    "stratified": "stratified (what a build takes)",
    "random": "random",
    "first": "the first of the file",
    "worst": "worst (those that drive activations least)",
}


def calibration_frame(found: Sequence[CalibrationFound]) -> pd.DataFrame:
    """A row per calibration.

    Returns:
        `workload`, `recipe`, `device`, `backend`, `choice`, `count`, `seed`, `score`, `loss` (how much worse than with all of
        them), `p`, `told` (the paired test tells it from all samples, corrected for the number of tests), `detectable` (the
        smallest loss that it would have told), `why` (there is no score). The last row of each group is all samples.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for one in found:
        head = {"workload": one.workload, "recipe": one.recipe, "device": one.device, "backend": one.backend}
        rows += [{**head, **_row(point)} for point in one.points]
        rows.append({**head, "choice": "all", "count": one.total, "score": one.full, "loss": 0.0, "told": False})
    columns = [
        "workload", "recipe", "device", "backend", "choice", "count", "seed", "score", "loss", "p", "told", "detectable", "why",
    ]  # fmt: skip
    numbers = dict.fromkeys(("score", "loss", "p", "detectable"), "Float64")
    return pd.DataFrame(rows, columns=columns).astype({**numbers, "count": "Int64", "seed": "Int64"})


def _row(point: CalibrationPoint) -> dict[str, Any]:
    calibration = point.calibration
    return {
        "choice": calibration.choice,
        "count": calibration.count,
        "seed": calibration.seed if calibration.choice == "random" else None,
        "score": point.score,
        "loss": point.loss,
        "p": point.p,
        "told": point.told,
        "detectable": point.detectable,
        "why": point.why or None,
    }


def matrix_rows(found: CalibrationFound) -> tuple[list[str], list[list[str]]]:
    """Heads and lines of the table of scores: a line per number, a column per choice; of random draws the least and the most.

    A `*` behind a score: the test tells it from all samples.
    """
    choices = [one.choice for one in found.enough]
    counts = sorted({point.calibration.count or 0 for point in found.points})
    lines = []
    for count in counts:
        cells = [
            _cell([p for p in found.points if p.calibration.choice == choice and p.calibration.count == count], found)
            for choice in choices
        ]
        lines.append([f"{count:,}", *cells])
    lines.append([f"{found.total:,} (all)", *[_text(found, found.full)] * len(choices)])
    return ["samples", *choices], lines


def _cell(points: Sequence[CalibrationPoint], found: CalibrationFound) -> str:
    scored = [p for p in points if p.score is not None]
    if not scored:
        return clean(points[0].why, 40) if points else ""
    values = sorted({p.score for p in scored if p.score is not None})
    ends = [_text(found, value) for value in dict.fromkeys((values[0], values[-1]))]
    told = sum(p.told for p in points)
    mark = "" if not told else "*" if len(points) == 1 else f" *{told} of {len(points)}"
    return " to ".join(dict.fromkeys(ends)) + mark


def _text(found: CalibrationFound, value: float) -> str:
    return f"{value:.4f}" if found.unit is None else number_text(value, found.unit)


def enough_lines(found: CalibrationFound) -> list[str]:
    """What the study says, a sentence per choice."""
    return [f"{CHOICE_WORDS[one.choice]}: {_enough(one, found)}" for one in found.enough]


def _enough(one: EnoughSamples, found: CalibrationFound) -> str:
    if one.count is None:
        return f"not even {max(one.tried):,} samples are enough: the score is told from that of all {found.total:,}"
    from_there = "every number tried" if one.count == min(one.tried) else f"{one.count:,} samples and more"
    are = "is" if one.count == 1 else "are"
    text = f"{one.count:,} {are} enough: with {from_there} no test tells the score from that of all {found.total:,}"
    if one.detectable is None:
        return f"{text}, but {found.samples:,} test samples could have told no loss at all"
    return f"{text}; a loss of {loss_text(found, one.detectable)} would have been told"


def loss_text(found: CalibrationFound, loss: float) -> str:
    """A loss in points of a hundred where the score is a share, else in its unit."""
    return f"{100 * loss:.1f} points" if found.unit is None and abs(found.full) <= 1 else number_text(loss, found.unit)
