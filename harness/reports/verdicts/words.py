"""What is said first, the same everywhere: a headline, then groups of verdicts by urgency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.reports.values import clean
from harness.verdict.command import acceptance
from harness.verdict.night import Judgement
from harness.verdict.quantities import BY_NAME
from harness.verdict.verdict import Verdict, by_urgency

#: (title, which verdicts), in the order of urgency; each verdict is told in the first group that takes it
_GROUPS = (
    ("Worse", lambda v: v.open),
    (
        "Changed with the board or its surroundings, not with the model",
        lambda v: v.cause == "board" and v.status not in ("same", "suspect"),
    ),
    ("Suspects, not confirmed", lambda v: is_suspect(v)),
    ("Better", lambda v: v.status == "better" and (v.gates or bool(v.numbers.get("fixed")))),
    ("New levels", lambda v: v.status == "new level"),
    ("For information", lambda v: v.status in ("worse", "suspect", "vanished", "better")),
)  # fmt: skip


def headline(judgement: Judgement) -> str:
    """One sentence: what became of the night."""
    count = len({v.key for v in judgement.verdicts})
    cells = f"{count} cell{'' if count == 1 else 's'}"
    if judgement.two_runs:
        text = (
            f"{len(judgement.open)} thing{'' if len(judgement.open) == 1 else 's'} got worse"
            if judgement.open
            else f"nothing got worse in {cells}"
        )
    elif judgement.no_history is not None:
        text = f"no history could be read, so nothing is compared: {judgement.no_history}"
    elif judgement.first:
        text = f"the first night of the series '{judgement.series}': {cells}, nothing to compare with yet"
    elif judgement.open:
        text = _open(len(judgement.open), len(judgement.new()))
    else:
        text = f"nothing got worse: {cells}, {earlier(judgement)}"
    left: list[str] = []
    if judgement.failed:
        many = len(judgement.failed)
        one = "1 cell failed with its board or link and says nothing"
        left.append(one if many == 1 else f"{many} cells failed with their board or link and say nothing")
    if judgement.not_run:
        many = len(judgement.not_run)
        left.append("1 planned cell was not run" if many == 1 else f"{many} planned cells were not run")
    return "; ".join([text, *left])


def earlier(judgement: Judgement) -> str:
    """How many nights there are to compare with."""
    return f"{judgement.nights} earlier night{'' if judgement.nights == 1 else 's'}"


def _open(count: int, new: int) -> str:
    if count == 1:
        return f"one regression is open, {'' if new else 'not '}new tonight"
    return f"{count} regressions are open, {new} of them new tonight"


def groups(judgement: Judgement) -> list[tuple[str, list[Verdict]]]:
    """(title, verdicts) of everything that is not simply the same or first; empty groups are left out."""
    left = [v for v in by_urgency(judgement.verdicts) if v.status not in ("same", "first")]
    found = []
    for title, takes in _GROUPS:
        here = [v for v in left if takes(v)]
        left = [v for v in left if not takes(v)]
        if here:
            found.append((title, here))
    return found


def title_of(verdict: Verdict) -> str:
    """The quantity in words."""
    quantity = BY_NAME.get(verdict.quantity)
    return quantity.title if quantity is not None else verdict.quantity


def sentence(verdict: Verdict) -> str:
    """The verdict of a cell in one line: which, what, since when."""
    text = f"{verdict.key.text_with_seed}: {clean(verdict.reason)}"
    if verdict.open and verdict.since and verdict.since not in text:
        text += f"; since run {verdict.since}"
    return text


def is_alarm(verdict: Verdict) -> bool:
    """Whether somebody will look at it and wants the command that shows it again: it is open, suspected, or the board's fault."""
    return verdict.open or is_suspect(verdict) or (verdict.status == "worse" and verdict.cause == "board")


def is_suspect(verdict: Verdict) -> bool:
    """Whether it is of a quantity that counts, and nobody has confirmed it yet."""
    return verdict.status == "suspect" and verdict.quantity in ("latency", "score", "energy")


def boards(judgement: Judgement) -> list[str]:
    """What the control cells say, a line per board; those that changed first, with what accepts them as they are."""
    ordered = sorted(judgement.boards, key=lambda b: (not b.changed, b.device))
    accept = "; where that is meant: "
    return [
        f"{b.device}: {clean(b.reason)}" + (f"{accept}{acceptance(b.device, judgement.place)}" if b.changed else "")
        for b in ordered
    ]


@dataclass(frozen=True, kw_only=True)
class Detectable:
    """What a cell would have seen.

    Attributes:
        latency: the smallest relative change (0.03: 3 %); None where it has no time of a clock, or no history.
        loss: the smallest loss of its score, in the score's unit; None where no test was made.
        energy: as latency, of the energy of an inference.
    """

    name: str
    latency: float | None = None
    loss: float | None = None
    energy: float | None = None

    @property
    def latency_text(self) -> str:
        return "" if self.latency is None else f"{self.latency:.1%}"

    @property
    def loss_text(self) -> str:
        return "" if self.loss is None else f"{self.loss:.4f}"

    @property
    def energy_text(self) -> str:
        return "" if self.energy is None else f"{self.energy:.1%}"


def detectable(judgement: Judgement) -> list[Detectable]:
    """Every cell of which something was compared that takes a smallest change, those first that see least."""
    times = {v.key: v.detectable for v in judgement.verdicts if v.quantity == "latency" and v.detectable}
    energies = {v.key: v.detectable for v in judgement.verdicts if v.quantity == "energy" and v.detectable}
    losses = {v.key: v.numbers.get("smallest_loss") for v in judgement.verdicts if v.quantity == "score"}
    losses = {key: loss for key, loss in losses.items() if loss is not None}
    found = [
        Detectable(name=key.text_with_seed, latency=times.get(key), loss=losses.get(key), energy=energies.get(key))
        for key in {*times, *losses, *energies}
    ]
    return sorted(found, key=lambda cell: (-(cell.latency or 0.0), -(cell.loss or 0.0), cell.name))


def counts(verdicts: Sequence[Verdict]) -> str:
    """`3 worse, 1 better, 240 same`, by verdict."""
    counted = Counter(v.status for v in verdicts)
    return ", ".join(f"{n} {status}" for status, n in counted.most_common()) or "nothing was compared"
