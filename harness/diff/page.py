"""A comparison as one HTML file that needs no other: no script is in it, and its policy lets nothing be loaded."""

from __future__ import annotations

from importlib import resources
from typing import Any

from harness import __version__
from harness.core.printable import printable
from harness.diff.diff import ModelDiff
from harness.diff.side import Side
from harness.diff.structure import Row
from harness.diff.words import (
    change_lines,
    measured_rows,
    node_text,
    output_text,
    score_lines,
    size_lines,
    tensor_lines,
    verdict,
    version_text,
)

_TEMPLATE, _STYLES = "page.html.j2", "page.css"


def diff_page(diff: ModelDiff) -> str:
    """The HTML text."""
    import jinja2
    import markupsafe

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    text = (resources.files("harness.diff") / _TEMPLATE).read_text(encoding="utf-8")
    styles = (resources.files("harness.reports.page") / _STYLES).read_text(encoding="utf-8")
    return environment.from_string(text).render(
        title=f"{_short(diff.a)} against {_short(diff.b)}",
        harness=__version__,
        styles=markupsafe.Markup(styles),
        models=_models(diff),
        verdict=verdict(diff),
        different=diff.sameness == "different",
        worse=diff.worse,
        score=score_lines(diff.score),
        edges=tensor_lines(diff.edges),
        rows=[_row(row) for row in diff.rows] if diff.sameness == "different" else [],
        sizes=size_lines(diff),
        versions=[(op, *version_text(pair)) for op, pair in diff.versions.items()],
        measured=measured_rows(diff),
        device=diff.device.name if diff.device is not None else "",
        placement=_placement(diff),
        reasons=_reasons(diff),
    )


def _shown(value: Any) -> Any:
    """What the template makes of a value: texts without control characters."""
    import markupsafe

    return printable(value) if isinstance(value, str) and not isinstance(value, markupsafe.Markup) else value


def _short(side: Side) -> str:
    return side.name if side.path is None else side.path.name


def _models(diff: ModelDiff) -> list[tuple[str, str, str]]:
    sides = (diff.a, diff.b)
    rows = [
        ("model", *(side.name for side in sides)),
        ("bytes", *(f"{len(side.data):,}" for side in sides)),
        ("SHA-256", *(side.sha256 for side in sides)),
        ("nodes", *(str(len(side.graph.nodes)) for side in sides)),
    ]
    if any(side.record is not None for side in sides):
        rows.append(("run", *(side.record.run if side.record is not None else "" for side in sides)))
    return rows  # type: ignore[return-value]


def _row(row: Row) -> dict[str, Any]:
    return {
        "state": row.state,
        "a": node_text(row.a),
        "b": node_text(row.b),
        "writes_a": output_text(row.a),
        "writes_b": output_text(row.b),
        "lines": change_lines(row),
        "constants_a": f"{row.constants_a:,}" if row.constants_a else "",
        "constants_b": f"{row.constants_b:,}" if row.constants_b else "",
    }


def _placement(diff: ModelDiff) -> list[tuple[str, str, str, str]]:
    if diff.device is None:
        return []
    return [(backend.backend, *facts) for backend in diff.device.backends for facts in backend.facts]


def _reasons(diff: ModelDiff) -> list[str]:
    if diff.device is None:
        return []
    return [
        f"against {letter} alone on {backend.backend}: {reason}"
        for backend in diff.device.backends
        for letter, reasons in (("A", backend.reasons_a), ("B", backend.reasons_b))
        for reason in reasons
    ]
