"""`harness history CELL`: what a cell's nights gave, what was said of them, and what was accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import results_options
from harness.cli.out import echo

if TYPE_CHECKING:
    from harness.results.history import VerdictRow
    from harness.results.record import CellRecord


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
    from harness.cli.series import choose_series
    from harness.core.paths import results_dir
    from harness.results.cellname import find_cell
    from harness.results.history import History
    from harness.results.store import Store

    with Store.open(results_dir(results), create=False) as store:
        history = History(store)
        key = find_cell(store, cell)
        series = choose_series(history, series, key)
        found = history.nights(series)[-nights:]
        records = {
            r.run: r
            for r in store.cells(
                workload=key.workload,
                recipe=key.recipe,
                device=key.device,
                backend=key.backend,
                dataset=key.dataset,
                seed=key.seed,
            )
            if r.key == key
        }
        said: dict[str, list[VerdictRow]] = {}
        for row in history.verdicts(series, since=found[0].number if found else 0):
            if row.key == key:
                said.setdefault(row.run, []).append(row)
        levels = [level for level in history.levels() if level.key == key]
    rows = [_row(night.run, records.get(night.run), said.get(night.run, [])) for night in found]
    if as_json:
        import json

        document = {
            "cell": key.text_with_seed,
            "dataset": key.dataset,
            "series": series,
            "nights": rows,
            "levels": [
                {"run": v.run, "quantity": v.quantity, "why": v.why, "accepted_utc": v.accepted_utc} for v in levels
            ],
        }
        echo(json.dumps(document, indent=1, allow_nan=False))
        return
    _print(key.text_with_seed, key.dataset, series, rows)
    for level in levels:
        which = "" if level.quantity == "*" else f" ({level.quantity})"
        echo(f"accepted{which} as of run {level.run} on {level.accepted_utc}: {level.why}")


def _row(run: str, record: CellRecord | None, said: list[VerdictRow]) -> dict[str, Any]:
    told = [row for row in said if row.status not in ("same", "first") or row.quantity == "latency"]
    times = next((row for row in said if row.quantity == "latency"), None)
    return {
        "run": run,
        "outcome": record.outcome if record is not None else None,
        "score": record.score if record is not None else None,
        "latency_median_ns": record.latency_median_ns if record is not None else None,
        "quality": record.quality if record is not None else None,
        "size_bytes": record.size_bytes if record is not None else None,
        "detectable": times.data.get("detectable") if times is not None else None,
        "verdicts": [
            {"quantity": row.quantity, "status": row.status, "open": row.is_open, "reason": row.data.get("reason")}
            for row in told
        ],
    }


def _print(name: str, dataset: str, series: str, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from harness.reports.console import make_console
    from harness.reports.values import clean, duration_text

    console = make_console()
    echo(f"{name}, dataset {dataset[:12]}, series {series}: {len(rows)} nights")
    table = Table(box=None, pad_edge=False)
    for head in ("run", "outcome", "score", "latency", "smallest change of it seen", "what was said"):
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
            "\n".join(clean(text) for text in told) or "same",
        )
        table.add_row(*(Text(str(value)) for value in values))
    console.print(table)
