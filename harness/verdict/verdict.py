"""A verdict: what became of one quantity of one cell, in a word, a sentence and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from harness.results.record import CellKey

Status = Literal["same", "worse", "better", "new level", "suspect", "first", "vanished"]
#: every status, the most urgent first
STATUSES: tuple[Status, ...] = ("worse", "vanished", "suspect", "better", "new level", "first", "same")
#: what may be to blame
Cause = Literal["artifact", "environment", "board"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one quantity of one cell.

    Attributes:
        key: the cell.
        quantity: a name of `harness.verdict.quantities`, or `cell` for the cell as a whole.
        status: `same`, `worse`, `better`; `new level`: accepted; `suspect`: not yet confirmed; `first`: no history;
            `vanished`: it was there.
        gates: whether a `worse` of it is an open regression that ends a command with exit code 3; other verdicts only inform.
        reason: one sentence for a reader.
        numbers: the figures behind it, JSON values with their unit in the name.
        cause: what differs between the two sides: another artifact, another environment (runtime, kernel, clock, ...), or
            nothing but the board itself; None where nothing has changed.
        since: the run that first said so, of a regression that is still open.
        reference: the run that is compared with.
        detectable: the smallest relative change (0.03: 3 %) that would have been seen; None where a comparison is exact.
        command: reproduces an alarm.
    """

    key: CellKey
    quantity: str
    status: Status
    reason: str
    gates: bool = True
    numbers: Mapping[str, Any] = field(default_factory=dict)
    cause: Cause | None = None
    since: str | None = None
    reference: str | None = None
    detectable: float | None = None
    command: str | None = None

    @property
    def open(self) -> bool:
        """True for a regression: something that counts is worse, or a planned cell is gone."""
        return self.gates and self.status in ("worse", "vanished")

    def to_json(self) -> dict[str, Any]:
        """The verdict as JSON values, nested like the dataclass."""
        return {**asdict(self), "numbers": dict(self.numbers)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Verdict:
        """The verdict that `to_json` wrote; fields of a later harness are left aside."""
        known = {f.name for f in fields(Verdict)}
        return Verdict(
            **{name: value for name, value in data.items() if name in known and name != "key"}, key=_key(data)
        )


def _key(data: Mapping[str, Any]) -> CellKey:
    return CellKey(**{f.name: data["key"][f.name] for f in fields(CellKey)})


@dataclass(frozen=True, kw_only=True)
class BoardVerdict:
    """What became of a whole board, as its control cells tell: the same frozen models in the same runtime, every night.

    Attributes:
        device: whose.
        changed: it is another board than it was, beyond what its control cells do by themselves.
        shift: the median relative change of the control cells (0.05: all slower by 5 %); None without controls.
        detectable: the smallest shift that counts.
        controls: how many control cells were compared.
        reason: one sentence for a reader.
    """

    device: str
    changed: bool
    shift: float | None
    detectable: float | None
    controls: int
    reason: str


def by_urgency(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Open regressions first, then by status, cell and quantity."""
    return sorted(verdicts, key=lambda v: (not v.open, STATUSES.index(v.status), v.key.text_with_seed, v.quantity))
