"""A score that guessing may have reached is no ground to ship anything, however good it looks beside the others.

The finding `score-at-chance` says that a score *is* one of guessing, which takes samples to be shown. This is the other side:
what is not shown to be better than guessing is not named.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.reports.answer.candidates import Exclusion
from harness.reports.answer.evidence import Answers, Evidence
from harness.results.record import CellRecord


def apart_from_guessing(records: Iterable[CellRecord], evidence: Evidence) -> tuple[list[CellRecord], list[Exclusion]]:
    """Parts sound cells into those that may be named and those whose score guessing may have reached. A cell without a score, or
    whose answers to each sample are not at hand, is among the first.
    """
    kept, out = [], []
    for record in records:
        answers = evidence.answers(record)
        if isinstance(answers, str) or _beats_guessing(answers):
            kept.append(record)
        else:
            reason = f"{answers.samples:,} samples do not show that the score is better than guessing"
            out.append(Exclusion(record=record, kind="guessing", reason=reason))
    return kept, out


def _beats_guessing(found: Answers) -> bool:
    """Whether the score is shown to be better than guessing; True where nobody knows what guessing is (a metric of one's own)."""
    from harness.measure.chance import beats_constant, beats_guessing

    if found.metric.classes:
        return found.answers.ndim > 1 or beats_guessing(found.answers, found.labels)
    if found.metric.name == "mean_absolute_error":
        return beats_constant(found.answers, found.labels)
    own = found.metric.beats_guessing(found.answers, found.labels)
    return own is None or own
