"""How numbers and texts are written in every table: one rule each, so that no report says the same thing in two ways."""

from __future__ import annotations

import math
import re

from harness.core.files import short_name
from harness.core.printable import one_line
from harness.results.record import CellRecord
from harness.workloads.checks.table import CODES, said_words

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


#: up to where a unit of time is used, its length in ns, and its name
_TIME_UNITS = ((1e3, 1, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms"), (float("inf"), 1e9, "s"))


def duration_text(ns: float | None) -> str:
    """Three significant digits in the unit that suits: `850 ns`, `24.1 µs`, `1.05 ms`, `2.30 s`."""
    if ns is None:
        return ""
    scale, unit = _time_unit(ns)
    return f"{ns / scale:.{_digits(ns, scale)}f} {unit}"


def _time_unit(ns: float) -> tuple[float, str]:
    return next((scale, unit) for limit, scale, unit in _TIME_UNITS if ns < limit * 0.9995 or limit == float("inf"))


def _digits(ns: float, scale: float) -> int:
    """Digits behind the point, so that there are three in all."""
    value = ns / scale
    return 0 if scale == 1 or value >= 99.95 else 1 if value >= 9.995 else 2


def duration_interval_text(ns: int, low_ns: int, high_ns: int, *, narrow: bool = False) -> str:
    """The ends of a time's interval in the unit that `duration_text` gives it: `[5.90, 6.00]`.

    Ends that would read alike get up to two more digits, so that an interval without width is one that has none.
    """
    scale, _ = _time_unit(ns)
    digits = most = _digits(ns, scale)
    if scale > 1:
        most += 2
    while digits < most and high_ns > low_ns and f"{low_ns / scale:.{digits}f}" == f"{high_ns / scale:.{digits}f}":
        digits += 1
    return f"[{low_ns / scale:.{digits}f},{' ' * (not narrow)}{high_ns / scale:.{digits}f}]"


def size_text(size_bytes: int | None) -> str:
    """`23,560`: bytes, exactly, because published sizes are compared to the byte."""
    return "" if size_bytes is None else f"{size_bytes:,}"


def clean(text: str | None, limit: int | None = None) -> str:
    """A text from a board or a converter as one line without control characters, cut to `limit` characters."""
    return one_line(text, limit)


def file_name(text: str) -> str:
    """A text as part of a file name: letters, digits, dots and dashes, at most 50 of them."""
    return short_name(re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or "unnamed", 50)


def folded_text(count: int) -> str:
    """`1 finding of severity info is`, `14 findings of severity info are`."""
    return f"{count} finding{'' if count == 1 else 's'} of severity info {'is' if count == 1 else 'are'}"


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
    """What says that the score answers another question; the findings below the table say more."""
    codes = dict.fromkeys(f.code for f in record.findings if f.code in CODES and f.severity == "error")
    return f"not the question: {said_words(codes)}" if codes and record.ran else ""


def count_of(record: CellRecord) -> int | None:
    """Instructions or cycles per inference; None where the board tells a time instead."""
    return record.instructions if record.instructions is not None else record.cycles


def count_text(record: CellRecord) -> str:
    """`1,304,210 instructions`: to the last digit, because it is exact."""
    count = count_of(record)
    return "" if count is None else f"{count:,} {'cycles' if record.instructions is None else 'instructions'}"


def count_bounds_text(record: CellRecord) -> str:
    """The least and the most that were counted: `797,000 to 799,000`; empty where all inferences cost the same or none told."""
    if record.instructions is not None:
        least, most = record.instructions_min, record.instructions_max
    else:
        least, most = record.cycles_min, record.cycles_max
    return "" if least is None or most is None or least == most else f"{least:,} to {most:,}"


def _weight_text(size_bytes: int) -> str:
    """Three significant digits: `312 kB`, `1.18 MB`, `61.0 MB`."""
    for limit, scale, unit in ((999.5e3, 1e3, "kB"), (999.5e6, 1e6, "MB"), (float("inf"), 1e9, "GB")):
        if size_bytes < limit:
            value = size_bytes / scale
            return f"{value:.{0 if scale == 1e3 or value >= 99.95 else 1 if value >= 9.995 else 2}f} {unit}"
    raise AssertionError("unreachable")


def memory_text(record: CellRecord, *, narrow: bool = False) -> str:
    """What a cell takes of its board.

    A microcontroller: `arena 9,216 B, stack 620 B, flash 52,004 B`, flash being firmware and model together. A Linux board:
    `memory 1.18 MB beside the runtime's 48.2 MB`, what the worker took on top of Python, numpy and the runtime; narrow without
    these. Records of agents that did not tell the two apart say so.
    """
    if (peak := record.memory_peak_bytes) is not None:
        base = record.memory_baseline_bytes
        beside = (
            " with the runtime" if base is None else "" if narrow else f" beside the runtime's {_weight_text(base)}"
        )
        return f"memory {_weight_text(peak)}{beside}"
    flash = None if record.code_bytes is None or record.model_bytes is None else record.code_bytes + record.model_bytes
    parts = (("arena", record.arena_bytes), ("stack", record.stack_peak_bytes), ("flash", flash))
    return ", ".join(f"{name} {size_text(size)} B" for name, size in parts if size is not None)


def energy_figures(record: CellRecord) -> str:
    """`32.8 µJ (32.1 µJ to 33.4 µJ), 12.1 µJ of it beyond rest; by ...`; empty where no instrument measured."""
    if record.energy_nj is None or not math.isfinite(record.energy_nj):
        return ""
    from harness.verdict.energy import energy_text

    low, high = record.energy_low_nj, record.energy_high_nj
    text = energy_text(record.energy_nj)
    if low is not None and high is not None:
        text += f" ({energy_text(low)} to {energy_text(high)})"
    if record.energy_net_nj is not None:
        text += f", {energy_text(record.energy_net_nj)} of it beyond rest"
    return f"{text}; by {clean(record.energy_instrument)}" if record.energy_instrument else text


def mlperf_text(record: CellRecord) -> str:
    """`keyword_spotting: 499.9 inferences a second (median of 5 loops), top-1 0.917, AUC 0.993`; empty where nobody asked."""
    found = record.mlperf
    if not found:
        return ""
    text = f"{found['inferences_per_s']:.4g} inferences a second (median of {len(found['loops'])} loops)"
    figures = (("top-1", found["top1"]), ("AUC", found["auc"]))
    text += "".join(f", {name} {value:.3f}" for name, value in figures if value is not None)
    return f"{found['task']}: {text}" if found["task"] else text


def latency_text(record: CellRecord, *, narrow: bool = False) -> str:
    """Median with its interval, sample count, quality and placement: a latency is never shown without them.

    `5.94 µs [5.90, 6.00] (n=1200, quiet), XNNPACK 6/6 nodes in 1 part`.
    """
    cost = cost_text(record, narrow=narrow)
    if not cost:
        return ""
    placement = placement_text(record)
    return f"{cost} {placement.replace(' nodes', '')}" if narrow else f"{cost}, {placement}"


def cost_text(record: CellRecord, *, narrow: bool = False) -> str:
    """What an inference costs, from how many samples that is known, and what the board was like meanwhile:
    `5.94 µs [5.90, 6.00] (n=1200, quiet)`. Its placement has to stand by.

    An estimate has no samples and says so. Where a compiler could estimate only the part on the NPU, that part stands here
    under its own name, because it is not the cell's latency. Counted instructions or cycles stand as what they are.
    """
    figure, source = _figure(record, narrow=narrow)
    return "" if not figure else f"{figure} {source}" if narrow else f"{figure} ({source})"


def _figure(record: CellRecord, *, narrow: bool) -> tuple[str, str]:
    """A cost in words, and what it comes from; two empty texts where nothing is known."""
    latency_ns = record.latency_median_ns
    if count := count_text(record):
        time = f", {duration_text(latency_ns)}" if latency_ns is not None else ""
        return f"{count}{time}", f"n={record.counted_inferences}"
    if record.time_basis == "estimate":
        if latency_ns is not None:
            return duration_text(latency_ns), "estimate"
        part_ns = (record.compiled or {}).get("inference_ns") if record.outcome == "estimated" else None
        return ("", "") if part_ns is None else (f"NPU part {duration_text(part_ns)}", "estimate")
    if latency_ns is None:
        return "", ""
    figure = " ".join(filter(None, (duration_text(latency_ns), latency_interval_text(record, narrow=narrow))))
    starts = record.latency_starts or 1
    beside = (f"n={record.latency_samples}", f"{starts} starts" if starts > 1 else "", record.quality or "")
    return figure, ", ".join(word for word in beside if word)


def surroundings_text(record: CellRecord) -> str:
    """What the board was like while a latency was taken: `noisy: other processes' share 31 %, drift +4.2 %; 61 to 72 °C`.

    Shares are told from 1 % on. Empty where nobody looked.
    """
    if record.quality is None:
        return ""
    shares = (
        ("other processes", record.other_cpu_share),
        ("hypervisor", record.steal_share),
        ("waited for a processor", record.wait_share),
    )
    parts = [f"{name} {share:.0%}" for name, share in shares if share is not None and share >= 0.01]
    if record.drift:
        parts.append(f"drift {record.drift:+.1%}")
    if (most := record.temperature_max_c) is not None:
        before = record.temperature_before_c
        parts.append(f"{most:.0f} °C" if before is None else f"{before:.0f} to {most:.0f} °C")
    if record.frequency_min_hz:
        parts.append(f"from {record.frequency_min_hz / 1e6:,.0f} MHz")
    if record.governor:
        parts.append(f"governor {clean(record.governor)}")
    if record.cooled_s:
        parts.append(f"waited {record.cooled_s:.0f} s to cool")
    if record.sensors == "simulated":
        parts.append("sensors simulated")
    return ": ".join(part for part in (record.quality, ", ".join(parts)) if part)


def latency_interval_text(record: CellRecord, *, narrow: bool = False) -> str:
    """The ends of the median's interval; empty where the record has none."""
    median_ns, low_ns, high_ns = record.latency_median_ns, record.latency_median_low_ns, record.latency_median_high_ns
    if median_ns is None or low_ns is None or high_ns is None:
        return ""
    return duration_interval_text(median_ns, low_ns, high_ns, narrow=narrow)
