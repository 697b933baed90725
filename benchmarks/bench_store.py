"""A store with very many nights: its size on disk, and how long a night's verdict and the list of runs take.

    python benchmarks/bench_store.py [--nights 1000] [--cells 1000] [--rounds 3]

Every record has ops, a fallback table and the objects that it names; every night has its verdicts and control cells. Each figure
is of a process of its own, from its start to its end. Exit status 1 when a target of the full size is missed; a smaller store
says its size per record, and what a million of them would take.
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
from tests.support.large_nights import SERIES, make_large_nights, run_name

ROOT = Path(__file__).resolve().parent.parent
MILLION = 1_000_000
TARGET_BYTES, VERDICT_S, VERDICT_BYTES, LIST_S = 4_000_000_000, 5.0, 500_000_000, 1.0

#: judges a night from the store alone, as `harness nightly` does after its run; nothing is confirmed
_JUDGE = """
import sys
from pathlib import Path
from harness.results.history import History
from harness.results.objects import open_objects
from harness.results.store import Store
from harness.verdict.night import judge_night
from harness.verdict.past import load_past
results, series, run = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
with Store.open(results) as store:
    history = History(store)
    records, info = store.cells(run=run), store.run(run)
    past = load_past(history, series, run, [record.key for record in records])
    devices = sorted({record.key.device for record in records})
    controls = {device: history.controls(device, series, run=run) for device in devices}
    judgement = judge_night(run, series, records, info.planned, past, open_objects(results), controls=controls)
    history.put_verdicts(run, judgement.stored())
    print(len(records), len(past.nights), len(judgement.verdicts), len(judgement.suspects), len(judgement.open))
"""


def measured(command: list[str]) -> tuple[float, int, str, float]:
    """Seconds of the clock, bytes of memory at most, what was printed, and seconds of the processor."""
    began = time.perf_counter()
    environment = {**os.environ, "COLUMNS": "160", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    printed = process.stdout.read() if process.stdout else b""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[:4]} ended with {process.returncode}")
    return seconds, usage.ru_maxrss * 1024, printed.decode(), usage.ru_utime + usage.ru_stime


def print_sizes(path: Path, records: int) -> int:
    """Bytes of each table and index; returns all of them."""
    size = path.stat().st_size
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 14"
        for name, taken in database.execute(query):
            print(f"  {name:32} {taken / 1e6:10,.1f} MB {taken / records:8,.0f} bytes a record")
        (parts,) = database.execute("SELECT count(*) FROM part").fetchone()
    print(f"  {'all':32} {size / 1e6:10,.1f} MB {size / records:8,.0f} bytes a record; {parts:,} parts")
    return size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int, default=1000)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    records = arguments.nights * arguments.cells
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        began = time.perf_counter()
        make_large_nights(results, arguments.nights, arguments.cells)
        print(f"{arguments.nights:,} nights of {arguments.cells:,} cells, made in {time.perf_counter() - began:.0f} s")
        size = print_sizes(store_path(results), records)
        judge = [sys.executable, "-c", _JUDGE, str(results), SERIES, run_name(arguments.nights)]
        listing = [sys.executable, "-m", "harness.cli.main", "report", "--list", "--results", str(results)]
        judged = [measured(judge) for _ in range(arguments.rounds)]
        listed = [measured(listing) for _ in range(arguments.rounds)]
    missed = size > TARGET_BYTES * records / MILLION
    print(f"size of a million records: {size / records * MILLION / 1e9:.2f} GB (to reach: {TARGET_BYTES / 1e9:g})")
    print(f"verdict of the last night (records, nights, verdicts, suspects, open): {judged[0][2].strip()}")
    for what, rounds, most_s, most_bytes in (
        ("verdict", judged, VERDICT_S, VERDICT_BYTES),
        ("report --list", listed, LIST_S, VERDICT_BYTES),
    ):
        seconds, memory = min(r[0] for r in rounds), max(r[1] for r in rounds)
        times = ", ".join(f"{r[0]:.2f}" for r in rounds)
        print(
            f"{what}: {seconds:.2f} s (rounds: {times}; to reach: {most_s:g}), {min(r[3] for r in rounds):.2f} s of CPU, "
            f"{memory / 1e6:.0f} MB (to reach: {most_bytes / 1e6:.0f})"
        )
        missed |= seconds > most_s or memory > most_bytes
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
