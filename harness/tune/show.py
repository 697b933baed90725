"""A search for a reader: what was asked, what was tried, both Pareto sets on unseen samples, and the verdict."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.reports.answer.answer import Answer
from harness.reports.answer.candidate import Candidate
from harness.reports.answer.choose import drop_text
from harness.reports.answer.compare import Compared
from harness.reports.answer.limits import USUAL_DROP, Limits
from harness.reports.answer.words import compared_words, delta_words
from harness.reports.scores import is_share, score_of, value_text
from harness.reports.values import clean, cost_text, duration_text, size_text
from harness.tune.verdict import TuneVerdict, is_searched

if TYPE_CHECKING:
    from rich.console import Console

    from harness.tune.result import TuneResult

#: layers that are named with what taking them out of int8 gained
_LAYERS = 5


def print_result(console: Console, result: TuneResult) -> None:
    """Everything, the verdict first."""
    from rich.text import Text

    answer, verdict = result.after, result.verdict
    style = "bold green" if verdict.found else "bold" if verdict.winner is not None else "yellow"
    console.print(Text(f"\n{clean(answer.title)}, {clean(answer.device)}", style="bold"))
    console.print(Text(f"  {sentence(verdict)}", style=style), soft_wrap=True)
    if result.model is not None:
        console.print(Text(f"      {result.model}"), soft_wrap=True)
    for head, text in lines(result):
        console.print(Text(f"    {head:<11}{text}"), soft_wrap=True)
    for title, front in (("before: plain recipes", result.before), ("after: with the searched variants", result.after)):
        _print_front(console, title, front)


def sentence(verdict: TuneVerdict) -> str:
    """The verdict in one sentence."""
    if verdict.found and verdict.winner is not None:
        return f"take {_named(verdict.winner)}: {verdict.why}"
    if verdict.winner is not None and not verdict.tried:
        return (
            f"nothing was searched, and of the plain recipes {_named(verdict.winner)} is the one to take: {verdict.why}"
        )
    if verdict.winner is not None:
        return f"nothing better than {_named(verdict.winner)} was found: {verdict.why}"
    return f"nothing to take: {verdict.why}"


def lines(result: TuneResult) -> list[tuple[str, str]]:
    """What stands below the verdict: (head, text) each."""
    exploration, verdict = result.exploration, result.verdict
    tried = list(dict.fromkeys(r.key.recipe for r in result.records if is_searched(r.key.recipe)))
    more = "; time ended before all were scored" if exploration.stopped else ""
    found = [
        ("asked", limits_text(result.options.limits, result.after)),
        ("samples", f"{result.split.words}; all figures below are of those"),
        (
            "tried",
            f"{exploration.scored} variants ({exploration.files} different files) by their error on {exploration.samples} "
            f"calibration samples, {len(tried)} of them on the device{more}",
        ),
        ("layers", _layers(result)),
    ]
    if isinstance(verdict.compared, Compared) and verdict.winner is not None and verdict.against is not None:
        words = compared_words(verdict.winner.record, verdict.compared)
        found.append(
            ("score", f"{verdict.winner.recipe} to {verdict.against.recipe}: {words}" if verdict.found else words)
        )
    if verdict.winner is not None:
        found.append(("again", again(result)))
        found.append(("sha256", str(verdict.winner.record.artifact_sha256)))
    return [(head, text) for head, text in found if text]


def limits_text(limits: Limits, answer: Answer) -> str:
    """The objective and the constraints."""
    record = next((c.record for c in answer.candidates), None)
    drop = limits.max_drop
    if record is not None:
        allowed = (
            f"{drop_text(record, USUAL_DROP if drop is None else drop)}"
            if is_share(record) or drop is not None
            else "1 % of the score"
        )
    else:
        allowed = f"{USUAL_DROP if drop is None else drop:g} of the score"
    words = [f"lose at most {allowed} to the float model"]
    if limits.max_latency_ns is not None:
        words.append(f"take at most {duration_text(limits.max_latency_ns)}")
    if limits.max_size_bytes is not None:
        words.append(f"have at most {size_text(round(limits.max_size_bytes))} bytes")
    aim = "the fastest" if limits.prefer == "speed" and not answer.no_times else "the smallest"
    return f"{', '.join(words)}; of those {aim}" + (f" ({answer.no_times})" if answer.no_times else "")


def again(result: TuneResult) -> str:
    """The command that makes and runs the winner again: the same bytes."""
    assert result.verdict.winner is not None
    options = result.options
    words = ["harness", "run", "--workload", options.workload, "--device", options.device]
    given = {
        "data": options.data,
        "data-dir": options.data_dir,
        "metric": options.metric,
        "devices-dir": options.devices_dir,
    }
    for name, value in given.items():
        words += [f"--{name}", value] if value else []
    words += ["--emulated"] if options.emulated else []
    words += ["--recipe", result.verdict.winner.recipe]
    return shlex.join(words)


def _layers(result: TuneResult) -> str:
    gaining = [(unit, gain) for unit, gain in result.exploration.units if gain >= 0.5][:_LAYERS]
    if not gaining:
        return "" if not result.exploration.units else "none loses much by itself in int8"
    shown = ", ".join(f"{clean(unit.layer)} {gain:+.1f} dB" for unit, gain in gaining)
    return f"output error when a layer and those that read it are taken out of int8: {shown}"


def _named(candidate: Candidate) -> str:
    return f"{clean(candidate.recipe)} on {clean(candidate.backend)}"


def _print_front(console: Console, title: str, answer: Answer) -> None:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title=f"{title} (Pareto set within the limits)", title_justify="left"
    )
    for name, justify in (
        ("recipe", "left"),
        ("score", "right"),
        ("to the float model", "left"),
        ("latency", "right"),
        ("bytes", "right"),
    ):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    rows = list(answer.front)
    for candidate in rows:
        table.add_row(*_row(candidate, answer))
    console.print()
    if not rows:
        console.print(f"{title}: nothing keeps to the limits: {answer.why_none}", markup=False, highlight=False)
        nearest = _nearest(answer.candidates)
        if nearest is not None:
            console.print(f"  nearest: {'; '.join(_row(nearest, answer))} bytes", markup=False, highlight=False)
        return
    console.print(table, highlight=False, markup=False)


def _nearest(candidates: Sequence[Candidate]) -> Candidate | None:
    """Of what ran well but keeps to no limits, the one that loses least."""
    free = [c for c in candidates if not c.control and c.drop is not None]
    return min(free, key=lambda c: (c.drop or 0.0, c.size_bytes or 0), default=None)


def _row(candidate: Candidate, answer: Answer) -> list[str]:
    record, tested = candidate.record, candidate.to_float
    difference = tested if isinstance(tested, str) else delta_words(record, tested.delta)
    if isinstance(tested, Compared) and tested.low is not None and tested.high is not None:
        scale = 100 if is_share(record) else 1
        difference += f" [{scale * tested.low:+.3g}, {scale * tested.high:+.3g}]"
    backend = f" on {clean(candidate.backend)}" if len({c.backend for c in answer.candidates}) > 1 else ""
    score = score_of(record)
    return [
        clean(candidate.recipe) + backend,
        "" if score is None else f"{value_text(record, score)} (n={record.samples})",
        difference,
        cost_text(record) or "",
        "" if candidate.size_bytes is None else size_text(candidate.size_bytes),
    ]


# ----------------------------------------------------------------------------------------------------------------- as JSON


def result_json(result: TuneResult) -> dict[str, Any]:
    """The result as JSON: every key always there, null where it does not apply."""
    verdict = result.verdict
    compared = verdict.compared if isinstance(verdict.compared, Compared) else None
    return {
        "schema": 1,
        "run": result.run,
        "workload": result.after.workload,
        "device": result.after.device,
        "found": verdict.found,
        "why": verdict.why,
        "winner": None if verdict.winner is None else _candidate_json(verdict.winner),
        "against": None if verdict.against is None else _candidate_json(verdict.against),
        "difference": None if compared is None else {
            "delta": compared.delta, "low": compared.low, "high": compared.high, "p": compared.p, "samples": compared.samples
        },
        "model": None if result.model is None else str(result.model),
        "again": None if verdict.winner is None else again(result),
        "samples": {"search": len(result.split.search), "proof": len(result.split.proof)},
        "scored": result.exploration.scored,
        "trials": sorted({r.key.recipe for r in result.records if is_searched(r.key.recipe)}),
        "layers": [{"layer": u.layer, "with": list(u.layers[1:]), "gain_db": db} for u, db in result.exploration.units],
        "before": [_candidate_json(c) for c in result.before.front],
        "after": [_candidate_json(c) for c in result.after.front],
    }  # fmt: skip


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    record, tested = candidate.record, candidate.to_float
    known = tested if isinstance(tested, Compared) else None
    return {
        "recipe": candidate.recipe,
        "backend": candidate.backend,
        "searched": is_searched(candidate.recipe),
        "score": score_of(record),
        "samples": record.samples,
        "delta": None if known is None else known.delta,
        "delta_low": None if known is None else known.low,
        "delta_high": None if known is None else known.high,
        "latency_ns": candidate.cost_ns,
        "size_bytes": candidate.size_bytes,
        "sha256": record.artifact_sha256,
    }
