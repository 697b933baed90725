"""What share of a serial line's rate an upload gets: a pty limited to 921600 baud, the board's own code at its other end.

    python benchmarks/bench_serial.py [--baud 921600] [--latency-us 1000] [--kib 256] [--rounds 3]

The line carries a byte in ten bit times, both ways; the board works 1 ms on every frame before it answers, with a receive
buffer of `window` frames. The share counts the model's own bytes only: frames, checksums, the handshakes before and after
and every repetition are losses. Random bytes and zeros, which COBS treats most differently; download of results beside it.
Needs a C compiler. Exit status 1 when the slower upload gets less than 90 %.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import random
import statistics
import subprocess
import sys
import tempfile
import time
import tty
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.links.serial.messages import Target
from harness.links.serial.port import SerialPort, SerialSettings
from harness.links.serial.session import SerialSession
from tests.support.places import SUPPORT
from tests.support.serial_host import compile_c

TARGET = 0.9


@contextlib.contextmanager
def limited_line(program: Path, baud: int, latency_us: int) -> Iterator[tuple[str, subprocess.Popen]]:
    """The path of a pty behind which the board lives, and the board's process."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    command = [str(program), str(master), str(baud), str(latency_us)]
    process = subprocess.Popen(command, pass_fds=[master], stdout=subprocess.PIPE, text=True)
    os.close(master)
    try:
        yield os.ttyname(slave), process
    finally:
        os.close(slave)  # the last one: the board sees the line closed
        process.wait(10)


def seconds(what, *arguments) -> float:
    began = time.perf_counter()
    what(*arguments)
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baud", type=int, default=921_600)
    parser.add_argument("--latency-us", type=int, default=1000)
    parser.add_argument("--kib", type=int, default=256, help="at most 256")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    size, rate = options.kib << 10, options.baud / 10
    shares: dict[str, list[float]] = {"upload, random bytes": [], "upload, zeros": [], "download": []}
    with tempfile.TemporaryDirectory() as folder:
        sources = [SUPPORT / "serial_board_main.c", SUPPORT / "serial_board.c"]
        program = compile_c(Path(folder) / "board", sources)
        with limited_line(program, options.baud, options.latency_us) as (path, process):
            with SerialPort(SerialSettings(port=path, baud=options.baud)) as port:
                session = SerialSession(port)
                session.hello()
                for turn in range(options.rounds):
                    noise = random.Random(turn).randbytes(size)
                    zeros = bytes(size - 16) + turn.to_bytes(16, "little")
                    for name, data in (("upload, random bytes", noise), ("upload, zeros", zeros)):
                        shares[name].append(size / rate / seconds(session.upload, Target.SAMPLES, data))
                    session.upload(Target.SAMPLES, bytes(8))
                    count = size - 8
                    shares["download"].append(count / rate / seconds(session.read, Target.RESULTS, 0, count))
                stats = session.stats()
        lost = process.stdout.read().strip()
    print(
        f"{options.baud} baud, {options.latency_us} µs for each answer, {options.kib} KiB, median of {options.rounds} [all]"
    )
    for name, values in shares.items():
        each = " ".join(f"{value:.1%}" for value in values)
        print(f"{name:22} {statistics.median(values):6.1%} of the line's rate  [{each}]")
    print(
        f"frames at the board: {stats.frames_good} good, {stats.frames_bad} bad, {stats.frames_repeated} repeated; "
        f"bytes that found its buffer full: {lost}"
    )
    uploads = (statistics.median(shares[name]) for name in ("upload, random bytes", "upload, zeros"))
    return 0 if min(uploads) >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
