"""Writes what was said of a run beside its tables: verdict.md, verdict.xml (JUnit), verdict.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core.files import write_bytes_atomic
from harness.reports.verdicts.junit import junit
from harness.reports.verdicts.text import markdown
from harness.reports.verdicts.words import headline
from harness.results.codec import plain_json
from harness.results.faults import storage_faults
from harness.results.record import CellRecord
from harness.verdict.night import Judgement
from harness.verdict.verdict import by_urgency

MARKDOWN_NAME, JUNIT_NAME, JSON_NAME = "verdict.md", "verdict.xml", "verdict.json"


def verdict_json(judgement: Judgement, *, exit_code: int) -> dict[str, Any]:
    """The judgement as JSON values: every verdict with its numbers."""
    return plain_json(
        {
            "run": judgement.run,
            "series": judgement.series,
            "nights": judgement.nights,
            "headline": headline(judgement),
            "notes": list(judgement.notes),
            "no_history": judgement.no_history,
            "exit_code": int(exit_code),
            "open": len(judgement.open),
            "new": len(judgement.new()),
            "boards": [board.__dict__ for board in judgement.boards],
            "failed": [record.key.text_with_seed for record in judgement.failed],
            "not_run": [key.text_with_seed for key in judgement.not_run],
            "verdicts": [
                {"cell": v.key.text_with_seed, **v.to_json(), "open": v.open} for v in by_urgency(judgement.verdicts)
            ],
        }
    )


def export_verdict(folder: Path, judgement: Judgement, records: Sequence[CellRecord], *, exit_code: int) -> None:
    """Writes the three files.

    Raises:
        UserInputError: the folder cannot be written.
        HarnessError: the disk is full.
    """
    with storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(folder / MARKDOWN_NAME, markdown(judgement).encode())
        write_bytes_atomic(folder / JUNIT_NAME, junit(judgement, records))
        text = json.dumps(verdict_json(judgement, exit_code=exit_code), indent=1, allow_nan=False)
        write_bytes_atomic(folder / JSON_NAME, f"{text}\n".encode())
