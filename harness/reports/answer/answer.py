"""The answer for one workload on one device: one pick, what is as good, what it was chosen from, and why the rest is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.reports.answer.candidate import Candidate
from harness.reports.answer.candidates import NO_TIMES, Exclusion, has_own_times, is_control, is_float, sound
from harness.reports.answer.choose import Beaten, front, pick, within
from harness.reports.answer.compare import Compared, Comparisons
from harness.reports.answer.evidence import Evidence
from harness.reports.answer.gain import QatGain, qat_gains
from harness.reports.answer.guessing import apart_from_guessing
from harness.reports.answer.layers import layers
from harness.reports.answer.limits import Limits
from harness.reports.scores import score_delta_of, score_of
from harness.reports.values import clean
from harness.results.record import CellKey, CellRecord
from harness.workloads.metrics.top1 import difference_interval

#: what one answer is of: workload, dataset, device
Place = tuple[str, str, str]


def place_of(key: CellKey) -> Place:
    """Where a cell belongs."""
    return (key.workload, key.dataset, key.device)


@dataclass(frozen=True, kw_only=True)
class NotRun:
    """How many of the cells that were planned were not run: their run was interrupted, or its process was killed."""

    cells: int = 0
    planned: int = 0

    @property
    def words(self) -> str:
        """`24 of 30 cells were not run`; empty where all were."""
        if not self.cells:
            return ""
        return f"{self.cells} of {self.planned} cells {'was' if self.cells == 1 else 'were'} not run"


def not_run(planned: Iterable[CellKey], recorded: Iterable[CellKey]) -> dict[Place, NotRun]:
    """What of a plan has no record, by place; places where all ran are left out."""
    known, plan = set(recorded), list(dict.fromkeys(planned))
    counts = Counter(map(place_of, plan))
    missing = Counter(place_of(key) for key in plan if key not in known)
    return {place: NotRun(cells=cells, planned=counts[place]) for place, cells in missing.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What to ship on a device.

    Attributes:
        title: the workload, and the dataset where it has a name.
        limits: what the pick had to keep to.
        pick: what to take; None where there is nothing to take.
        why_none: why there is no pick; empty where there is one.
        candidates: every sound cell, controls too, in the order of the report.
        front: those within the limits that no other makes needless, the pick first. No controls.
        beaten: the other ones within the limits.
        excluded: cells that are not sound, and such as miss a limit.
        gains: what QAT itself gained, of every sound cell of QAT and of every seed.
        no_times: why no time recommends anything here; empty where times are the board's own.
        base: the float model on this device, on the backend where it is fastest; None where it did not run well here.
        seeds: the seeds that ran; the answer is of the first one.
        not_run: what of the plan was not run, so that another answer may come of it.
    """

    workload: str
    dataset: str
    title: str
    device: str
    limits: Limits
    pick: Candidate | None
    why_none: str
    candidates: tuple[Candidate, ...]
    front: tuple[Candidate, ...]
    beaten: tuple[Beaten, ...]
    excluded: tuple[Exclusion, ...]
    gains: tuple[QatGain, ...]
    no_times: str
    base: Candidate | None
    seeds: tuple[int, ...]
    not_run: NotRun = NotRun()

    @property
    def as_good(self) -> tuple[Candidate, ...]:
        """The candidates of the pick's score group, without it: no test tells their scores from its."""
        if self.pick is None:
            return ()
        return tuple(c for c in self.candidates if c.layer == self.pick.layer and c is not self.pick)


def find_answers(
    records: Iterable[CellRecord],
    evidence: Evidence,
    limits: Limits | None = None,
    *,
    missing: Mapping[Place, NotRun] | None = None,
) -> list[Answer]:
    """One answer per workload, dataset and device, in the order of the records; then those of places where nothing ran.

    Args:
        records: one per cell, in the order in which tables show them.
        evidence: where the cells' answers are.
        missing: what of the plan was not run.
    """
    groups: dict[Place, list[CellRecord]] = {}
    for record in records:
        groups.setdefault(place_of(record.key), []).append(record)
    missing, limits = missing or {}, limits or Limits()
    found = [find_answer(group, evidence, limits, missing.get(place)) for place, group in groups.items()]
    titles = {(answer.workload, answer.dataset): answer.title for answer in found}
    return [
        *found,
        *(_nothing_ran(place, titles, limits, left) for place, left in missing.items() if place not in groups),
    ]


def _nothing_ran(place: Place, titles: Mapping[tuple[str, str], str], limits: Limits, left: NotRun) -> Answer:
    workload, dataset, device = place
    title = titles.get((workload, dataset), workload)
    return Answer(
        workload=workload, dataset=dataset, title=title, device=device, limits=limits, pick=None, why_none=left.words,
        candidates=(), front=(), beaten=(), excluded=(), gains=(), no_times="", base=None, seeds=(), not_run=left,
    )  # fmt: skip


def find_answer(
    records: Sequence[CellRecord], evidence: Evidence, limits: Limits, left: NotRun | None = None
) -> Answer:
    """The answer from all cells of one workload on one dataset and device; at least one.

    Args:
        left: what was planned for them besides, and not run.
    """
    left = left or NotRun()
    good, excluded = sound(records)
    good, guessing = apart_from_guessing(good, evidence)
    excluded = [*excluded, *guessing]
    seeds = sorted({record.key.seed for record in records})
    shown = [record for record in good if record.key.seed == seeds[0]]
    excluded = [out for out in excluded if out.record.key.seed == seeds[0]]
    no_times = _no_times(shown)
    comparisons = Comparisons([evidence.answers(record) for record in shown])
    candidates = _candidates(shown, comparisons)
    place = {id(candidate): number for number, candidate in enumerate(candidates)}

    def better(first: Candidate, second: Candidate) -> bool:
        return comparisons.shown_better(place[id(first)], place[id(second)])

    free = [c for c in candidates if not c.control]
    eligible, missed = within(free, limits, ranked_times=not no_times)
    chosen = pick(eligible, limits, ranked_times=not no_times)
    kept, beaten = ([], []) if chosen is None else front(eligible, chosen, better, ranked_times=not no_times)
    first = records[0]
    named = next((r.dataset_name for r in records if r.dataset_name), None)
    return Answer(
        workload=first.key.workload,
        dataset=first.key.dataset,
        title=f"{first.key.workload} on {named}" if named else first.key.workload,
        device=first.key.device,
        limits=limits,
        pick=chosen,
        why_none="" if chosen is not None else left.words or _why_none(candidates, missed, excluded, limits),
        candidates=tuple(candidates),
        front=tuple(kept),
        beaten=tuple(beaten),
        excluded=(*missed, *excluded),
        gains=tuple(qat_gains(good, evidence)),
        no_times=no_times,
        base=_base(candidates),
        seeds=tuple(seeds),
        not_run=left,
    )


def _candidates(records: Sequence[CellRecord], comparisons: Comparisons) -> list[Candidate]:
    groups = layers(len(records), comparisons.shown_better)
    tested = [comparisons.of(position, Comparisons.FLOAT) for position in range(len(records))]
    return [
        Candidate(
            record=record,
            control=is_control(record.key.recipe),
            to_float=_from_record(record, len(records), why=to_float) if isinstance(to_float, str) else to_float,
            layer=layer,
        )
        for record, to_float, layer in zip(records, tested, groups, strict=True)
    ]


def _from_record(record: CellRecord, comparisons: int, *, why: str) -> Compared | str:
    """The difference to the float model as the record has it, where the answers to each sample are not at hand.

    Args:
        comparisons: how many such differences there are: each p counts so often (Bonferroni).
        why: what is said where the record has none either.
    """
    delta = score_delta_of(record)
    if delta is None or score_of(record) is None or not record.samples:
        return why
    p = record.mcnemar_p if record.score_p is None else record.score_p
    lost, won = record.only_float_right, record.only_cell_right
    low, high = (None, None) if lost is None or won is None else difference_interval(lost, won, record.samples)
    return Compared(
        samples=record.samples,
        delta=delta,
        low=low,
        high=high,
        p=1.0 if p is None else p,
        p_holm=1.0 if p is None else min(1.0, p * comparisons),
        gain=-delta if record.metric_direction == "lower" else delta,
        test=record.score_test or "paired test",
    )


def _no_times(records: Sequence[CellRecord]) -> str:
    """Why no time recommends a cell here; empty where all times are the board's own, of one clock."""
    bases = dict.fromkeys(r.time_basis for r in records if r.time_basis is not None)
    foreign = [basis for basis in bases if basis in NO_TIMES]
    if foreign:
        return NO_TIMES[foreign[0]]
    if len(bases) > 1:
        return "its times are of several clocks"
    timed = [r for r in records if has_own_times(r) and r.latency_median_ns is not None]
    return "" if timed or not records else "the board told no time"


def _base(candidates: Sequence[Candidate]) -> Candidate | None:
    floats = [c for c in candidates if is_float(c.recipe)]
    return min(floats, key=lambda c: float("inf") if c.cost_ns is None else c.cost_ns, default=None)


def _why_none(
    candidates: Sequence[Candidate], missed: Sequence[Exclusion], excluded: Sequence[Exclusion], limits: Limits
) -> str:
    if missed:
        ranked_times = not _no_times([c.record for c in candidates])
        controls, _ = within([c for c in candidates if c.control], limits, ranked_times=ranked_times)
        names = ", ".join(dict.fromkeys(clean(c.recipe) for c in controls))
        return f"only controls keep to the limits: {names}" if names else "no recipe keeps to the limits"
    if candidates:
        return "only controls ran well"
    if not excluded:
        return "nothing ran"
    outcomes = {out.record.outcome for out in excluded if out.kind == "outcome"}
    if len(outcomes) == 1 and all(out.kind == "outcome" for out in excluded):
        outcome = outcomes.pop()
        return "every cell failed" if outcome == "failed" else f"every cell is {outcome}"
    # Reference kernels are never offered: why the others are not is the reason.
    others = [out for out in excluded if out.kind != "reference"] or list(excluded)
    reasons = {
        out.reason if out.kind != "outcome" else f"what could be shipped is {out.record.outcome}" for out in others
    }
    return reasons.pop() if len(reasons) == 1 else "every cell is left out, each with its reason"
