"""A comparison as JSON (docs/reference/diff.md has its fields)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from harness.diff.diff import ModelDiff, Sizes
from harness.diff.score import ScoreDiff
from harness.diff.side import Side
from harness.diff.structure import Row
from harness.diff.words import measured_rows, verdict

_SCHEMA = 1


def diff_json(diff: ModelDiff) -> dict[str, Any]:
    """The document."""
    return {
        "schema": _SCHEMA,
        "a": _side(diff.a, diff.sizes[0]),
        "b": _side(diff.b, diff.sizes[1]),
        "sameness": diff.sameness,
        "verdict": verdict(diff),
        "inputs_and_outputs": [asdict(change) for change in diff.edges],
        "nodes": [_row(row) for row in diff.rows],
        "other": list(diff.other),
        "op_versions": {op: {"a": a, "b": b} for op, (a, b) in diff.versions.items()},
        "measured": {what: {"a": a, "b": b} for what, a, b in measured_rows(diff)},
        "placement": _placement(diff),
        "score": asdict(diff.score) if isinstance(diff.score, ScoreDiff) else None,
        "score_missing": diff.score if isinstance(diff.score, str) else None,
    }


def _side(side: Side, sizes: Sizes) -> dict[str, Any]:
    return {
        "name": side.name,
        "sha256": side.sha256,
        "size_bytes": sizes.file,
        "constant_bytes": sizes.constants,
        "nodes": len(side.graph.nodes),
        "run": side.record.run if side.record is not None else None,
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "state": row.state,
        "a": asdict(row.a) if row.a is not None else None,
        "b": asdict(row.b) if row.b is not None else None,
        "options": {name: {"a": _value(a), "b": _value(b)} for name, (a, b) in row.options.items()},
        "changes": [asdict(change) for change in row.tensors],
        "constant_bytes": {"a": row.constants_a, "b": row.constants_b},
    }


def _value(value: Any) -> Any:
    """An option of an op as JSON: numbers and texts as they are, all else in words."""
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _placement(diff: ModelDiff) -> dict[str, Any] | None:
    if diff.device is None:
        return None
    return {
        "device": diff.device.name,
        "backends": [
            {
                "backend": backend.backend,
                "facts": {what: {"a": a, "b": b} for what, a, b in backend.facts},
                "against_a_alone": backend.reasons_a,
                "against_b_alone": backend.reasons_b,
            }
            for backend in diff.device.backends
        ],
    }
