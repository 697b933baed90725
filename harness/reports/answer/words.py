"""The answer in words: one plain sentence, and the lines that say how it is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.reports.answer.answer import Answer
from harness.reports.answer.candidate import Candidate, as_fast, faster
from harness.reports.answer.candidates import Exclusion, effort
from harness.reports.answer.choose import allowed_drop, drop_text
from harness.reports.answer.compare import Compared
from harness.reports.answer.gain import QatGain
from harness.reports.answer.ratio import size_words, speed_words
from harness.reports.scores import agreement_share, is_share, number_text, score_of, score_text, title_of, value_text
from harness.reports.values import (
    clean,
    count_text,
    duration_text,
    latency_text,
    memory_text,
    placement_text,
    size_text,
)
from harness.results.record import CellRecord

#: how many names a line lists
_NAMES = 6
#: characters of a warning; the table of findings has all of it
_WARNING = 160


def sentence(answer: Answer) -> str:
    """`ship ptq-int8-io on npu: -0.2 points, 2.1x faster, a quarter of the size`; why there is nothing to ship otherwise."""
    chosen = answer.pick
    if chosen is None:
        return f"nothing to ship: {answer.why_none}"
    parts = [score_words(chosen), speed_part(answer, chosen), size_part(answer, chosen)]
    name = answer.workload if chosen.recipe == "as-is" else chosen.recipe
    return f"ship {clean(name)} on {clean(chosen.backend)}: {', '.join(part for part in parts if part)}"


def score_words(candidate: Candidate) -> str:
    """The score against the float model's; without one, the score itself, or how far it agrees with the reference."""
    record = candidate.record
    if candidate.delta is not None:
        return delta_words(record, candidate.delta)
    if score_of(record) is not None:
        value = value_text(record, score_of(record))
        return value if record.accuracy is not None else f"{clean(title_of(record))} {value}"
    share = agreement_share(record)
    return "" if share is None else f"{100 * share:.4g} % as the reference"


def delta_words(record: CellRecord, delta: float) -> str:
    """`-0.2 points`, `±0 points`; `0.012 K better` of a metric that is no share."""
    if not is_share(record):
        if delta == 0:
            return "no change"
        better = (delta < 0) == (record.metric_direction == "lower")
        return f"{number_text(abs(delta), record.metric_unit, digits=2)} {'better' if better else 'worse'}"
    if delta == 0:
        return "±0 points"
    return f"{'-' if delta < 0 else '+'}{drop_text(record, abs(delta))}"


def speed_part(answer: Answer, candidate: Candidate) -> str:
    """How fast the candidate is against the float model on the same device; what its speed needs where nothing can be said."""
    if answer.no_times:
        return "speed needs the board"
    base = answer.base
    if candidate.cost_ns is None:
        return ""
    if base is None or base is candidate or base.cost_ns is None:
        return duration_text(candidate.cost_ns)
    if faster(candidate, base):
        return f"{speed_words(base.cost_ns, candidate.cost_ns)} faster"
    if faster(base, candidate):
        return f"{speed_words(candidate.cost_ns, base.cost_ns)} slower"
    return "as fast"


def size_part(answer: Answer, candidate: Candidate) -> str:
    """The candidate's size against the float model's, or in bytes."""
    size, base = candidate.size_bytes, answer.base
    if size is None:
        return ""
    if base is None or base is candidate or not base.size_bytes:
        return f"{size_text(size)} bytes"
    return size_words(size, base.size_bytes)


def lines(answer: Answer) -> list[tuple[str, str]]:
    """What stands below the sentence: (head, text) each."""
    found = [
        ("not run", _not_run(answer)),
        ("score", _score_line(answer)),
        ("speed", _speed_line(answer)),
        ("memory", _memory_line(answer)),
    ]
    found += [("as good", _as_good(answer))]
    found += [("or", text) for text in _others(answer)]
    found += [("QAT", text) for text in gain_lines(answer.gains)]
    found += [("more training", _training(answer))]
    found += [("left out", text) for text in excluded_lines(answer.excluded)]
    found += [("warning", text) for text in _warnings(answer)]
    found += [("seeds", _seeds(answer)), ("runs", _runs(answer))]
    return [(head, text) for head, text in found if text]


def _not_run(answer: Answer) -> str:
    """An answer from a part of a run may be another one when the rest has run."""
    if answer.pick is None or not answer.not_run.cells:
        return ""
    return f"{answer.not_run.words}: the answer is without them"


def _score_line(answer: Answer) -> str:
    chosen = answer.pick
    if chosen is None:
        return ""
    text = score_text(chosen.record)
    tested = chosen.to_float
    if isinstance(tested, str):
        return text if score_of(chosen.record) is None else f"{text}; {tested}"
    return f"{text}; to the float model {compared_words(chosen.record, tested)}{_not_shown(answer, chosen)}"


def _not_shown(answer: Answer, chosen: Candidate) -> str:
    """What the pick's own uncertainty leaves of the allowed drop."""
    worst, allowed = chosen.worst_drop, allowed_drop(chosen.record, answer.limits)
    if worst is None or worst <= allowed:
        return ""
    return (
        f". A loss of up to {drop_text(chosen.record, worst)} is not ruled out: more samples would show whether it stays within "
        f"the allowed {drop_text(chosen.record, allowed)}"
    )


def compared_words(record: CellRecord, tested: Compared) -> str:
    """`-0.2 points [-0.9, +0.5], which 500 samples cannot tell from none`."""
    delta = delta_words(record, tested.delta)
    if tested.low is not None and tested.high is not None:
        delta += f" [{_end(record, tested.low)}, {_end(record, tested.high)}]"
    if tested.delta == 0 and tested.p >= 1:
        return f"{delta}, {tested.samples:,} samples show no difference"
    if tested.told_apart:
        return f"{delta}, more than chance (p = {_p(tested.p_holm)}, n = {tested.samples:,})"
    return f"{delta}, which {tested.samples:,} samples cannot tell from none (p = {_p(tested.p_holm)})"


def _end(record: CellRecord, value: float) -> str:
    if is_share(record):
        return f"{100 * value:+.1f}"
    return f"{value:+.2g}"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 0.0001 else f"{p:.0e}"


def _speed_line(answer: Answer) -> str:
    chosen = answer.pick
    if chosen is None:
        return ""
    record, base = chosen.record, answer.base
    if answer.no_times:
        count = count_text(record)
        where = placement_text(record)
        kept = f"{count} per inference, {where}" if count else where
        return f"{kept}; {answer.no_times}, so they recommend nothing: measure on the board"
    text = latency_text(record)
    if base is None or base is chosen or base.cost_ns is None:
        return text
    return f"{text}; the float model on {clean(base.backend)}: {duration_text(base.cost_ns)}"


def _memory_line(answer: Answer) -> str:
    return "" if answer.pick is None else memory_text(answer.pick.record).removeprefix("memory ")


def _as_good(answer: Answer) -> str:
    """The group that the pick was taken from."""
    chosen = answer.pick
    if chosen is None or isinstance(chosen.to_float, str) and score_of(chosen.record) is None:
        return ""
    others = [name for name in dict.fromkeys(map(_named, answer.as_good)) if name != _named(chosen)]
    if not others:
        return ""
    counts = {c.record.samples or 0 for c in (chosen, *answer.as_good)}
    common = (
        f"{min(counts):,} samples"
        if len(counts) == 1
        else f"the samples that each two of them ran ({min(counts):,} or more)"
    )
    return f"{names(others)}: {common} cannot tell their scores apart"


def _named(candidate: Candidate) -> str:
    return f"{clean(candidate.recipe)} (control)" if candidate.control else clean(candidate.recipe)


def names(words: Sequence[str]) -> str:
    """Some names, the rest counted."""
    more = len(words) - _NAMES
    return ", ".join(words[:_NAMES]) + (f" and {more} more" if more > 0 else "")


def _others(answer: Answer) -> list[str]:
    """What else is on the front, with what it is better in."""
    chosen = answer.pick
    if chosen is None:
        return []
    shown = []
    for other in answer.front[1:]:
        parts = [_against(answer, other, chosen), f"{size_text(other.size_bytes)} bytes" if other.size_bytes else ""]
        place = "" if other.backend == chosen.backend else f" on {clean(other.backend)}"
        shown.append(f"{clean(other.recipe)}{place}: {', '.join(part for part in parts if part)}")
    more = len(shown) - 3
    return shown[:3] + ([f"{more} more that none beats"] if more > 0 else [])


def _against(answer: Answer, other: Candidate, chosen: Candidate) -> str:
    """What another candidate has that the pick has not."""
    parts = []
    if other.layer < chosen.layer:
        parts.append(f"better score ({score_words(other)})")
    elif other.layer > chosen.layer:
        parts.append(f"worse score ({score_words(other)})")
    if not answer.no_times and other.cost_ns is not None and chosen.cost_ns is not None:
        if faster(other, chosen):
            parts.append(f"{speed_words(chosen.cost_ns, other.cost_ns)} faster")
        elif not as_fast(other, chosen):
            parts.append(f"{speed_words(other.cost_ns, chosen.cost_ns)} slower")
    if (other.size_bytes or 0) < (chosen.size_bytes or 0):
        parts.append("smaller")
    return ", ".join(parts)


def gain_lines(gains: Iterable[QatGain]) -> list[str]:
    """What QAT itself gained, once per recipe: where every backend says the same, it is said of the first."""
    by_recipe: dict[str, list[QatGain]] = {}
    for gain in gains:
        by_recipe.setdefault(gain.record.key.recipe, []).append(gain)
    return [gain_words(several) for several in by_recipe.values()]


def gain_words(several: Sequence[QatGain]) -> str:
    """One recipe's gain: of its first backend and seed, with the range over the others."""
    first = next((gain for gain in several if isinstance(gain.tested, Compared)), several[0])
    recipe = clean(first.record.key.recipe)
    if isinstance(first.tested, str) or first.control is None:
        why = first.tested if isinstance(first.tested, str) else "its control did not run"
        return f"{recipe}: what QAT itself gained cannot be told from training on: {why} (--recipe {first.wanted})"
    tested, control = first.tested, clean(first.control.key.recipe)
    delta = delta_words(first.record, tested.delta)
    if tested.better:
        said = f"QAT itself gained {delta}"
    elif tested.worse:
        said = f"QAT itself lost: {delta}"
    else:
        said = "what it gained cannot be told from training on"
    where = f"against its control {control}, {compared_words(first.record, tested)}"
    if tested.told_apart:
        where = f"against its control {control} (p = {_p(tested.p_holm)}, n = {tested.samples:,})"
    return f"{recipe}: {said}: {where}{_spread(several, first)}"


def _spread(several: Sequence[QatGain], first: QatGain) -> str:
    """The range over other seeds on the same backend: training alone moves a score."""
    beside = [g for g in several if g.record.key.backend == first.record.key.backend and isinstance(g.tested, Compared)]
    if len(beside) < 2:
        return ""
    deltas = sorted(g.tested.delta for g in beside if isinstance(g.tested, Compared))
    low, high = delta_words(first.record, deltas[0]), delta_words(first.record, deltas[-1])
    return f"; over {len(beside)} seeds {low} to {high}"


def _training(answer: Answer) -> str:
    """What training on gains by itself: the control without any quantization against the float model."""
    trained = [
        c
        for c in answer.candidates
        if c.control and effort(c.recipe)[0] == 1 and isinstance(c.to_float, Compared) and c.to_float.better
    ]
    if not trained:
        return ""
    # The one that was not quantized says it best.
    best = min(trained, key=lambda c: (c.recipe != "ft-float32", c.layer))
    assert isinstance(best.to_float, Compared)
    gained = compared_words(best.record, best.to_float)
    return f"{_named(best)} to the float model {gained}: train the float model on before quantizing it"


def excluded_lines(excluded: Iterable[Exclusion]) -> list[str]:
    """Cells that are not named, those of one reason together."""
    grouped: dict[str, dict[str, list[str]]] = {}
    for out in excluded:
        key = out.record.key
        grouped.setdefault(out.reason, {}).setdefault(clean(key.backend), []).append(clean(key.recipe))
    return [f"{'; '.join(map(_cells, backends.items()))}: {reason}" for reason, backends in grouped.items()]


def _cells(of_backend: tuple[str, list[str]]) -> str:
    """The recipes of a backend, counted where they are many."""
    backend, recipes = of_backend
    return f"{len(recipes)} recipes on {backend}" if len(recipes) > 3 else f"{', '.join(recipes)} on {backend}"


def _warnings(answer: Answer) -> list[str]:
    """What else was found of the pick."""
    if answer.pick is None:
        return []
    found = [f for f in answer.pick.record.findings if f.severity == "warning"]
    by_code = {f.code: f for f in reversed(found)}
    return [f"{clean(f.what, _WARNING)} ({clean(code)})" for code, f in by_code.items()]


def _runs(answer: Answer) -> str:
    runs = {c.record.run for c in answer.candidates}
    if len(runs) < 2:
        return ""
    return f"these figures are of {len(runs)} runs: medians of two days differ by 1 to 2 % by themselves"


def _seeds(answer: Answer) -> str:
    if len(answer.seeds) < 2:
        return ""
    return f"this is seed {answer.seeds[0]} of {len(answer.seeds)}; the table of seeds has the spread"
