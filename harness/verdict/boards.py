"""Whole boards: what their control cells say of a night, and how far a cell's own reference nights lie from it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.results.history import ControlRow, Level
from harness.verdict.screen import LEAST_CONTROLS, REFERENCE_NIGHTS, Shift, board_shift
from harness.verdict.verdict import BoardVerdict

#: a shift of which less than this share came since the last night crept up
_STEP_SHARE = 0.5


@dataclass(kw_only=True)
class Controls:
    """The control cells of one device: frozen models in one epoch, every night before and after.

    Attributes:
        values: ln of the median of a night's sessions, [controls, nights]; NaN where one did not run.
        numbers: of the nights' runs.
        tonight: [controls].
        new_epoch: no earlier night's sessions are of tonight's epoch.
        accepted: the night whose board was accepted as it was; None: its first nights count.
    """

    device: str
    values: np.ndarray
    numbers: tuple[int, ...]
    tonight: np.ndarray
    new_epoch: bool = False
    accepted: Level | None = None
    _shifts: dict[int, Shift] = field(default_factory=dict)

    @staticmethod
    def of(
        device: str, past: Sequence[ControlRow], tonight: Sequence[ControlRow], accepted: Level | None = None
    ) -> Controls:
        """From the stored sessions.

        Only nights of tonight's epoch count: a control of another runtime or kernel is another control.
        """
        epochs = {row.epoch for row in tonight}
        usable = [row for row in past if row.epoch in epochs]
        names = sorted({row.name for row in tonight})
        numbers = tuple(sorted({row.number for row in usable}))
        values = np.full((len(names), len(numbers)), np.nan)
        now = np.full(len(names), np.nan)
        sessions: dict[tuple[str, int], list[float]] = {}
        for row in usable:
            sessions.setdefault((row.name, row.number), []).append(row.median_ns)
        for i, name in enumerate(names):
            for j, number in enumerate(numbers):
                values[i, j] = _value(sessions.get((name, number), []))
            now[i] = _value([r.median_ns for r in tonight if r.name == name])
        return Controls(
            device=device,
            values=values,
            numbers=numbers,
            tonight=now,
            new_epoch=bool(past) and not numbers,
            accepted=accepted,
        )

    def since(self, number: int) -> Shift:
        """The board's shift against its controls in the nights that a reference from this run on is made of."""
        if number not in self._shifts:
            columns = [j for j, n in enumerate(self.numbers) if n >= number][:REFERENCE_NIGHTS]
            self._shifts[number] = board_shift(self.values[:, columns], self.tonight)
        return self._shifts[number]

    def verdict(self) -> BoardVerdict:
        """What became of the board since its first nights, or since it was accepted as it was."""
        accepted = self.accepted
        shift = self.since(accepted.number if accepted is not None else 0)
        first = "the board's first nights" if accepted is None else f"run {accepted.run} (accepted: {accepted.why})"
        if self.new_epoch:
            return _plain(
                self.device, shift, "its control cells begin anew: runtime, kernel, clock or board is another one"
            )
        if len(self.tonight) < LEAST_CONTROLS or not self.numbers:
            why = "no control cells yet to compare" if not self.numbers else "too few control cells to tell its change"
            return _plain(self.device, shift, why)
        value, limit = math.expm1(shift.value), math.expm1(shift.limit)
        words = f"{shift.controls} control cells are {abs(value):.1%} {'slower' if value > 0 else 'faster'}"
        if not shift.changed:
            words = f"{shift.controls} control cells moved by {value:+.1%}; a change of the board from {limit:.1%} on is told"
        else:
            last = board_shift(self.values[:, -1:], self.tonight).value
            crept = abs(last) < _STEP_SHARE * abs(shift.value) and len(self.numbers) > 1
            how = f"it drifted ({math.expm1(last):+.1%} since last night)" if crept else "a step"
            words += f" than in {first}: the board or its surroundings changed, not the models; {how}"
        return BoardVerdict(
            device=self.device,
            changed=shift.changed,
            shift=value,
            detectable=limit,
            controls=shift.controls,
            reason=words,
        )


def _plain(device: str, shift: Shift, reason: str) -> BoardVerdict:
    return BoardVerdict(
        device=device, changed=False, shift=None, detectable=None, controls=shift.controls, reason=reason
    )


def _value(medians_ns: list[float]) -> float:
    usable = [math.log(ns) for ns in medians_ns if ns > 0 and math.isfinite(ns)]
    return statistics.median(usable) if usable else math.nan
