"""What a build costs: a cold mnist-cnn `core` against the ideal for this machine's cores, and a warm look at the whole matrix.

    python benchmarks/bench_build.py [--repeat 10] [--jobs N] [--workload mnist-cnn] [--no-cold | --no-warm]

Cold: each round builds from an empty cache twice, with one worker and with N (interleaved). The one-worker build tells how
long each task takes alone; from that follows the ideal for N cores, max(longest path, total / N), where each worker's start
(importing TensorFlow) counts once, as work that N workers cannot avoid. Median of the ratios of the rounds; target 1.3.
Warm: `harness build --recipe all` of the three workloads as a process of its own, with everything cached (the first
time fills the cache, which takes some minutes); median of the rounds, target 1 s.
Samples are the bundled digits. Exit status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.variants.build.build import BuildRequest, build_outcomes
from harness.variants.build.keys import KeyMaker
from harness.variants.build.pool import WorkerPool
from harness.variants.build.requests import make_requests

COLD_TARGET = 1.3
WARM_TARGET_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Cold:
    """One round: wall times of both builds and what the ideal would be, seconds."""

    serial_s: float
    parallel_s: float
    start_s: float
    total_s: float
    longest_path_s: float
    ideal_s: float

    @property
    def ratio(self) -> float:
        return self.parallel_s / self.ideal_s


def start_seconds() -> float:
    """How long one worker takes until it can work, alone on the machine."""
    began = time.monotonic()
    with WorkerPool(1) as pool:
        pool.start()
        while not any(event.message and "ready" in event.message for event in pool.wait(60.0)):
            assert pool.workers, "a worker ended while starting"
    return time.monotonic() - began


def build_cold(requests: list[BuildRequest], cache: Path, jobs: int) -> float:
    """Seconds of a build from nothing."""
    os.environ["HARNESS_CACHE_DIR"] = str(cache)
    began = time.monotonic()
    outcomes = build_outcomes(requests, jobs=jobs)
    took = time.monotonic() - began
    assert not any(outcome.cached for outcome in outcomes)
    return took


def task_seconds(cache: Path) -> dict[str, float]:
    """Key -> seconds of every training and conversion that a build put into its cache."""
    found = {}
    for path in [*cache.glob("trainings/*/manifest.json"), *cache.glob("artifacts/*/*/manifest.json")]:
        manifest = json.loads(path.read_bytes())
        found[manifest["key"]] = manifest.get("seconds") or 0.0
    return found


def cold_round(requests: list[BuildRequest], jobs: int, folder: Path) -> Cold:
    """One round; see the module."""
    start = start_seconds()
    serial = build_cold(requests, folder / "serial", 1)
    parallel = build_cold(requests, folder / "parallel", jobs)
    seconds = task_seconds(folder / "serial")
    maker = KeyMaker()
    longest = 0.0
    for request in requests:
        keys = maker.keys(request.workload, request.recipe, request.source, request.seed)
        path = dict.fromkeys((keys.float_key, keys.training_key, keys.artifact_key))
        longest = max(longest, sum(seconds[key] for key in path))
    total = sum(seconds.values())
    shutil.rmtree(folder)
    return Cold(
        serial_s=serial,
        parallel_s=parallel,
        start_s=start,
        total_s=total,
        longest_path_s=longest,
        ideal_s=start + max(longest, total / jobs),
    )


def warm_seconds(cache: Path) -> float:
    """Wall time of the command, process start included, with everything built."""
    command = [sys.executable, "-m", "harness.cli.main", "build", "--recipe", "all"]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "HARNESS_CACHE_DIR": str(cache)})
    return time.monotonic() - began


def main() -> int:
    """Runs both parts and prints a table each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--workload", default="mnist-cnn")
    parser.add_argument("--no-cold", action="store_true")
    parser.add_argument("--no-warm", action="store_true")
    parser.add_argument(
        "--cache-dir", type=Path, help="where the warm part keeps its models; default: a temporary folder"
    )
    options = parser.parse_args()
    os.environ.pop("HARNESS_DATA_DIR", None)
    missed = False
    with tempfile.TemporaryDirectory(prefix="bench-build-") as temporary:
        os.environ["KERAS_HOME"] = temporary  # bundled digits, whatever the user's Keras cache holds
        if not options.no_cold:
            requests = make_requests((options.workload,), ("core",), range(1), None, None)
            print(
                f"cold {options.workload} core, {len(requests)} models, {options.jobs} workers of one thread, seconds"
            )
            print("round  1 worker  N workers  start  tasks  longest path  ideal  ratio")
            rounds = []
            for i in range(options.repeat):
                found = cold_round(requests, options.jobs, Path(temporary) / f"cold-{i}")
                rounds.append(found)
                print(
                    f"{i + 1:5}  {found.serial_s:8.1f}  {found.parallel_s:9.1f}  {found.start_s:5.1f}  {found.total_s:5.1f}"
                    f"  {found.longest_path_s:12.1f}  {found.ideal_s:5.1f}  {found.ratio:5.2f}",
                    flush=True,
                )
            ratio = statistics.median(found.ratio for found in rounds)
            missed |= ratio > COLD_TARGET
            print(f"median ratio {ratio:.2f}, target {COLD_TARGET}: {'met' if ratio <= COLD_TARGET else 'MISSED'}")
        if not options.no_warm:
            cache = options.cache_dir or Path(temporary) / "warm"
            warm_seconds(cache)
            times = [warm_seconds(cache) for _ in range(options.repeat)]
            median = statistics.median(times)
            missed |= median > WARM_TARGET_S
            print(
                f"warm matrix, three workloads x all: median {median:.2f} s (min {min(times):.2f}, max {max(times):.2f}), "
                f"target {WARM_TARGET_S} s: {'met' if median <= WARM_TARGET_S else 'MISSED'}"
            )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
