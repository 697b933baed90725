"""`harness devices check` of a microcontroller: the line, what the board says of itself, and a tiny model with a known answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.boards.check import Checked, backend_steps
from harness.boards.kind import CheckStep
from harness.boards.mcu.board import McuBoard

if TYPE_CHECKING:
    from harness.boards.base import Board
    from harness.boards.mcu.profile import McuProfile

_HINT = "build it anew from this harness's sources, and check memory and clock settings of its port"


def check_mcu(profile: McuProfile, board: Board) -> Iterator[CheckStep]:
    """The steps after the lease; connecting may raise a HarnessError, which the caller turns into a failed step."""
    assert isinstance(board, McuBoard)
    fingerprint = board.connect()
    hello = board.hello
    yield CheckStep(
        name="board",
        ok=True,
        detail=(
            f"{hello.board}, {hello.core} at {hello.clock_hz / 1e6:g} MHz, firmware {fingerprint.firmware}, protocol"
            f" {hello.version}, last reset by {hello.reset_name}"
        ),
    )
    samples = (
        f"{hello.sample_bytes:,} B for samples" if hello.sample_bytes else "no memory for samples: they go one by one"
    )
    yield CheckStep(
        name="runtime",
        ok=True,
        detail=(
            f"{fingerprint.runtime}; arena {hello.arena_bytes:,} B, model"
            f" {hello.model_bytes:,} B, {samples}; counts {board.clock.unit or 'nanoseconds'}"
        ),
    )
    yield from backend_steps(profile, board, lambda _backend, checked: words(checked), hint=_HINT)


def words(checked: Checked) -> str:
    """What the tiny model cost on a board that answered rightly."""
    result, stats = checked.evaluated, checked.stats
    cost = f"{result.invoke_ns[0] / 1e3:.1f} µs" if len(result.invoke_ns) else ""
    if result.counts is not None:
        cost = f"{result.counts.values[0]:,} {result.counts.unit}"
    memory = f"arena {stats.arena_bytes:,} B, stack {stats.stack_peak_bytes:,} B, code {stats.code_bytes:,} B"
    return f"right answers in {cost}; {memory}"
