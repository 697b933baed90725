"""What the link and the agent cost: 10,000 images over SSH on loopback against a bare loop on the board.

    python benchmarks/bench_ssh.py [--rounds 10] [--images 10000] [--runtime tflite-runtime==2.14.0] [--model M --data X.npy]

Agent warm, data cached. A round is one evaluation over SSH, one bare set_tensor/invoke/get_tensor loop in a process of its
own with the same runtime, then short turns of `bench` and of a bare timing loop in pairs. Medians over the rounds are compared,
for latency the median of the differences within pairs, since a shared machine's speed drifts. Targets: the evaluation at most
1.10 times the bare loop, or 0.15 s more; the reported median latency within 2 % or 0.5 us of the bare timing.
Starts its own sshd (package openssh-server). Exit status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.boards.base import BackendSpec, BenchPlan, Deadlines
from harness.boards.linux.board import AgentOptions, LinuxBoard
from harness.core.files import sha256_file
from harness.envs.hostenv import ensure_runtime_env
from tests.support import tiny_model
from tests.support.fixtures_boards import SshServer, new_key

#: one turn of timing, and how many a round has
TURN = BenchPlan(min_samples=200, min_ns=200_000_000, max_ns=2_000_000_000, warmup_max_ns=100_000_000)
PAIRS = 5
#: the loops of a user without a harness; answers each line of stdin with one number of nanoseconds
BARE = """
import sys, time
import numpy as np
from {module}.interpreter import Interpreter
model = Interpreter(model_path=sys.argv[1], num_threads=1)
model.allocate_tensors()
images = np.load(sys.argv[2])
source, target = model.get_input_details()[0]["index"], model.get_output_details()[0]["index"]
count, now = int(sys.argv[3]), time.perf_counter_ns
for line in sys.stdin:
    if line == "loop\\n":
        began = now()
        for i in range(count):
            model.set_tensor(source, images[i:i + 1])
            model.invoke()
            model.get_tensor(target)
        print(now() - began, flush=True)
    else:
        times, ends = [], now() + 200_000_000
        while now() < ends:
            model.set_tensor(source, images[:1])
            began = now()
            model.invoke()
            times.append(now() - began)
        print(int(np.median(times)), flush=True)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--runtime", default="tflite-runtime==2.14.0")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return measure(Path(name), options)


def measure(folder: Path, options: argparse.Namespace) -> int:
    """Runs all rounds and prints the table; returns the exit status."""
    model, data = options.model or folder / "model.tflite", options.data or folder / "images.npy"
    if not options.model:
        model.write_bytes(tiny_model.mnist_cnn())
        rng = np.random.default_rng(0)
        np.save(data, rng.integers(-128, 128, (options.images, 28, 28, 1), dtype=np.int8))
    os.environ["HARNESS_CONFIG_DIR"] = str(folder / "config")
    server = SshServer(folder=folder / "sshd", client_key=new_key(folder / "key")).start()
    env = ensure_runtime_env(options.runtime)
    bare = subprocess.Popen(
        [str(env.python), "-c", BARE.format(module=env.module), str(model), str(data), str(options.images)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    )
    agent = AgentOptions(directory=str(folder / "agent"))
    server.pin(folder / "config")
    board = LinuxBoard(
        name="ssh", link=server.link().link(), runtime_module=env.module, python=str(env.python), options=agent
    )
    try:
        rows = run_rounds(board, model, data, bare, options)
    finally:
        board.close()
        server.stop()
        bare.stdin.close()
        bare.wait()
    return report(rows, options)


def run_rounds(board: LinuxBoard, model: Path, data: Path, bare: subprocess.Popen[str], options: argparse.Namespace):
    """One row a round: [(ssh_ns, loop_ns, [(reported_ns, timed_ns)])]."""
    shas = {path: sha256_file(path) for path in (model, data)}
    board.connect()
    for path, sha in shas.items():
        board.ensure_file(path, sha)
    worker = board.open_worker(BackendSpec(name="cpu"), Deadlines())
    worker.load(shas[model])
    worker.first_invoke([shas[data]])

    def ask(what: str) -> int:
        bare.stdin.write(what + "\n")
        return int(bare.stdout.readline())

    ask("loop")
    rows = []
    for _ in range(options.rounds):
        began = time.perf_counter_ns()
        result = worker.evaluate([shas[data]], options.images)
        ssh_ns = time.perf_counter_ns() - began
        assert len(result.outputs[0]) == options.images
        loop_ns = ask("loop")
        pairs = [(int(np.median(worker.bench(TURN).samples_ns)), ask("time")) for _ in range(PAIRS)]
        rows.append((ssh_ns, loop_ns, pairs))
    return rows


def report(rows, options: argparse.Namespace) -> int:
    """Prints medians against their targets."""
    ssh_s, loop_s = (statistics.median(row[i] for row in rows) / 1e9 for i in (0, 1))
    pairs = [pair for row in rows for pair in row[2]]
    timed_us = statistics.median(timed for _, timed in pairs) / 1e3
    reported_us = timed_us + statistics.median(reported - timed for reported, timed in pairs) / 1e3
    fast = ssh_s <= 1.10 * loop_s or ssh_s <= loop_s + 0.15
    true = abs(reported_us - timed_us) <= max(0.02 * timed_us, 0.5)
    print(f"{options.runtime}, {options.images} images, medians of {len(rows)} interleaved rounds")
    print(f"{'':34}{'harness':>12}{'bare loop':>12}{'ratio':>8}{'difference':>13}  target")
    print(
        f"{'evaluation over SSH':34}{ssh_s:>10.3f} s{loop_s:>10.3f} s{ssh_s / loop_s:>8.3f}{ssh_s - loop_s:>+11.3f} s  "
        f"<= 1.10x or +0.15 s: {'met' if fast else 'MISSED'}"
    )
    print(
        f"{'median latency':34}{reported_us:>9.2f} µs{timed_us:>9.2f} µs{reported_us / timed_us:>8.3f}"
        f"{reported_us - timed_us:>+10.2f} µs  within 2 % or 0.5 µs: {'met' if true else 'MISSED'}"
    )
    return 0 if fast and true else 1


if __name__ == "__main__":
    sys.exit(main())
