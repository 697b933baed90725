"""The sheet Explain plots: for every explained cell its layers' error, what each regains back in float, and what each takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.results.cellname import cell_name
from harness.results.record import CellKey

if TYPE_CHECKING:
    import pandas as pd
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

    from harness.reports.sheets import Styles

#: more cells than this have their rows only
_MOST_CELLS = 20
_KEY = ["workload", "recipe", "device", "backend", "seed"]
#: title -> its series as (column, name, colour), and the axis
_PLOTS: tuple[tuple[str, tuple[tuple[str, str, str], ...], str], ...] = (
    (
        "error of each layer against float",
        (("own_db", "this layer alone", "#2F7ED8"), ("sqnr_db", "with all before it", "#E07B00")),
        "signal to error, dB (shorter is worse)",
    ),
    (
        "one layer back in float",
        (("score_delta_regained", "score regained", "#1F9D55"),),
        "score regained, on the host",
    ),
    (
        "one layer back in float: error left",
        (("error_left", "share of the error left", "#1F9D55"),),
        "share of the error left",
    ),
    (
        "what each layer takes",
        (("cost", "this backend", "#2F7ED8"), ("cost_without_delegate", "without the delegate", "#B23AC7")),
        "",
    ),
)
_WIDTH, _ROW_PIXELS, _BASE_PIXELS, _LAYER_PIXELS = 620, 20, 150, 18


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the rows of the sheet Explain are: its name, and the row of its first layer, from 0."""

    sheet: str
    first_row: int


def write_explain_charts(book: Workbook, sheet: Worksheet, styles: Styles, frame: pd.DataFrame, place: Place) -> None:
    """Draws what the rows of the sheet Explain say.

    Args:
        frame: of `harness.reports.explained.explain_table`, as it stands there.
    """
    groups = list(frame.groupby([name for name in _KEY if name in frame], sort=False, dropna=False))
    row = 0
    for _, rows in groups[:_MOST_CELLS]:
        first, last = int(rows.index[0]) + place.first_row, int(rows.index[-1]) + place.first_row
        sheet.write_string(row, 0, _name(rows), styles.title)
        height = _BASE_PIXELS + _LAYER_PIXELS * len(rows)
        at = 0
        for title, series, axis in _PLOTS:
            shown = [one for one in series if rows[one[0]].notna().any()]
            if shown and not (title.endswith("error left") and rows["score_delta_regained"].notna().any()):
                unit = axis or str(rows["cost_unit"].dropna().iloc[0])
                chart = _bars(book, frame, place, (first, last), shown, title, unit)
                chart.set_size({"width": _WIDTH, "height": height})
                sheet.insert_chart(row + 1, 0, chart, {"x_offset": at * (_WIDTH + 20), "object_position": 3})
                at += 1
        row += 3 + height // _ROW_PIXELS
    if len(groups) > _MOST_CELLS:
        sheet.write_string(
            row, 0, f"{len(groups) - _MOST_CELLS} more cells are in the sheet {place.sheet} alone.", styles.text
        )


def _name(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    key = CellKey(
        workload=str(first["workload"]), recipe=str(first["recipe"]), device=str(first["device"]),
        backend=str(first["backend"]), dataset="", seed=int(first.get("seed") or 0),
    )  # fmt: skip
    return cell_name(key)


def _bars(
    book: Workbook,
    frame: pd.DataFrame,
    place: Place,
    span: tuple[int, int],
    series: list[tuple[str, str, str]],
    title: str,
    axis: str,
) -> Any:
    """One bar per layer, the first on top, for each series."""
    chart = book.add_chart({"type": "bar"})
    columns = [str(name) for name in frame.columns]
    first, last = span
    for column, name, colour in series:
        at = columns.index(column)
        chart.add_series(
            {
                "name": name,
                "categories": [place.sheet, first, columns.index("node"), last, columns.index("op")],
                "values": [place.sheet, first, at, last, at],
                "fill": {"color": colour},
                "gap": 60,
            }
        )
    chart.set_title({"name": title[:1].upper() + title[1:], "name_font": {"size": 11}})
    chart.set_x_axis({"name": axis, "major_gridlines": {"visible": True, "line": {"color": "#E0E0E0"}}})
    chart.set_y_axis({"reverse": True, "label_position": "low"})
    chart.set_legend({"position": "bottom"} if len(series) > 1 else {"none": True})
    return chart
