"""The drawing of a calibration study: score against the number of samples, a line per choice, in an HTML file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from harness.core.files import write_bytes_atomic
from harness.reports.page.assets import asset_name, place_script
from harness.reports.studies.calibration import CHOICE_WORDS, enough_lines
from harness.reports.values import clean
from harness.results.faults import storage_faults
from harness.results.layout import ASSETS_NAME
from harness.verdict.enough import CalibrationFound, CalibrationPoint

_COLOURS = {"random": "#1F77B4", "stratified": "#1B9E77", "first": "#7570B3", "worst": "#D95F02"}
_SYMBOLS = {"random": "circle-open", "stratified": "circle", "first": "square", "worst": "diamond"}
_HEIGHT, _WIDTH = 460, 960


def write_calibration_page(found: Sequence[CalibrationFound], results: Path, path: Path) -> None:
    """Writes the drawing; plotly's script lies in `results/assets/`, once for all pages.

    Raises:
        HarnessError: the folder cannot be written, or the disk is full.
    """
    import plotly.io

    place_script(results)
    address = f"{os.path.relpath(results / ASSETS_NAME, path.parent)}/{asset_name()}"
    drawn = "".join(
        plotly.io.to_html(figure(one), include_plotlyjs=False, full_html=False, div_id=f"study{i}") + _words(one)
        for i, one in enumerate(found)
    )
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Calibration study</title>'
        f'<script src="{address}"></script>'
        "<style>body{font:14px system-ui,sans-serif;margin:1.5rem;max-width:62rem}h2{margin-bottom:0}</style></head><body>"
        f"{drawn}</body></html>"
    )
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(path, text.encode())


def _words(found: CalibrationFound) -> str:
    from html import escape

    items = "".join(f"<li>{escape(line)}</li>" for line in enough_lines(found))
    return f"<ul>{items}</ul>"


def figure(found: CalibrationFound) -> Any:
    """The plot of one backend, a `plotly.graph_objects.Figure`."""
    import plotly.graph_objects as go

    drawn = go.Figure()
    for choice in (one.choice for one in found.enough):
        points = [p for p in found.points if p.calibration.choice == choice and p.score is not None]
        if choice == "random":
            drawn.add_trace(_marks(go, points))
        drawn.add_trace(_line(go, choice, points, found))
    drawn.add_hline(y=found.full, line={"color": "#333", "width": 1}, annotation_text=f"all {found.total:,}")
    if found.base is not None:
        drawn.add_hline(
            y=found.base, line={"color": "#333", "width": 1, "dash": "dot"}, annotation_text="float model",
            annotation_position="bottom left",
        )  # fmt: skip
    unit = f" ({clean(found.unit)})" if found.unit else ""
    drawn.update_layout(
        title=f"{clean(found.workload)}: {clean(found.recipe)} on {clean(found.device)}, {clean(found.backend)}",
        width=_WIDTH,
        height=_HEIGHT,
        template="plotly_white",
        legend={"orientation": "h", "y": -0.25},
        xaxis={
            "title": "calibration samples",
            "type": "log",
            "tickangle": 0,
            "tickvals": _ticks(found),
            "ticktext": _tick_texts(found),
        },
        yaxis={"title": f"{clean(found.metric)}{unit}, {found.samples:,} test samples"},
    )
    return drawn


def _marks(go: Any, points: Sequence[CalibrationPoint]) -> Any:
    return go.Scatter(
        x=[p.calibration.count for p in points],
        y=[p.score for p in points],
        mode="markers",
        marker={"color": _COLOURS["random"], "symbol": _SYMBOLS["random"], "size": 7},
        name="random, each draw",
        text=[_hover(p) for p in points],
        hoverinfo="text",
    )


def _line(go: Any, choice: str, points: Sequence[CalibrationPoint], found: CalibrationFound) -> Any:
    """The scores of a choice by number, ending at all samples; of random draws their medians."""
    counts = sorted({p.calibration.count or 0 for p in points})
    values = [median(p.score for p in points if p.calibration.count == n and p.score is not None) for n in counts]
    single = {p.calibration.count: _hover(p) for p in points}
    many = choice == "random"
    return go.Scatter(
        x=[*counts, found.total],
        y=[*values, found.full],
        mode="lines" if many else "lines+markers",
        line={"color": _COLOURS[choice], "width": 2},
        marker={"symbol": _SYMBOLS[choice], "size": 8},
        name=f"{CHOICE_WORDS[choice]}{', median' if many else ''}",
        text=[*(f"median of {n:,} random samples" if many else single[n] for n in counts), f"all {found.total:,}"],
        hoverinfo="text+y",
    )


def _hover(point: CalibrationPoint) -> str:
    told = "told from all samples" if point.told else "not told from all samples"
    return f"{point.calibration.words}: {point.score:.4f}, {told}" + (
        "" if point.p is None else f" (p = {point.p:.2g})"
    )


def _ticks(found: CalibrationFound) -> list[int]:
    """The numbers that were tried, but for such as would be written over all samples."""
    counts = sorted({p.calibration.count or 0 for p in found.points})
    return [*(count for count in counts if 1.6 * count < found.total), found.total]


def _tick_texts(found: CalibrationFound) -> list[str]:
    return [f"{count:,}" for count in _ticks(found)]
