"""Confirmation of suspects on their boards: old and new artifact in random order, in fresh sessions within the same minutes."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.core.errors import DeviceError, HarnessError
from harness.nightly.sessions import BoardSessions, SessionError
from harness.prepare.prepared import PreparedModel
from harness.prepare.samples import random_inputs
from harness.results.history import History
from harness.results.record import CellRecord
from harness.variants.build.build import artifact_from_file
from harness.verdict.confirm import LOOKS, error_share, look
from harness.verdict.latency import FRESH_SESSIONS, Evidence, Suspect

#: (workload, recipe, seed) -> the night's prepared model
Models = Mapping[tuple[str, str, int], PreparedModel]


@dataclass(kw_only=True)
class Confirmer:
    """Confirms the suspects of one night.

    Attributes:
        history: where the accepted artifacts are kept.
        models: of tonight.
        seconds: for all of them; suspects beyond it stay suspects.
        seed: of the order; None: the clock's.
        note: told of each suspect.
    """

    history: History
    models: Models
    seconds: float
    seed: int | None = None
    note: Callable[[str], None] = lambda text: None
    spent_s: float = 0.0
    _files: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Confirmer:
        self._folder = Path(self._files.enter_context(tempfile.TemporaryDirectory(prefix="harness-accepted-")))
        self._random = random.Random(self.seed)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._files.close()

    def confirm(self, suspects: Sequence[Suspect], sessions: BoardSessions, budget: float) -> dict[int, Evidence]:
        """Confirms a board's suspects one after the other, the largest change first.

        Args:
            suspects: of this board.
            budget: the chance of a false alarm among them; those that became faster have as much of their own.

        Returns:
            Index in `suspects` -> what it gave.
        """
        found: dict[int, Evidence] = {}
        order = sorted(range(len(suspects)), key=lambda i: -abs(suspects[i].change))
        for i in order:
            suspect = suspects[i]
            if self.spent_s >= self.seconds:
                found[i] = Evidence(problem="the time for confirmation was over (--confirm-budget)")
                continue
            alpha = error_share(sum(other.slower == suspect.slower for other in suspects), budget)
            self.note(f"confirming {suspect.key.text_with_seed}")
            begun_s = time.monotonic()
            try:
                found[i] = self._one(suspect, sessions, alpha)
            except DeviceError as error:
                found[i] = Evidence(problem=f"the board failed while it was confirmed: {error}")
            except HarnessError as error:
                found[i] = Evidence(problem=f"it could not be confirmed: {error}")
            finally:
                self.spent_s += time.monotonic() - begun_s
        return found

    def _one(self, suspect: Suspect, sessions: BoardSessions, alpha: float) -> Evidence:
        key = suspect.key
        new = self.models.get((key.workload, key.recipe, key.seed))
        if new is None or new.artifact.path is None or not new.inputs:
            return Evidence(problem="tonight's artifact is not at hand")
        if suspect.same_bytes:
            times = [sessions.time(new, key.backend) for _ in range(FRESH_SESSIONS)]
            return Evidence(new=tuple(times))
        old, problem = self._accepted(suspect.reference, new)
        if old is None:
            return Evidence(problem=problem)
        if sessions.artifact_sha256(old, key.backend) != suspect.reference.artifact_sha256:
            return Evidence(
                problem="what the board would be given now is not the accepted artifact: another offline compiler"
            )
        if old.inputs != new.inputs:
            # Other input types: both sides get random rows of their own.
            new = replace(new, inputs=random_inputs(new.artifact.inputs, 1, seed=0))
        return self._side_by_side(suspect, sessions, old, new, alpha)

    def _side_by_side(
        self, suspect: Suspect, sessions: BoardSessions, old: PreparedModel, new: PreparedModel, alpha: float
    ) -> Evidence:
        times: dict[bool, list[float]] = {False: [], True: []}
        seen = None
        for count in LOOKS:
            sides = [False, True] * (count - len(times[False]))
            self._random.shuffle(sides)
            for is_new in sides:
                times[is_new].append(sessions.time(new if is_new else old, suspect.key.backend))
            seen = look(times[False], times[True], alpha, worse=suspect.slower)
            if seen.state != "more":
                break
        return Evidence(new=tuple(times[True]), old=tuple(times[False]), look=seen)

    def _accepted(self, record: CellRecord, new: PreparedModel) -> tuple[PreparedModel | None, str | None]:
        """The accepted artifact as a prepared model, or why there is none."""
        sha256 = source_sha256(record)
        data = self.history.artifact(sha256) if sha256 is not None else None
        if data is None:
            return None, f"the accepted artifact of run {record.run} is not kept any more"
        path = self._folder / f"{sha256}.tflite"
        if not path.exists():
            path.write_bytes(data)
        artifact = artifact_from_file(path)
        same = [(io.dtype, io.shape) for io in artifact.inputs] == [(io.dtype, io.shape) for io in new.artifact.inputs]
        inputs = new.inputs if same else random_inputs(artifact.inputs, 1, seed=0)
        return replace(new, artifact=artifact, inputs=inputs), None


def source_sha256(record: CellRecord) -> str | None:
    """The model file that a record's board was given, before any offline compiler."""
    if record.compiled is not None:
        original = record.compiled.get("source_sha256")
        return str(original) if original else None
    return record.artifact_sha256


__all__ = ["Confirmer", "Models", "SessionError", "source_sha256"]
