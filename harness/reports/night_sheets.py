"""The workbook's sheets of a night: Regressions, and History with a line per cell and charts of what moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.reports.frame_sheet import write_frame
from harness.reports.night_view import NightView
from harness.reports.nights_table import HEADS, LATENCY, LEVEL, NightsRow, events, night_heads, nights_rows
from harness.reports.regressions import COLUMNS, regressions_table
from harness.reports.sheets import (
    MOST_ROWS,
    QUALITY_COLOURS,
    STATUS_COLOURS,
    Styles,
    colour_words,
    write_lines,
)
from harness.reports.verdicts.words import boards, detectable, headline
from harness.results.record import CellKey, CellRecord

if TYPE_CHECKING:
    import pandas as pd
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

REGRESSIONS, HISTORY = "Regressions", "History"
#: charts of cells that moved, and of regressions; rows of one with the gap below it
MOST_CHARTS, _CHART_ROWS, _PER_LINE = 12, 15, 3
_CHART_WIDTH, _CHART_HEIGHT = 470, 280
_MOST_BARS, _MOST_EVENTS = 30, 20
_LINE = {"series_color": "#1F77B4", "weight": 1.25, "last_point": True, "last_color": "#C0392B"}
_WIDTHS = {
    "workload": 16,
    "recipe": 24,
    "device": 16,
    "backend": 9,
    "figure": 14,
    "trend": 22,
    "status": 10,
    "quality": 10,
}
_NUMBERS = {"level": "figure", "tonight": "figure", "change": "percent", "detectable": "bound", "seed": "plain"}


def headline_lines(view: NightView) -> list[str]:
    """What stands first in the workbook of a night: what got worse, how small a change would have been seen, the boards."""
    if view.judgement is None:
        return []
    found = sorted(cell.latency for cell in detectable(view.judgement) if cell.latency is not None)
    lines = [headline(view.judgement), *(f"Note: {note}." for note in view.judgement.notes)]
    if found:
        middle = found[len(found) // 2]
        lines.append(
            f"A change of a latency of {middle:.1%} would have been seen in the median cell, {found[-1]:.1%} in the bluntest."
        )
    return [*lines, *(f"Board {line}" for line in boards(view.judgement))]


def write_regressions(
    book: Workbook, sheet: Worksheet, styles: Styles, view: NightView, records: Mapping[CellKey, CellRecord]
) -> None:
    """Every verdict that says something, and a chart of the times that moved beside what would have been seen."""
    assert view.judgement is not None
    frame = regressions_table(view.judgement, records)
    notes = [*headline_lines(view)]
    if frame.empty:
        notes.append("Nothing moved: every cell is the same as before, or told for the first time.")
    notes.append(
        "change and detectable are relative; before and after are in the unit beside them, or the quantity's own."
    )
    write_frame(sheet, styles, frame, notes=notes)
    _print_on_a3(sheet)
    timed = _first_times(frame)
    if timed:
        first, last = len(notes) + 1 + timed[0], len(notes) + 1 + timed[-1]
        sheet.insert_chart(len(notes) + len(frame) + 2, 1, _changes_chart(book, first, last), {"object_position": 3})


def _first_times(frame: pd.DataFrame) -> list[int]:
    """The rows of the first times that stand together, at most as many as a chart can name."""
    timed = (frame["quantity"] == "latency") & frame["change"].notna()
    rows = [i for i, is_time in enumerate(timed) if is_time]
    together = [i for place, i in enumerate(rows) if i == rows[0] + place]
    return together[:_MOST_BARS]


def _changes_chart(book: Workbook, first: int, last: int) -> Any:
    """Bars of relative changes, with the smallest that would have been seen beside each."""
    chart = book.add_chart({"type": "bar"})
    names = [REGRESSIONS, first, COLUMNS.index("cell"), last, COLUMNS.index("cell")]
    for name, colour in (("change", "#C0392B"), ("detectable", "#8497B0")):
        place = COLUMNS.index(name)
        chart.add_series(
            {
                "name": name,
                "categories": names,
                "values": [REGRESSIONS, first, place, last, place],
                "fill": {"color": colour},
            }
        )
    chart.set_title({"name": "Latency: change, and the smallest that would have been seen", "name_font": {"size": 11}})
    chart.set_x_axis({"num_format": "0%", "major_gridlines": {"visible": True, "line": {"color": "#E0E0E0"}}})
    chart.set_y_axis({"reverse": True, "label_position": "low"})
    chart.set_legend({"position": "bottom"})
    chart.set_size({"width": 900, "height": min(160 + 26 * (last - first + 1), 900)})
    return chart


def write_history(
    book: Workbook, sheet: Worksheet, styles: Styles, view: NightView, records: Mapping[CellKey, CellRecord]
) -> None:
    """A row per cell and figure over the newest nights, those that moved first, and a chart of each of these above them."""
    rows = _moved_first(nights_rows(view, records))
    moved = [i for i, row in enumerate(rows) if row.status not in (None, "same", "first")][:MOST_CHARTS]
    lines = [
        f"The newest {len(view.trends.nights)} nights of the series, oldest left.",
        "A level is what was last accepted, or the first stretch of nights. `harness history CELL` tells what was said of each.",
    ]
    happened = events(view)
    lines += happened[-_MOST_EVENTS:]
    if len(happened) > _MOST_EVENTS:
        lines.append(f"{len(happened) - _MOST_EVENTS} earlier events are left out: the page has them cell by cell.")
    chart_lines = -(-len(moved) // _PER_LINE)
    head = write_lines(sheet, styles, lines) + chart_lines * _CHART_ROWS
    nights = night_heads(view)
    for column, name in enumerate((*HEADS, *nights)):
        sheet.write_string(head, column, name, styles.head)
        sheet.set_column(column, column, _WIDTHS.get(name, 12 if column < len(HEADS) else 11))
    sheet.set_row(head, 42)
    rows = rows[: MOST_ROWS - head - 2]
    for place, row in enumerate(rows, start=head + 1):
        _write_row(sheet, styles, row, place)
    _draw_lines(sheet, rows, head + 1, len(nights))
    last = head + len(rows)
    if rows:
        sheet.autofilter(head, 0, last, len(HEADS) + len(nights) - 1)
        for name, words in (("status", STATUS_COLOURS), ("quality", QUALITY_COLOURS)):
            place = HEADS.index(name)
            colour_words(sheet, styles, words, head + 1, place, last, place)
    sheet.freeze_panes(head + 1, HEADS.index("recipe") + 1)
    sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{last + 1}"})
    _print_on_a3(sheet)
    for number, i in enumerate(moved):
        level = i + 1 if i + 1 < len(rows) and rows[i + 1].figure == LEVEL else None
        chart = _trend_chart(
            book, rows[i], head, head + 1 + i, None if level is None else head + 1 + level, len(nights)
        )
        top, left = len(lines) + number // _PER_LINE * _CHART_ROWS, number % _PER_LINE * _CHART_WIDTH + 8
        sheet.insert_chart(top, 0, chart, {"x_offset": left, "object_position": 3})


def _print_on_a3(sheet: Worksheet) -> None:
    """On paper, the whole width of a wide sheet on one page."""
    sheet.set_landscape()
    sheet.set_paper(8)
    sheet.fit_to_pages(1, 0)


def _moved_first(rows: Sequence[NightsRow]) -> list[NightsRow]:
    """Cells of which something was said, the most urgent first; their rows stay together."""
    order = {name: place for place, name in enumerate((*STATUS_COLOURS, "first", "same"))}
    rank: dict[CellKey, int] = {}
    for row in rows:
        rank[row.key] = min(rank.get(row.key, len(order)), order.get(row.status or "same", len(order)))
    return sorted(rows, key=lambda row: rank[row.key])


def _draw_lines(sheet: Worksheet, rows: Sequence[NightsRow], top: int, nights: int) -> None:
    """A line in the cell of each row that has two nights, all of them as one group: a group each takes as long as the rows."""
    from xlsxwriter.utility import xl_range, xl_rowcol_to_cell

    first = len(HEADS)
    places = [
        place
        for place, row in enumerate(rows, start=top)
        if row.figure != LEVEL and sum(value is not None for value in row.values) > 1
    ]
    if places:
        cells = [xl_rowcol_to_cell(place, first - 1) for place in places]
        ranges = [f"{HISTORY}!{xl_range(place, first, place, first + nights - 1)}" for place in places]
        sheet.add_sparkline(places[0], first - 1, {"location": cells, "range": ranges, **_LINE})


def _write_row(sheet: Worksheet, styles: Styles, row: NightsRow, place: int) -> None:
    for column, value in enumerate(row.head_values()):
        if value is None:
            continue
        if isinstance(value, str):
            sheet.write_string(place, column, value, styles.text)
        else:
            kind = _NUMBERS.get(HEADS[column], "count")
            sheet.write_number(place, column, value, styles.numbers[_figure(row) if kind == "figure" else kind])
    number, first = styles.numbers[_figure(row)], len(HEADS)
    for column, value in enumerate(row.values, start=first):
        if value is not None:
            sheet.write_number(place, column, value, number)


def _figure(row: NightsRow) -> str:
    return {LATENCY: "us", LEVEL: "us", "score": "score"}.get(row.figure, "count")


def _trend_chart(book: Workbook, row: NightsRow, head: int, place: int, level: int | None, nights: int) -> Any:
    chart = book.add_chart({"type": "line"})
    first, last = len(HEADS), len(HEADS) + nights - 1
    names = [HISTORY, head, first, head, last]
    chart.add_series(
        {
            "name": row.figure,
            "categories": names,
            "values": [HISTORY, place, first, place, last],
            "line": {"color": "#1F77B4", "width": 1.5},
            "marker": {"type": "circle", "size": 4, "fill": {"color": "#1F77B4"}, "border": {"color": "#1F77B4"}},
        }
    )
    if level is not None:
        chart.add_series(
            {
                "name": "level",
                "categories": names,
                "values": [HISTORY, level, first, level, last],
                "line": {"color": "#7F7F7F", "width": 1.25, "dash_type": "dash"},
            }
        )
    key = row.key
    title = f"{key.text_with_seed}: {row.status}"
    chart.set_title({"name": title if len(title) <= 70 else f"{title[:69]}…", "name_font": {"size": 9}})
    chart.set_x_axis({"visible": False})
    chart.set_y_axis(
        {
            "name": row.figure,
            "name_font": {"size": 8},
            "major_gridlines": {"visible": True, "line": {"color": "#E0E0E0"}},
        }
    )
    chart.set_legend({"position": "bottom", "font": {"size": 8}})
    chart.show_blanks_as("gap")
    chart.set_size({"width": _CHART_WIDTH - 12, "height": _CHART_HEIGHT})
    return chart
