"""How true the energy of an inference is: an imagined board whose truth is known, under two instruments.

    python benchmarks/bench_energy.py [--seconds 2] [--windows 6]

Two recipes of the board: a quick one and a slow one, at different powers. The simulated meter measures with 2 % of noise, in
steps of 1 mW. The other instrument is a process that prints CSV at about 500 Hz, in bursts and by a clock of its own, of a
power that follows what the board really does. Printed: the truth, what was measured with its interval, and the error. Exit
status 1 where one is over 2 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.boards.base import BenchPlan, BenchResult, Worker
from harness.measure.energy import gross_nj, net_nj
from harness.meters.base import MeterPlace, MeterProfile
from harness.meters.csv_stream import CsvMeterProfile
from harness.meters.simulated import SimulatedProfile
from harness.run.cell import new_measurement
from harness.run.energy import drive_energy
from harness.verdict.energy import energy_text

LIMIT = 0.02
IDLE_W = 0.12
#: samples every 2 ms, written ten at a time; the clock is microseconds of its own
PROGRAM = """
import os, sys, time
flag, idle = sys.argv[1], float(sys.argv[2])
print("us,W")
begun, lines = time.monotonic(), []
while True:
    time.sleep(0.002)
    try:
        power = float(open(flag).read())
    except (OSError, ValueError):
        power = idle
    lines.append(f"{(time.monotonic() - begun) * 1e6:.0f},{power:.4f}")
    if len(lines) == 10:
        print("\\n".join(lines), flush=True)
        lines = []
"""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the imagined board takes for an inference."""

    name: str
    inference_s: float
    active_w: float

    @property
    def net_j(self) -> float:
        return (self.active_w - IDLE_W) * self.inference_s


RECIPES = (
    Recipe(name="quick", inference_s=0.000_8, active_w=0.61),
    Recipe(name="slow", inference_s=0.004_1, active_w=0.43),
)


class Imagined(Worker):
    """A board that works for as long as it is told, and says so in a file that the second instrument reads."""

    def __init__(self, recipe: Recipe, flag: Path) -> None:
        self._recipe = recipe
        self._flag = flag

    def bench(self, plan: BenchPlan) -> BenchResult:
        time.sleep(0.01)  # the request on its way
        count = max(1, round(plan.min_ns / 1e9 / self._recipe.inference_s))
        ends = time.monotonic() + count * self._recipe.inference_s
        self._flag.write_text(str(self._recipe.active_w))
        while (left := ends - time.monotonic()) > 0:
            time.sleep(left)
        self._flag.unlink()
        time.sleep(0.01)  # and back
        samples = np.full(count, round(self._recipe.inference_s * 1e9), np.int64)
        return BenchResult(samples_ns=samples, warmup_ns=np.zeros(0, np.int64), warmup_stable=True)


class Exact(Imagined):
    """The same without a way: the simulated instrument takes the whole of a loop for work."""

    def bench(self, plan: BenchPlan) -> BenchResult:
        begun = time.monotonic()
        count = max(1, round(plan.min_ns / 1e9 / self._recipe.inference_s))
        while (left := begun + count * self._recipe.inference_s - time.monotonic()) > 0:
            time.sleep(left)
        samples = np.full(count, round(self._recipe.inference_s * 1e9), np.int64)
        return BenchResult(samples_ns=samples, warmup_ns=np.zeros(0, np.int64), warmup_stable=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a loop")
    parser.add_argument("--windows", type=int, default=6)
    options = parser.parse_args()
    common = {"seconds": options.seconds, "windows": options.windows, "idle_s": options.seconds}
    print(f"{'instrument':12}{'recipe':8}{'truth':>10}{'net':>10}{'interval':>22}{'gross':>10}{'error':>8}")
    worst = 0.0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        flag, program = folder / "power", folder / "meter.py"
        program.write_text(PROGRAM)
        command = [sys.executable, str(program), str(flag), str(IDLE_W)]
        columns = {"columns": {"time": "us", "power": "W"}, "scale": {"time": 1e-6}}
        csv = CsvMeterProfile.model_validate_json(json.dumps({"type": "csv", "command": command, **columns, **common}))
        for recipe in RECIPES:
            simulated = SimulatedProfile(type="simulated", idle_w=IDLE_W, active_w=recipe.active_w, **common)
            worst = max(worst, report("simulated", recipe, simulated, Exact(recipe, flag)))
            worst = max(worst, report("program", recipe, csv, Imagined(recipe, flag)))
    print(f"largest error {worst:.2%}, at most {LIMIT:.0%} allowed")
    return 1 if worst > LIMIT else 0


def report(title: str, recipe: Recipe, profile: MeterProfile, worker: Worker) -> float:
    """Measures and prints a line; returns the error as a share."""
    measurement = new_measurement()
    place = MeterPlace(device="imagined")
    drive_energy(worker, profile, lambda: profile.make_meter(place), measurement, lambda text: None)
    if measurement.energy is None:
        raise SystemExit(f"{title}: {measurement.energy_failed}")
    net, gross = net_nj(measurement.energy), gross_nj(measurement.energy)
    truth_nj = recipe.net_j * 1e9
    error = abs(net.median - truth_nj) / truth_nj
    interval = f"{energy_text(net.low)} to {energy_text(net.high)}"
    print(
        f"{title:12}{recipe.name:8}{energy_text(truth_nj):>10}{energy_text(net.median):>10}{interval:>22}"
        f"{energy_text(gross.median):>10}{error:>8.2%}"
    )
    return error


if __name__ == "__main__":
    sys.exit(main())
