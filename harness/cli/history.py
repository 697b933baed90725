"""`harness history CELL`: what a cell's nights gave, what was said of them, and what was accepted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from harness.cli.options import results_options
from harness.cli.out import echo


@click.command("history")
@click.argument("cell")
@results_options
@click.option("--series", help="The series of nights. Default: the newest one that has this cell.")
@click.option(
    "--nights", type=click.IntRange(min=1), default=30, show_default=True, help="At most so many, the newest."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(cell: str, results: str | None, series: str | None, nights: int, as_json: bool) -> None:
    """The nights of one CELL: WORKLOAD/RECIPE/DEVICE/BACKEND, and /seedN behind it for another seed; of its newest dataset."""
    from harness.core.paths import results_dir
    from harness.verdict.told import cell_nights

    found = cell_nights(results_dir(results), cell, series=series, nights=nights)
    if as_json:
        import json

        echo(json.dumps(found.to_json(), indent=1, allow_nan=False))
        return
    _print(found.key.text_with_seed, found.key.dataset, found.series, found.rows)
    for level in found.levels:
        which = "" if level.quantity == "*" else f" ({level.quantity})"
        echo(f"accepted{which} as of run {level.run} on {level.accepted_utc}: {level.why}")


def _print(name: str, dataset: str, series: str, rows: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from harness.reports.console import make_console
    from harness.reports.values import clean, duration_text

    console = make_console()
    echo(f"{name}, dataset {dataset[:12]}, series {series}: {len(rows)} nights")
    table = Table(box=None, pad_edge=False)
    # Most boards have no instrument beside them.
    has_energy = any(row["energy_nj"] is not None for row in rows)
    heads = ("run", "outcome", "score", "latency", "smallest change of it seen")
    for head in (*heads, *(("energy",) if has_energy else ()), "what was said"):
        table.add_column(head)
    for row in rows:
        seen = f"{row['detectable']:.1%}" if row["detectable"] is not None else ""
        told = [
            f"{v['status']} {v['quantity']}: {v['reason']}"
            for v in row["verdicts"]
            if v["status"] not in ("same", "first")
        ]
        values = (
            row["run"],
            row["outcome"] or "no record",
            "" if row["score"] is None else f"{row['score']:.4f}",
            " ".join(filter(None, (duration_text(row["latency_median_ns"]), row["quality"] or ""))),
            seen,
            *((_energy(row["energy_nj"]),) if has_energy else ()),
            "\n".join(clean(text) for text in told) or "same",
        )
        table.add_row(*(Text(str(value)) for value in values))
    console.print(table)


def _energy(nj: float | None) -> str:
    from harness.verdict.energy import energy_text

    return "" if nj is None else energy_text(nj)
