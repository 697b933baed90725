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
    compared = [(pair, _compare(pair, book)) for pair in pairs if None not in (pair.before.score, pair.after.score)]
    tested = [(pair, found) for pair, found in compared if isinstance(found, Compared) and found.moved]
    bounds = holm([found.p for _, found in tested], budget)
    verdicts = [_tested(pair, found, bound) for (pair, found), bound in zip(tested, bounds, strict=True)]
    # What did not move took nothing of the budget; what it could have seen is what a single changed cell could.
    verdicts += [
        _same(pair, found, budget) for pair, found in compared if isinstance(found, Compared) and not found.moved
    ]
    verdicts += [_not_compared(pair, found) for pair, found in compared if isinstance(found, str)]
    order = {id(pair): i for i, pair in enumerate(pairs)}
    keys = {pair.after.key: order[id(pair)] for pair in pairs}
    return sorted(verdicts, key=lambda v: keys[v.key])


def _compare(pair: Pair, book: AnswerBook) -> Compared | str:
    """The comparison, or why there is none."""
    before, after = pair.before, pair.after
    if same_answers(before, after):
        score = after.score or 0.0
        old = before.score if before.score is not None else score
        right_or_wrong = 0 if after.accuracy is not None else None
        return Compared(
            loss=0.0,
            p=1.0,
            test="identical outputs",
            samples=after.samples or 0,
            cut=False,
            before=old,
            after=score,
            only_before_right=right_or_wrong,
            only_after_right=right_or_wrong,
        )
    answers = [book.of(record) for record in (before, after)]
    if answers[0] is None or answers[1] is None:
        return "its stored answers cannot be read"
    found = compare_scores(answers[0], answers[1])
    return found if found is not None else "the two runs have no sample, or no label, in common"


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
    unit = f" {record.metric_unit}" if record.metric_unit else ""
    part = " common" if found.cut else ""
    text = f"{_title(record)} {found.before:.4f} -> {found.after:.4f}{unit} on {found.samples:,}{part} samples"
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
