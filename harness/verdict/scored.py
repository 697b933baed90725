"""Verdicts of scores: pairs of records, tested together under the budget that scores have in a night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.results.record import CellRecord
from harness.verdict.answers import AnswerBook, same_answers
from harness.verdict.exact import cause_of, cause_words
from harness.verdict.scores import SCORE_BUDGET, Compared, compare_scores, holm, out_of_reach, smallest_loss
from harness.verdict.verdict import Status, Verdict


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two records of a cell. `previous` is the record before `after`: what changed in between is to blame."""

    before: CellRecord
    after: CellRecord
    previous: CellRecord | None = None


def judge_scores(pairs: Sequence[Pair], book: AnswerBook, *, budget: float = SCORE_BUDGET) -> list[Verdict]:
    """The verdicts of scores.

    Args:
        pairs: records that ran; those without a score, or of other labels, give none.
        budget: the chance of one or more false alarms among all of them.
    """
    compared = [
        (number, pair, found)
        for number, pair in enumerate(pairs)
        if None not in (pair.before.score, pair.after.score)
        for found in _compare(pair, book)
    ]
    tested = [found.p for _, _, found in compared if isinstance(found, Compared) and found.moved]
    bounds = iter(holm(tested, budget))
    verdicts: dict[int, Verdict] = {}
    for number, pair, found in compared:
        if isinstance(found, str):
            verdict = _not_compared(pair, found)
        elif found.moved:
            verdict = _tested(pair, found, next(bounds))
        else:
            # What did not move took nothing of the budget; what it could have seen is what a single changed cell could.
            verdict = _same(pair, found, budget)
        known = verdicts.get(number)
        if known is None or _GRAVITY.index(verdict.status) < _GRAVITY.index(known.status):
            verdicts[number] = verdict
    return [verdicts[number] for number in sorted(verdicts)]


#: of a model with several outputs the gravest verdict is told, first in this order; among the same the main output's
_GRAVITY: tuple[Status, ...] = ("worse", "suspect", "better", "new level", "same")


def _compare(pair: Pair, book: AnswerBook) -> list[Compared | str]:
    """The comparison of each judged output that both have, the main one first; or why there is none."""
    before, after = pair.before, pair.after
    if same_answers(before, after):
        return [_nothing_moved(before, after)]
    answers = [book.all_of(record) for record in (before, after)]
    if not answers[0] or not answers[1]:
        return ["its stored answers cannot be read"]
    if len(answers[0]) == len(answers[1]) == 1:
        found = compare_scores(answers[0][0], answers[1][0])
        return [found if found is not None else _NOT_IN_COMMON]
    old = {one.output: one for one in answers[0]}
    pairs = [(old[one.output], one) for one in answers[1] if one.output in old]
    several = [found for one in pairs if (found := compare_scores(*one)) is not None]
    return list(several) or [_NOT_IN_COMMON]


_NOT_IN_COMMON = "the two runs have no sample, or no label, in common"


def _nothing_moved(before: CellRecord, after: CellRecord) -> Compared:
    """The comparison of records that name the same outputs."""
    score = after.score or 0.0
    right_or_wrong = 0 if after.accuracy is not None or after.only_cell_right is not None else None
    return Compared(
        loss=0.0,
        p=1.0,
        test="identical outputs",
        samples=after.samples or 0,
        cut=False,
        before=before.score if before.score is not None else score,
        after=score,
        only_before_right=right_or_wrong,
        only_after_right=right_or_wrong,
    )


def _title(record: CellRecord) -> str:
    return "accuracy" if record.accuracy is not None else (record.metric or "score")


def _numbers(found: Compared, bound: float | None, seen: float | None) -> dict[str, float | int | str | None]:
    return {
        "before": found.before,
        "after": found.after,
        "loss": found.loss,
        "p": found.p,
        "alpha": bound,
        "test": found.test,
        "samples": found.samples,
        "only_before_right": found.only_before_right,
        "only_after_right": found.only_after_right,
        "smallest_loss": seen,
    }


def _sentence(record: CellRecord, found: Compared) -> str:
    unit_name = found.unit if found.output else record.metric_unit
    unit = f" {unit_name}" if unit_name else ""
    part = " common" if found.cut else ""
    title = f"output {found.output}: {found.title}" if found.output else _title(record)
    text = f"{title} {found.before:.4f} -> {found.after:.4f}{unit} on {found.samples:,}{part} samples"
    if found.only_before_right is not None:
        text += f" ({found.only_before_right} only right before, {found.only_after_right} only right now)"
    return text


def _tested(pair: Pair, found: Compared, bound: float) -> Verdict:
    after = pair.after
    rejects = found.p <= bound and found.loss != 0
    status: Status = "same"
    if rejects:
        status = "worse" if found.loss > 0 else "better"
    elif found.loss > 0 and out_of_reach(found, bound):
        status = "suspect"
    seen = smallest_loss(found, bound)
    words = f"{_sentence(after, found)}, {found.test} p = {found.p:.2g}, needed {bound:.2g}"
    if status == "same":
        words += "; not told from chance" + (f", a loss of {seen:.4f} would have been" if seen is not None else "")
    elif status == "suspect":
        words += "; the test's own smallest p lies above what so many changed cells leave it"
    else:
        words += cause_words(pair.previous or pair.before, after)
    return Verdict(
        key=after.key,
        quantity="score",
        status=status,
        reason=words,
        numbers=_numbers(found, bound, seen),
        cause=None if status == "same" else cause_of(pair.previous or pair.before, after),
        reference=pair.before.run,
    )


def _same(pair: Pair, found: Compared, budget: float) -> Verdict:
    seen = smallest_loss(found, budget)
    words = f"{_sentence(pair.after, found)}: no answer that counts differs"
    return Verdict(
        key=pair.after.key,
        quantity="score",
        status="same",
        reason=words,
        numbers=_numbers(found, None, seen),
        reference=pair.before.run,
    )


def _not_compared(pair: Pair, why: str) -> Verdict:
    before, after = pair.before, pair.after
    return Verdict(
        key=after.key,
        quantity="score",
        status="same" if before.score == after.score else "suspect",
        gates=False,
        reason=f"{_title(after)} {before.score:.4f} -> {after.score:.4f}, not tested: {why}",
        numbers={"before": before.score, "after": after.score},
        reference=before.run,
    )
