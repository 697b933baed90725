"""One CSV file per sheet, for tools that read no workbook. UTF-8, numbers in the record's units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.files import write_bytes_atomic
from harness.core.printable import spreadsheet_text
from harness.reports.report import Report
from harness.reports.summary import Summary
from harness.reports.tables import summary_table
from harness.reports.values import clean, file_name
from harness.results.faults import storage_faults

if TYPE_CHECKING:
    import pandas as pd


def csv_text(value: Any) -> Any:
    """A text on one line: lines of a board's log are told apart by ` | `. Harmless in a spreadsheet; numbers stay numbers."""
    if isinstance(value, str):
        value = " | ".join(line for part in value.splitlines() if (line := clean(part)))
    return spreadsheet_text(value)


def frame_csv(frame: pd.DataFrame) -> str:
    """A frame as CSV text with a header line and no index."""
    safe = frame.copy()
    for name in safe.columns:
        if safe[name].dtype == object or str(safe[name].dtype).startswith("str"):
            safe[name] = safe[name].map(csv_text, na_action="ignore").astype(object)
    safe = safe.rename(columns=lambda name: spreadsheet_text(str(name)))
    return safe.to_csv(index=False, lineterminator="\n")


def summary_csv(summary: Summary) -> str:
    """The summary's numbers; one header line: `DEVICE / BACKEND (THREADS, BASIS): VALUE`."""
    import pandas as pd

    frame = summary_table(summary)
    frame.columns = pd.Index([": ".join(pair) for pair in frame.columns.to_list()])
    frame = frame.reset_index()
    for name, text in (("dataset_name", summary.dataset_name), ("dataset_note", summary.dataset_note)):
        # As objects: pandas' own strings are UTF-8, which not every text of a board or a file is.
        frame[name] = pd.Series([text] * len(frame), index=frame.index, dtype=object)
    return frame_csv(frame)


def csv_texts(report: Report) -> dict[str, str]:
    """Every file's name and content."""
    files: dict[str, str] = {}
    for summary in report.summaries:
        name = f"summary-{file_name(summary.workload)}"
        if f"{name}.csv" in files:  # the same workload on another dataset
            name = f"{name}-{summary.dataset[:8]}"
        files[f"{name}.csv"] = summary_csv(summary)
    for sheet, frame in report.frames.items():
        files[f"{sheet.lower()}.csv"] = frame_csv(frame)
    return files


def write_csvs(report: Report, folder: Path, *, option: str = "--results") -> list[Path]:
    """Writes every CSV file into a folder, which `option` names, each atomically; returns their paths."""
    paths = []
    with storage_faults(folder, option=option):
        for name, text in csv_texts(report).items():
            write_bytes_atomic(folder / name, text.encode("utf-8", errors="backslashreplace"))
            paths.append(folder / name)
    return paths
