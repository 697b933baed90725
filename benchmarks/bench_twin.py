"""The emulated i.MX 8M Plus: what the harness adds to a loop on the board, and how long a whole evening's table takes.

    python benchmarks/bench_twin.py [--rounds 5] [--images 1000] [--run] [--data-dir DIR]

Overhead: a round is one evaluation of 1,000 images through the agent over SSH, and one bare set_tensor/invoke/get_tensor loop
on a board of its own of the same image, model and images already there for both; medians over the rounds are compared. Target:
1.10. With --run also `harness run --device imx8mp --emulated --workload mnist-cnn --recipe core` (three backends, 1,000 samples a
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
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.boards.base import Deadlines
from harness.boards.connect import backend_spec, connect
from harness.boards.resolve import get_profile
from harness.links.base import Channel, recv_exact
from tests.support import tiny_model

_BACKEND = "cpu"
_START_S, _LOOP_S = 120.0, 600.0
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
    parser.add_argument("--run", action="store_true", help="also time the whole table")
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        met = overhead(Path(name), options)
        if options.run:
            met = whole_run(Path(name), options) and met
    return 0 if met else 1


def overhead(folder: Path, options: argparse.Namespace) -> bool:
    """Interleaved evaluations and bare loops on one board; prints the ratio of their medians."""
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
