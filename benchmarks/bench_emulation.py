"""Times of the emulated board: making its image, cold boot, resume to the first finished SSH command.

    python benchmarks/bench_emulation.py [--repeats 7] [--build] [--from-nothing]

Targets: an image in at most 30 s with packages cached, resume to the first finished SSH command in at most 1.5 s. Prints one
line per figure: median, range, number of repeats; and the host's own speed and load beside them, because all of
this is bound by one core. `--build` makes the image in a cache folder of its own with the packages of the user's
cache, `--from-nothing` without them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness.core import paths
from harness.emulation.linux.aarch64 import start_image
from harness.emulation.linux.image import BoardImage, ensure_image
from harness.emulation.linux.login import Access, run_on_board, wait_for_banner
from harness.emulation.linux.machine import Machine
from harness.emulation.linux.spec import EmulationSpec


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--build", action="store_true")
    parser.add_argument("--from-nothing", action="store_true")
    parser.add_argument("--runtime", default="tflite-runtime==2.14.0")
    options = parser.parse_args()
    import paramiko  # noqa: F401 - not part of a start; whoever uses a board has it loaded

    spec = EmulationSpec(runtime=options.runtime, model="NXP i.MX8MPlus EVK board")
    image = ensure_image(spec, progress=lambda line: print(line, file=sys.stderr))
    print(f"host: {_host_speed_s():.2f} s for a fixed loop of Python, load {os.getloadavg()[0]:.1f}")
    report("resume to first finished SSH command", [_resume_s(image) for _ in range(options.repeats)], target_s=1.5)
    with start_image(image) as board:
        report("one more SSH login and command", [_timed(lambda: board.run("true")) for _ in range(options.repeats)])
    report("cold boot to first finished SSH command", [_cold_s(image) for _ in range(min(3, options.repeats))])
    for name, chosen, keep in (("packages cached", options.build, True), ("from nothing", options.from_nothing, False)):
        if chosen:
            report(f"image, {name}", [_build_s(spec, keep_packages=keep)], target_s=30 if keep else None)


def report(name: str, seconds: list[float], target_s: float | None = None) -> None:
    """One line of the result."""
    target = f"  (target {target_s:g} s)" if target_s else ""
    print(
        f"{name}: median {statistics.median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f}, n={len(seconds)}{target}",
        flush=True,
    )


def _timed(action) -> float:
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def _resume_s(image: BoardImage) -> float:
    begin = time.monotonic()
    with start_image(image) as board:
        board.run("true")
        return time.monotonic() - begin


def _cold_s(image: BoardImage) -> float:
    """A boot of the finished image without its saved state."""
    begin = time.monotonic()
    machine = Machine(image.spec, image.files, pristine=True)
    try:
        access = Access(port=machine.ssh_port(), key_file=image.login_key, host_key_line=image.host_key_line)
        wait_for_banner(access.port, 120, lambda: machine.alive)
        run_on_board(access, "true", 60)
        return time.monotonic() - begin
    finally:
        machine.kill()


def _build_s(spec: EmulationSpec, *, keep_packages: bool) -> float:
    """Makes the image in a cache folder of its own and says which stage took how long."""
    store = paths.cache_dir() / "emulation"
    with tempfile.TemporaryDirectory() as folder, _cache_dir(folder):
        base = Path(folder) / "emulation"
        base.mkdir()
        for name in ("apt", "wheels", "pins") if keep_packages else ():
            (base / name).symlink_to(store / name)
        begin = time.monotonic()
        image = ensure_image(spec)
        seconds = time.monotonic() - begin
        print("  " + ", ".join(f"{name} {value:.1f} s" for name, value in image.manifest["seconds"].items()))
        return seconds


@contextlib.contextmanager
def _cache_dir(folder: str) -> Iterator[None]:
    before = os.environ.get("HARNESS_CACHE_DIR")
    os.environ["HARNESS_CACHE_DIR"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["HARNESS_CACHE_DIR"]
        else:
            os.environ["HARNESS_CACHE_DIR"] = before


def _host_speed_s() -> float:
    return min(_timed(lambda: sum(range(20_000_000))) for _ in range(3))


if __name__ == "__main__":
    main()
