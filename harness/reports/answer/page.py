"""The answer in Markdown and on the workbook's first sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.reports.answer.answer import Answer
from harness.reports.answer.models import MODELS_NAME, model_name
from harness.reports.answer.rows import answer_frame
from harness.reports.answer.words import lines, sentence
from harness.reports.values import clean

if TYPE_CHECKING:
    import pandas as pd
    from xlsxwriter.worksheet import Worksheet

    from harness.reports.sheets import Styles

#: widths of the columns of `answer_frame`
_WIDTHS = (14, 30, 12, 34, 34, 8, 46, 14, 60)


def answer_lines(answers: Sequence[Answer], escape: Callable[[object], str]) -> list[str]:
    """The section of Markdown that stands first.

    Args:
        escape: makes a text harmless in Markdown.
    """
    found = ["## What to ship", ""]
    for answer in answers:
        place = f" (`{MODELS_NAME}/{model_name(answer, answers)}`)" if answer.pick is not None else ""
        found.append(f"- {escape(answer.title)}, {escape(answer.device)}: **{escape(sentence(answer))}**{place}")
    if not answers:
        found.append("No cell ran.")
    return [*found, ""]


def reason_lines(
    answers: Sequence[Answer], escape: Callable[[object], str], table: Callable[[pd.DataFrame], str]
) -> list[str]:
    """How the answers are known, for the section of their workload.

    Args:
        escape: makes a text harmless in Markdown.
        table: a frame as a Markdown table.
    """
    found: list[str] = []
    for answer in answers:
        found += [f"### {escape(answer.device)}: {escape(sentence(answer))}", ""]
        found += [f"- {escape(head)}: {escape(text)}" for head, text in lines(answer)]
        found += ["", table(answer_frame(answer)), ""]
    return found


def write_answer_sheet(
    sheet: Worksheet,
    styles: Styles,
    answers: Sequence[Answer],
    title: str,
    notes: Sequence[str],
    *,
    headline: Sequence[str] = (),
) -> None:
    """The first sheet: what got worse, what to ship in a sentence each, then the lines behind each and every cell with its role.

    Args:
        headline: what got worse; the first line stands out.
    """
    from harness.reports.sheets import fit_row, write_lines, write_value

    sheet.write_string(0, 0, title, styles.title)
    row = write_lines(sheet, styles, notes, 1)
    for number, line in enumerate(headline):
        sheet.write_string(row, 0, clean(line), styles.note if number else styles.bold)
        row += 1
    row += 1
    for answer in answers:
        sheet.write_string(row, 0, clean(f"{answer.title}, {answer.device}: {sentence(answer)}"), styles.bold)
        row += 1
    row += 1
    for answer in answers:
        sheet.write_string(row, 0, clean(f"{answer.title}, {answer.device}"), styles.bold)
        row += 1
        if answer.pick is not None:
            sheet.write_string(row, 0, "model", styles.note)
            sheet.write_string(row, 1, f"{MODELS_NAME}/{model_name(answer, answers)}", styles.text)
            row += 1
        for head, text in lines(answer):
            sheet.write_string(row, 0, head, styles.note)
            sheet.write_string(row, 1, clean(text), styles.text)
            row += 1
        frame = answer_frame(answer)
        for column, name in enumerate(frame.columns):
            sheet.write_string(row, column, name, styles.head)
        for values in frame.itertuples(index=False, name=None):
            row += 1
            for column, value in enumerate(values):
                write_value(sheet, row, column, clean(value), styles.wrap)
            fit_row(sheet, row, [(str(v), w) for v, w in zip(values, _WIDTHS, strict=True) if v])
        row += 2
    sheet.ignore_errors({"number_stored_as_text": "A1:I10000"})
    for column, width in enumerate(_WIDTHS):
        sheet.set_column(column, column, width)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
