"""The first sheets: which recipe to take, and per workload recipes down with a block of columns for every device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.reports.published import PublishedFigure, published_words
from harness.reports.scores import is_share, score_delta_of, score_of, score_text, value_text
from harness.reports.sheets import (
    OUTCOME_COLOURS,
    QUALITY_COLOURS,
    Styles,
    colour_words,
    fit_row,
    write_lines,
    write_value,
)
from harness.reports.summary import Summary
from harness.reports.tables import NOT_RUN, row_size_text
from harness.reports.values import (
    BASIS_TEXT,
    GOOD,
    clean,
    count_bounds_text,
    count_of,
    latency_interval_text,
    memory_text,
    placement_text,
)
from harness.results.record import CellRecord

if TYPE_CHECKING:
    from xlsxwriter.worksheet import Worksheet

#: head, width and number format of the columns in a device's block
BLOCK = (
    ("outcome", 12, "centre"),
    ("{score}", 9, "share"),
    ("95 % interval, test samples", 22, "text"),
    ("Δ to float32", 9, "delta"),
    ("median latency (µs)", 11, "us"),
    ("95 % interval", 20, "text"),
    ("p90 (µs)", 10, "us"),
    ("latency samples", 9, "count"),
    ("while timing", 10, "centre"),
    ("memory without the runtime (bytes)", 14, "count"),
    ("placement; why not ok", 40, "wrap"),
)
#: the same block for a microcontroller, which counts, and whose memory decides; as many columns, so that blocks line up
COUNT_BLOCK = (
    *BLOCK[:4],
    ("{unit} per inference", 14, "count"),
    ("least to most", 20, "text"),
    ("inferences counted", 10, "count"),
    ("time basis", 10, "text"),
    ("arena (bytes)", 10, "count"),
    ("stack (bytes)", 9, "count"),
    ("flash: firmware + model (bytes); placement; why not ok", 40, "wrap"),
)
#: a loss of score from which on a cell turns amber, and red
LOSS_AMBER, LOSS_RED = 0.01, 0.03
#: the most lines of a row: a reason is long in one block, and its row is that of all others
_MOST_LINES = 3
_PUBLISHED_WIDTH = 30
#: rows above the recipes: title, data, two of heads
_TOP = 4


def write_summary(
    sheet: Worksheet, styles: Styles, summary: Summary, run: str | None, published: Sequence[PublishedFigure] = ()
) -> int:
    """Writes the sheet, the notes below its table; returns the next free row.

    Args:
        published: figures that a column beside the size tells, where any is of this workload.
    """
    words = [published_words(summary.workload, row.recipe, row.cells, published) for row in summary.rows]
    told = words if any(words) else None
    left = 2 if told is None else 3
    sheet.write_string(0, 0, clean(summary.title) + (f"   (run {run})" if run else ""), styles.title)
    if summary.dataset_note:
        sheet.write_string(1, 0, f"Data: {clean(summary.dataset_note)}", styles.note)
    _write_heads(sheet, styles, summary, _TOP - 2, left)
    blocks = [_block(summary, position) for position in range(len(summary.columns))]
    for offset, line in enumerate(summary.rows):
        _write_row(sheet, styles, line, _TOP + offset, blocks, None if told is None else told[offset])
    last = _TOP + len(summary.rows) - 1
    _colour(sheet, styles, summary, _TOP, last, left)
    sheet.set_column(0, 0, max([len(line.recipe) for line in summary.rows] + [12]) + 2)
    sheet.set_column(1, 1, 11)
    if told is not None:
        sheet.set_column(2, 2, _PUBLISHED_WIDTH)
    sheet.freeze_panes(_TOP, 2)
    _set_up_page(sheet, summary, left)
    return write_lines(sheet, styles, summary.notes, row=last + 2)


def _set_up_page(sheet: Worksheet, summary: Summary, left: int) -> None:
    """On paper, one page per device and backend, each with the recipes beside it."""
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.set_print_scale(49)
    sheet.repeat_columns(0, 1)
    sheet.repeat_rows(0, _TOP - 1)
    breaks = [left + position * len(BLOCK) for position in range(1, len(summary.columns))]
    if breaks:
        sheet.set_v_pagebreaks(breaks)


def _write_heads(sheet: Worksheet, styles: Styles, summary: Summary, row: int, left: int) -> None:
    """Two rows of heads, each written from left to right: a large workbook keeps no row that is written."""
    names = ("recipe", "size (bytes)", "published")[:left]
    sheet.set_row(row, 32)
    for place in range(left):
        sheet.write_blank(row, place, None, styles.head)
    for position, column in enumerate(summary.columns):
        first = left + position * len(BLOCK)
        text = f"{clean(column.name)}\n{column.detail}"
        sheet.merge_range(row, first, row, first + len(BLOCK) - 1, text, styles.group)
    sheet.set_row(row + 1, 44)
    for place, name in enumerate(names):
        sheet.write_string(row + 1, place, name, styles.head)
    for position in range(len(summary.columns)):
        for offset, (name, width, _) in enumerate(_block(summary, position)):
            place = left + position * len(BLOCK) + offset
            sheet.write_string(row + 1, place, name, styles.head)
            sheet.set_column(place, place, width)


def _write_row(sheet: Worksheet, styles: Styles, line: Any, row: int, blocks: list[Any], published: str | None) -> None:
    sheet.write_string(row, 0, line.recipe, styles.bold)
    sizes = line.sizes_bytes
    size = sizes[0] if len(sizes) == 1 else row_size_text(line) or None
    write_value(sheet, row, 1, size, styles.text, styles.numbers["count"])
    wrapped = []
    if published is not None:
        write_value(sheet, row, 2, published or None, styles.wrap)
        wrapped.append((published, _PUBLISHED_WIDTH))
    for position, (record, seeds) in enumerate(zip(line.cells, line.seed_notes, strict=True)):
        left = (2 if published is None else 3) + position * len(BLOCK)
        block = blocks[position]
        values = _values(record, seeds, counted=len(block) > 4 and block[4][0] != BLOCK[4][0])
        for offset, (value, (_, width, kind)) in enumerate(zip(values, block, strict=True)):
            style = {"centre": styles.centre, "wrap": styles.wrap}.get(kind, styles.text)
            if kind == "share" and record is not None and not is_share(record):
                kind = "score"
            write_value(sheet, row, left + offset, value, style, styles.numbers.get(kind))
            if kind == "wrap" and value:
                wrapped.append((value, width))
    fit_row(sheet, row, wrapped, most_lines=_MOST_LINES)


def _values(record: CellRecord | None, seed_note: str, *, counted: bool) -> list[Any]:
    """The block of one cell, in the order of BLOCK, or of COUNT_BLOCK when `counted`."""
    if record is None:
        return [seed_note or NOT_RUN, *[None] * (len(BLOCK) - 1)]
    reason = "" if record.outcome in GOOD else clean(record.reason) or "no reason was recorded"
    measured = record.latency_median_ns is not None or count_of(record) is not None
    placement = placement_text(record) if measured else ""
    score, beside = score_of(record), score_text(record)
    flash, figures = "", list[Any]()
    if counted:
        figures = [
            count_of(record),
            count_bounds_text(record) or None,
            record.counted_inferences,
            BASIS_TEXT.get(record.time_basis or ""),
            record.arena_bytes,
            record.stack_peak_bytes,
        ]
        if record.code_bytes is not None and record.model_bytes is not None:
            flash = f"{record.code_bytes:,} + {record.model_bytes:,}"
    else:
        with_runtime = record.memory_peak_bytes is not None and record.memory_baseline_bytes is None
        flash = memory_text(record) if with_runtime else ""
        figures = [
            _us(record.latency_median_ns),
            latency_interval_text(record) or None,
            _us(record.latency_p90_ns),
            record.latency_samples,
            record.quality,
            None if with_runtime else record.memory_peak_bytes,
        ]
    return [
        record.outcome,
        score,
        beside.removeprefix(value_text(record, score)).strip() or None,
        score_delta_of(record),
        *figures,
        "; ".join(part for part in (flash, placement, reason, seed_note) if part) or None,
    ]


def _block(summary: Summary, position: int) -> tuple[tuple[str, int, str], ...]:
    """The columns of one device: latency, or the count in its unit where the cells of the column count."""
    cells = [cell for row in summary.rows if (cell := row.cells[position]) is not None]
    counted = [cell for cell in cells if count_of(cell) is not None]
    unit = "cycles" if counted and counted[0].instructions is None else "instructions"
    block = COUNT_BLOCK if counted else BLOCK
    return tuple((name.format(unit=unit, score=summary.main_head), width, kind) for name, width, kind in block)


def _us(ns: int | None) -> float | None:
    return None if ns is None else ns / 1000


def _colour(sheet: Worksheet, styles: Styles, summary: Summary, first: int, last: int, start: int) -> None:
    """Outcomes and qualities by word, losses of score by size: of 1 where the score is a share, else of the float model's."""
    heads = [name for name, _, _ in BLOCK]
    amber, red = (bound * _scale(summary) for bound in (LOSS_AMBER, LOSS_RED))
    if summary.lower_is_better:
        bounds = ((">=", red, "wrong"), (">=", amber, "failed"), ("<", amber, "ok"))
    else:
        bounds = (("<=", -red, "wrong"), ("<=", -amber, "failed"), (">", -amber, "ok"))
    for position in range(len(summary.columns)):
        left = start + position * len(BLOCK)
        outcome, delta = left + heads.index("outcome"), left + heads.index("Δ to float32")
        colour_words(sheet, styles, OUTCOME_COLOURS, first, outcome, last, outcome)
        quality = left + heads.index("while timing")
        colour_words(sheet, styles, QUALITY_COLOURS, first, quality, last, quality)
        sheet.conditional_format(first, delta, last, delta, {"type": "blanks", "stop_if_true": True})
        for criteria, value, word in bounds:
            rule = {"type": "cell", "criteria": criteria, "value": value, "format": styles.colours[word]}
            sheet.conditional_format(first, delta, last, delta, {**rule, "stop_if_true": True})


def _scale(summary: Summary) -> float:
    """What a loss of score is a share of: 1, or the float model's score where scores are no shares."""
    if summary.is_share:
        return 1.0
    floats = [s - d for r in summary.scored if (s := score_of(r)) is not None and (d := score_delta_of(r)) is not None]
    return abs(floats[0]) if floats else 1.0
