"""The one table of what is judged: each quantity's direction, unit and test, and whether it gates or informs.

A quantity that gates ends a command with exit code 3 when it is worse; one that informs is only told. What a quantity is
compared by is its test:

    exact    two figures that repeat to the digit are the same or not (`harness.verdict.exact`)
    paired   two scores on the same samples (`harness.verdict.scores`)
    noisy    times: screened against history, then confirmed on the board (`harness.verdict.screen`, `.confirm`); energy: by the
             intervals of one instrument (`harness.verdict.energy`)
    watched  told when it moves far; nothing confirms it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from harness.results.record import CellRecord

Test = Literal["exact", "paired", "noisy", "watched"]
Better = Literal["higher", "lower", "by rank", "fewer"]

#: from this relative change on a size gates
SIZE_GATES_FROM = 0.01
#: how outcomes rank, the best last; `failed` has no rank, because it tells nothing of the model
OUTCOME_RANK = {"wrong": 0, "unsupported": 1, "undecided": 2, "estimated": 3, "ok": 3}
#: findings that are made from times, or from what the board was like meanwhile: they come and go with the noise, and are
#: never compared exactly
TIMING_FINDINGS = frozenset(
    {
        "warm-up-unstable",
        "latency-of-batches",
        "graph-cache-no-gain",
        "graph-cache-unused",
        "graph-cache-emptied",
        "delegate-slower",
        "partial-delegation-costs",
        "prediction-time",
        "vendor-benchmark-differs",
        "vendor-benchmark-failed",
        "worker-started-fresh",
        "cached-start-failed",
        "noisy-neighbour",
        "clock-moved",
        "latency-drift",
        "throttled",
        "under-voltage",
        "still-hot",
        "no-temperature",
    }
)


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One row of the table.

    Attributes:
        name: as stored and as `harness accept --quantity` takes it.
        title: in sentences.
        unit: of the figure; empty for a share or a name.
        better: which way it gets better; `by rank`: outcomes and places; `fewer`: sets.
        test: what it is compared by.
        gates: whether a worse one is a regression, or is only told.
        value: the figure of a record; None: the record does not tell it.
    """

    name: str
    title: str
    unit: str
    better: Better
    test: Test
    gates: bool
    value: Callable[[CellRecord], Any]


def _flash(record: CellRecord) -> int | None:
    return None if record.model_bytes is None else record.model_bytes + (record.code_bytes or 0)


def _codes(record: CellRecord, severity: str) -> frozenset[str]:
    return frozenset(
        f"{f.code} at {f.where}" if f.where != record.key.text else f.code
        for f in record.findings
        if f.severity == severity and f.code not in TIMING_FINDINGS
    )


def _placement(record: CellRecord) -> tuple[tuple[str, str], ...] | None:
    """(op, where it ran) per node, in the model's order."""
    places = tuple((str(row.get("op")), str(row.get("ran_on"))) for row in record.ops)
    return places or None


#: every quantity that is judged, in the order in which they are told
QUANTITIES: tuple[Quantity, ...] = (
    Quantity(name="outcome", title="outcome", unit="", better="by rank", test="exact", gates=True,
             value=lambda r: r.outcome),
    Quantity(name="placement", title="placement", unit="nodes", better="by rank", test="exact", gates=True,
             value=_placement),
    Quantity(name="partitions", title="partitions", unit="", better="lower", test="exact", gates=True,
             value=lambda r: r.partitions),
    Quantity(name="instructions", title="instructions", unit="", better="lower", test="exact", gates=True,
             value=lambda r: r.instructions),
    Quantity(name="arena", title="arena", unit="bytes", better="lower", test="exact", gates=True,
             value=lambda r: r.arena_bytes),
    Quantity(name="flash", title="flash", unit="bytes", better="lower", test="exact", gates=True, value=_flash),
    Quantity(name="errors", title="error findings", unit="", better="fewer", test="exact", gates=True,
             value=lambda r: _codes(r, "error")),
    Quantity(name="score", title="score", unit="", better="higher", test="paired", gates=True, value=lambda r: r.score),
    Quantity(name="latency", title="latency", unit="ns", better="lower", test="noisy", gates=True,
             value=lambda r: r.latency_median_ns),
    Quantity(name="energy", title="energy", unit="nJ", better="lower", test="noisy", gates=True,
             value=lambda r: r.energy_nj),
    Quantity(name="size", title="size", unit="bytes", better="lower", test="exact", gates=True,
             value=lambda r: r.size_bytes),
    Quantity(name="estimate", title="estimated time", unit="ns", better="lower", test="exact", gates=False,
             value=lambda r: r.latency_median_ns if r.time_basis == "estimate" else None),
    Quantity(name="findings", title="findings", unit="", better="fewer", test="exact", gates=False,
             value=lambda r: _codes(r, "warning")),
    Quantity(name="cycles", title="cycles", unit="", better="lower", test="watched", gates=False,
             value=lambda r: r.cycles),
    Quantity(name="load", title="load time", unit="ns", better="lower", test="watched", gates=False,
             value=lambda r: r.load_ns),
    Quantity(name="memory", title="memory", unit="bytes", better="lower", test="watched", gates=False,
             value=lambda r: r.memory_peak_bytes),
)  # fmt: skip

#: the same by name
BY_NAME: dict[str, Quantity] = {q.name: q for q in QUANTITIES}
#: times of these bases are of a clock, and noisy; those of other bases are counts or estimates
CLOCKED = frozenset({"device", "device-cycles", "host-emulated"})


def time_text(ns: float) -> str:
    """A time with three digits and the unit that leaves it below 1,000: `32.8 µs`, `6.76 ms`, `1.24 s`, `4,210 s`."""
    for unit_ns, unit in ((1e3, "µs"), (1e6, "ms"), (1e9, "s")):
        if ns < 999.5 * unit_ns:
            return f"{ns / unit_ns:.3g} {unit}"
    return f"{ns / 1e9:,.0f} s"


def change_text(quantity: Quantity, old: float, new: float) -> str:
    """`100 -> 140 bytes`, `1.65 ms -> 6.76 ms`."""
    if quantity.unit == "ns":
        return f"{time_text(old)} -> {time_text(new)}"
    return f"{old:,} -> {new:,}" + (f" {quantity.unit}" if quantity.unit else "")
