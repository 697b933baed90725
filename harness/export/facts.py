"""What was measured, in words and in JSON: the head of every export's README and of its `export.json`."""

from __future__ import annotations

from typing import Any

from harness.core.printable import one_line
from harness.export.shipped import Shipped
from harness.reports.values import BASIS_MEANING, duration_text, outcome_word, placement_text
from harness.results.record import CellRecord
from harness.workloads.finished import CUT_OUT

CODE = "`"


def manifest_facts(shipped: Shipped) -> dict[str, Any]:
    """The JSON: identity of what ships and of what it was measured on."""
    record = shipped.record
    print_ = record.fingerprint
    return {
        "cell": record.key.text_with_seed,
        "run": record.run,
        "measured_utc": record.started_utc,
        "outcome": record.outcome,
        "shipped_despite": list(shipped.despite),
        "model": {"sha256": shipped.sha256, "size_bytes": len(shipped.tflite)},
        "dataset": record.key.dataset,
        "score": record.score,
        "metric": record.metric,
        "latency_median_ns": record.latency_median_ns,
        "instructions": record.instructions,
        "cycles": record.cycles,
        "time_basis": record.time_basis,
        "device": record.key.device,
        "backend": record.key.backend,
        "runtime": shipped.runtime,
        "board": print_.board_model if print_ else None,
        "measured_by": print_.harness_version if print_ else None,
    }


def measured_lines(shipped: Shipped) -> list[str]:
    """Markdown: what was measured, how, and the hash."""
    record = shipped.record
    lines = [f"- cell {_code(record.key.text_with_seed)} of run {_code(record.run)}, {record.started_utc}"]
    lines.append(
        f"- outcome: **{outcome_word(record)}**" + (f" ({one_line(record.reason, 300)})" if record.reason else "")
    )
    lines.append(f"- model: {len(shipped.tflite):,} bytes, SHA-256 {_code(shipped.sha256)}")
    lines += [f"- {finding.what}" for finding in record.findings if finding.code == CUT_OUT]
    if record.compiled:
        source = record.compiled.get("source_sha256")
        lines.append(f"- compiled offline before it travelled, from the .tflite with SHA-256 {_code(str(source))}")
    lines.append(
        f"- data: {one_line(record.dataset_name)}, {record.samples:,} samples" if record.samples else "- data: none"
    )
    lines += _figures(record)
    lines.append(f"- ran on: {_where(record)}")
    return lines


def against_lines(shipped: Shipped) -> list[str]:
    """Markdown: why it should not ship, where it was exported all the same."""
    if not shipped.despite:
        return []
    return ["> **This was exported although it should not ship:**", *[f"> {text}" for text in shipped.despite], ""]


def _figures(record: CellRecord) -> list[str]:
    lines = []
    if record.score is not None:
        ends = f" [{record.score_low:.4f}, {record.score_high:.4f}]" if record.score_low is not None else ""
        unit = f" {record.metric_unit}" if record.metric_unit else ""
        lines.append(f"- {record.metric_title or record.metric}: {record.score:.4f}{ends}{unit}")
    elif record.agreement is not None:
        lines.append(f"- agreement with the reference: {record.agreement:.4f}")
    basis = BASIS_MEANING.get(record.time_basis or "", "")
    if record.instructions is not None:
        lines.append(
            f"- {record.instructions:,} instructions per inference, counted by an emulator: no time of a real board"
        )
    elif record.cycles is not None:
        lines.append(f"- {record.cycles:,} cycles per inference ({basis})")
    elif record.latency_median_ns is not None:
        lines.append(f"- latency, median: {duration_text(record.latency_median_ns)} ({basis})")
    memory = [
        f"{size:,} bytes of {what}"
        for what, size in (("arena", record.arena_bytes), ("stack at most", record.stack_peak_bytes))
        if size is not None
    ]
    if memory:
        lines.append(f"- memory: {', '.join(memory)}")
    elif record.memory_peak_bytes is not None:
        lines.append(f"- memory of the process on top of the runtime's own: {record.memory_peak_bytes:,} bytes")
    if record.total_nodes is not None:
        lines.append(f"- placement: {placement_text(record)}")
    return lines


def _where(record: CellRecord) -> str:
    print_ = record.fingerprint
    parts = [f"device {_code(record.key.device)}, backend {_code(record.key.backend)}"]
    if print_ is not None:
        parts += [
            one_line(text) for text in (print_.board_model, print_.cpu_model, print_.runtime, print_.kernel) if text
        ]
        if print_.firmware:
            parts.append(f"firmware {one_line(print_.firmware)}")
        if print_.python:
            parts.append(f"Python {one_line(print_.python)}")
    return ", ".join(parts)


def _code(text: str) -> str:
    """A text of a board or a user as Markdown code."""
    return CODE + one_line(text).replace(CODE, "'") + CODE
