"""summary.md: first the answer, then the tables, then what failed and what was found, then what it ran on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.reports import fallback
from harness.reports.answer.answer import Answer
from harness.reports.answer.page import answer_lines, reason_lines
from harness.reports.report import Report
from harness.reports.scores import ACCURACY
from harness.reports.summary import Summary
from harness.reports.tables import summary_text
from harness.reports.values import clean, duration_text, folded_text, is_missing

if TYPE_CHECKING:
    import pandas as pd


def escape(text: object) -> str:
    """A text inside a table cell: no pipe, tag, link or emphasis of its own; newlines become line breaks."""
    lines = [clean(line) for line in str(text).split("\n")]
    # An underscore inside a word and brackets without a link behind them mean nothing to Markdown and stay readable.
    safe = [re.sub(r"([\\|*`~]|(?<!\w)_|_(?!\w)|\](?=[(\[:])|!(?=\[))", r"\\\1", line) for line in lines]
    return "<br>".join(line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in safe)


def frame_table(frame: pd.DataFrame) -> str:
    """A frame of texts as a Markdown table, the index first if it has a name."""
    if frame.index.name:
        frame = frame.reset_index()
    head = "| " + " | ".join(escape(name) for name in frame.columns) + " |"
    rule = "|" + "---|" * len(frame.columns)
    rows = ["| " + " | ".join(_cell(value) for value in row) + " |" for row in frame.itertuples(index=False)]
    return "\n".join([head, rule, *rows])


def _cell(value: object) -> str:
    return "" if is_missing(value) else escape(f"{value:.4f}" if isinstance(value, float) else value)


def summary_section(summary: Summary, answers: Sequence[Answer]) -> list[str]:
    """Table and notes of one workload, and how its answers are known."""
    lines = [f"## {escape(summary.title)}", ""]
    if summary.dataset_note:
        lines += [f"Data: {escape(summary.dataset_note)}", ""]
    if summary.score_head != ACCURACY:
        lines += [f"Score: {escape(summary.score_head)}", ""]
    lines += [frame_table(summary_text(summary)), ""]
    for note in summary.notes:
        lines += [escape(note), ""]
    return lines + reason_lines(answers, escape, frame_table)


def markdown(report: Report) -> str:
    """The whole summary as Markdown text."""
    lines = [f"# {_title(report)}", "", f"{report.counts_text}.", ""]
    if report.info and report.info.state != "finished":
        lines += [f"This run is {report.info.state}; what is missing is shown as not run.", ""]
    lines += answer_lines(report.answers, escape) + _data(report)
    for summary in report.summaries:
        mine = [a for a in report.answers if (a.workload, a.dataset) == (summary.workload, summary.dataset)]
        lines += summary_section(summary, mine)
    lines += (
        _outputs(report)
        + _problems(report)
        + _seeds(report)
        + _microcontrollers(report)
        + _fallback(report)
        + _findings(report)
    )
    lines += [
        "## Environment",
        "",
        frame_table(report.frames["Environment"]),
        "",
        "## How to read this",
        "",
        *_LEGEND,
        "",
    ]
    return "\n".join(lines)


def _title(report: Report) -> str:
    """The run, and what it measured where, so that a page that is read alone says what it is about."""
    keys = [*report.planned, *(record.key for record in report.records)]
    of = f"Run {report.run}" if report.run else "Latest cells of every run"
    return f"{of}: {_some({k.workload for k in keys})} on {_some({k.device for k in keys})}" if keys else of


def _some(names: set[str]) -> str:
    """A few names, and how many more there are."""
    shown = sorted(names)[:4]
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return escape(", ".join(shown)) + more


def _problems(report: Report) -> list[str]:
    frame = report.frames["Problems"]
    lines = ["## What did not work", "", *_data(report)]
    lines.append("Every cell that ran is ok." if frame.empty else frame_table(frame.drop(columns=["dataset_name"])))
    if report.not_run:
        lines += ["", f"{report.not_run} planned cell{' has' if report.not_run == 1 else 's have'} no record: not run."]
    return [*lines, ""]


def _data(report: Report) -> list[str]:
    """The head of a table that spans workloads."""
    return [line for note in report.dataset_notes for line in (f"Data of {escape(note)}", "")]


def _outputs(report: Report) -> list[str]:
    frame = report.frames.get("Outputs")
    if frame is None:
        return []
    columns = [
        "workload",
        "recipe",
        "device",
        "backend",
        "outcome",
        "output",
        "metric_title",
        "metric_unit",
        "score",
        "score_low",
        "score_high",
        "score_delta",
        "score_p",
        "samples",
    ]
    return [
        "## Outputs",
        "",
        "Each judged output of models that have several; differences are to the float model's on the same samples.",
        "",
        *_data(report),
        frame_table(frame[columns]),
        "",
    ]


def _seeds(report: Report) -> list[str]:
    frame = report.frames["Seeds"].copy()
    if frame.empty:
        return []
    for name in ("latency_median_ns_min", "latency_median_ns_max"):
        frame[name.replace("_ns", "")] = frame.pop(name).map(duration_text, na_action="ignore")
    frame["metric"] = frame["metric_head"]
    columns = [
        "workload",
        "recipe",
        "device",
        "backend",
        "seeds",
        "ok",
        "metric",
        "score_min",
        "score_mean",
        "score_max",
        "score_sd",
        "latency_median_min",
        "latency_median_max",
        "quality",
        "latency_samples",
        "count_min",
        "count_max",
        "time_basis",
        "placement",
    ]
    return [
        "## Spread over seeds",
        "",
        "A difference within this spread shows nothing.",
        "",
        *_data(report),
        frame_table(frame[columns]),
        "",
    ]


def _microcontrollers(report: Report) -> list[str]:
    frame = report.frames.get("Microcontrollers")
    if frame is None:
        return []
    columns = [
        "workload",
        "recipe",
        "device",
        "outcome",
        "metric",
        "score",
        "instructions",
        "cycles",
        "counted_inferences",
        "placement",
        "arena_bytes",
        "stack_peak_bytes",
        "model_bytes",
        "code_bytes",
    ]
    shown = frame[[name for name in columns if name in _ALWAYS or frame[name].notna().any()]]
    return [
        "## Microcontrollers",
        "",
        "Counts are exact and per inference; flash is model_bytes and code_bytes together.",
        "",
        *_data(report),
        frame_table(shown),
        "",
    ]


_ALWAYS = ("workload", "recipe", "device", "outcome", "placement")


def _fallback(report: Report) -> list[str]:
    import pandas as pd

    rows = [
        {
            "workload": r.key.workload,
            "recipe": r.key.recipe,
            "device": r.key.device,
            "backend": r.key.backend,
            "placement": cell.placement,
            "nodes left, why, and where they ran": "\n".join(cell.lines),
        }
        for cell in fallback.cells(report.sorted_records)
        for r in [cell.record]
    ]
    if not rows:
        return []
    return ["## Fallback", "", *_data(report), frame_table(pd.DataFrame(rows, dtype=object)), ""]


def _findings(report: Report) -> list[str]:
    frame = report.frames["Findings"]
    if frame.empty:
        return []
    folded = frame["severity"] == "info"
    columns = ["severity", "workload", "recipe", "where", "what", "fix"]
    lines = ["## Findings", "", *_data(report)]
    if not folded.all():
        lines += [frame_table(frame.loc[~folded, columns]), ""]
    if folded.any():
        head = f"<details><summary>{folded_text(int(folded.sum()))} folded here</summary>"
        lines += [head, "", frame_table(frame.loc[folded, columns]), "", "</details>", ""]
    return lines


_LEGEND = (
    "- `ok`, `X` (unsupported: this runtime, delegate or converter refuses it), `WRONG` (it ran, but its outputs are not the "
    "reference's), `UNDECIDED` (it ran, but its outputs cannot tell right from wrong), `FAILED` (the board or the link, not the "
    "model), `estimated` (nothing ran).",
    "- Scores are measured on the device; brackets: 95 % interval (of an accuracy Wilson's); n: test samples.",
    "- Latency is the median of steady samples around invoke alone with its 95 % interval; n: their number; what the board was "
    "like meanwhile (`quiet`, `noisy`, `throttled`); then the placement.",
    "- Memory of a Linux board is the most that the worker took on top of Python, numpy and the runtime: model and delegate.",
    "- Raw latency samples are in `raw/`, every field of every cell in `cells.csv` and `run.json`.",
)
