"""The emulated i.MX 8M Plus: what the harness adds to a loop on the board, what a cell costs, how long a whole table takes.

    python benchmarks/bench_twin.py [--rounds 5] [--images 1000] [--cells 10] [--run] [--data-dir DIR]

Loop: a round is one evaluation of 1,000 images through the agent over SSH, and one bare set_tensor/invoke/get_tensor loop
on a board of its own of the same image, model and images already there for both; medians over the rounds are compared. Target:
1.10.

Cells (--cells 0 leaves them out): whole cells with their files already on the board, on `cpu`, and on `npu` with its cached
start; on one board workers are forked, on another each imports the runtime itself (`agent.fork_server: false`), by turns. Printed
is the overhead, `duration - invokes`: everything of a cell but the time inside `invoke`, warm-up and cached start included.
Targets: 0.5 s on cpu and 1.5 s on npu, on a machine that does nothing else. Beside it stands the spread of the cells' median
latencies, over forks and over fresh starts.

With --run also `harness run --device imx8mp --emulated --workload mnist-cnn --recipe core` (three backends, 1,000 samples a
cell, 256 on cpu-ref, variants built before): target 5 minutes. Fewer samples where the data has fewer; --data-dir names a folder
with mnist.npz. Exit status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.boards.base import Deadlines
from harness.boards.connect import backend_spec, connect
from harness.boards.resolve import get_profile
from harness.judge.stored import finisher
from harness.links.base import Channel, recv_exact
from harness.prepare.prepared import PreparedModel
from harness.results.objects import ObjectStore
from harness.results.record import CellKey, RunInfo
from harness.results.store import Store
from harness.run.budget import Budget
from harness.run.device import DeviceRunner
from harness.run.jobs import DeviceJob, Execution, PlannedCell
from harness.run.measured import measure_plan
from harness.run.measurement import Measurement
from harness.run.options import RunOptions
from tests.support import tiny_model

_BACKEND = "cpu"
_START_S, _LOOP_S = 120.0, 600.0
#: seconds of a cell outside `invoke`
_TARGETS_S = {"cpu": 0.5, "npu": 1.5}
#: the loop of a user without a harness: gets its files on stdin, then answers each byte with 8 bytes of nanoseconds
BARE = """
import io, sys, time
import numpy as np
from {module}.interpreter import Interpreter
read, answer = sys.stdin.buffer.read, sys.stdout.buffer
model = Interpreter(model_content=read({model_bytes}), num_threads={threads})
model.allocate_tensors()
images = np.load(io.BytesIO(read({data_bytes})))
source, target = model.get_input_details()[0]["index"], model.get_output_details()[0]["index"]
answer.write(b"ready---"); answer.flush()
while read(1):
    began = time.perf_counter_ns()
    for i in range(len(images)):
        model.set_tensor(source, images[i:i + 1])
        model.invoke()
        model.get_tensor(target)
    answer.write((time.perf_counter_ns() - began).to_bytes(8, "big")); answer.flush()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--cells", type=int, default=10, help="cells per backend and way of starting")
    parser.add_argument("--run", action="store_true", help="also time the whole table")
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        met = loop(Path(name), options) if options.rounds else True
        if options.cells:
            met = cells(Path(name), options) and met
        if options.run:
            met = whole_run(Path(name), options) and met
    return 0 if met else 1


# ------------------------------------------------------------------------------------------------------------- loop


def loop(folder: Path, options: argparse.Namespace) -> bool:
    """Interleaved evaluations and bare loops; prints the ratio of their medians."""
    model, data = folder / "model.tflite", folder / "images.npy"
    model.write_bytes(tiny_model.mnist_cnn())
    np.save(data, np.random.default_rng(0).integers(-128, 128, (options.images, 28, 28, 1), dtype=np.int8))
    profile = get_profile("imx8mp", emulated=True)
    board, link = connect(profile), profile.link.make_link(profile.place())
    try:
        channel = start_bare(link, profile, model.read_bytes(), data.read_bytes())
        board.connect()
        hashes = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in (model, data)}
        for path, sha in hashes.items():
            board.ensure_file(path, sha)
        worker = board.open_worker(backend_spec(profile, _BACKEND), Deadlines())
        worker.load(hashes[model])
        worker.first_invoke([hashes[data]])
        ask(channel)
        through, bare = [], []
        for _ in range(options.rounds):
            began = time.perf_counter_ns()
            result = worker.evaluate([hashes[data]], options.images)
            through.append(time.perf_counter_ns() - began)
            assert len(result.outputs[0]) == options.images
            bare.append(ask(channel))
    finally:
        board.close()
        link.close()
    harness_s, bare_s = statistics.median(through) / 1e9, statistics.median(bare) / 1e9
    ratio = harness_s / bare_s
    met = "met" if ratio <= 1.1 else "MISSED"
    print(f"{profile.name} {_BACKEND}, {options.images} images, medians of {options.rounds} interleaved rounds")
    print(f"harness {harness_s:.3f} s, bare loop {bare_s:.3f} s, ratio {ratio:.3f}; target <= 1.10: {met}")
    return ratio <= 1.1


def start_bare(link, profile, model: bytes, data: bytes) -> Channel:
    """The bare loop on a board of its own, ready."""
    backend = backend_spec(profile, _BACKEND)
    code = BARE.format(
        module=profile.runtime.module, model_bytes=len(model), data_bytes=len(data), threads=backend.threads
    )
    link.open()
    channel = link.start([str(profile.runtime.python), "-c", code])
    channel.send([model, data], _START_S)
    if recv_exact(channel, 8, _START_S) != b"ready---":
        raise SystemExit(f"the bare loop did not start: {channel.stderr_tail()}")
    return channel


def ask(channel: Channel) -> int:
    channel.send([b"x"], _START_S)
    return int.from_bytes(recv_exact(channel, 8, _LOOP_S), "big")


# ------------------------------------------------------------------------------------------------------------ cells


@dataclass(kw_only=True)
class Side:
    """A board on which workers start in one way, and what its cells gave: seconds outside invoke, median latencies."""

    started: str
    runner: DeviceRunner
    last: Measurement | None = None
    overhead_s: dict[str, list[float]] = field(default_factory=dict)
    median_ns: dict[str, list[float]] = field(default_factory=dict)

    def run(self, key: CellKey, model: PreparedModel, *, note: bool) -> None:
        self.runner.run_one(PlannedCell(key=key, model=model))
        measured = self.last
        assert measured is not None and measured.evaluated is not None, "the cell failed"
        assert measured.started == self.started, measured.started_why
        if note:
            self.overhead_s.setdefault(key.backend, []).append((measured.duration_ns - invokes_ns(measured)) / 1e9)
            self.median_ns.setdefault(key.backend, []).append(float(np.median(measured.bench.samples_ns)))


def invokes_ns(measured: Measurement) -> int:
    """All the time that a cell spent inside `invoke`."""
    bench = int(measured.bench.warmup_ns.sum() + measured.bench.samples_ns.sum())
    cached = measured.cached.first_invoke_ns if measured.cached is not None else 0
    return measured.first_invoke_ns + bench + int(measured.evaluated.invoke_ns.sum()) + (cached or 0)


def cells(folder: Path, options: argparse.Namespace) -> bool:
    """Whole cells on two boards by turns; prints what they cost beside their invokes, and how their medians spread."""
    path = folder / "mnist.tflite"
    path.write_bytes(tiny_model.mnist_cnn())
    plan = measure_plan(RunOptions(workloads=(str(path),), devices=("imx8mp@qemu",), samples=options.images), 0)
    (model,) = plan.prepare(lambda what, done, total: None)
    # Random weights decide nothing, and the ops of a cell that cannot be decided are asked one by one: that is no overhead.
    model = replace(model, reference=None)
    keys = {key.backend: key for key in plan.keys if key.backend in _TARGETS_S}
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(folder / "results"))
        store.begin_run(RunInfo(run="bench", started_utc="", command=[]))
        sides = [stack.enter_context(side(store, folder, started, options.images)) for started in ("forked", "fresh")]
        for number in range(-1, options.cells):  # the first brings the files, and imports the runtime
            for key in keys.values():
                for one in sides:
                    cell = replace(key, seed=number + 1, dataset=f"{key.dataset}-{one.started}")
                    one.run(cell, model, note=number >= 0)
    busy = os.getloadavg()[0]
    print(
        f"imx8mp@qemu, {options.images} images, files on the board, {options.cells} cells each by turns; load {busy:.1f}"
    )
    return all([report(backend, sides, limit_s) for backend, limit_s in _TARGETS_S.items()])


@contextmanager
def side(store: Store, folder: Path, started: str, images: int) -> Iterator[Side]:
    """A board of its own, connected."""
    profile = get_profile("imx8mp", emulated=True)
    agent = profile.agent.model_copy(update={"fork_server": started == "forked"})
    # Both boards are there at once, and idle while the other one works.
    profile = profile.model_copy(update={"agent": agent, "exclusive": f"bench-{started}"})
    finish = finisher(ObjectStore(folder / "results"))

    def keep(measurement, model, context):
        found.last = measurement
        return finish(measurement, model, context)

    job = DeviceJob(profile=profile, device=profile.name, cells=(), samples=images)
    execution = Execution(run="bench", store=store, finish=keep)
    runner = DeviceRunner(job=job, execution=execution, budget=Budget(total_s=None, cells=1))
    found = Side(started=started, runner=runner)
    runner.open()
    try:
        yield found
    finally:
        runner.close()


def report(backend: str, sides: list[Side], limit_s: float) -> bool:
    met = True
    for one in sides:
        overhead, medians = one.overhead_s[backend], one.median_ns[backend]
        typical_s = statistics.median(overhead)
        verdict = ""
        if one.started == "forked":
            met = typical_s <= limit_s
            verdict = f"; target <= {limit_s} s: {'met' if met else 'MISSED'}"
        print(
            f"{backend}, {one.started}: overhead {typical_s:.3f} s ({min(overhead):.3f} to {max(overhead):.3f})"
            f", median latency {statistics.median(medians) / 1e3:.0f} µs, spread {spread(medians):.1%}{verdict}"
        )
    return met


def spread(values: list[float]) -> float:
    """Their standard deviation, as a share of their mean."""
    return statistics.stdev(values) / statistics.mean(values) if len(values) > 1 else 0.0


# -------------------------------------------------------------------------------------------------------- whole run


def whole_run(folder: Path, options: argparse.Namespace) -> bool:
    """The table of three backends with built variants; prints its time."""
    harness = [sys.executable, "-m", "harness.cli.main"]
    data = ["--data-dir", str(options.data_dir)] if options.data_dir else []
    environment = {**os.environ, "HARNESS_RESULTS_DIR": str(folder / "results")}
    subprocess.run([*harness, "build", "mnist-cnn", "--recipe", "core", *data], check=True, env=environment)
    began = time.monotonic()
    arguments = ["run", "--workload", "mnist-cnn", "--device", "imx8mp", "--emulated", "--recipe", "core", *data]
    status = subprocess.run([*harness, *arguments], env=environment, stdout=subprocess.DEVNULL).returncode
    took_s = time.monotonic() - began
    met = took_s <= 300 and status == 0
    verdict = "met" if met else "MISSED"
    print(f"mnist-cnn core on three backends: {took_s:.0f} s, exit status {status}; target <= 300 s: {verdict}")
    return met


if __name__ == "__main__":
    sys.exit(main())
