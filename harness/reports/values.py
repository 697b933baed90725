"""How numbers and texts are written in every table: one rule each, so that no report says the same thing in two ways."""

from __future__ import annotations

from harness.core.printable import one_line
from harness.results.record import CellRecord
from harness.workloads.checks.table import CODES

#: what a latency of each basis is, for column heads and notes
BASIS_TEXT = {
    "device": "device clock",
    "device-cycles": "core cycles",
    "guest-instructions": "guest instructions",
    "host-emulated": "emulated on the host",
    "estimate": "estimate",
}

BASIS_MEANING = {
    "device": "measured on the device by its own clock, around invoke alone",
    "device-cycles": "cycles that the board's own core counted around invoke alone; as a time, at the clock the board names",
    "guest-instructions": "instructions that the emulated processor executed (on Linux boards written as a time); not a real "
    "board's time",
    "host-emulated": "an emulator's time on the host that ran it; says nothing about a real board",
    "estimate": "computed by a tool, never run",
}

#: outcomes that need no reason beside them
GOOD = ("ok", "estimated")
_OUTCOME_WORDS = {
    "ok": "ok",
    "estimated": "estimated",
    "undecided": "UNDECIDED",
    "wrong": "WRONG",
    "unsupported": "X",
    "failed": "FAILED",
}

#: firmware that was built with its model, and may run it on whatever the chip has (docs/guides/mlperf-tiny.md)
_HOLDS_ITS_MODEL = "mlperf-tiny "


def is_missing(value: object) -> bool:
    """None, NaN or pandas' NA, told apart without loading pandas."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def duration_text(ns: float | None) -> str:
    """Three significant digits in the unit that suits: `850 ns`, `24.1 µs`, `1.05 ms`, `2.30 s`."""
    if ns is None:
        return ""
    for limit, scale, unit in ((1e3, 1, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms"), (float("inf"), 1e9, "s")):
        if ns < limit * 0.9995 or limit == float("inf"):
            value = ns / scale
            digits = 0 if scale == 1 or value >= 99.95 else 1 if value >= 9.995 else 2
            return f"{value:.{digits}f} {unit}"
    raise AssertionError("unreachable")


def size_text(size_bytes: int | None) -> str:
    """`23,560`: bytes, exactly, because published sizes are compared to the byte."""
    return "" if size_bytes is None else f"{size_bytes:,}"


def clean(text: str | None, limit: int | None = None) -> str:
    """A text from a board or a converter as one line without control characters, cut to `limit` characters."""
    return one_line(text, limit)


def placement_text(record: CellRecord) -> str:
    """Where the nodes ran: `XNNPACK 5/6 nodes in 1 part`, `vx 0/6 nodes`, `no delegate` (all on the runtime's own kernels)."""
    if record.fingerprint is not None and record.fingerprint.runtime.startswith(_HOLDS_ITS_MODEL):
        return "placement not told"
    if record.delegate_name is None:
        return "no delegate"
    total = "?" if record.total_nodes is None else str(record.total_nodes)
    if record.delegated_nodes is None:
        return f"{clean(record.delegate_name)} ?/{total} nodes (not told)"
    parts = f" in {record.partitions} part{'' if record.partitions == 1 else 's'}" if record.partitions else ""
    return f"{clean(record.delegate_name)} {record.delegated_nodes}/{total} nodes{parts}"


def threads_text(threads: int) -> str:
    return f"{threads} thread" + ("" if threads == 1 else "s")


def outcome_word(record: CellRecord) -> str:
    """The outcome as tables show it: the X stands for unsupported, and what is bad is in capitals."""
    return _OUTCOME_WORDS[record.outcome]


def misread_text(record: CellRecord) -> str:
    """What says that the score answers another question: the codes of the findings, which stand below the table."""
    codes = dict.fromkeys(f.code for f in record.findings if f.code in CODES and f.severity == "error")
    return f"not the question: {', '.join(codes)}" if codes and record.ran else ""


def count_of(record: CellRecord) -> int | None:
    """Instructions or cycles per inference; None where the board tells a time instead."""
    return record.instructions if record.instructions is not None else record.cycles


def count_text(record: CellRecord) -> str:
    """`1,304,210 instructions`: to the last digit, because it is exact."""
    count = count_of(record)
    return "" if count is None else f"{count:,} {'cycles' if record.instructions is None else 'instructions'}"


def memory_text(record: CellRecord) -> str:
    """What a microcontroller needs: `arena 9,216 B, stack 620 B, flash 52,004 B`, flash being firmware and model together."""
    flash = None if record.code_bytes is None or record.model_bytes is None else record.code_bytes + record.model_bytes
    parts = (("arena", record.arena_bytes), ("stack", record.stack_peak_bytes), ("flash", flash))
    return ", ".join(f"{name} {size_text(size)} B" for name, size in parts if size is not None)


def latency_text(record: CellRecord, *, narrow: bool = False) -> str:
    """Median with its sample count and placement: a latency is never shown without them.

    An estimate has no samples and says so. Where a compiler could estimate only the part on the NPU, that part stands
    here under its own name, because it is not the cell's latency. Counted instructions or cycles stand as what they are.
    """
    if count := count_text(record):
        source, placement = f"n={record.counted_inferences}", placement_text(record)
        if record.latency_median_ns is not None:
            count = f"{count}, {duration_text(record.latency_median_ns)}"
        return f"{count} {source} {placement.replace(' nodes', '')}" if narrow else f"{count} ({source}), {placement}"
    latency_ns, source, part = record.latency_median_ns, f"n={record.latency_samples}", ""
    if record.time_basis == "estimate":
        source = "estimate"
        if latency_ns is None and record.outcome == "estimated":
            latency_ns, part = (record.compiled or {}).get("inference_ns"), "NPU part "
    if latency_ns is None:
        return ""
    duration, placement = f"{part}{duration_text(latency_ns)}", placement_text(record)
    if narrow:
        return f"{duration} {source} {placement.replace(' nodes', '')}"
    return f"{duration} ({source}), {placement}"
