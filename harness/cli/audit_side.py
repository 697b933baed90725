"""Several audits beside each other: what tells the models apart, in tables with a row for each of them.

The tables of one model alone (`harness.cli.audit_tables`) say more of it; of ten models they would be hundreds of lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.cli.audit_tables import FOLD, RIGHT, STYLES, audit_table, short_where
from harness.reports.values import folded_text
from harness.session.audited import Audited
from harness.variants.audit.report import LayerRow, TensorRow

if TYPE_CHECKING:
    from rich.console import Console

_SEVERITIES = ("error", "warning", "info")
#: places of a finding, layers and weights that are named; the others are counted
_PLACES = 4


def print_side_by_side(
    console: Console, models: Sequence[Audited], *, findings_only: bool = False, all_findings: bool = False
) -> None:
    """Prints what tells several models apart, and the findings with the models that have them."""
    from rich.text import Text

    shared, models = _without_what_is_shared(models)
    if shared:
        console.print(Text(f"\n{shared}", style="bold"))
    if not findings_only:
        _print_models(console, models)
        _print_training(console, models)
        _print_files(console, models)
        hint = "--full prints every table of every model, as they are printed for one target alone"
        console.print(Text(f"\n{hint}", style="dim"))
    _print_findings(console, models, all_findings=all_findings)


def _without_what_is_shared(models: Sequence[Audited]) -> tuple[str, Sequence[Audited]]:
    """The workload that all models are of, and the models by their recipes alone; or nothing, and the models as they are."""
    workloads = {model.name.rpartition(":")[0] for model in models}
    if len(workloads) != 1 or "" in workloads:
        return "", models
    return workloads.pop(), [replace(model, name=model.name.rpartition(":")[2]) for model in models]


def _print_models(console: Console, models: Sequence[Audited]) -> None:
    from rich.text import Text

    table = audit_table(
        "Models",
        ("model", FOLD),
        ("bytes", RIGHT),
        ("nodes", RIGHT),
        ("arithmetic", FOLD),
        ("input, output", FOLD),
        ("parameters added", {"justify": "right"}),
        ("errors", RIGHT),
        ("warnings", RIGHT),
        ("info", RIGHT),
    )
    for model in models:
        file, training = model.of("tflite"), model.of("keras")
        facts: dict[str, Any] = file.facts if file else {}
        counts = [sum(finding.severity == severity for finding in model.findings) for severity in _SEVERITIES]
        types = [text.partition("[")[0] for name in ("inputs", "outputs") for text in facts.get(name, [])]
        cells = (
            model.name,
            f"{facts['size_bytes']:,}" if file else "-",
            str(facts.get("nodes", "-")),
            _arithmetic(model, facts),
            ", ".join(types) or "-",
            f"{sum(row.added_params for row in training.layers):,}" if training else "-",
            *map(str, counts),
        )
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    for model in models:
        if model.refused:
            console.print(Text(f"{model.name} was refused: {model.refused}", style="yellow"))


def _arithmetic(model: Audited, facts: dict[str, Any]) -> str:
    if model.refused:
        return "refused"
    found, promised = facts.get("arithmetic") or "-", facts.get("promised")
    return found if promised in (None, found) else f"{found}, promised {promised}"


def _print_training(console: Console, models: Sequence[Audited]) -> None:
    """What became of each layer's weights in training; layers of a model that fared alike share a row."""
    rows = []
    for model in models:
        report = model.of("keras")
        alike: dict[tuple[str, str, str], list[str]] = {}
        for layer in report.layers if report else []:
            if layer.has_kernel:
                alike.setdefault(_quantizer(layer), []).append(layer.name.removeprefix("quant_"))
        rows += [(model.name, *cells[:1], _some(layers), *cells[1:]) for cells, layers in alike.items()]
    _print_rows(console, "Weights in training", ("model", "quantizer", "layers", "asked", "got"), rows)


def _quantizer(layer: LayerRow) -> tuple[str, str, str]:
    """A layer's weight quantizer, what was asked of it, and what its variables show."""
    if layer.asked:
        asked, got = _in_short(layer.asked), _in_short(layer.got)
        shape = next((f" ({word})" for word in layer.got.split(", ") if word.startswith(_SHAPE)), "")
        return (
            layer.weight_quantizer.split()[0].removesuffix("Quantizer"),
            asked,
            ("as asked" if got == asked else got) + shape,
        )
    return layer.weight_quantizer or ("none" if layer.wrapped else "not wrapped"), "-", "-"


#: what an audit says of a weight quantizer's range variable: `kernel_min [12]`
_SHAPE = "kernel_min "
_DULL = ("symmetric", "8 bits")


def _in_short(words: str) -> str:
    """What was asked of a quantizer, or got, without what all share: `per-tensor`, `per-channel, asymmetric, 4 bits`."""
    return ", ".join(word for word in words.split(", ") if word not in _DULL and not word.startswith(_SHAPE))


def _print_files(console: Console, models: Sequence[Audited]) -> None:
    """How the files store their weights; weights of a model that are stored alike share a row."""
    rows = []
    for model in models:
        report = model.of("tflite")
        alike: dict[str, list[str]] = {}
        for tensor in report.tensors if report else []:
            if tensor.role == "weights":
                alike.setdefault(_stored(tensor), []).append("x".join(map(str, tensor.shape)))
        rows += [(model.name, stored, _some(shapes)) for stored, shapes in alike.items()]
    _print_rows(console, "Weights in the files", ("model", "stored as", "weights"), rows)


def _stored(tensor: TensorRow) -> str:
    """A weight's type and granularity, and its zero point where it is not 0."""
    granularity = "" if tensor.granularity == "-" else f" {tensor.granularity.partition(' (')[0]}"
    zero = tensor.zero_point not in ("", "-", "0") and not re.fullmatch(r"[0 .]+", tensor.zero_point)
    return f"{tensor.dtype}{granularity}{', zero points not 0' if zero else ''}"


def _some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    return ", ".join(names[:_PLACES]) + (f" and {len(names) - _PLACES} more" if len(names) > _PLACES else "")


def _print_rows(console: Console, title: str, heads: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    """A table whose first column is said once for the rows that share it."""
    from rich.text import Text

    if not rows:
        return
    table = audit_table(title, *((head, FOLD) for head in heads))
    before = ""
    for first, *others in rows:
        table.add_row(*(Text(cell) for cell in ("" if first == before else first, *others)))
        before = first
    console.print(table)


def _print_findings(console: Console, models: Sequence[Audited], *, all_findings: bool) -> None:
    """Each finding once, gravest first, with the models that have it and where."""
    from rich.padding import Padding
    from rich.text import Text

    grouped: dict[tuple[str, str, str, str], dict[str, list[str]]] = {}
    folded = 0
    for model in models:
        for finding in model.findings:
            if finding.severity == "info" and not all_findings:
                folded += 1
                continue
            key = (finding.severity, finding.code, finding.what, finding.fix)
            grouped.setdefault(key, {}).setdefault(model.name, []).append(short_where(finding.where))
    if not grouped and not folded:
        console.print(Text("Findings: none", style="green"))
        return
    console.print(Text("\nFindings", style="bold"))
    for (severity, code, what, fix), places in sorted(grouped.items(), key=lambda item: _SEVERITIES.index(item[0][0])):
        line = Text(f"{severity} ", style=STYLES[severity])
        line.append(code, style="bold")
        console.print(Padding(line, (0, 0, 0, 1)))
        console.print(Padding(Text(what), (0, 0, 0, 4)))
        for name, where in _same_places(places):
            console.print(Padding(Text(f"{name}: {where}", style="dim"), (0, 0, 0, 4)))
        if fix:
            console.print(Padding(Text(f"fix: {fix}", style="cyan"), (0, 0, 0, 4)))
    if folded:
        console.print(Text(f"{folded_text(folded)} not shown; --all-findings shows them", style="dim"))


def _same_places(places: dict[str, list[str]]) -> Iterable[tuple[str, str]]:
    """Models that have a finding at the same places, together."""
    together: dict[str, list[str]] = {}
    for name, where in places.items():
        together.setdefault(_some(list(dict.fromkeys(where))), []).append(name)
    return [(", ".join(names), where) for where, names in together.items()]
