"""One search under way: plain recipes, cheap errors, trials on the device, proof on samples that it did not see."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.core.errors import StableDeviceError
from harness.core.files import write_bytes_atomic
from harness.judge.stored import finisher
from harness.prepare.prepared import FLOAT_RECIPE, Say
from harness.reports.answer.answer import Answer, find_answer
from harness.reports.answer.evidence import StoredEvidence
from harness.reports.answer.limits import refuse_more_than_all
from harness.reports.answer.models import model_bytes
from harness.results.objects import open_objects
from harness.results.record import CellRecord, RunInfo
from harness.results.store import Store
from harness.run.jobs import Execution, Watcher
from harness.session.conclude import conclude
from harness.tune.candidates import kinds_of
from harness.tune.explore import Exploration, explore
from harness.tune.options import TuneOptions, refuse_finished
from harness.tune.result import TuneResult
from harness.tune.split import split_of
from harness.tune.train import qat_recipes
from harness.tune.trials import Trials, chosen_device, require_metric, search_source
from harness.tune.verdict import TuneVerdict, is_searched, judge
from harness.variants.mix import SHOWN_BY, LayerKind
from harness.workloads.registry import get_workload

#: what a search is held against
PLAIN = (FLOAT_RECIPE, "ptq-default", "ptq-float16", "ptq-int8-io", "ptq-int16x8")
#: the kind of such a run, in its environment
KIND = "tune"
#: shares of the budget at the end of which plain recipes, cheap errors and trials have to be done; the rest proves the result
_PLAIN_SHARE, _SCORED_SHARE, _TRIALS_SHARE = 0.3, 0.45, 0.75
#: the winner's file in the run's folder
MODEL_NAME = "winner.tflite"
#: searched variants that are proven beside the pick
_PROVEN = 3


class Search:
    """One search under way."""

    def __init__(
        self,
        store: Store,
        info: RunInfo,
        options: TuneOptions,
        results: Path,
        watcher: Watcher,
        say: Say,
        spent_s: float,
    ) -> None:
        self._store, self._info, self._options, self._results = store, info, options, results
        self._watcher, self._say = watcher, say
        self._begun_s = time.monotonic() - spent_s
        workload = get_workload(
            options.workload, data=Path(options.data) if options.data else None, metric=options.metric
        )
        refuse_finished(options.workload, workload.build_model is not None)
        metric = require_metric(workload)
        if metric.accuracy and options.limits.max_drop is not None:
            refuse_more_than_all(options.limits.max_drop)
        self._workload = workload
        device = chosen_device(options)
        source = search_source(options, device)
        self._dataset = workload.load_dataset(source)
        self._split = split_of(self._dataset)
        self._evidence = StoredEvidence(open_objects(results))
        execution = Execution(
            run=info.run,
            store=store,
            finish=finisher(open_objects(results)),
            watcher=watcher,
            devices_dir=options.devices_dir,
        )
        self._trials = Trials(
            workload=workload,
            split=self._split,
            source=source,
            device=device,
            options=options,
            execution=execution,
            say=say,
        )

    def run(self) -> TuneResult:
        """All of it; what ended is stored and tabled also where it is interrupted."""
        state = "interrupted"
        try:
            self._watcher.note(f"samples: {self._split.words}")
            exploration = self._explored()
            tried = self._tried(exploration)
            found = self._answer(self._trials.records([*PLAIN, *tried], "search"))
            before, after, verdict = self._proven(found)
            state = "finished"
            self._keep(verdict=_verdict_json(verdict))
        finally:
            self._keep(spent_s=time.monotonic() - self._begun_s)
            export = conclude(self._store, self._info.run, self._results, state=state)
        return TuneResult(
            run=self._info.run,
            options=self._options,
            split=self._split,
            exploration=exploration,
            before=before,
            after=after,
            verdict=verdict,
            records=tuple(self._store.cells(run=self._info.run)),
            results=self._results,
            export=export,
            model=self._written(verdict, export),
        )

    # ------------------------------------------------------------------------------------------------------- its stages

    def _explored(self) -> Exploration:
        """The plain recipes on the device, then the cheap errors of the search space."""
        records = self._trials.run(PLAIN, "search", until_s=self._until(_PLAIN_SHARE))
        self._require_float(records)
        stored = self._stored().get("exploration")
        if stored is not None:
            return Exploration.from_json(stored)
        exploration = explore(
            self._workload,
            self._trials.source,
            self._dataset,
            most=self._options.trials,
            max_size_bytes=self._options.limits.max_size_bytes,
            without=_not_run(records),
            until_s=self._until(_SCORED_SHARE),
            note=self._watcher.note,
        )
        exploration = replace(exploration, chosen=exploration.chosen[: self._affordable(_TRIALS_SHARE)])
        self._keep(exploration=exploration.to_json())
        return exploration

    def _tried(self, exploration: Exploration) -> list[str]:
        """The searched recipes that the device was given: the chosen ones, and trainings where none of those keeps the score."""
        tried = list(exploration.chosen)
        self._trials.run(tried, "search", until_s=self._until(_TRIALS_SHARE))
        trained = self._stored().get("trained")
        if trained is None:
            trained = self._trainings(exploration, tried)
            self._keep(trained=trained)
        self._trials.run(trained, "search", until_s=self._until(_TRIALS_SHARE))
        return [*tried, *trained]

    def _trainings(self, exploration: Exploration, tried: Sequence[str]) -> list[str]:
        """QAT of the worst layers with its control, where no all-int8 variant keeps to the allowed drop and there is time."""
        if self._affordable(_TRIALS_SHARE, least=0) < 2 or self._dataset.y_train is None:
            return []
        found = self._answer(self._trials.records([*PLAIN, *tried], "search"))
        allowed = {
            id(c.record) for c in (found.pick, *found.front, *(b.candidate for b in found.beaten)) if c is not None
        }
        integer = [c for c in found.candidates if _is_integer(c.recipe) and id(c.record) in allowed]
        return [] if integer else qat_recipes(exploration)

    def _proven(self, found: Answer) -> tuple[Answer, Answer, TuneVerdict]:
        """Both answers on the samples that the search did not see, and the verdict."""
        picked = None if found.pick is None else (found.pick.recipe, found.pick.backend)
        fronts = [c.recipe for c in found.front if is_searched(c.recipe)]
        searched = list(dict.fromkeys(([picked[0]] if picked and is_searched(picked[0]) else []) + fronts))
        # Where nothing keeps to the limits, what is nearest to them is shown all the same.
        searched = searched or _nearest(found)
        recipes = [*PLAIN, *searched[: 1 + _PROVEN]]
        records = self._trials.run(recipes, "proof", until_s=self._until(1.0))
        before = self._answer([r for r in records if not is_searched(r.key.recipe)])
        after = self._answer(records)
        ran = any(is_searched(record.key.recipe) for record in self._store.cells(run=self._info.run))
        return before, after, judge(before, after, picked, self._evidence, tried=ran)

    # ------------------------------------------------------------------------------------------------------------- helps

    def _answer(self, records: Sequence[CellRecord]) -> Answer:
        return find_answer(records, self._evidence, self._options.limits)

    def _until(self, share: float) -> float:
        """When a stage has to be done, on the monotonic clock."""
        return self._begun_s + share * self._options.budget_s

    def _affordable(self, share: float, *, least: int = 1) -> int:
        """How many more recipes run until a stage has to be done, by what they took so far."""
        left_s = self._until(share) - time.monotonic()
        return max(least, int(left_s / (self._trials.spent_s or 1.0)))

    def _require_float(self, records: Sequence[CellRecord]) -> None:
        """The float model is every score's baseline: without it there is nothing to lose against."""
        own = [r for r in records if r.key.recipe == FLOAT_RECIPE]
        if own and all(r.outcome == "failed" for r in own):
            raise StableDeviceError(
                f"the device failed: {own[0].reason}",
                where=own[0].key.device,
                hint="`harness devices check` says what is wrong with it; then `harness tune --resume`",
            )

    def _stored(self) -> dict[str, Any]:
        return dict(self._store.run(self._info.run).environment.get(KIND) or {})

    def _keep(self, **values: Any) -> None:
        environment = dict(self._store.run(self._info.run).environment)
        environment[KIND] = {**(environment.get(KIND) or {}), **values}
        self._store.set_environment(self._info.run, environment)

    def _written(self, verdict: TuneVerdict, export: Path | None) -> Path | None:
        """The winner's file beside the tables; None where there is none."""
        if verdict.winner is None or export is None:
            return None
        place = export / MODEL_NAME
        write_bytes_atomic(place, model_bytes(verdict.winner.record, open_objects(self._results)))
        return place


def _nearest(found: Answer) -> list[str]:
    """The searched recipe that loses least, of those that miss a limit; at most one."""
    searched = [c for c in found.candidates if is_searched(c.recipe) and not c.control]
    lost = {c.recipe: drop for c in searched if (drop := c.drop) is not None}
    return [min(lost, key=lambda recipe: lost[recipe])] if lost else []


def _not_run(records: Sequence[CellRecord]) -> frozenset[LayerKind]:
    """The kinds of layers that the device refused wherever it was given them, as on cores without a float kernel."""
    refused: set[LayerKind] = set()
    for recipe, kinds in SHOWN_BY.items():
        outcomes = {r.outcome for r in records if r.key.recipe == recipe}
        if outcomes == {"unsupported"}:
            refused.update(kinds)
    return frozenset(refused)


def _is_integer(recipe: str) -> bool:
    """Whether every layer is asked to be int8."""
    return recipe == "ptq-int8-io" or kinds_of(recipe) == {"int8"}


def _verdict_json(verdict: TuneVerdict) -> dict[str, Any]:
    record = None if verdict.winner is None else verdict.winner.record
    return {
        "found": verdict.found,
        "recipe": None if record is None else record.key.recipe,
        "backend": None if record is None else record.key.backend,
        "sha256": None if record is None else record.artifact_sha256,
        "why": verdict.why,
    }
