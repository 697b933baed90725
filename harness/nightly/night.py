"""A night from its options to its verdict: control cells, the run, comparison with the history, confirmation, what is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from harness.boards.profile.model import Profile
from harness.core.errors import ExitCode, HarnessError
from harness.core.files import sha256_json
from harness.links.bootstrap import agent_source
from harness.nightly.confirm import Confirmer, Models
from harness.nightly.controls import ControlTimes, before_the_night, takes_controls, time_controls
from harness.nightly.kept import source_sha256
from harness.nightly.sessions import BoardSessions
from harness.prepare.prepared import PreparedModel, Say
from harness.results.history import ControlRow, History
from harness.results.objects import open_objects
from harness.results.place import place_of
from harness.results.record import CellKey, CellRecord, RunInfo
from harness.results.store import Store
from harness.run.matrix import Plan, choose_devices, make_plan
from harness.run.options import RunOptions
from harness.session.session import RunResult
from harness.verdict.boards import Controls
from harness.verdict.conclude import conclude
from harness.verdict.confirm import LATENCY_BUDGET
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
    """

    series: str | None = None
    confirm: bool = True
    confirm_s: float | None = None
    controls: bool = True
    new_only: bool = False


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
        """What is kept with the run, so that the night can be resumed."""
        return {"night": asdict(self.night)}

    def before(self) -> None:
        """Reads the past where it might be gone after the night, and times the control cells before the run."""
        if place_of(self.results).shared:
            with Store.open(self.results) as store:
                self._past = load_past(History(store), self.series, None, self._cells)
        if self.night.controls:
            self._before = before_the_night(self._profiles(), self.note, run="control cells")

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
            _keep_artifacts(history, result.records, self._models)
            _keep_agent(history, result.records)
            past = self._past_of(store, result)
            evidence = self._on_boards(history, result, past)
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
            later = history.nights_after(self.series, result.run)
            if later:
                many = "a later night of this series was" if later == 1 else f"{later} later nights of this series were"
                judgement.notes.append(f"{many} judged without this one, which was not finished then")
            settle(judgement, _concluded(judgement.suspects, evidence), asdict(self.options))
            history.put_verdicts(result.run, judgement.stored())
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

    def _suspects(self, history: History, result: RunResult, past: Past, device: str) -> list[Suspect]:
        """The suspects of one board, by the control cells that it has by now."""
        rows = history.controls(device, self.series, run=result.run)
        accepted = past.boards.get(device)
        controls = {device: Controls.of(device, past.controls.get(device, ()), rows, accepted)} if rows else {}
        here = [r for r in result.records if r.key.device == device and r.outcome != "failed"]
        return screen_times(here, past, controls).suspects

    def _on_boards(self, history: History, result: RunResult, past: Past) -> dict[str, Evidence]:
        """Control cells after the night, then the suspects of each board; by the cell's text with seed."""
        evidence: dict[str, Evidence] = {}
        with Confirmer(history=history, models=self._models, seconds=self._confirm_s(), note=self.note) as confirmer:
            for profile in self._profiles():
                device, controlled = profile.name, profile.name in self._before
                cells = [record for record in result.records if record.key.device == device]
                asked: list[Suspect] = []
                found: dict[int, Evidence] = {}
                if not controlled and not (self.night.confirm and self._suspects(history, result, past, device)):
                    continue
                try:
                    with BoardSessions(profile=profile, run=result.run, note=self.note) as sessions:
                        if controlled:
                            times = time_controls(sessions)
                            history.put_controls(
                                result.run, device, times.backend, "after", times.medians_ns, times.epoch
                            )
                        asked = self._suspects(history, result, past, device) if self.night.confirm else []
                        # Each board has its cells' share of the night's error budget.
                        budget = LATENCY_BUDGET * len(cells) / max(1, len(result.records))
                        found = confirmer.confirm(asked, sessions, budget)
                except HarnessError as error:
                    self.note(f"{device}: {error}")
                    problem = f"the board could not be asked again: {error}"
                    asked = asked or self._suspects(history, result, past, device)
                    found = {i: Evidence(problem=problem) for i in range(len(asked))}
                evidence |= {asked[i].key.text_with_seed: one for i, one in found.items()}
        return evidence

    def _confirm_s(self) -> float:
        if self.night.confirm_s is not None:
            return self.night.confirm_s
        return max(CONFIRM_LEAST_S, CONFIRM_SHARE * (self.options.budget_s or 0.0))

    def _profiles(self) -> list[Profile]:
        return [chosen.profile for chosen in choose_devices(self.options.absolute())]


def exit_code(result: RunResult, judgement: Judgement, new_only: bool) -> int:
    """3 as long as a regression is open (or began tonight), else 2 where a board, a link or the time failed, else 0."""
    if judgement.new() if new_only else judgement.open:
        return ExitCode.WORSE
    return result.exit_code


def _keep_artifacts(history: History, records: Sequence[CellRecord], models: Models) -> None:
    """Keeps the model files that a board was given: one of them may be the accepted one of a later night."""
    for record in records:
        key = record.key
        model = models.get((key.workload, key.recipe, key.seed))
        wanted = source_sha256(record)
        if (
            record.outcome == "failed"
            or model is None
            or model.artifact.path is None
            or wanted != model.artifact.sha256
        ):
            continue
        history.keep_artifact(model.artifact.path, wanted)


def _keep_agent(history: History, records: Sequence[CellRecord]) -> None:
    """Keeps the agent that boards ran, of which records name the hash alone."""
    agents = {record.fingerprint.agent_sha256 for record in records if record.fingerprint is not None}
    source = agent_source()
    if source.sha256 in agents:
        history.keep_bytes(source.agent)


def _concluded(suspects: Sequence[Suspect], evidence: dict[str, Evidence]) -> list[Verdict]:
    missing = Evidence(problem="nobody asked the board again")
    return [conclude(suspect, evidence.get(suspect.key.text_with_seed, missing)) for suspect in suspects]


__all__ = ["Night", "NightOptions", "NightResult", "exit_code", "series_of_plan", "takes_controls"]
