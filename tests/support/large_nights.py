"""A store with many nights of many cells, made in minutes: every night is a realistic one, as the store itself writes it.

The first two nights go through the store and the judge. The others are their rows with new figures: times, samples and objects of
that night, checksums right, under their own runs. A cell has ops, a fallback table, and the objects that a real one names.
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.core.files import sha256_bytes
from harness.results.history import History
from harness.results.layout import store_path
from harness.results.objects import ObjectStore
from harness.results.record import CellRecord, FallbackOp, RunInfo
from harness.results.store import Store
from harness.verdict.night import judge_night
from harness.verdict.past import load_past
from tests.support.fixtures_results import COLUMNS, MNIST, make_key, ok_record

SERIES = "large"
#: nodes of each model, of which a delegate leaves some
_NODES, _LEFT = 40, 6
_OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "RESHAPE", "FULLY_CONNECTED", "AVERAGE_POOL_2D", "SOFTMAX", "PAD")
#: control cells of each device, before and after the night
_CONTROLS = 5


def run_name(number: int) -> str:
    """The run of a night, counted from 1."""
    return f"20260101-{number:06d}-c0de"


def make_large_nights(results: Path, nights: int, cells: int) -> None:
    """Fills a new results folder with one series.

    Args:
        nights: at least three.
        cells: of each night.
    """
    records = [_record(number) for number in range(cells)]
    with Store.open(results) as store:
        for number in (1, 2):
            _real_night(store, number, records)
    with closing(sqlite3.connect(store_path(results))) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA journal_mode = MEMORY")
        database.execute("PRAGMA cache_size = -200000")
        copies = {name: _Copies(database, name) for name in ("planned_cell", "cell", "verdict", "control")}
        for number in range(3, nights + 1):
            with database:
                _begin(database, number)
                for one in copies.values():
                    one.write(number)
        database.execute("PRAGMA journal_mode = WAL")


def _object(*parts: object) -> str:
    """The name of an object that is not there: of what it would be made of."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _record(number: int) -> CellRecord:
    columns, recipes = list(COLUMNS), list(MNIST)
    device, backend = columns[number % len(columns)]
    recipe = recipes[number // len(columns) % len(recipes)]
    workload = f"network-{number // (len(columns) * len(recipes)):03d}"
    key = make_key(workload, recipe, device, backend)
    figures = MNIST[recipe]
    record = ok_record(key, (figures[0] + number, figures[1], figures[2]))
    record.ops = [
        {
            "node": node,
            "op": _OPS[(node + number) % len(_OPS)],
            "ran_on": "cpu" if node % 7 == 6 else record.delegate_name or "cpu",
            "partition": None if node % 7 == 6 else node // 7,
            "inputs": [node],
            "outputs": [node + 1],
        }
        for node in range(_NODES)
    ]
    if record.delegate_name:
        left = [op for op in record.ops if op["ran_on"] == "cpu"][:_LEFT]
        record.fallback = [
            FallbackOp(
                node=op["node"], op=op["op"], reason=f"{op['op']} is not in version {number % 3} of the delegate"
            )
            for op in left
        ]
    for name in ("sample_ids", "outputs", "labels", "float_answers", "reference", "tensors", "artifact"):
        setattr(record, f"{name}_object", _object(name, number))
    record.model_sha256 = _object("model", workload)
    record.artifact_sha256 = _object("artifact", number)
    return record


def _tonight(record: CellRecord, run: str, night: int) -> CellRecord:
    assert record.latency_median_ns is not None
    starts = [round(record.latency_median_ns * (1 + 0.004 * ((night * 7 + start * 3) % 5))) for start in range(3)]
    return replace(
        record,
        run=run,
        latency_median_ns=sorted(starts)[1],
        latency_starts=3,
        latency_start_medians_ns=starts,
        latency_object=_object("latency", record.key, night),
        measurement_object=_object("measurement", record.key, night),
    )


def _real_night(store: Store, number: int, records: list[CellRecord]) -> None:
    """A night as the harness stores and judges it."""
    run, history = run_name(number), History(store)
    keys = [record.key for record in records]
    store.begin_run(
        RunInfo(
            run=run,
            started_utc="2026-01-01T02:00:00+00:00",
            command=["harness", "nightly"],
            planned=keys,
            series=SERIES,
        )
    )
    stored = [_tonight(record, run, number) for record in records]

    def put_all(connection: Any) -> None:
        from harness.results import cells

        for record in stored:
            cells.put(connection, record)

    store._write(put_all)
    store.finish_run(run)
    devices = sorted({key.device for key in keys})
    for device in devices:
        for position in ("before", "after"):
            medians = {f"control-{i}": 50_000.0 + i + number for i in range(_CONTROLS)}
            history.put_controls(run, device, "cpu", position, medians, "e" * 64)
    past = load_past(history, SERIES, run, keys)
    controls = {device: history.controls(device, SERIES, run=run) for device in devices}
    judgement = judge_night(run, SERIES, stored, keys, past, ObjectStore(store.results_dir), controls=controls)
    history.put_verdicts(run, judgement.stored())


def _begin(database: sqlite3.Connection, number: int) -> None:
    heads = [row[1] for row in database.execute("PRAGMA table_info(run)")]
    row = dict(zip(heads, database.execute("SELECT * FROM run ORDER BY number DESC").fetchone(), strict=True))
    row |= {"run": run_name(number), "number": number}
    database.execute(f"INSERT INTO run VALUES ({', '.join('?' * len(heads))})", [row[name] for name in heads])


class _Copies:
    """The second night's rows of a table, written again as those of other nights."""

    def __init__(self, database: sqlite3.Connection, table: str) -> None:
        self._database, self._table = database, table
        heads = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        self._heads = [name for name in heads if name != "id"]
        query = f"SELECT {', '.join(self._heads)} FROM {table} WHERE run = ? ORDER BY rowid"
        self._rows = [dict(zip(self._heads, row, strict=True)) for row in database.execute(query, (run_name(2),))]
        for row in self._rows:
            if table == "cell":
                row["data"] = json.loads(row["record"])
            elif table == "verdict":
                row["data"] = json.loads(row["data"])

    def write(self, number: int) -> None:
        """Adds a night."""
        insert = f"INSERT INTO {self._table} ({', '.join(self._heads)}) VALUES ({', '.join('?' * len(self._heads))})"
        self._database.executemany(insert, self._night(number))

    def _night(self, number: int) -> Iterator[list[Any]]:
        noise = random.Random(number)
        run = run_name(number)
        for place, row in enumerate(self._rows):
            tonight = {**row, "run": run}
            change = 1 + 0.008 * noise.gauss(0, 1)
            if self._table == "cell":
                self._cell(tonight, place, number, change)
            elif self._table == "verdict":
                tonight["data"] = _dumps(_verdict(row["data"], change))
            elif self._table == "control":
                tonight["median_ns"] = row["median_ns"] * change
            yield [tonight[name] for name in self._heads]

    def _cell(self, row: dict[str, Any], place: int, number: int, change: float) -> None:
        data = {**row["data"], "run": row["run"], "duration_ns": 2_400_000_000 + number}
        starts = [round(ns * change) for ns in data["latency_start_medians_ns"]]
        data["latency_start_medians_ns"] = starts
        for name in (
            "latency_median_ns",
            "latency_median_low_ns",
            "latency_median_high_ns",
            "latency_p90_ns",
            "latency_p99_ns",
        ):
            data[name] = round(data[name] * change)
        data["latency_object"] = _object("latency", place, number)
        data["measurement_object"] = _object("measurement", place, number)
        row["latency_median_ns"] = data["latency_median_ns"]
        row["record"] = _dumps(data)
        row["checksum"] = sha256_bytes(row["record"].encode())


def _verdict(data: dict[str, Any], change: float) -> dict[str, Any]:
    numbers = dict(data["numbers"])
    for name, value in numbers.items():
        if name == "sessions_ns":
            numbers[name] = [ns * change for ns in value]
        elif isinstance(value, float):
            numbers[name] = value * change
    return {**data, "numbers": numbers}


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


__all__ = ["SERIES", "make_large_nights", "run_name"]
