"""Two runs beside each other, whatever they were: exact figures, paired scores, and times as far as two runs can tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.results.objects import ObjectStore
from harness.results.record import CellKey, CellRecord
from harness.verdict.answers import AnswerBook
from harness.verdict.command import reproduction
from harness.verdict.energy import judge_energy
from harness.verdict.epoch import changes, since_text
from harness.verdict.exact import cause_of, compare_exact
from harness.verdict.latency import is_clocked, session_medians_ns
from harness.verdict.night import Judgement
from harness.verdict.past import CELL
from harness.verdict.quantities import time_text
from harness.verdict.scored import Pair, judge_scores
from harness.verdict.screen import LEAST, PRIOR_SCALE, SUSPECT_SIGMAS
from harness.verdict.verdict import Status, Verdict
from harness.verdict.watched import watch

#: two runs without a history tell a change of a time this large; below, it is a suspicion that only sessions side by side confirm
TWO_RUNS_TELL = math.log(1.25)


def compare_runs(
    before: Sequence[CellRecord],
    after: Sequence[CellRecord],
    objects: ObjectStore,
    *,
    options: Mapping[str, Any] | None = None,
    name: str = "comparison",
) -> Judgement:
    """Judges the cells of a later run by those of an earlier one.

    Args:
        before, after: their records; cells of the earlier run that the later one lacks have vanished.
        options: the later run's, for the commands that reproduce what is worse.
        name: in the place of a series.
    """
    old = {record.key: record for record in before}
    new = {record.key: record for record in after}
    run = after[0].run if after else ""
    judgement = Judgement(
        run=run, series=name, nights=1, two_runs=True, failed=[r for r in after if r.outcome == "failed"]
    )
    found: list[Verdict] = []
    pairs = []
    for key, record in new.items():
        reference = old.get(key)
        if record.outcome == "failed":
            continue
        if reference is None or reference.outcome == "failed":
            why = "it failed in the earlier run" if reference is not None else "it is not in the earlier run"
            found.append(
                Verdict(key=key, quantity=CELL, status="first", gates=False, reason=f"{why}: nothing to compare with")
            )
            continue
        found += [*compare_exact(reference, record), *watch(reference, record)]
        pairs.append(Pair(before=reference, after=record))
    found += judge_scores(pairs, AnswerBook(objects))
    found += [v for pair in pairs if (v := _time(pair.before, pair.after)) is not None]
    found += [v for pair in pairs if (v := judge_energy(pair.before, pair.after)) is not None]
    found += [_gone(key, old[key]) for key in old if key not in new and not _other_data(key, new)]
    judgement.verdicts = [
        replace(v, since=v.since or run, command=reproduction(v.key, options or {})) if v.open else v for v in found
    ]
    return judgement


def _other_data(key: CellKey, new: Mapping[CellKey, CellRecord]) -> bool:
    return any(replace(other, dataset=key.dataset) == key for other in new)


def _gone(key: CellKey, record: CellRecord) -> Verdict:
    reason = f"in run {record.run} ({record.outcome}), not in the later one"
    return Verdict(key=key, quantity=CELL, status="vanished", gates=False, reason=reason, reference=record.run)


def _time(before: CellRecord, after: CellRecord) -> Verdict | None:
    """The times of two runs. Without their histories nobody knows how much this cell varies from one run to another."""
    if not (is_clocked(before) and is_clocked(after)) or before.time_basis != after.time_basis:
        return None
    old, new = session_medians_ns(before), session_medians_ns(after)
    change = float(np.median(np.log(new)) - np.median(np.log(old)))
    width = PRIOR_SCALE * math.sqrt(2.57)
    threshold = max(LEAST, SUSPECT_SIGMAS * width)
    apart = min(new) > max(old) if change > 0 else max(new) < min(old)
    words = f"{time_text(float(np.median(old)))} -> {time_text(float(np.median(new)))} ({math.expm1(change):+.1%})"
    status: Status = "same"
    if abs(change) > TWO_RUNS_TELL and apart:
        status = "worse" if change > 0 else "better"
        words += since_text(changes(before.fingerprint, after.fingerprint))
    elif abs(change) > threshold:
        status = "suspect"
        words += (
            f": beyond what unchanged cells usually do from run to run; two runs alone tell changes from "
            f"{math.expm1(TWO_RUNS_TELL):.0%} on, a nightly history tells smaller ones"
        )
    else:
        words += f": within what unchanged cells usually do; changes from {math.expm1(TWO_RUNS_TELL):.0%} on are told"
    return Verdict(
        key=after.key,
        quantity="latency",
        status=status,
        gates=status != "suspect",
        reason=words,
        numbers={"before_ns": float(np.median(old)), "after_ns": float(np.median(new)), "change": math.expm1(change)},
        cause=None if status == "same" else cause_of(before, after),
        reference=before.run,
        detectable=math.expm1(TWO_RUNS_TELL),
    )
