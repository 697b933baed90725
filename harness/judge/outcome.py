"""What a bad end means: the outcome and its reason (docs/reference/outcomes.md)."""

from __future__ import annotations

from collections.abc import Sequence

from harness.results.record import CellRecord
from harness.run.measurement import Failure

#: signals that a runtime or delegate brings on itself; any other came from outside (the kernel's OOM killer, a user)
_CRASHES = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"}
#: what gives a request more time
_LIMITS = {
    "load": "`deadlines.load_s` in the device's profile sets the limit",
    "first_invoke": "--deadline, or `deadlines.first_invoke_s` in the device's profile, sets the limit",
    "evaluate": "`deadlines.evaluate_s` in the device's profile sets the limit; --samples asks for fewer",
    "bench": "`deadlines.bench_s` in the device's profile sets the limit",
}


def note_failure(record: CellRecord, failure: Failure, earlier: Sequence[Failure] = ()) -> None:
    """Turns how the last attempt ended into the cell's outcome.

    The model never ended where it was tried before the push, or the runtime said no: `unsupported`. It crashed twice the
    same way: `unsupported` too, because the model brings it down each time. It hung, or was killed from outside, or the
    delegate itself did not load: `failed`, which is never held against the model. So are the ends of boards, links and
    the harness.

    Args:
        earlier: how the attempts before it ended, oldest first.
    """
    record.board_log = failure.board_log or None
    record.outcome = "failed"
    if failure.source == "model":
        record.outcome, record.reason = "unsupported", failure.what
    elif failure.source != "worker":
        record.reason = f"internal error: {failure.what}" if failure.source == "defect" else failure.what
    elif failure.kind == "exception" and failure.phase == "delegate":
        record.reason = f"the delegate does not load: {failure.what}"
    elif failure.kind == "exception":
        record.outcome, record.reason = "unsupported", f"{failure.phase}: {failure.what}"
    elif failure.kind == "signal" and failure.signal in _CRASHES and _repeats(failure, earlier):
        record.outcome = "unsupported"
        record.reason = f"{failure.phase}: the runtime crashes with {failure.signal} each time ({failure.what})"
    elif failure.kind == "deadline" and failure.phase in _LIMITS:
        record.reason = f"{failure.phase}: {failure.what} ({_LIMITS[failure.phase]})"
    else:
        record.reason = f"{failure.phase}: {failure.what}"


def _repeats(failure: Failure, earlier: Sequence[Failure]) -> bool:
    """True when the worker of the attempt before ended by the same signal in the same phase."""
    workers = [other for other in earlier if other.source == "worker"]
    return bool(workers) and (workers[-1].signal, workers[-1].phase) == (failure.signal, failure.phase)
