"""Whether a search found anything: its pick against the best plain recipe, on samples that the search did not see.

The pick is made on the search's own samples. On the others it is only held against the limits and against what the plain recipes
offer, so that many tries do not turn into one lucky winner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.reports.answer.answer import Answer
from harness.reports.answer.candidate import AS_SMALL, Candidate, faster
from harness.reports.answer.choose import drop_text, within
from harness.reports.answer.compare import Compared, compare_together
from harness.reports.answer.evidence import Evidence
from harness.reports.answer.ratio import size_words, speed_words
from harness.variants.recipe import parse_recipe


@dataclass(frozen=True, kw_only=True)
class TuneVerdict:
    """What came of a search.

    Attributes:
        found: whether a searched variant is better than every plain recipe, in a way that can be shown.
        winner: the variant; the plain pick where nothing better was found; None where nothing keeps to the limits.
        against: the plain pick that it was held against; None where no plain recipe keeps to the limits.
        compared: the winner's score against that one's, on the same unseen samples; in words why not, or None.
        why: in one sentence.
        tried: False where no searched variant has run.
    """

    found: bool
    winner: Candidate | None
    against: Candidate | None
    compared: Compared | str | None
    why: str
    tried: bool = True


def is_searched(recipe: str) -> bool:
    """Whether a recipe is one of the search's own."""
    return parse_recipe(recipe).conversion.mix is not None


def judge(
    before: Answer, after: Answer, picked: tuple[str, str] | None, evidence: Evidence, *, tried: bool = True
) -> TuneVerdict:
    """The verdict on a search.

    Args:
        before: what the plain recipes offer on the unseen samples.
        after: the same with the searched variants.
        picked: recipe and backend of the pick on the search's samples; None where nothing kept to the limits there.
        tried: False where the time was over before any searched variant ran.
    """
    plain = before.pick
    if not tried:
        why = "the time was over before a searched variant had run; --budget gives it more"
        return TuneVerdict(found=False, winner=plain, against=plain, compared=None, why=why, tried=False)
    if picked is None or not is_searched(picked[0]):
        return _nothing(plain, _nothing_picked(plain, picked))
    searched = next((c for c in after.candidates if (c.recipe, c.backend) == picked), None)
    if searched is None:
        left_out = [out.reason for out in after.excluded if out.record.key.recipe == picked[0]]
        return _nothing(
            plain,
            f"{picked[0]} did not hold on samples that it was not picked by: {left_out[0] if left_out else 'it did not run'}",
        )
    kept, missed = within([searched], after.limits, ranked_times=not after.no_times)
    if not kept:
        return _nothing(plain, f"{picked[0]} did not hold on samples that it was not picked by: it {missed[0].reason}")
    if plain is None:
        why = f"no plain recipe keeps to the limits ({before.why_none}), and this one does"
        return TuneVerdict(found=True, winner=searched, against=None, compared=None, why=why)
    compared = compare_together([_sides(evidence, searched, plain)])[0]
    gains, losses = _gains(searched, plain, compared, timed=not after.no_times)
    if not gains:
        why = f"{searched.recipe} cannot be told from {plain.recipe} in score, speed or size" + (
            f", and is {_and(losses)}" if losses else ""
        )
        return _nothing(plain, why, compared)
    but = f", but {_and(losses)}" if losses else ""
    return TuneVerdict(
        found=True,
        winner=searched,
        against=plain,
        compared=compared,
        why=f"it is {_and(gains)} than {plain.recipe}{but}",
    )


def _nothing(plain: Candidate | None, why: str, compared: Compared | str | None = None) -> TuneVerdict:
    return TuneVerdict(found=False, winner=plain, against=plain, compared=compared, why=why)


def _nothing_picked(plain: Candidate | None, picked: tuple[str, str] | None) -> str:
    if picked is not None:
        return f"on the samples of the search, too, the plain recipe {picked[0]} is the one to take"
    if plain is not None:
        return "nothing kept to the limits on the samples of the search"
    return "nothing keeps to the limits, neither a plain recipe nor a searched one"


def _sides(evidence: Evidence, first: Candidate, second: Candidate):
    mine, theirs = evidence.answers(first.record), evidence.answers(second.record)
    return mine if isinstance(mine, str) else theirs if isinstance(theirs, str) else (mine, theirs)


def _gains(mine: Candidate, theirs: Candidate, compared: Compared | str, *, timed: bool) -> tuple[list[str], list[str]]:
    """What the first is shown to be better in, and what worse."""
    gains: list[str] = []
    losses: list[str] = []
    if isinstance(compared, Compared) and compared.told_apart:
        points = drop_text(mine.record, abs(compared.gain))
        (gains if compared.gain > 0 else losses).append(f"{points} {'better' if compared.gain > 0 else 'worse'}")
    if timed and mine.cost_ns is not None and theirs.cost_ns is not None:
        if faster(mine, theirs):
            gains.append(f"{speed_words(theirs.cost_ns, mine.cost_ns)} faster")
        elif faster(theirs, mine):
            losses.append(f"{speed_words(mine.cost_ns, theirs.cost_ns)} slower")
    if mine.size_bytes and theirs.size_bytes:
        if mine.size_bytes * AS_SMALL < theirs.size_bytes:
            gains.append("smaller")
        elif theirs.size_bytes * AS_SMALL < mine.size_bytes:
            losses.append(f"larger ({size_words(mine.size_bytes, theirs.size_bytes)})")
    return gains, losses


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
