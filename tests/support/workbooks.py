"""Workbooks in tests, read back."""

from __future__ import annotations

import warnings


def read(path):
    """The workbook, by another library than the one that writes it."""
    import openpyxl

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparkline Group extension")  # it keeps all else
        return openpyxl.load_workbook(path)


def rows_of(sheet):
    """The values of a sheet, row by row."""
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


def table_of(sheet, first_head):
    """The rows below the head that starts with `first_head`, as dictionaries."""
    rows = rows_of(sheet)
    head = next(i for i, row in enumerate(rows) if row[0] == first_head)
    return [dict(zip(rows[head], row, strict=True)) for row in rows[head + 1 :]]
