"""What several cells of one model on one device say together: is the NPU number really the NPU's, and is it worth it?

Known from users of real NPUs: integer results of an NPU are usually not bit-identical to the CPU's, so bit-identical
outputs usually mean that nothing ran there; and an NPU can be slower than the CPU beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.finding import Finding
from harness.core.numbers import significant_text
from harness.results.record import CellKey, CellRecord

#: codes of the findings made here, so that they can be made anew when a neighbour was measured again
CROSS_CODES = frozenset(
    {"nothing-delegated", "identical-to-cpu", "partial-delegation-costs", "delegate-slower", "xnnpack-beside-delegate"}
)
#: times that say nothing about the hardware they imitate
EMULATED = "host-emulated"
#: a delegate whose rounding is meant to equal the CPU's, so that identical outputs say nothing about it
BIT_EXACT_DELEGATES = frozenset({"npu-standin"})


@dataclass(frozen=True, kw_only=True)
class CrossFinding:
    """A finding and the cell it belongs to."""

    key: CellKey
    finding: Finding


def cross_checks(records: Iterable[CellRecord]) -> list[CrossFinding]:
    """Findings about cells that ran on an external delegate, from their neighbours on the same device's CPU.

    Only cells of the same workload, recipe, device, dataset and seed are compared, and only times of the same basis.
    """
    groups: dict[tuple, list[CellRecord]] = {}
    for record in records:
        if record.ran:
            k = record.key
            groups.setdefault((k.workload, k.recipe, k.device, k.dataset, k.seed), []).append(record)
    found: list[CrossFinding] = []
    for group in groups.values():
        cpus = [r for r in group if not _external(r)]
        for record in group:
            if _external(record):
                found += [CrossFinding(key=record.key, finding=f) for f in _check(record, cpus)]
    return found


def _external(record: CellRecord) -> bool:
    return record.delegate_name not in (None, "XNNPACK")


def _check(record: CellRecord, cpus: Sequence[CellRecord]) -> list[Finding]:
    found = [_nothing_delegated(record), _identical(record, cpus), _slower(record, cpus), _xnnpack(record)]
    return [f for f in found if f is not None]


def _nothing_delegated(record: CellRecord) -> Finding | None:
    if record.delegated_nodes != 0:
        return None
    # What the coverage table said before the push is no news; a delegate that silently took nothing is.
    foreseen = bool(record.fallback) and all(op.predicted for op in record.fallback)
    return Finding(
        code="nothing-delegated",
        severity="warning" if foreseen else "error",
        where=record.key.text,
        what=f"{record.delegate_name} took none of the {record.total_nodes} nodes: this row's latency is the CPU's",
        fix="see the fallback table for the reason of each op, or take a recipe that computes in integers",
    )


def _identical(record: CellRecord, cpus: Sequence[CellRecord]) -> Finding | None:
    same = [c for c in cpus if c.outputs_object and c.outputs_object == record.outputs_object]
    if not same or not record.delegated_nodes or record.input_dtype == "float32" and record.max_lsb_diff is None:
        return None
    if record.delegate_name in BIT_EXACT_DELEGATES:
        return Finding(
            code="identical-to-cpu",
            severity="info",
            where=record.key.text,
            what=f"outputs are bit-identical to {same[0].key.backend}, as {record.delegate_name} in bit-exact mode promises",
        )
    return Finding(
        code="identical-to-cpu",
        severity="warning",
        where=record.key.text,
        what=f"all {record.samples} outputs are bit-identical to {same[0].key.backend}: the model probably did not run on "
        f"{record.delegate_name}, although {record.delegated_nodes} nodes are said to be delegated",
        fix="look at the board log for a fallback inside the delegate, and at the NPU's own load counter",
    )


@dataclass(frozen=True, kw_only=True)
class _Interval:
    """A median and its confidence interval."""

    low_ns: int
    median_ns: int
    high_ns: int


def _interval(record: CellRecord) -> _Interval | None:
    low, median, high = record.latency_median_low_ns, record.latency_median_ns, record.latency_median_high_ns
    if low is None or median is None or high is None:
        return None
    return _Interval(low_ns=low, median_ns=median, high_ns=high)


def _slower(record: CellRecord, cpus: Sequence[CellRecord]) -> Finding | None:
    """A delegate slower than the fastest CPU backend, beyond what both medians' intervals can explain."""
    mine = _interval(record)
    rivals = [(theirs, c) for c in cpus if c.time_basis == record.time_basis and (theirs := _interval(c)) is not None]
    if not rivals or mine is None or not record.delegated_nodes:
        return None
    theirs, best = min(rivals, key=lambda rival: rival[0].median_ns)
    if mine.low_ns <= theirs.high_ns:
        return None
    ratio = mine.median_ns / max(1, theirs.median_ns)
    what = f"{significant_text(ratio)} times as slow as {best.key.backend} on the same device"
    if record.time_basis == EMULATED:
        return Finding(
            code="delegate-slower",
            severity="info",
            where=record.key.text,
            what=f"{what}: on an emulator this says nothing about any NPU; on a real board it would be a warning",
        )
    left = (record.total_nodes or 0) - record.delegated_nodes
    if record.partitions and left > 0:
        return Finding(
            code="partial-delegation-costs",
            severity="warning",
            where=record.key.text,
            what=f"{what}: {left} of {record.total_nodes} nodes stay on the CPU, and moving tensors in and out of "
            f"{record.partitions} partition{'s' if record.partitions > 1 else ''} costs more than the delegate gains",
            fix="take the recipe whose ops are all delegated, or remove the ops in the fallback table",
        )
    return Finding(
        code="delegate-slower",
        severity="warning",
        where=record.key.text,
        what=what,
        fix="use the CPU for this model, or look for ops that this NPU runs badly (per-channel weights, small layers)",
    )


def _xnnpack(record: CellRecord) -> Finding | None:
    taken = [op for op in record.ops if op.get("ran_on") == "xnnpack"]
    if not taken:
        return None
    return Finding(
        code="xnnpack-beside-delegate",
        severity="info",
        where=record.key.text,
        what=f"XNNPACK took {len(taken)} of the nodes that {record.delegate_name} left: they are CPU time, not NPU time",
        fix="`kernels: no-default-delegate` in the backend shows the delegate alone",
    )
