"""Bisection of a regression: what differs between two nights is brought back one by one, on the board, in random order.

The side to compare with is always tonight's: the later night's artifact on its runtime. Of a time each side gets fresh sessions
in fully random order, and the exact rank sum that confirms suspects says whether a side without the change is faster. Of other
quantities each side runs the whole cell once, and is compared as nights are.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from harness.boards.profile.model import Profile
from harness.boards.resolve import get_profile
from harness.core.errors import DeviceError, HarnessError, UserInputError
from harness.core.fingerprint import Fingerprint
from harness.judge.stored import finisher
from harness.nightly.kept import kept_model, with_runtime_of
from harness.nightly.rebuilt import rebuilt_model, recipe_difference
from harness.nightly.sessions import BoardSessions
from harness.prepare.prepared import PreparedModel
from harness.results.history import History
from harness.results.layout import utc_now
from harness.results.objects import ObjectStore
from harness.results.record import CellRecord, RunInfo
from harness.results.store import Store
from harness.run.execute import execute
from harness.run.jobs import DeviceJob, Execution, PlannedCell, Watcher
from harness.run.options import RunOptions
from harness.verdict.answers import AnswerBook
from harness.verdict.bisection import BISECT_BUDGET, Bisection, Result, Trial
from harness.verdict.confirm import Look, error_share, look
from harness.verdict.differences import Difference, differences, program_hashes
from harness.verdict.epoch import changes
from harness.verdict.exact import compare_exact
from harness.verdict.latency import is_clocked
from harness.verdict.quantities import BY_NAME
from harness.verdict.scored import Pair, judge_scores
from harness.verdict.verdict import Verdict

#: what can be brought back from here; everything else is said with both values
_RESTORABLE = ("artifact", "recipe", "runtime")
#: sessions a side: the looks of a confirmation, without the first, which can only refute
_SESSIONS = (8, 16)
#: stands for all that can be brought back, together
_TOGETHER = "together"
_TONIGHT = "tonight"


@dataclass(frozen=True, kw_only=True)
class Side:
    """A way to run the cell: which night's artifact, on which night's runtime."""

    model: PreparedModel
    profile: Profile


@dataclass(kw_only=True)
class Bisector:
    """Bisects a cell between two nights.

    Attributes:
        history: of the store with both.
        good, bad: the cell's records, the earlier and the later.
        devices_dir: the user's own profiles.
        seed: of the order; None: the clock's.
        note: told what is going on.
    """

    history: History
    good: CellRecord
    bad: CellRecord
    devices_dir: str | None = None
    seed: int | None = None
    note: Callable[[str], None] = lambda text: None
    _files: ExitStack = field(default_factory=ExitStack)
    _sides: dict[str, Side] = field(default_factory=dict)
    _why_not: dict[str, str] = field(default_factory=dict)
    _records: dict[str, CellRecord] = field(default_factory=dict)

    def __enter__(self) -> Bisector:
        self._folder = Path(self._files.enter_context(tempfile.TemporaryDirectory(prefix="harness-bisect-")))
        self._random = random.Random(self.seed)
        self._differences = self._find_differences()
        try:
            self._make_sides()
        except BaseException:
            self._files.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._files.close()

    def _find_differences(self) -> list[Difference]:
        """What differs, the recipe behind the artifact that it made."""
        found = differences(self.good, self.bad)
        recipe = recipe_difference(self.good, self.bad, self.history.store.objects)
        if recipe is not None:
            found.insert(1 if found and found[0].name == "artifact" else 0, recipe)
        return found

    def bisect(self, quantity: str) -> Bisection:
        """Brings back what differs and says what did it.

        Args:
            quantity: a name of `harness.verdict.quantities`.

        Raises:
            UserInputError: a quantity that is none of one run, such as the cell's being planned at all.
            DeviceError: the board or the link failed.
        """
        if quantity not in BY_NAME or BY_NAME[quantity].test == "watched" or quantity == "energy":
            raise UserInputError(f"'{quantity}' cannot be bisected", hint="latency, score and the exact quantities can")
        notes: list[str] = []
        found: dict[str, Trial] = {}
        if len(self._sides) > 1:
            judged = self._by_time(notes) if self._is_time(quantity) else self._by_cell(quantity, notes)
            found = self._trials(judged)
        trials = [found.get(d.name) or self._not_tried(d) for d in self._differences]
        return Bisection(
            key=self.bad.key, quantity=quantity, good=self.good.run, bad=self.bad.run, trials=trials, notes=notes
        )

    def _is_time(self, quantity: str) -> bool:
        return quantity == "latency" and is_clocked(self.bad)

    # -- sides --------------------------------------------------------------------------------------------------------

    def _make_sides(self) -> None:
        """Tonight's side, one per thing that can be brought back, and all of them together."""
        profile = get_profile(self.bad.key.device, self.devices_dir)
        bad_model = kept_model(self.history, self.bad, self._folder)
        restored: dict[str, PreparedModel | Profile] = {}
        for difference in self._differences:
            if difference.name not in _RESTORABLE:
                continue
            try:
                if difference.name == "artifact":
                    restored["artifact"] = kept_model(self.history, self.good, self._folder)
                elif difference.name == "recipe":
                    restored["recipe"] = self._rebuilt()
                else:
                    profile = with_runtime_of(profile, self.bad)
                    restored["runtime"] = with_runtime_of(get_profile(self.bad.key.device, self.devices_dir), self.good)
            except HarnessError as error:
                self._why_not[difference.name] = str(error)
        self._sides[_TONIGHT] = Side(model=bad_model, profile=profile)
        for name in restored:
            self._sides[name] = self._side(bad_model, profile, {name: restored[name]})
        if len(set(restored) - {"recipe"}) > 1 or set(restored) == {"recipe", "runtime"}:
            self._sides[_TOGETHER] = self._side(bad_model, profile, restored)

    def _rebuilt(self) -> PreparedModel:
        """The later night's float model by the earlier night's recipe; built now, which may take minutes.

        Raises:
            HarnessError: it cannot be; says why.
        """
        stored = self.history.store.run(self.bad.run).environment.get("options") or {}
        self.note(f"building {self.bad.key.workload}/{self.bad.key.recipe} by the recipe of run {self.good.run}")
        return rebuilt_model(
            self.good,
            self.bad,
            self.history.store.objects,
            RunOptions.from_json(stored),
            say=lambda what, done, total: None,
        )

    @staticmethod
    def _side(model: PreparedModel, profile: Profile, restored: dict[str, PreparedModel | Profile]) -> Side:
        # The earlier artifact is what the earlier recipe made: together they are no more than it.
        artifact, runtime = restored.get("artifact") or restored.get("recipe"), restored.get("runtime")
        return Side(
            model=artifact if isinstance(artifact, PreparedModel) else model,
            profile=runtime if isinstance(runtime, Profile) else profile,
        )

    def _since(self, now: Fingerprint | None) -> list[str]:
        """What of the board is another one than in the later night, on every side."""
        found = changes(self.bad.fingerprint, now)
        if not found:
            return []
        return [f"since run {self.bad.run} the board has changed on every side: {', '.join(map(str, found))}"]

    def _not_tried(self, difference: Difference) -> Trial:
        why = self._why_not.get(difference.name) or "it cannot be brought back from here"
        return Trial(difference=difference, result="not tried", words=why + self._kept(difference))

    def _kept(self, difference: Difference) -> str:
        """Which of two programs that ran the board can be had again: whoever wants to try them flashes them."""
        hashes = dict(
            zip(("the earlier", "the later"), program_hashes(self.good, self.bad, difference.name), strict=True)
        )
        kept = {which: sha256 for which, sha256 in hashes.items() if sha256 and self.history.kept(sha256)}
        if not kept:
            return ""
        which = "both are" if len(kept) == 2 else f"{next(iter(kept))} is"
        return f"; {which} kept: {' and '.join(f'`harness results get {one[:12]}`' for one in kept.values())}"

    # -- times --------------------------------------------------------------------------------------------------------

    def _by_time(self, notes: list[str]) -> dict[str, tuple[bool, str, dict[str, object]]]:
        """Sessions of every side in random order; per side without tonight's, whether it is what tonight's is not."""
        slower = (self.bad.latency_median_ns or 0) >= (self.good.latency_median_ns or 0)
        alpha = error_share(len(self._sides) - 1, BISECT_BUDGET)
        times: dict[str, list[float]] = {name: [] for name in self._sides}
        looks: dict[str, Look] = {}
        with ExitStack() as boards:
            opened = self._open(boards)
            notes += self._since(opened[self._sides[_TONIGHT].profile.name].fingerprint)
            for count in _SESSIONS:
                asked = [name for name in self._sides if name not in looks or looks[name].state == "more"]
                order = [name for name in asked for _ in range(count - len(times[name]))]
                self._random.shuffle(order)
                for name in order:
                    self.note(f"session {len(times[name]) + 1} of {count}: {name}")
                    side = self._sides[name]
                    times[name].append(opened[side.profile.name].time(side.model, self.bad.key.backend))
                for name in asked:
                    if name != _TONIGHT:
                        looks[name] = look(times[name], times[_TONIGHT][:count], alpha, worse=slower)
                if all(seen.state != "more" for seen in looks.values()):
                    break
        if not any(seen.state == "confirmed" for seen in looks.values()):
            notes.append("no side is told apart from tonight's: what was seen that night does not show now")
        return {name: self._of_look(seen, times[name], times[_TONIGHT]) for name, seen in looks.items()}

    def _open(self, boards: ExitStack) -> dict[str, BoardSessions]:
        """A connected board per profile; one lease where they share a machine."""
        opened: dict[str, BoardSessions] = {}
        held: set[str] = set()
        for side in self._sides.values():
            profile = side.profile
            if profile.name not in opened:
                sessions = BoardSessions(
                    profile=profile, run="bisect", note=self.note, leased=profile.lock_name not in held
                )
                opened[profile.name] = boards.enter_context(sessions)
                held.add(profile.lock_name)
        return opened

    @staticmethod
    def _of_look(seen: Look, side: Sequence[float], tonight: Sequence[float]) -> tuple[bool, str, dict[str, object]]:
        change = math.expm1(-seen.change)
        words = f"{change:+.1%} beside tonight's, {seen.sessions} fresh sessions each in random order, p = {seen.p:.2g}"
        numbers: dict[str, object] = {
            "change": change,
            "p": seen.p,
            "alpha": seen.alpha,
            "brought_back_ns": [round(math.exp(y)) for y in side],
            "tonight_ns": [round(math.exp(y)) for y in tonight],
        }
        return seen.state == "confirmed", words, numbers

    # -- everything else ----------------------------------------------------------------------------------------------

    def _by_cell(self, quantity: str, notes: list[str]) -> dict[str, tuple[bool, str, dict[str, object]]]:
        """The whole cell once on every side, compared as nights are."""
        if not self._records:
            self._run_cells()
        tonight = self._records[_TONIGHT]
        value = BY_NAME[quantity].value
        if quantity != "score" and value(tonight) != value(self.bad):
            notes.append(
                f"tonight's {BY_NAME[quantity].title} is not that of run {self.bad.run} any more: something has changed since"
            )
        notes += self._since(tonight.fingerprint)
        found: dict[str, tuple[bool, str, dict[str, object]]] = {}
        for name, record in self._records.items():
            if name == _TONIGHT:
                continue
            verdict = self._compared(quantity, record, tonight)
            if verdict is None:
                found[name] = (False, f"{BY_NAME[quantity].title}: not told by one of the two", {})
                continue
            did_it = verdict.status == "worse"
            words = verdict.reason.partition("; the same bytes")[0]
            found[name] = (did_it, f"without it against tonight: {words}", dict(verdict.numbers))
        return found

    def _compared(self, quantity: str, record: CellRecord, tonight: CellRecord) -> Verdict | None:
        if quantity == "score":
            book = AnswerBook(ObjectStore(self._folder / "results"))
            verdicts = judge_scores([Pair(before=record, after=tonight)], book)
        else:
            verdicts = compare_exact(record, tonight)
        return next((verdict for verdict in verdicts if verdict.quantity == quantity), None)

    def _run_cells(self) -> None:
        """Every side as a run of its own in a store that is thrown away; in random order."""
        names = list(self._sides)
        self._random.shuffle(names)
        results = self._folder / "results"
        with Store.open_scratch(results) as store:
            for name in names:
                self.note(f"running the cell: {name}")
                side, key = self._sides[name], self.bad.key
                store.begin_run(RunInfo(run=name, started_utc=utc_now(), command=["bisect"], planned=[key]))
                ids = side.model.sample_ids
                job = DeviceJob(
                    profile=side.profile,
                    device=key.device,
                    cells=(PlannedCell(key=key, model=side.model),),
                    samples=None if ids is None else len(ids),
                )
                execution = Execution(
                    run=name,
                    store=store,
                    finish=finisher(ObjectStore(results)),
                    watcher=Watcher(note=self.note),
                    devices_dir=self.devices_dir,
                )
                execute([job], execution)
                record = next(iter(store.cells(run=name)), None)
                if record is None or record.outcome == "failed":
                    why = "it was not run" if record is None else record.reason or "it failed"
                    raise DeviceError(f"the cell could not be run with {name}: {why}", where=key.device)
                self._records[name] = record

    # -- what did it --------------------------------------------------------------------------------------------------

    def _trials(self, judged: dict[str, tuple[bool, str, dict[str, object]]]) -> dict[str, Trial]:
        """Per thing that was brought back; where none alone did it and all together did, each is part of it."""
        alone = any(did_it for name, (did_it, _, _) in judged.items() if name != _TOGETHER)
        together = _TOGETHER in judged and judged[_TOGETHER][0] and not alone
        found = {}
        for difference in self._differences:
            if difference.name not in judged:
                continue
            did_it, words, numbers = judged[difference.name]
            if together:
                words = f"alone: {words}; together: {judged[_TOGETHER][1]}"
            result: Result = "did it" if did_it else "part of it" if together else "not it"
            found[difference.name] = Trial(difference=difference, result=result, words=words, numbers=numbers)
        return found


__all__ = ["Bisector", "Side"]
