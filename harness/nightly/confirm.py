"""Confirmation of suspects on their boards: old and new artifact in random order, in fresh sessions within the same minutes."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from harness.core.errors import DeviceError, HarnessError
from harness.nightly.kept import kept_file, with_runtime_of
from harness.nightly.sessions import BoardSessions, SessionError
from harness.prepare.prepared import PreparedModel
from harness.prepare.samples import random_inputs
from harness.results.history import History
from harness.results.record import CellRecord
from harness.variants.build.build import artifact_from_file
from harness.verdict.confirm import LOOKS, Look, error_share, look
from harness.verdict.energy import EnergySuspect
from harness.verdict.latency import FRESH_SESSIONS, Evidence, Suspect

#: (workload, recipe, seed) -> the night's prepared model
Models = Mapping[tuple[str, str, int], PreparedModel]


@dataclass(frozen=True, kw_only=True)
class _Sides:
    """ln of the medians of both sides' sessions in their order, and the last look at them."""

    old: tuple[float, ...]
    new: tuple[float, ...]
    look: Look


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
            alpha = error_share(sum(other.slower == suspect.slower for other in suspects), budget)
            found[i] = self._asked(suspect.key.text_with_seed, partial(self._one_time, suspect, sessions, alpha))
        return found

    def confirm_energy(
        self, suspects: Sequence[EnergySuspect], sessions: BoardSessions, budget: float
    ) -> dict[str, Evidence]:
        """The same for a board's energies that rose, under its instrument; by the cell's text with seed."""
        alpha = error_share(len(suspects), budget)
        return {
            (name := suspect.after.key.text_with_seed): self._asked(
                f"the energy of {name}", partial(self._one_energy, suspect, sessions, alpha)
            )
            for suspect in sorted(suspects, key=lambda one: -one.change)
        }

    def _asked(self, what: str, ask: Callable[[], Evidence]) -> Evidence:
        """What asking a board gives, or why it gave nothing; its time is counted."""
        if self.spent_s >= self.seconds:
            return Evidence(problem="the time for confirmation was over (--confirm-budget)")
        self.note(f"confirming {what}")
        begun_s = time.monotonic()
        try:
            return ask()
        except DeviceError as error:
            return Evidence(problem=f"the board failed while it was confirmed: {error}")
        except HarnessError as error:
            return Evidence(problem=f"it could not be confirmed: {error}")
        finally:
            self.spent_s += time.monotonic() - begun_s

    def _one_energy(self, suspect: EnergySuspect, sessions: BoardSessions, alpha: float) -> Evidence:
        key = suspect.after.key
        new = self.models.get((key.workload, key.recipe, key.seed))
        if new is None or new.artifact.path is None or not new.inputs:
            return Evidence(problem="tonight's artifact is not at hand")
        if suspect.same_bytes:
            return Evidence(problem="the same bytes as then: the board, its supply or what it runs on, never the model")
        old, problem = self._accepted(suspect.before, new)
        if old is None:
            return Evidence(problem=problem)
        if old.inputs != new.inputs:
            new = replace(new, inputs=random_inputs(new.artifact.inputs, 1, seed=0))
        accepted, tonight = old, new
        sides = self._side_by_side(
            lambda: sessions.energy(accepted, key.backend), lambda: sessions.energy(tonight, key.backend), True, alpha
        )
        return Evidence(new=sides.new, old=sides.old, look=sides.look)

    def _one_time(self, suspect: Suspect, sessions: BoardSessions, alpha: float) -> Evidence:
        with ExitStack() as boards:
            return self._one(suspect, sessions, alpha, boards)

    def _one(self, suspect: Suspect, sessions: BoardSessions, alpha: float, boards: ExitStack) -> Evidence:
        key = suspect.key
        new = self.models.get((key.workload, key.recipe, key.seed))
        if new is None or new.artifact.path is None or not new.inputs:
            return Evidence(problem="tonight's artifact is not at hand")
        if suspect.same_bytes:
            old_runtime = self._old_runtime(suspect, sessions, boards)
            if old_runtime is not None:
                return self._with_runtime(Evidence(), suspect, sessions, old_runtime, new, alpha)
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
        accepted, tonight = old, new
        sides = self._side_by_side(
            lambda: sessions.time(accepted, key.backend),
            lambda: sessions.time(tonight, key.backend),
            suspect.slower,
            alpha,
        )
        found = Evidence(new=sides.new, old=sides.old, look=sides.look)
        if sides.look.state == "confirmed":
            return found
        old_runtime = self._old_runtime(suspect, sessions, boards)
        if old_runtime is None:
            return found
        return self._with_runtime(found, suspect, sessions, old_runtime, tonight, alpha)

    def _old_runtime(self, suspect: Suspect, sessions: BoardSessions, boards: ExitStack) -> BoardSessions | None:
        """The same board with the level's runtime, where tonight's is another one and the old one can be had."""
        if not any(change.field == "runtime" for change in suspect.epoch_changes):
            return None
        try:
            profile = with_runtime_of(sessions.profile, suspect.reference)
        except HarnessError as error:
            self.note(f"{suspect.key.text_with_seed}: the level's runtime cannot be brought back: {error}")
            return None
        if profile.name == sessions.profile.name:
            return None
        leased = profile.lock_name != sessions.profile.lock_name
        return boards.enter_context(BoardSessions(profile=profile, run=sessions.run, note=self.note, leased=leased))

    def _with_runtime(
        self,
        found: Evidence,
        suspect: Suspect,
        sessions: BoardSessions,
        old_runtime: BoardSessions,
        model: PreparedModel,
        alpha: float,
    ) -> Evidence:
        """Tonight's artifact on the level's runtime and on tonight's."""
        backend = suspect.key.backend
        sides = self._side_by_side(
            lambda: old_runtime.time(model, backend), lambda: sessions.time(model, backend), suspect.slower, alpha
        )
        return replace(found, runtime=sides.look, runtime_old=sides.old, runtime_new=sides.new)

    def _side_by_side(self, old: Callable[[], float], new: Callable[[], float], worse: bool, alpha: float) -> _Sides:
        """Sessions of both in random order, as many as it takes."""
        times: dict[bool, list[float]] = {False: [], True: []}
        for count in LOOKS:
            sides = [False, True] * (count - len(times[False]))
            self._random.shuffle(sides)
            for is_new in sides:
                times[is_new].append(new() if is_new else old())
            seen = look(times[False], times[True], alpha, worse=worse)
            if seen.state != "more":
                break
        return _Sides(old=tuple(times[False]), new=tuple(times[True]), look=seen)

    def _accepted(self, record: CellRecord, new: PreparedModel) -> tuple[PreparedModel | None, str | None]:
        """The accepted artifact as a prepared model, or why there is none."""
        path = kept_file(self.history, record, self._folder)
        if path is None:
            return None, f"the accepted artifact of run {record.run} is not kept any more"
        artifact = artifact_from_file(path)
        same = [(io.dtype, io.shape) for io in artifact.inputs] == [(io.dtype, io.shape) for io in new.artifact.inputs]
        inputs = new.inputs if same else random_inputs(artifact.inputs, 1, seed=0)
        return replace(new, artifact=artifact, inputs=inputs), None


__all__ = ["Confirmer", "Models", "SessionError"]
