"""The audit on the terminal: tables that read well in 120 columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.core.numbers import significant_text
from harness.reports.values import folded_text
from harness.variants.audit.report import AuditReport, LayerRow, TheoryRow

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}
_NAME_WIDTH = 28
RIGHT: dict[str, Any] = {"justify": "right", "no_wrap": True}
PLAIN: dict[str, Any] = {"no_wrap": True}
FOLD: dict[str, Any] = {"overflow": "fold"}


def print_audit(
    console: Console, report: AuditReport, *, findings_only: bool = False, all_findings: bool = False
) -> None:
    """Prints one report: headline, tables, and the findings last, where the reader's eye ends.

    Args:
        all_findings: also those of severity info, which are counted only otherwise.
    """
    from rich.text import Text

    console.print(Text(f"\n{report.target}", style="bold"))
    for line in _headlines(report):
        console.print(Text(line))
    if not findings_only:
        if report.kind == "keras":
            _print_layers(console, report)
        else:
            _print_ops(console, report)
            _print_tensors(console, report)
            _print_theory(console, report)
    _print_findings(console, report, all_findings=all_findings)


def _headlines(report: AuditReport) -> list[str]:
    facts = report.facts
    if report.kind == "keras":
        return [facts["explanation"]]
    promise = f", promised {facts['promised']}" if facts["promised"] else ""
    lines = [
        f"{facts['size_bytes']:,} bytes ({facts['constant_bytes']:,} of constants), {facts['nodes']} nodes, "
        f"arithmetic {facts['arithmetic']}{promise}",
        f"input {', '.join(facts['inputs'])}; output {', '.join(facts['outputs'])}",
    ]
    lines += [facts["detection"]] if "detection" in facts else []
    steps = [step for step in facts["output_lsb"] if step is not None]
    return [*lines, *([f"one step of the output is {', '.join(f'{step:.6g}' for step in steps)}"] if steps else [])]


def audit_table(title: str, *columns: tuple[Any, dict[str, Any]]) -> Any:
    """A table under a title; each column with its head and Rich's options."""
    from rich.table import Table

    table = Table(
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="dim",
    )
    for name, options in columns:
        table.add_column(name, **options)
    return table


def _print_layers(console: Console, report: AuditReport) -> None:
    from rich.text import Text

    table = audit_table(
        "Layers: parameters of the float model, what the quantization wrapper added, and the running total",
        ("layer", FOLD),
        ("float", RIGHT),
        ("added", RIGHT),
        ("total", RIGHT),
        ("running", RIGHT),
        ("added variables", PLAIN),
        ("weight quantizer", FOLD),
    )
    for row in report.layers:
        table.add_row(*(Text(cell) for cell in _layer_cells(row)))
    console.print(table)
    purposes: dict[str, tuple[int, str]] = {}
    for row in report.layers:
        for variable in row.added:
            name = re.sub(r"^quantize_layer_\d+", "quantize_layer", variable["variable"])
            count = purposes.get(name, (0, ""))[0] + variable["count"]
            purposes[name] = (count, variable["purpose"])
    if purposes:
        table = audit_table(
            "What the added parameters are for", ("variable", PLAIN), ("count", RIGHT), ("purpose", FOLD)
        )
        for name, (count, purpose) in purposes.items():
            table.add_row(Text(name), str(count), Text(purpose))
        console.print(table)
    asked = [row for row in report.layers if row.asked]
    if asked:
        table = audit_table(
            "Weights: asked and got", ("layer", PLAIN), ("quantizer", FOLD), ("asked", FOLD), ("got", FOLD)
        )
        for row in asked:
            table.add_row(*(Text(cell) for cell in (row.name, row.weight_quantizer.split()[0], row.asked, row.got)))
        console.print(table)


def _layer_cells(row: LayerRow) -> list[str]:
    added = []
    for variable in _joined(row.added):
        bounds = variable["variable"].endswith("_min/max") and not variable["variable"].endswith("kernel_min/max")
        shown = f" ({row.output_range})" if bounds and row.output_range else ""
        added.append(f"{variable['variable']} {variable['count']}{shown}")
    quantizer = re.sub(r"Default8Bit|Quantizer.*", "", row.weight_quantizer)
    if row.wrapped and not quantizer and row.has_kernel:
        quantizer = f"none ({(row.quantize_config or '').removesuffix('QuantizeConfig')})"
    return [
        row.name,
        f"{row.float_params:,}",
        f"{row.added_params:,}",
        f"{row.params:,}",
        f"{row.running_params:,}",
        "\n".join(added),
        quantizer,
    ]


def _joined(added: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`x_min` and `x_max` in one line, `x_min/max`."""
    merged: dict[str, dict[str, Any]] = {}
    for variable in added:
        name = variable["variable"]
        stem = name[:-4] if name.endswith(("_min", "_max")) else name
        label = f"{stem}_min/max" if stem != name else name
        entry = merged.setdefault(label, {"variable": label, "count": 0})
        entry["count"] += variable["count"]
    return list(merged.values())


def _print_ops(console: Console, report: AuditReport) -> None:
    from rich.text import Text

    table = audit_table(
        "Ops",
        ("node", RIGHT),
        ("op", PLAIN),
        ("version", RIGHT),
        ("arithmetic", PLAIN),
        ("inputs", FOLD),
        ("outputs", FOLD),
    )
    for row in report.ops:
        style = "yellow" if report.facts["promised"] == "integer" and row.arithmetic in ("float", "hybrid") else ""
        cells = (str(row.node), row.op, str(row.version), row.arithmetic, row.inputs, row.outputs)
        table.add_row(*(Text(cell, style=style) for cell in cells))
    console.print(table)


def _print_tensors(console: Console, report: AuditReport) -> None:
    from rich.text import Text

    table = audit_table(
        "Tensors",
        ("#", RIGHT),
        ("name", PLAIN),
        ("role", PLAIN),
        ("type", PLAIN),
        ("bits", RIGHT),
        ("shape", PLAIN),
        ("granularity", PLAIN),
        ("scale", PLAIN),
        ("zero pt", RIGHT),
    )
    for row in report.tensors:
        cells = (
            str(row.tensor),
            short_tensor_name(row.name),
            row.role,
            row.dtype,
            "" if row.bits is None else str(row.bits),
            "x".join(map(str, row.shape)),
            row.granularity,
            row.scale,
            row.zero_point,
        )
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def _print_theory(console: Console, report: AuditReport) -> None:
    from rich.text import Text

    if not report.theory:
        return
    table = audit_table(
        "Theory: r = S (q - Z); a tensor's largest scale stands for its channels, the worst one gives the ULP",
        ("#", RIGHT),
        ("role", PLAIN),
        ("range", PLAIN),
        ("computed S", RIGHT),
        ("stored S", RIGHT),
        ("Z calc/stored", RIGHT),
        ("ULP", RIGHT),
        ("range from", FOLD),
    )
    for row in report.theory:
        table.add_row(*(Text(cell) for cell in _theory_cells(row)))
    console.print(table)
    console.print(
        Text(
            "ULP at most 0.5: the stored float32 is the computed scale, correctly rounded; a bias is the product of two scales "
            "and may be 2 off. Jacob et al. 2018, equation 1.",
            "dim",
        )
    )


def _theory_cells(row: TheoryRow) -> list[str]:
    bounds = "" if row.range_min is None or row.range_max is None else f"{row.range_min:.5g} .. {row.range_max:.5g}"
    computed = "" if row.computed_scale is None else f"{row.computed_scale:.8g}"
    zero = (
        f"{row.stored_zero_point}"
        if row.computed_zero_point is None
        else (f"{row.computed_zero_point} / {row.stored_zero_point}")
    )
    ulp = "" if row.ulp is None else f"{row.ulp:.2f}" if row.ulp < 1000 else significant_text(row.ulp)
    return [str(row.tensor), row.role, bounds, computed, f"{row.stored_scale:.8g}", zero, ulp, row.source]


def _print_findings(console: Console, report: AuditReport, *, all_findings: bool) -> None:
    from rich.padding import Padding
    from rich.text import Text

    if not report.findings:
        console.print(Text("Findings: none", style="green"))
        return
    console.print(Text("Findings", style="bold"))
    shown = [finding for finding in report.findings if all_findings or finding.severity != "info"]
    for finding in shown:
        line = Text(f"{finding.severity} ", style=STYLES[finding.severity])
        line.append(f"{finding.code}  ", style="bold")
        line.append(short_where(finding.where), style="default")
        console.print(Padding(line, (0, 0, 0, 1)))
        console.print(Padding(Text(finding.what), (0, 0, 0, 4)))
        if finding.fix:
            console.print(Padding(Text(f"fix: {finding.fix}", style="cyan"), (0, 0, 0, 4)))
    if folded := len(report.findings) - len(shown):
        console.print(Text(f"{folded_text(folded)} not shown; --all-findings shows them", style="dim"))


def short_tensor_name(name: str) -> str:
    """A tensor's name without the layers that were fused into it; the end tells most, so the front is cut."""
    first = name.split(";")[0].removeprefix("serving_default_")
    return first if len(first) <= _NAME_WIDTH else "…" + first[-(_NAME_WIDTH - 1) :]


def short_where(where: str) -> str:
    """A finding's place with fused names cut: `CONV_2D (node 1) a;b;c` -> `CONV_2D (node 1) a`."""
    first = where.split(";")[0]
    return first if len(first) <= 100 else first[:99] + "…"
