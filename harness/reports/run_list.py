"""The list of runs, one line each. Made without Rich, whose table takes longer for a thousand runs than counting their cells."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

from harness.core.printable import one_line
from harness.results.record import OUTCOMES, RunInfo

if TYPE_CHECKING:
    import pandas as pd

    from harness.results.overview import RunOverview

_HEADS = ("run", "started (UTC)", "state", "cells", "command")
#: the outcomes of a run may be many words; what is longer pushes its line's command to the right
_WIDEST = 60


def print_runs(runs: Iterable[tuple[RunInfo, str]], file: TextIO | None = None) -> None:
    """Prints one line per run: id, begin, state, outcomes, command; on a terminal cut to its width.

    Args:
        runs: each run with its outcomes in words, in the order in which they are to stand.
        file: stdout unless given.
    """
    file = file or sys.stdout
    width = shutil.get_terminal_size().columns if file.isatty() else None
    file.writelines(f"{line}\n" for line in lines(runs, width))


def lines(runs: Iterable[tuple[RunInfo, str]], width: int | None = None) -> Iterator[str]:
    """The lines, a head first, cut to `width` columns where there is one."""
    rows = [_HEADS, *(_row(info, counts) for info, counts in runs)]
    widths = [min(max(len(row[column]) for row in rows), _WIDEST) for column in range(len(_HEADS) - 1)]
    for row in rows:
        line = "  ".join([*(text.ljust(size) for text, size in zip(row, widths, strict=False)), row[-1]]).rstrip()
        yield line if width is None or len(line) <= width else f"{line[: max(1, width - 1)]}…"


def _row(info: RunInfo, counts: str) -> tuple[str, ...]:
    texts = (info.run, info.started_utc[:19], info.state, counts, " ".join(info.command))
    return tuple(one_line(text, 200) for text in texts)


def runs_frame(found: Iterable[RunOverview]) -> pd.DataFrame:
    """The runs as a table: `run`, `started` (UTC), `state`, `series`, `planned`, `cells`, one column per outcome, `damaged`,
    `not_run`, `command`.
    """
    import pandas as pd

    rows = [
        {
            "run": one.info.run,
            "started": one.info.started_utc,
            "state": one.info.state,
            "series": one.info.series,
            "planned": one.planned,
            "cells": one.cells,
            **{outcome: one.outcomes.get(outcome, 0) for outcome in OUTCOMES},
            "damaged": one.damaged,
            "not_run": one.not_run,
            "command": " ".join(one.info.command),
        }
        for one in found
    ]
    columns = ["run", "started", "state", "series", "planned", "cells", *OUTCOMES, "damaged", "not_run", "command"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["started"] = pd.to_datetime(frame["started"], utc=True, format="ISO8601")
    return frame
