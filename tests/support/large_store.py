"""A results store with very many cells, made in seconds: one realistic run, copied under other ids with its checksums right."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from harness.core.files import sha256_bytes
from harness.results.layout import store_path
from tests.support.fixtures_results import RUN, fill_store, make_info, make_records


def make_large_store(results: Path, cells: int) -> int:
    """Fills a new results folder; returns how many runs there are.

    Args:
        cells: at least so many records, in runs of some fifty each. No objects, no tables.
    """
    records = make_records()
    fill_store(results, records, make_info(records)).close()
    runs = -(-cells // len(records))
    with closing(sqlite3.connect(store_path(results))) as store:
        store.execute("PRAGMA synchronous = OFF")
        with store:
            _copy(store, runs - 1)
    return runs


def _copy(store: sqlite3.Connection, copies: int) -> None:
    run = store.execute("SELECT * FROM run").fetchone()
    planned = store.execute("SELECT * FROM planned_cell").fetchall()
    heads = [row[1] for row in store.execute("PRAGMA table_info(cell)")]
    cells = store.execute(f"SELECT {', '.join(heads[1:])} FROM cell").fetchall()
    at = {name: place for place, name in enumerate(heads[1:])}
    run_at = [row[1] for row in store.execute("PRAGMA table_info(run)")].index("number")
    insert = f"INSERT INTO cell ({', '.join(heads[1:])}) VALUES ({', '.join('?' * (len(heads) - 1))})"
    for number in range(2, copies + 2):
        name = f"20260101-{number:06d}-c0de"
        store.execute(
            f"INSERT INTO run VALUES ({', '.join('?' * len(run))})",
            [name, *run[1:run_at], number, *run[run_at + 1 :]],
        )
        store.executemany(
            f"INSERT INTO planned_cell VALUES ({', '.join('?' * len(planned[0]))})",
            [(name, *row[1:]) for row in planned],
        )
        copied = []
        for row in map(list, cells):
            row[at["run"]] = name
            row[at["record"]] = row[at["record"]].replace(RUN, name)
            row[at["checksum"]] = sha256_bytes(row[at["record"]].encode())
            copied.append(row)
        store.executemany(insert, copied)
