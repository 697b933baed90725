"""What a comparison says, in sentences and table cells that terminal and page share."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.printable import one_line
from harness.diff.diff import ModelDiff
from harness.diff.score import ScoreDiff
from harness.diff.structure import NodeFacts, Row
from harness.diff.tensors import NO_QUANTIZATION, TensorChange
from harness.reports.values import duration_text, placement_text
from harness.results.record import CellRecord

_STATES = ("changed", "moved", "rewired", "added", "removed")
_SHORT_HASH = 12


def verdict(diff: ModelDiff) -> str:
    """The first sentence."""
    if diff.sameness == "identical":
        return f"identical: both files have the SHA-256 {diff.a.sha256[:_SHORT_HASH]}"
    if diff.sameness == "equivalent":
        return "the same model: the files differ in names, order of storage or metadata only"
    counts = diff.counts
    told = [f"{counts[state]} {state}" for state in _STATES if counts[state]]
    same = [f"{counts['same']} the same"] if counts["same"] else []
    nodes = ", ".join([*told, *same]) or "none"
    more = []
    if diff.edges:
        more.append("inputs or outputs differ")
    more += diff.other
    return f"nodes: {nodes}" + (f"; {'; '.join(more)}" if more else "")


def size_lines(diff: ModelDiff) -> list[tuple[str, str, str, str]]:
    """(what, A's bytes, B's, the difference)."""
    one, two = diff.sizes
    return [
        (what, f"{a:,}", f"{b:,}", signed(b - a))
        for what, a, b in (
            ("file", one.file, two.file),
            ("constants", one.constants, two.constants),
            ("the rest", one.rest, two.rest),
        )
    ]


def signed(number: int) -> str:
    """`+1,234`, `-5`, `0`."""
    return f"{number:+,}" if number else "0"


def node_text(facts: NodeFacts | None) -> str:
    """A node in a cell of the table; empty where there is none."""
    return "" if facts is None else f"{facts.node} {one_line(facts.op, 40)}"


def output_text(facts: NodeFacts | None) -> str:
    """What a node writes."""
    return "" if facts is None else one_line(facts.output, 60)


def change_lines(row: Row) -> list[str]:
    """What differs in a pair, a line each: the node itself, then every tensor in one line."""
    lines = []
    if row.state == "moved":
        lines.append("stands elsewhere in the order")
    if row.state == "rewired":
        lines.append("reads from another node")
    node = []
    if row.a is not None and row.b is not None:
        if row.a.arithmetic != row.b.arithmetic:
            node.append(f"{row.a.arithmetic} → {row.b.arithmetic}")
        if row.a.version != row.b.version:
            node.append(f"op version {row.a.version} → {row.b.version}")
    node += [f"{name} {one_line(str(a), 40)} → {one_line(str(b), 40)}" for name, (a, b) in row.options.items()]
    return lines + ([", ".join(node)] if node else []) + tensor_lines(row.tensors)


def tensor_lines(changes: Sequence[TensorChange]) -> list[str]:
    """A line for every tensor: `weights: float32 → int8, scale 0.0039, zero point 0, values 3.4% apart (29.3 dB)`."""
    roles: dict[str, list[str]] = {}
    for change in changes:
        roles.setdefault(change.role, []).append(_aspect(change))
    return [one_line(f"{role}: {', '.join(parts)}", 240) for role, parts in roles.items()]


def _aspect(change: TensorChange) -> str:
    if change.aspect == "values":
        return f"values {change.note}" if change.note else f"{change.before} → {change.after}"
    if change.aspect == "quantization":
        if change.before == NO_QUANTIZATION:
            return change.after
        note = f" ({change.note})" if change.note else ""
        return f"{change.before} → {'not quantized' if change.after == NO_QUANTIZATION else change.after}{note}"
    return f"{change.before} → {change.after}"


def version_text(versions: tuple[int | None, int | None]) -> tuple[str, str]:
    """Both versions of an op."""
    return tuple("-" if v is None else str(v) for v in versions)  # type: ignore[return-value]


def measured_rows(diff: ModelDiff) -> list[tuple[str, str, str]]:
    """(what, A's, B's) of two measured cells; empty where one is a file."""
    if diff.a.record is None or diff.b.record is None:
        return []
    one, two = _measured(diff.a.record), _measured(diff.b.record)
    return [(what, one[what], two[what]) for what in one if one[what] or two[what]]


def _measured(record: CellRecord) -> dict[str, str]:
    memory = record.arena_bytes if record.arena_bytes is not None else record.memory_peak_bytes
    count = record.instructions if record.instructions is not None else record.cycles
    unit = "instructions" if record.instructions is not None else "cycles"
    return {
        "device": f"{record.key.device}/{record.key.backend}",
        "outcome": record.outcome,
        "median latency": duration_text(record.latency_median_ns),
        "one inference": "" if count is None else f"{count:,} {unit}",
        "memory": "" if memory is None else f"{memory:,} B",
        "placement": placement_text(record) if record.total_nodes is not None else "",
    }


def score_lines(score: ScoreDiff | str | None) -> list[str]:
    """The scores, paired; empty where nobody asked."""
    if score is None:
        return []
    if isinstance(score, str):
        return [f"not compared: {score}"]
    return [line for one in score.every for line in _lines_of(one)]


def _lines_of(score: ScoreDiff) -> list[str]:
    """Those of one output."""
    unit = f" {score.unit}" if score.unit else ""
    ends = f" [{score.low:+.4f}, {score.high:+.4f}]" if score.low is not None and score.high is not None else ""
    title = f"{score.output}, {score.title}" if score.output else score.title
    lines = [
        f"{title}: A {score.a:.4f}{unit}, B {score.b:.4f}{unit}, on the same {score.samples:,} samples ({score.ran_on})",
        f"B minus A: {score.delta:+.4f}{ends}, {score.test} p = {score.p:.2g}: {_told(score)}",
    ]
    if score.only_a_right is not None:
        lines.append(f"only A right: {score.only_a_right:,} samples; only B right: {score.only_b_right:,}")
    return lines


def _told(score: ScoreDiff) -> str:
    if score.worse:
        return "B is worse"
    return "B is better" if score.better else "no difference is shown"
