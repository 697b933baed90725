"""A night from its options to its verdict: control cells, the run, comparison with the history, confirmation, what is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from harness.boards.profile.model import Profile
from harness.core.errors import ExitCode, HarnessError
from harness.core.files import sha256_json
from harness.nightly.confirm import Confirmer
from harness.nightly.controls import ControlTimes, before_the_night, takes_controls, time_controls
from harness.nightly.kept import keep_artifacts, keep_programs
from harness.nightly.sessions import BoardSessions
from harness.prepare.prepared import PreparedModel, Say
from harness.reports.published import read_published
from harness.reports.published_store import keep_published
from harness.results.history import ControlRow, History
from harness.results.objects import open_objects
from harness.results.place import needed_options, place_of
from harness.results.record import CellKey, RunInfo
from harness.results.store import Store
from harness.run.matrix import Plan, choose_devices, make_plan
from harness.run.options import RunOptions
from harness.session.session import RunResult
from harness.verdict.boards import Controls
from harness.verdict.conclude import conclude
from harness.verdict.confirm import LATENCY_BUDGET
from harness.verdict.energy import EnergySuspect, conclude_energy, energy_suspect
from harness.verdict.latency import Evidence, Suspect, screen_times
from harness.verdict.night import Judgement, judge_night, settle
from harness.verdict.past import Past, load_past
from harness.verdict.verdict import Verdict

#: suspects cost at most this share of the night's time, and always so many seconds
CONFIRM_SHARE, CONFIRM_LEAST_S = 0.1, 60.0


@dataclass(frozen=True, kw_only=True)
class NightOptions:
    """How a night is judged.

    Attributes:
        series: the history that it belongs to; None: that of its plan.
        confirm: asks the boards again for suspects.
        confirm_s: at most so long; None: a tenth of the budget, at least a minute.
        controls: runs control cells.
        new_only: only regressions that began tonight end with exit code 3.
        published: a file of published figures, which workbook and page set beside those of the night.
    """

    series: str | None = None
    confirm: bool = True
    confirm_s: float | None = None
    controls: bool = True
    new_only: bool = False
    published: str | None = None


@dataclass(frozen=True, kw_only=True)
class NightResult:
    """A finished night."""

    result: RunResult
    judgement: Judgement
    exit_code: int


def series_of_plan(options: RunOptions) -> str:
    """The name of the series of a plan: what was asked for, however long it may take and wherever its files lie."""
    asked = {
        "workloads": sorted(Path(name).name for name in options.workloads),
        "recipes": sorted(options.recipes),
        "devices": sorted(options.devices),
        "backends": sorted(options.backends),
        "runtimes": sorted(options.runtimes),
        "seeds": options.seeds,
        "emulated": options.emulated,
        "data": Path(options.data).name if options.data else None,
        "metric": options.metric,
        "bundle": Path(options.bundle).name if options.bundle else None,
    }
    return f"plan-{sha256_json(asked)[:8]}"


@dataclass(kw_only=True)
class Night:
    """One night, step by step: `plan`, `before`, then the run itself by whoever shows its progress (`begun` as soon as
    it is stored), then `judge`."""

    options: RunOptions
    results: Path
    night: NightOptions
    #: what was asked for, where it differs from what can be run now: it names the series
    asked: RunOptions | None = None
    note: Callable[[str], None] = lambda text: None
    _models: dict[tuple[str, str, int], PreparedModel] = field(default_factory=dict)
    _before: dict[str, ControlTimes] = field(default_factory=dict)
    _prepare: Callable[[Say], list[PreparedModel]] | None = None
    _cells: Sequence[CellKey] = ()
    #: of a shared store, as it was before the night, in case that it is gone after it
    _past: Past | None = None
    #: why there is no past to compare with, in words: the shared store was gone before it could be read
    _no_history: str | None = None

    @property
    def series(self) -> str:
        """The series that the night belongs to."""
        return self.night.series or series_of_plan(self.asked or self.options)

    def plan(self) -> Plan:
        """The plan of the run, which leaves its prepared models here: suspects are confirmed with them."""
        options = self.options.absolute()
        plan = make_plan(options, choose_devices(options))
        self._cells = plan.keys

        def prepare(say: Say) -> list[PreparedModel]:
            models = plan.prepare(say)
            self._models = {(m.workload, m.recipe, m.seed): m for m in models}
            return models

        self._prepare = prepare
        return replace(plan, prepare=prepare)

    @staticmethod
    def resumed(info: RunInfo, results: Path, note: Callable[[str], None]) -> Night:
        """An interrupted night as it was started: it goes on with its options and in its series, and is judged as one night.

        Args:
            info: its run, with a series.

        Raises:
            UserInputError: the run's stored options cannot be read.
        """
        stored = info.environment.get("night") or {}
        known = {f.name for f in fields(NightOptions)}
        try:
            night = NightOptions(**{name: value for name, value in stored.items() if name in known})
        except (TypeError, AttributeError):
            night = NightOptions()
        options = RunOptions.from_json(info.environment.get("options") or {})
        return Night(options=options, results=results, night=replace(night, series=info.series), note=note)

    def noted(self) -> dict[str, Any]:
        """What is kept with the run: how the night was asked for, so that it can be resumed, and its published figures.

        Raises:
            UserInputError: the file of published figures cannot be read, or is none.
        """
        noted: dict[str, Any] = {"night": asdict(self.night)}
        if self.night.published is not None:
            figures = read_published(Path(self.night.published))
            noted |= keep_published(figures, open_objects(self.results))
        return noted

    def before(self) -> None:
        """Reads the past where it might be gone after the night, and times the control cells before the run."""
        place = place_of(self.results)
        if place.shared:
            with Store.open(self.results) as store:
                past = None if store.lost else load_past(History(store), self.series, None, self._cells)
                if store.lost:  # asked again: it may have gone while it was read
                    self._no_history = f"the results store {place.name} does not answer"
                else:
                    self._past = past
        if self.night.controls:
            self._before = before_the_night(self._profiles(), self.note, run="control cells")

    @staticmethod
    def without_server(results: Path) -> str | None:
        """Opens the store, so that a folder that cannot be written ends the night before boards are asked. Where a shared one is
        gone the night goes on in the results folder; says why, and None where all is well.

        Raises:
            HarnessError: as `Store.open`, but for a server that does not answer.
        """
        place = place_of(results)
        if place.shared:
            from harness.results.shared import expect_loss

            expect_loss(place)
        with Store.open(results) as store:
            return store.lost

    def begun(self, run: str) -> None:
        """Keeps the control cells of before the run, which an interruption must not lose."""
        with Store.open(self.results) as store:
            for device, times in self._before.items():
                History(store).put_controls(run, device, times.backend, "before", times.medians_ns, times.epoch)

    def judge(self, result: RunResult) -> NightResult:
        """Times the control cells again, judges the night, confirms its suspects, and stores what came of it."""
        if not self._models and self._prepare is not None:
            self._prepare(lambda what, done, total: None)  # a resumed night of which no cell was left to run
        with Store.open(self.results) as store:
            history = History(store)
            keep_artifacts(history, result.records, self._models)
            keep_programs(history, result.records)
            if self._no_history is not None:
                return self._not_judged(history, result, self._no_history)
            past = self._past_of(store, result)
            evidence, energies = self._on_boards(history, result, past)
            judgement = judge_night(
                result.run,
                self.series,
                result.records,
                result.info.planned,
                past,
                open_objects(self.results),
                controls=self._controls(history, result),
                options=asdict(self.options),
            )
            judgement.place = needed_options(self.results)
            judgement.verdicts = [
                conclude_energy(v, energies.get(v.key.text_with_seed), result.run)
                if v.quantity == "energy" and v.status == "suspect"
                else v
                for v in judgement.verdicts
            ]
            later = history.nights_after(self.series, result.run)
            if later:
                many = "a later night of this series was" if later == 1 else f"{later} later nights of this series were"
                judgement.notes.append(f"{many} judged without this one, which was not finished then")
            settle(judgement, _concluded(judgement.suspects, evidence), asdict(self.options))
            history.put_verdicts(result.run, judgement.stored())
        return NightResult(
            result=result, judgement=judgement, exit_code=exit_code(result, judgement, self.night.new_only)
        )

    def _not_judged(self, history: History, result: RunResult, why: str) -> NightResult:
        """A night without a history: nothing is compared, and nothing is stored that would make it the first of its cells."""
        self._on_boards(history, result, None)
        judgement = Judgement(
            run=result.run,
            series=self.series,
            nights=0,
            failed=[record for record in result.records if record.outcome == "failed"],
            not_run=[key for key in result.info.planned if key not in {record.key for record in result.records}],
            no_history=f"{why}; once it does, `harness run --resume {result.run}` judges this night",
        )
        return NightResult(
            result=result, judgement=judgement, exit_code=exit_code(result, judgement, self.night.new_only)
        )

    def _past_of(self, store: Store, result: RunResult) -> Past:
        """What the night is compared with; of a store that was lost on the way, as it was before."""
        if store.lost is not None and self._past is not None:
            return self._past
        return load_past(History(store), self.series, result.run, [record.key for record in result.records])

    def _controls(self, history: History, result: RunResult) -> dict[str, list[ControlRow]]:
        """Tonight's sessions of the control cells, per device."""
        devices = sorted({record.key.device for record in result.records})
        return {device: history.controls(device, self.series, run=result.run) for device in devices}

    def _suspects(self, history: History, result: RunResult, past: Past | None, device: str) -> list[Suspect]:
        """The suspects of one board, by the control cells that it has by now."""
        if past is None:
            return []
        rows = history.controls(device, self.series, run=result.run)
        accepted = past.boards.get(device)
        controls = {device: Controls.of(device, past.controls.get(device, ()), rows, accepted)} if rows else {}
        here = [r for r in result.records if r.key.device == device and r.outcome != "failed"]
        return screen_times(here, past, controls).suspects

    def _energy_suspects(self, result: RunResult, past: Past | None, device: str) -> list[EnergySuspect]:
        """The cells of one board whose energy rose, and is not known to be worse already."""
        if past is None:
            return []
        found = []
        for record in result.records:
            reference = past.references.get((record.key, "energy"))
            if record.key.device == device and reference is not None and (record.key, "energy") not in past.opened:
                found.append(energy_suspect(reference, record))
        return [one for one in found if one is not None]

    def _on_boards(
        self, history: History, result: RunResult, past: Past | None
    ) -> tuple[dict[str, Evidence], dict[str, Evidence]]:
        """Control cells after the night, then the suspects of each board; by the cell's text with seed. Times, and energies.

        Args:
            past: None: nothing was compared, and there are no suspects.
        """
        evidence: dict[str, Evidence] = {}
        energies: dict[str, Evidence] = {}
        with Confirmer(history=history, models=self._models, seconds=self._confirm_s(), note=self.note) as confirmer:
            for profile in self._profiles():
                device, controlled = profile.name, profile.name in self._before
                cells = [record for record in result.records if record.key.device == device]
                asked: list[Suspect] = []
                found: dict[int, Evidence] = {}
                asks = self.night.confirm and past is not None
                thirsty = self._energy_suspects(result, past, device) if asks else []
                if not controlled and not thirsty and not (asks and self._suspects(history, result, past, device)):
                    continue
                try:
                    with BoardSessions(profile=profile, run=result.run, note=self.note) as sessions:
                        if controlled:
                            times = time_controls(sessions)
                            history.put_controls(
                                result.run, device, times.backend, "after", times.medians_ns, times.epoch
                            )
                        asked = self._suspects(history, result, past, device) if asks else []
                        # Each board has its cells' share of the night's error budget.
                        budget = LATENCY_BUDGET * len(cells) / max(1, len(result.records))
                        found = confirmer.confirm(asked, sessions, budget)
                        energies |= confirmer.confirm_energy(thirsty, sessions, budget)
                except HarnessError as error:
                    self.note(f"{device}: {error}")
                    problem = f"the board could not be asked again: {error}"
                    asked = asked or self._suspects(history, result, past, device)
                    found = {i: Evidence(problem=problem) for i in range(len(asked))}
                    energies |= {one.after.key.text_with_seed: Evidence(problem=problem) for one in thirsty}
                evidence |= {asked[i].key.text_with_seed: one for i, one in found.items()}
        return evidence, energies

    def _confirm_s(self) -> float:
        if self.night.confirm_s is not None:
            return self.night.confirm_s
        return max(CONFIRM_LEAST_S, CONFIRM_SHARE * (self.options.budget_s or 0.0))

    def _profiles(self) -> list[Profile]:
        return [chosen.profile for chosen in choose_devices(self.options.absolute())]


def exit_code(result: RunResult, judgement: Judgement, new_only: bool) -> int:
    """3 as long as a regression is open (or began tonight), else 2 where board, link, time or store failed, else 0."""
    if judgement.new() if new_only else judgement.open:
        return ExitCode.WORSE
    return ExitCode.DEVICE_FAILED if judgement.no_history else result.exit_code


def _concluded(suspects: Sequence[Suspect], evidence: dict[str, Evidence]) -> list[Verdict]:
    missing = Evidence(problem="nobody asked the board again")
    return [conclude(suspect, evidence.get(suspect.key.text_with_seed, missing)) for suspect in suspects]


__all__ = ["Night", "NightOptions", "NightResult", "exit_code", "series_of_plan", "takes_controls"]
