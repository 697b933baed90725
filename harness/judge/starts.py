"""How a cell's workers started: the first one, and the cached start beside its cold one."""

from __future__ import annotations

from harness.boards.base import GraphCacheUse
from harness.core.finding import Finding, Severity
from harness.results.record import CellRecord
from harness.run.measurement import CachedStart, Measurement

#: a cached first invoke that takes more than this share of the cold one gained nothing that matters
_NO_GAIN_SHARE = 0.8
#: a cold first invoke within this factor of the steady median compiled nothing, so there is nothing to gain
_COMPILED_FACTOR = 2.0


def note_start(record: CellRecord, measurement: Measurement) -> None:
    """Adds how the worker came to be, and why it was no copy of one that had imported the runtime."""
    record.worker_start = measurement.started
    if measurement.started_why is not None:
        what = f"the worker was started afresh: {measurement.started_why}"
        _note(
            record, "worker-started-fresh", "info", what, "its cell takes longer by an import; its figures are the same"
        )


def note_cached(record: CellRecord, measurement: Measurement) -> None:
    """Adds `load_cached_ns` and `first_invoke_cached_ns` to a record with its cold times, its latency and its placement."""
    left = measurement.cache_use
    if left is None or record.first_invoke_ns is None:
        return
    if left.problem is not None:
        _note(record, "graph-cache-emptied", "warning", left.problem, "raise limits.graph_cache_bytes in the profile")
    elif left.files == 0:
        _note_unused(record)
    elif measurement.cached is not None:
        _note_start(record, measurement.cached, left)


def _note_unused(record: CellRecord) -> None:
    if record.delegated_nodes == 0:
        return
    _note(
        record,
        "graph-cache-unused",
        "info",
        f"{record.delegate_name} left nothing in its graph cache, so there is no cached start to time",
        "check the cache settings in the backend's `env` and delegate options",
    )


def _note_start(record: CellRecord, cached: CachedStart, left: GraphCacheUse) -> None:
    if cached.failure is not None:
        _note(
            record,
            "cached-start-failed",
            "warning",
            "the model ran on an empty graph cache, but not on the one it had filled: "
            f"{cached.failure.phase}: {cached.failure.what}",
            "leave the delegate's cache off in this profile, or update the delegate",
        )
        return
    record.load_cached_ns, record.first_invoke_cached_ns = cached.load_ns, cached.first_invoke_ns
    cold_ns, cached_ns = record.first_invoke_ns or 0, cached.first_invoke_ns
    compiled = cold_ns > _COMPILED_FACTOR * (record.latency_median_ns or 0)
    if compiled and cached_ns is not None and cached_ns > _NO_GAIN_SHARE * cold_ns:
        _note(
            record,
            "graph-cache-no-gain",
            "info",
            f"with the graph cache ({left.files} files, {left.size_bytes} bytes) the first invoke took {cached_ns / 1e6:.1f} ms, "
            f"without it {cold_ns / 1e6:.1f} ms",
            "see the board log for why the delegate did not take its cached graph",
        )


def _note(record: CellRecord, code: str, severity: Severity, what: str, fix: str) -> None:
    record.findings.append(Finding(code=code, severity=severity, where=record.key.text, what=what, fix=fix))
