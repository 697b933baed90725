"""Kills runs and exports at random moments, and counts what is lost or doubled.

    python benchmarks/bench_kills.py [--runs 13] [--exports 12] [--seed 1]

A run: `harness measure` of a small model on this machine's runtimes, killed by SIGKILL at a random moment; then
`harness run --resume`. Every cell that was stored when the run was killed must be there afterwards, unchanged, and every
planned cell once. An export: the end of a run with fifty cells, killed while its tables are made; then `harness report`. All
tables must be there, `results/latest` must lead to the run, and nothing half-made may be left.
Exit status 1 when anything is lost, doubled or left.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.results.layout import latest_dir
from harness.results.objects import ObjectStore
from harness.results.store import Store
from tests.support import tiny_model
from tests.support.fixtures_results import RUN, fill_store, make_info, make_records

HARNESS = [sys.executable, "-m", "harness.cli.main"]
TABLES = ("comparison.xlsx", "summary.md", "run.json", "cells.csv", "findings.csv", "raw")
CONCLUDE = f"""
import pathlib, sys
from harness.results.running import only_one
from harness.results.store import Store
from harness.session.conclude import conclude
folder = pathlib.Path(sys.argv[1])
with Store.open(folder) as store, only_one(folder, {RUN!r}):
    conclude(store, {RUN!r}, folder, state="finished")
"""


def killed_after(command: list[str], seconds: float) -> bool:
    """Starts a process and kills it; False when it had ended before."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True


def records_of(results: Path) -> dict[object, str]:
    """The stored cells of the newest run by their key: what must not change any more. Failed ones are run again."""
    if not (results / "store.sqlite").is_file():
        return {}
    with Store.open(results, create=False) as store:
        run = (store.run_ids() or [None])[-1]
        return {r.key: str(r.started_utc) for r in (store.cells(run=run) if run else []) if r.outcome != "failed"}


def problems_of(results: Path, planned: int | None) -> list[str]:
    """What is wrong with a folder in which everything has ended."""
    found = []
    with Store.open(results, create=False) as store:
        info = store.run("latest")
        cells = store.cells(run=info.run)
        counts = Counter(record.key for record in cells)
        if store.damaged or any(count > 1 for count in counts.values()):
            found.append(f"damaged {store.damaged}, doubled {[k for k, c in counts.items() if c > 1]}")
        if len(counts) != (len(info.planned) if planned is None else planned):
            found.append(f"{len(counts)} of {len(info.planned)} cells")
        if info.state != "finished":
            found.append(f"state {info.state}")
        missing = [name for name in TABLES if not (results / info.run / name).exists()]
        latest = latest_dir(results)
        if missing or latest is None or latest.name != info.run:
            found.append(f"missing {missing}, latest {latest}")
        for record in cells:
            if record.outputs_object and planned is None:
                ObjectStore(results).get_arrays(record.outputs_object)
    found += [f"left: {path.name}" for path in results.glob(".tmp-*")]
    return found


def one_run(folder: Path, seconds: float) -> tuple[bool, list[str]]:
    """A run that is killed and resumed: whether it was killed, and what is wrong afterwards."""
    results, model = folder / "results", folder / "model.tflite"
    model.write_bytes(tiny_model.float_mlp())
    command = [
        *HARNESS,
        "measure",
        str(model),
        "--device",
        "host-litert",
        "--device",
        "host-tflite",
        "--results",
        str(results),
    ]
    killed = killed_after(command, seconds)
    before = records_of(results)
    begun = (results / "store.sqlite").is_file() and subprocess.run(
        [*HARNESS, "run", "--resume", "--results", str(results)], capture_output=True, text=True
    )
    if not begun or "there are no runs yet" in begun.stderr:
        return killed, []
    after = records_of(results)
    lost = [f"lost or changed: {key}" for key, stamp in before.items() if after.get(key) != stamp]
    return killed, lost + problems_of(results, None)


def one_export(folder: Path, seconds: float) -> tuple[bool, list[str]]:
    """An export that is killed, and the next command: whether it was killed, and what is wrong afterwards."""
    results = folder / "results"
    records = make_records()
    fill_store(results, records, make_info(records, state="running")).close()
    killed = killed_after([sys.executable, "-c", CONCLUDE, str(results)], seconds)
    subprocess.run([*HARNESS, "report", "--list", "--results", str(results)], capture_output=True, check=True)
    wrong = [text for text in problems_of(results, len(records)) if text != "state interrupted"]
    return killed, wrong  # one planned cell has no record, so that the run counts as interrupted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=13)
    parser.add_argument("--exports", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    killed_all, wrong_all = 0, 0
    for kind, rounds, one in (("run", arguments.runs, one_run), ("export", arguments.exports, one_export)):
        if not rounds:
            continue
        with tempfile.TemporaryDirectory() as name:  # how long it takes undisturbed
            began = time.monotonic()
            _, wrong = one(Path(name), 600.0)
            whole_s = time.monotonic() - began
        print(f"{kind}: undisturbed {whole_s:.1f} s with the next command, {wrong or 'nothing wrong'}", flush=True)
        for number in range(rounds):
            folder = Path(tempfile.mkdtemp())
            seconds = rng.uniform(0.05, 0.8) * whole_s
            killed, wrong = one(folder, seconds)
            killed_all, wrong_all = killed_all + killed, wrong_all + bool(wrong)
            print(
                f"{kind} {number + 1}: {'killed' if killed else 'ended'} after {seconds:.2f} s: {wrong or 'nothing lost'}",
                flush=True,
            )
            shutil.rmtree(folder)
    print(f"{killed_all} kills, {wrong_all} with something lost, doubled or left")
    return int(wrong_all > 0)


if __name__ == "__main__":
    sys.exit(main())
