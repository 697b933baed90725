"""The table of what everything ran on: the run, its data, and every device and backend with its fingerprints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from harness.reports.tables import in_order, table
from harness.reports.values import clean
from harness.results.record import CellRecord, RunInfo

if TYPE_CHECKING:
    import pandas as pd


def environment_table(records: Iterable[CellRecord], info: RunInfo | None = None) -> pd.DataFrame:
    """What everything ran on: one row per item of the run, and per device, backend and fingerprint field."""
    rows: list[dict[str, Any]] = []
    if info is not None:
        rows += [{"device": "", "backend": "", "item": name, "value": value} for name, value in _run_items(info)]
    records = list(records)
    rows += [{"device": "", "backend": "", "item": n, "value": v} for n, v in _dataset_items(records)]
    groups: dict[tuple[str, str], list[CellRecord]] = {}
    for record in in_order(records):
        groups.setdefault((record.key.device, record.key.backend), []).append(record)
    for (device, backend), cells in groups.items():
        rows += [{"device": device, "backend": backend, "item": n, "value": v} for n, v in _device_items(cells)]
    return table(rows, ["device", "backend", "item", "value"])


def _run_items(info: RunInfo) -> list[tuple[str, str]]:
    items = [
        ("run", info.run),
        ("started (UTC)", info.started_utc),
        ("finished (UTC)", info.finished_utc or ""),
        ("state", info.state),
        ("command", clean(" ".join(info.command))),
        ("planned cells", str(len(info.planned))),
    ]
    items += [(clean(str(k)), clean(v if isinstance(v, str) else json.dumps(v))) for k, v in info.environment.items()]
    return [(name, value) for name, value in items if value]


def _dataset_items(records: list[CellRecord]) -> list[tuple[str, str]]:
    """What every workload was measured on."""
    notes = {
        (r.key.workload, r.key.dataset): f"{clean(r.dataset_name) or 'unnamed'}: {clean(r.dataset_note)} "
        f"(digest {r.key.dataset[:12]})"
        for r in records
    }
    return [(f"dataset of {workload}", note) for (workload, _), note in notes.items()]


def _device_items(cells: list[CellRecord]) -> list[tuple[str, str]]:
    """Every fingerprint seen on a device's backend; several values of one item mean that it changed during the run."""
    values: dict[str, dict[str, None]] = {}
    for cell in cells:
        fields: Mapping[str, Any] = vars(cell.fingerprint) if cell.fingerprint else {}
        told = {
            **fields,
            "threads": cell.threads,
            "affinity": cell.affinity,
            "time_basis": cell.time_basis,
            "cell_governor": cell.governor,
            "frequency_hz": cell.frequency_hz,
        }
        for name, value in told.items():
            if value is not None:
                values.setdefault(name, {})[clean(str(value))] = None
    items = [(name, " | ".join(several)) for name, several in values.items()]
    heat = [cell.temperature_c for cell in cells if cell.temperature_c is not None]
    if heat:
        items.append(("temperature_c", f"{min(heat):.1f} to {max(heat):.1f}"))
    return [*items, ("cells", str(len(cells)))]
