"""A judgement as Markdown for a pull request, and as plain lines for a terminal."""

from __future__ import annotations

from harness.reports.markdown import escape
from harness.reports.values import clean
from harness.reports.verdicts.words import boards, detectable, earlier, groups, headline, is_alarm, sentence, title_of
from harness.verdict.command import bisection
from harness.verdict.night import Judgement
from harness.verdict.verdict import Verdict

#: verdicts of a group that are written out; cells whose detectable change a terminal shows (verdict.md has all)
_SHOWN, _BLUNTEST = 50, 40


def markdown(judgement: Judgement, *, title: str = "Nightly") -> str:
    """The judgement as Markdown."""
    lines = [f"# {title} {judgement.run}: {escape(headline(judgement))}", ""]
    lines += [line for note in judgement.notes for line in (f"Note: {escape(note)}.", "")]
    for name, verdicts in groups(judgement):
        lines += [f"## {name}", "", "| cell | quantity | what | since |", "|---|---|---|---|"]
        lines += [_row(v) for v in verdicts[:_SHOWN]]
        if len(verdicts) > _SHOWN:
            lines.append(f"| and {len(verdicts) - _SHOWN} more: see verdict.json | | | |")
        lines.append("")
        commands = list(dict.fromkeys(v.command for v in verdicts[:_SHOWN] if v.command and is_alarm(v)))
        if commands:
            lines += ["To reproduce:", "", "```", *(clean(c) for c in commands), "```", ""]
        finders = (
            []
            if judgement.two_runs
            else [c for v in verdicts[:_SHOWN] if (c := bisection(v, judgement.place)) is not None]
        )
        if finders:
            lines += ["To find what did it:", "", "```", *(clean(c) for c in dict.fromkeys(finders)), "```", ""]
    if judgement.boards:
        lines += ["## Boards", "", *(f"- {escape(line)}" for line in boards(judgement)), ""]
    lines += _detectable(judgement)
    if judgement.failed:
        lines += ["## Failed with their board or link; no regressions", ""]
        lines += [f"- {escape(r.key.text_with_seed)}: {escape(r.reason or '')}" for r in judgement.failed[:_SHOWN]]
        lines.append("")
    plain = judgement.two_runs or judgement.no_history is not None
    lines += [
        f"{'Runs' if judgement.two_runs else 'Series'} `{judgement.series}`"
        + ("." if plain else f", {earlier(judgement)}."),
        "",
    ]
    return "\n".join(lines)


def _row(verdict: Verdict) -> str:
    cells = (verdict.key.text_with_seed, title_of(verdict), verdict.reason, verdict.since or "")
    return "| " + " | ".join(escape(text) for text in cells) + " |"


def _detectable(judgement: Judgement) -> list[str]:
    """What each cell would have seen, every cell of the night."""
    found = detectable(judgement)
    if not found:
        return []
    times = sorted(cell.latency for cell in found if cell.latency is not None)
    lines = ["## Smallest change that would have been seen", ""]
    if times:
        lines += [
            f"Of a latency, in the median cell {times[len(times) // 2]:.1%}. All cells, those first that see least:",
            "",
        ]
    lines += [f"<details><summary>{len(found)} cells</summary>", ""]
    measured = any(cell.energy is not None for cell in found)
    lines += [f"| cell | latency | loss of score |{' energy |' * measured}", f"|---|---|---|{'---|' * measured}"]
    lines += [
        f"| {escape(cell.name)} | {cell.latency_text} | {cell.loss_text} |{f' {cell.energy_text} |' * measured}"
        for cell in found
    ]
    return [*lines, "", "</details>", ""]


def plain_lines(judgement: Judgement) -> list[str]:
    """The judgement for a terminal, without markup."""
    lines = [headline(judgement), *(f"note: {clean(note)}" for note in judgement.notes)]
    for name, verdicts in groups(judgement):
        lines.append(f"{name}:")
        for verdict in verdicts[:_SHOWN]:
            lines.append(f"  {sentence(verdict)}")
            if is_alarm(verdict) and verdict.command:
                lines.append(f"    reproduce: {clean(verdict.command)}")
            finder = None if judgement.two_runs else bisection(verdict, judgement.place)
            if finder is not None:
                lines.append(f"    find what did it: {clean(finder)}")
        if len(verdicts) > _SHOWN:
            lines.append(f"  and {len(verdicts) - _SHOWN} more: see verdict.json")
    lines += [f"board {line}" for line in boards(judgement)]
    return [*lines, *_detectable_lines(judgement)]


def _detectable_lines(judgement: Judgement) -> list[str]:
    found = detectable(judgement)
    times = sorted(cell.latency for cell in found if cell.latency is not None)
    lines = []
    if times:
        lines.append(
            f"latency: a change of {times[len(times) // 2]:.1%} would have been seen in the median cell, {times[-1]:.1%} in the "
            "bluntest"
        )
    if found:
        measured = any(cell.energy is not None for cell in found)
        lines.append(
            f"smallest change that would have been seen (latency; loss of score{'; energy' if measured else ''}):"
        )
        lines += [
            f"  {clean(c.name)}: {c.latency_text or '-'}; {c.loss_text or '-'}"
            + (f"; {c.energy_text or '-'}" if measured else "")
            for c in found[:_BLUNTEST]
        ]
    if len(found) > _BLUNTEST:
        lines.append(f"  and {len(found) - _BLUNTEST} more, which see more: see verdict.md")
    return lines
