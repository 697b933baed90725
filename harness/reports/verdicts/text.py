"""A judgement as Markdown for a pull request, and as plain lines for a terminal."""

from __future__ import annotations

from harness.reports.markdown import escape
from harness.reports.values import clean
from harness.reports.verdicts.words import boards, detectable, earlier, groups, headline, sentence, title_of
from harness.verdict.night import Judgement
from harness.verdict.verdict import Verdict

#: verdicts of a group, and cells of the table of detectable changes, that are written out
_SHOWN, _BLUNTEST = 50, 20


def markdown(judgement: Judgement, *, title: str = "Nightly") -> str:
    """The judgement as Markdown."""
    lines = [f"# {title} {judgement.run}: {escape(headline(judgement))}", ""]
    for name, verdicts in groups(judgement):
        lines += [f"## {name}", "", "| cell | quantity | what | since |", "|---|---|---|---|"]
        lines += [_row(v) for v in verdicts[:_SHOWN]]
        if len(verdicts) > _SHOWN:
            lines.append(f"| and {len(verdicts) - _SHOWN} more: see verdict.json | | | |")
        lines.append("")
        commands = list(dict.fromkeys(v.command for v in verdicts[:_SHOWN] if v.command and v.open))
        if commands:
            lines += ["To reproduce:", "", "```", *(clean(c) for c in commands), "```", ""]
    if judgement.boards:
        lines += ["## Boards", "", *(f"- {escape(line)}" for line in boards(judgement)), ""]
    lines += _detectable(judgement)
    if judgement.failed:
        lines += ["## Failed with their board or link; no regressions", ""]
        lines += [f"- {escape(r.key.text_with_seed)}: {escape(r.reason or '')}" for r in judgement.failed[:_SHOWN]]
        lines.append("")
    lines += [
        f"{'Runs' if judgement.two_runs else 'Series'} `{judgement.series}`"
        + ("." if judgement.two_runs else f", {earlier(judgement)}."),
        "",
    ]
    return "\n".join(lines)


def _row(verdict: Verdict) -> str:
    cells = (verdict.key.text_with_seed, title_of(verdict), verdict.reason, verdict.since or "")
    return "| " + " | ".join(escape(text) for text in cells) + " |"


def _detectable(judgement: Judgement) -> list[str]:
    found = detectable(judgement)
    if not found:
        return []
    middle = sorted(value for _, value in found)[len(found) // 2]
    lines = ["## Smallest change of a latency that would have been seen", ""]
    lines += [f"In the median cell {middle:.1%}. The cells that see least:", "", "| cell | change |", "|---|---|"]
    lines += [f"| {escape(cell)} | {value:.1%} |" for cell, value in found[:_BLUNTEST]]
    return [*lines, ""]


def plain_lines(judgement: Judgement) -> list[str]:
    """The judgement for a terminal, without markup."""
    lines = [headline(judgement)]
    for name, verdicts in groups(judgement):
        lines.append(f"{name}:")
        for verdict in verdicts[:_SHOWN]:
            lines.append(f"  {sentence(verdict)}")
            if verdict.open and verdict.command:
                lines.append(f"    reproduce: {clean(verdict.command)}")
        if len(verdicts) > _SHOWN:
            lines.append(f"  and {len(verdicts) - _SHOWN} more: see verdict.json")
    lines += [f"board {line}" for line in boards(judgement)]
    found = detectable(judgement)
    if found:
        middle = sorted(value for _, value in found)[len(found) // 2]
        lines.append(
            f"latency: a change of {middle:.1%} would have been seen in the median cell, {found[0][1]:.1%} in the bluntest"
        )
    return lines
