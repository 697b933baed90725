"""How long a list of runs takes, and how much memory: `harness report --list` of a store with many cells.

    python benchmarks/bench_report_list.py [--cells 100000] [--rounds 5]

The store is made in a temporary folder: a realistic run of fifty cells, copied. Each round is a process of its own, from its
start to its end, as a user waits for it; the best time of the rounds counts, and the highest memory. One damaged record in each
tenth run, so that counting them is part of it, as far as they are among the newest records. Exit status 1 when it takes more
than 1 s or 200 MB.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.results.layout import store_path
from harness.results.overview import CHECKED
from tests.support.large_store import make_large_store

TARGET_S, TARGET_BYTES = 1.0, 200_000_000


def damage(results: Path) -> int:
    """Damages a record in each tenth run; returns how many of them a list looks at."""
    with closing(sqlite3.connect(store_path(results))) as store, store:
        rows = store.execute("SELECT min(id) FROM cell GROUP BY run").fetchall()[::10]
        store.executemany("UPDATE cell SET record = substr(record, 1, length(record) - 9) WHERE id = ?", rows)
        (newest,) = store.execute("SELECT max(id) FROM cell").fetchone()
    return sum(number > newest - CHECKED for (number,) in rows)


def one_round(results: Path) -> tuple[float, int, str]:
    """Seconds, bytes of memory at most, and what was printed."""
    command = [sys.executable, "-m", "harness.cli.main", "report", "--list", "--results", str(results)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "COLUMNS": "160"})
    printed = process.stdout.read() if process.stdout else b""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"harness report --list ended with {process.returncode}")
    return seconds, usage.ru_maxrss * 1024, printed.decode()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        began = time.perf_counter()
        runs = make_large_store(results, arguments.cells)
        damaged = damage(results)
        size = store_path(results).stat().st_size
        made_s = time.perf_counter() - began
        print(
            f"{runs:,} runs, {damaged:,} damaged records among the newest, {size / 1e6:,.0f} MB, made in {made_s:.1f} s"
        )
        rounds = [one_round(results) for _ in range(arguments.rounds)]
    counted = rounds[0][2].count("damaged")
    seconds, memory = min(r[0] for r in rounds), max(r[1] for r in rounds)
    times = ", ".join(f"{r[0]:.2f}" for r in rounds)
    print(f"seconds: {seconds:.2f} (rounds: {times}; to reach: {TARGET_S:g})")
    print(f"memory:  {memory / 1e6:.0f} MB (to reach: {TARGET_BYTES / 1e6:.0f})")
    print(f"damaged records: {counted:,} runs show them, {damaged:,} of the newest have one")
    return int(seconds > TARGET_S or memory > TARGET_BYTES or counted != damaged)


if __name__ == "__main__":
    sys.exit(main())
