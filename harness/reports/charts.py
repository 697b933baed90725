"""Charts of a summary sheet: score against latency, one per time basis, and score against size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from harness.reports.scores import score_interval_of, score_of
from harness.reports.summary import Summary
from harness.reports.values import BASIS_TEXT, count_of, placement_text
from harness.results.record import CellRecord

if TYPE_CHECKING:
    import pandas as pd
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

POINT_COLUMNS = [
    "workload",
    "dataset_name",
    "device_backend",
    "time_basis",
    "recipe",
    "outcome",
    "metric",
    "score",
    "latency_median_us",
    "latency_samples",
    "quality",
    "placement",
    "size_bytes",
    "dataset",
    "count_per_inference",
    "counted_inferences",
    "score_below",
    "score_above",
    "latency_below_us",
    "latency_above_us",
    "count_below",
    "count_above",
]
#: what a point's error bars reach down and up by, of each axis
_BARS = {
    "score": ("score_below", "score_above"),
    "latency_median_us": ("latency_below_us", "latency_above_us"),
    "count_per_inference": ("count_below", "count_above"),
}
_COLOURS = ("#1F77B4", "#D95F02", "#1B9E77", "#7570B3", "#E7298A", "#66A61E", "#A6761D", "#666666")
_MARKERS = ("circle", "diamond", "square", "triangle", "x", "plus", "star", "long_dash")
#: height of a chart with the gap below it, in rows of 20 pixels
_CHART_ROWS = 24
_CHART_WIDTH = 840
#: roughly the pixels of a chart's plot, and of a label's character and line
_PLOT_WIDTH, _PLOT_HEIGHT, _LETTER_WIDTH, _LETTER_HEIGHT = 700, 280, 5.5, 18
#: from this ratio of the slowest to the fastest on, the latency axis is logarithmic
_LOG_RATIO = 15


def chart_points(summaries: Sequence[Summary]) -> pd.DataFrame:
    """What the charts show: one row per cell that is ok and has a score, those of one series next to each other."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for summary in summaries:
        for position, column in enumerate(summary.columns):
            for row in summary.rows:
                record = row.cells[position]
                if record is None or record.outcome != "ok" or score_of(record) is None:
                    continue
                rows.append(
                    {
                        **_bars(record),
                        "workload": summary.workload,
                        "dataset_name": summary.dataset_name,
                        "device_backend": column.text,
                        "time_basis": column.time_basis,
                        "recipe": row.recipe,
                        "outcome": record.outcome,
                        "metric": summary.main_head,
                        "score": score_of(record),
                        "latency_median_us": _scaled(record.latency_median_ns),
                        "latency_samples": record.latency_samples,
                        "quality": record.quality,
                        "placement": placement_text(record),
                        "size_bytes": record.size_bytes,
                        "dataset": summary.dataset,
                        "count_per_inference": count_of(record),
                        "counted_inferences": record.counted_inferences,
                    }
                )
    return pd.DataFrame(rows, columns=POINT_COLUMNS, dtype=object)


def _scaled(ns: int | None) -> float | None:
    return None if ns is None else ns / 1000


def _bars(record: CellRecord) -> dict[str, float | None]:
    """How far the ends of a point's intervals lie from it; of counts, the least and the most that were counted."""
    low, high = score_interval_of(record)
    time = (record.latency_median_low_ns, record.latency_median_ns, record.latency_median_high_ns)
    count = (record.cycles_min, record.cycles, record.cycles_max)
    if record.instructions is not None:
        count = (record.instructions_min, record.instructions, record.instructions_max)
    below, above = _reach(*time)
    return {
        **dict(zip(_BARS["score"], _reach(low, score_of(record), high), strict=True)),
        **dict(zip(_BARS["latency_median_us"], (below / 1000, above / 1000), strict=True)),
        **dict(zip(_BARS["count_per_inference"], _reach(*count), strict=True)),
    }


def _reach(low: float | None, value: float | None, high: float | None) -> tuple[float, float]:
    """How far below and above a value its interval reaches; 0 where there is none."""
    if low is None or value is None or high is None:
        return 0.0, 0.0
    return max(value - low, 0.0), max(high - value, 0.0)


def add_charts(
    book: Workbook, sheet: Worksheet, summary: Summary, points: pd.DataFrame, points_sheet: str, *, top_row: int
) -> None:
    """Puts the charts of a summary below its table.

    Args:
        points: the frame of `chart_points`, which stands in `points_sheet` below one note and the head.
    """
    mine = points[(points["workload"] == summary.workload) & (points["dataset"] == summary.dataset)]
    title = summary.score_name[:1].upper() + summary.score_name[1:]
    plots = []
    for basis in dict.fromkeys(c.time_basis for c in summary.columns if c.time_basis):
        counted = mine[(mine["time_basis"] == basis) & mine["count_per_inference"].notna()]
        unit = BASIS_TEXT[basis]
        plots.append((counted, "count_per_inference", f"{title} against {unit} per inference", f"{unit} per inference"))
        timed = mine[(mine["time_basis"] == basis) & mine["latency_median_us"].notna()]
        axis = f"median latency (µs, {BASIS_TEXT[basis]})"
        plots.append((timed, "latency_median_us", f"{title} against {axis}", axis))
    plots.append((mine[mine["size_bytes"].notna()], "size_bytes", f"{title} against model size", "size (bytes)"))
    for frame, x, heading, axis in plots:
        if len(frame):
            chart = _scatter(book, summary, frame, points_sheet, x, heading, axis)
            sheet.insert_chart(top_row, 2, chart, {"object_position": 3})
            top_row += _CHART_ROWS


def _scatter(
    book: Workbook, summary: Summary, points: pd.DataFrame, points_sheet: str, x: str, title: str, axis: str
) -> Any:
    """One series per device and backend; those points are labelled that no other of the series beats on both axes."""
    chart = book.add_chart({"type": "scatter"})
    numbers = [float(v) for v in points[x]]
    log = min(numbers) > 0 and max(numbers) / min(numbers) >= _LOG_RATIO
    low, high = _rounded(
        float((points["score"] - points["score_below"]).min()),
        float((points["score"] + points["score_above"]).max()),
        share=summary.is_share,
    )
    room = _Labels(0 if not log else min(numbers), max(numbers), low, high, log=log)
    for number, column in enumerate(summary.columns):
        mine = points[points["device_backend"] == column.text]
        if not len(mine):
            continue
        first, last = int(mine.index[0]) + 2, int(mine.index[-1]) + 2  # one note and the head stand above the points

        def of(name: str, first: int = first, last: int = last) -> list[Any]:
            return [points_sheet, first, POINT_COLUMNS.index(name), last, POINT_COLUMNS.index(name)]

        colour = _COLOURS[number % len(_COLOURS)]
        # Devices mostly run the same files: against size, the labels of the first series serve for all.
        quiet = x == "size_bytes" and number > 0
        sign = -1.0 if summary.lower_is_better else 1.0
        best = _undominated([(float(a), sign * float(b)) for a, b in zip(mine[x], mine["score"], strict=True)])
        places = zip(mine["recipe"], best, mine[x], mine["score"], strict=True)
        labels = [
            {"value": r} if keep and not quiet and room.take(str(r), float(a), float(b)) else {"delete": True}
            for r, keep, a, b in places
        ]
        chart.add_series(
            {
                "name": column.text,
                "categories": of(x),
                "values": of("score"),
                "y_error_bars": _error_bars(mine, "score", colour, of),
                **({"x_error_bars": _error_bars(mine, x, colour, of)} if x in _BARS else {}),
                "marker": {
                    "type": _MARKERS[number % len(_MARKERS)],
                    "size": 7,
                    "border": {"color": colour},
                    "fill": {"color": colour},
                },
                **(
                    {}
                    if quiet
                    else {
                        "data_labels": {
                            "custom": labels,
                            "value": True,
                            "position": "above",
                            "font": {"size": 8, "color": colour},
                        }
                    }
                ),
            }
        )
    chart.set_title({"name": title, "name_font": {"size": 11}})
    chart.set_x_axis(
        {
            "name": axis + (", logarithmic" if log else ""),
            "num_format": "#,##0",
            "major_gridlines": {"visible": True, "line": {"color": "#E0E0E0"}},
            **({"log_base": 10} if log else {"min": 0}),
        }
    )
    chart.set_y_axis(
        {
            "name": summary.main_head,
            "min": low,
            "max": high,
            "num_format": "0.000" if summary.is_share else "General",
            "major_gridlines": {"visible": True, "line": {"color": "#E0E0E0"}},
        }
    )
    chart.set_legend({"position": "bottom"})
    chart.set_size({"width": _CHART_WIDTH, "height": 20 * (_CHART_ROWS - 1)})
    return chart


class _Labels:
    """The room for labels in a plot: one that would lie on another is not written; the sheet of points names every point."""

    def __init__(self, left: float, right: float, bottom: float, top: float, *, log: bool) -> None:
        """The ends of the axes, in the units of the points."""
        self._log = log
        self._left, self._bottom = self._along(left), bottom
        self._per_x = _PLOT_WIDTH / ((self._along(right) - self._left) or 1.0)
        self._per_y = _PLOT_HEIGHT / ((top - bottom) or 1.0)
        self._taken: list[tuple[float, float, float]] = []

    def _along(self, value: float) -> float:
        return math.log10(value) if self._log else value

    def take(self, text: str, x: float, y: float) -> bool:
        """Whether there is room for a label above the point at (x, y), which is then taken."""
        centre, height = (self._along(x) - self._left) * self._per_x, (y - self._bottom) * self._per_y
        half = len(text) * _LETTER_WIDTH / 2
        if any(abs(centre - c) < half + h and abs(height - y) < _LETTER_HEIGHT for c, y, h in self._taken):
            return False
        self._taken.append((centre, height, half))
        return True


def _error_bars(points: pd.DataFrame, axis: str, colour: str, place: Callable[[str], list[Any]]) -> dict[str, Any]:
    """The bars of a series along one axis; their lengths stand in the sheet of points."""
    below, above = _BARS[axis]
    return {
        "type": "custom",
        "minus_values": _formula(place(below)),
        "plus_values": _formula(place(above)),
        "minus_data": points[below].tolist(),
        "plus_data": points[above].tolist(),
        "line": {"color": colour, "width": 0.75, "transparency": 40},
    }


def _formula(place: list[Any]) -> str:
    from xlsxwriter.utility import xl_range_abs

    sheet, first, left, last, right = place
    return f"='{sheet}'!{xl_range_abs(first, left, last, right)}"


def _undominated(points: Sequence[tuple[float, float]]) -> list[bool]:
    """For every (cost, gain): True where no other point costs no more and gains no less, and is better in one."""
    return [not any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points) for cost, gain in points]


def _rounded(low: float, high: float, *, share: bool) -> tuple[float, float]:
    """Axis ends at round numbers a little beyond the data; those of shares within 0..1."""
    margin = max((high - low) * 0.15, 0.005 if share else abs(high) * 0.05)
    step = 10.0 ** math.floor(math.log10((high - low + 2 * margin) or 1.0)) / 2
    bottom, top = math.floor((low - margin) / step) * step, math.ceil((high + margin) / step) * step
    bottom, top = float(f"{bottom:.6g}"), float(f"{top:.6g}")
    return (max(0.0, bottom), min(1.0, top)) if share else (bottom, top)
