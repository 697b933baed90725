"""What came of a bisection: each thing that differs between two nights, brought back alone, and which of them did it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.results.record import CellKey
from harness.verdict.differences import Difference

#: the error budget of a bisection, shared by what is tried
BISECT_BUDGET = 0.01

Result = Literal["did it", "part of it", "not it", "not tried"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One thing and what came of bringing it back.

    Attributes:
        result: `did it`: without it the figure is as it was; `part of it`: that took all of what was tried together;
            `not it`: brought back, and nothing changed; `not tried`: it cannot be brought back, or was not.
        words: what was seen, or why it was not tried.
        numbers: the figures behind it, JSON values with their unit in the name.
    """

    difference: Difference
    result: Result
    words: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Bisection:
    """A quantity of a cell between two nights.

    Attributes:
        good, bad: the runs.
        trials: of everything that differs.
        notes: what a reader should know, a sentence each.
    """

    key: CellKey
    quantity: str
    good: str
    bad: str
    trials: Sequence[Trial]
    notes: Sequence[str] = ()

    @property
    def culprits(self) -> list[Trial]:
        """What did it; several only where it took them together."""
        return [trial for trial in self.trials if trial.result in ("did it", "part of it")]

    @property
    def conclusion(self) -> str:
        """One sentence that names it, or says what is left."""
        found = self.culprits
        left = [str(trial.difference) for trial in self.trials if trial.result == "not tried"]
        if found and all(trial.result == "part of it" for trial in found):
            return f"{self.quantity}: it took these together: {_all(found)}"
        if [trial.difference.name for trial in found] == ["artifact", "recipe"]:
            return f"{self.quantity}: {found[1].difference} did it: it makes another artifact of the same float model"
        if len(found) > 1:
            return f"{self.quantity}: each of these alone did it: {_all(found)}"
        if found:
            return f"{self.quantity}: {found[0].difference} did it"
        if not self.trials:
            return f"{self.quantity}: nothing that is recorded differs between the two nights: the board or its surroundings"
        tried = any(trial.result == "not it" for trial in self.trials)
        why = "nothing that was brought back did it" if tried else "nothing that differs could be brought back"
        rest = f"; not tried: {', '.join(left)}" if left else "; what is left is the board or its surroundings"
        return f"{self.quantity}: {why}{rest}"

    def lines(self) -> list[str]:
        """For a terminal: a line per thing, then the conclusion."""
        found = [f"{self.key.text_with_seed}: {self.quantity}, run {self.good} -> run {self.bad}"]
        for trial in self.trials:
            found.append(f"  {trial.difference}: {trial.result}: {trial.words}")
            if trial.difference.detail:
                found.append(f"    {trial.difference.detail}")
        found += [f"  note: {note}" for note in self.notes]
        return [*found, self.conclusion]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "cell": self.key.text_with_seed,
            "quantity": self.quantity,
            "good": self.good,
            "bad": self.bad,
            "conclusion": self.conclusion,
            "culprits": [trial.difference.name for trial in self.culprits],
            "notes": list(self.notes),
            "trials": [
                {
                    "name": trial.difference.name,
                    "before": trial.difference.before,
                    "after": trial.difference.after,
                    "detail": trial.difference.detail,
                    "result": trial.result,
                    "words": trial.words,
                    "numbers": trial.numbers,
                }
                for trial in self.trials
            ],
        }


def _all(trials: Sequence[Trial]) -> str:
    return ", ".join(str(trial.difference) for trial in trials)
