"""`pytest --baseline NAME`: a cell fails that got worse since a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.results.history import History
from harness.results.objects import open_objects
from harness.results.record import CellKey, CellRecord
from harness.results.store import Store
from harness.verdict.pair import compare_runs
from harness.verdict.verdict import Verdict, by_urgency


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The run that cells are compared with."""

    name: str
    run: str
    results: Path
    records: dict[CellKey, CellRecord]

    @staticmethod
    def of(name: str, results: Path) -> Baseline:
        """A run by a baseline's name, its id or an id's beginning.

        Raises:
            UserInputError: there is no such run, or no store.
        """
        with Store.open(results, create=False) as store:
            run = History(store).run_of(name)
            records = {record.key: record for record in store.cells(run=run)}
        return Baseline(name=name, run=run, results=results, records=records)

    def verdicts(self, record: CellRecord) -> list[Verdict]:
        """What became of a cell since the baseline; a cell that it does not have is `first`."""
        before = [self.records[record.key]] if record.key in self.records else []
        return by_urgency(compare_runs(before, [record], open_objects(self.results)).verdicts)

    def properties(self, verdicts: list[Verdict]) -> dict[str, str]:
        """JUnit properties: the verdict on each quantity that is not simply the same, what could have been seen, the command."""
        found = {"baseline": f"{self.name} ({self.run})"}
        for verdict in verdicts:
            if verdict.status != "same":
                found[f"verdict.{verdict.quantity}"] = f"{verdict.status}: {verdict.reason}"
            if verdict.detectable is not None:
                found[f"detectable_change.{verdict.quantity}"] = f"{verdict.detectable:.4f}"
            if (loss := verdict.numbers.get("smallest_loss")) is not None:
                found[f"detectable_loss.{verdict.quantity}"] = f"{loss:.4f}"
            if verdict.open and verdict.command:
                found["reproduce"] = verdict.command
        return found

    def failure(self, verdicts: list[Verdict]) -> str | None:
        """The words with which a cell fails; None where nothing of it got worse."""
        opened = [verdict for verdict in verdicts if verdict.open]
        if not opened:
            return None
        lines = [f"{opened[0].key.text_with_seed} got worse than {self.name} (run {self.run}):"]
        lines += [f"  {verdict.reason}" for verdict in opened]
        return "\n".join([*lines, f"  reproduce: {opened[0].command}"])
