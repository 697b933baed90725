"""Records nights on a device on which nothing changes, for `bench_verdict.py --nights DIR`: each "worse" is a false alarm.

    python benchmarks/record_nights.py --device host-litert --out DIR [--nights 30] [--pause 60] [--load quiet]
                                       [--backend NAME] [--model FILE.tflite] [--blocks 3] [--name b]

A night is every cell (the five control models and the given ones, on each backend of the device) in random order, each in
three fresh sessions. A block is 16 sessions of every cell one after the other, for both sides of a confirmation. Both are written
as they end, so that a recording may be interrupted; called again with the same cells it goes on.

    nights_NAME.npz    wall_ns int32 [cells, nights, 3, 300]: times of single invokes in ns, an even stride of all of a session,
                       in their order; 0: none. cpu_ns: the same of CPU time, 0: boards do not tell it. facts float64
                       [cells, nights, 3, 9]: columns in meta, NaN where a board does not tell. load, part: str [nights].
                       meta: JSON text
    sessions_NAME.npz  wall_ns_J int32 [cells, 16, 100] and facts_J [cells, 16, 9] of block J, load [blocks], meta
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from harness.boards.resolve import get_profile
from harness.core.errors import HarnessError, UserInputError
from harness.core.files import atomic_file
from harness.nightly.control_model import CONTROLS
from harness.nightly.controls import prepared_control, takes_controls
from harness.nightly.sessions import BoardSessions, SessionError
from harness.prepare.bare import bare_model
from harness.prepare.prepared import PreparedModel
from harness.prepare.samples import random_inputs
from harness.variants.build.build import artifact_from_file

SESSIONS, SAMPLES = 3, 300
BLOCK_SESSIONS, BLOCK_SAMPLES = 16, 100
FACTS = (
    "wall_median_ns",
    "thread_cpu_median_ns",
    "cpu_over_wall",
    "involuntary_switches",
    "invokes",
    "minor_faults",
    "loadavg1",
    "unix_time",
    "cpu_mean_ns",
)
_LONGEST_NS = np.iinfo(np.int32).max


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """A model on a backend."""

    model: PreparedModel
    backend: str


@dataclass(kw_only=True)
class Recorder:
    """Records into a folder.

    Attributes:
        load: what else the machine does, in a word; `quiet`: nothing on purpose.
        name: of the recording, the end of its files' names.
    """

    sessions: BoardSessions
    cells: list[Cell]
    folder: Path
    load: str = "quiet"
    name: str = "a"
    seed: int | None = None
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.folder.mkdir(parents=True, exist_ok=True)

    def night(self) -> None:
        """One more night behind those that there are."""
        wall = np.zeros((len(self.cells), SESSIONS, SAMPLES), np.int32)
        facts = np.full((len(self.cells), SESSIONS, len(FACTS)), np.nan)
        for i in self._random.sample(range(len(self.cells)), len(self.cells)):
            for j in range(SESSIONS):
                wall[i, j], facts[i, j] = self._session(self.cells[i], SAMPLES)
        path = self.folder / f"nights_{self.name}.npz"
        before = self._read(path)
        walls = [before["wall_ns"]] if before else []
        found = [before["facts"]] if before else []
        arrays = {
            "wall_ns": np.concatenate([*walls, wall[:, None]], axis=1),
            "facts": np.concatenate([*found, facts[:, None]], axis=1),
            "load": np.array([*(before["load"] if before else ()), self.load]),
        }
        arrays["cpu_ns"] = np.zeros_like(arrays["wall_ns"])
        arrays["part"] = np.array([self.name] * len(arrays["load"]))
        self._write(path, arrays)

    def block(self) -> None:
        """One more block of sessions that follow each other."""
        wall = np.zeros((len(self.cells), BLOCK_SESSIONS, BLOCK_SAMPLES), np.int32)
        facts = np.full((len(self.cells), BLOCK_SESSIONS, len(FACTS)), np.nan)
        for i, cell in enumerate(self.cells):
            for j in range(BLOCK_SESSIONS):
                wall[i, j], facts[i, j] = self._session(cell, BLOCK_SAMPLES)
        path = self.folder / f"sessions_{self.name}.npz"
        before = self._read(path)
        arrays = {name: before[name] for name in before if name not in ("load", "meta")}
        loads = list(before["load"]) if before else []
        arrays |= {f"wall_ns_{len(loads)}": wall, f"facts_{len(loads)}": facts, "load": np.array([*loads, self.load])}
        self._write(path, arrays)

    @property
    def nights(self) -> int:
        """How many there are."""
        found = self._read(self.folder / f"nights_{self.name}.npz")
        return len(found["load"]) if found else 0

    @property
    def blocks(self) -> int:
        """How many there are."""
        found = self._read(self.folder / f"sessions_{self.name}.npz")
        return len(found["load"]) if found else 0

    def _session(self, cell: Cell, count: int) -> tuple[np.ndarray, np.ndarray]:
        """int32 [count] ns padded with 0, float64 [9]. A session that gives no time is one of zeros."""
        facts = dict.fromkeys(FACTS, np.nan)
        facts |= {"loadavg1": os.getloadavg()[0], "unix_time": time.time()}
        row = np.zeros(count, np.int32)
        try:
            samples = self.sessions.samples_ns(cell.model, cell.backend)
        except SessionError as error:
            self.sessions.note(f"{cell.model.workload} on {cell.backend}: {error}")
            return row, np.array(list(facts.values()))
        if samples.max() > _LONGEST_NS:
            raise UserInputError(
                f"an invoke of {cell.model.workload} takes longer than {_LONGEST_NS / 1e9:.1f} s", hint="leave it out"
            )
        facts |= {"wall_median_ns": float(np.median(samples)), "invokes": len(samples)}
        taken = samples[np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(int)]
        row[: len(taken)] = taken
        return row, np.array(list(facts.values()))

    def _meta(self) -> str:
        return json.dumps(
            {
                "models": [cell.model.workload for cell in self.cells],
                "backends": [cell.backend for cell in self.cells],
                "facts_columns": list(FACTS),
                "device": self.sessions.profile.name,
            }
        )

    def _read(self, path: Path) -> dict[str, np.ndarray]:
        """What is recorded already.

        Raises:
            UserInputError: of other cells, or of another device.
        """
        if not path.is_file():
            return {}
        with np.load(path, allow_pickle=False) as data:
            found = {name: data[name] for name in data.files}
        if str(found["meta"]) != self._meta():
            raise UserInputError("this recording is of other cells", where=str(path), hint="choose another --name")
        return found

    def _write(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        with atomic_file(path) as file:
            np.savez_compressed(file, **arrays, meta=np.array(self._meta()))


def cells_of(backends: Sequence[str], files: Sequence[Path]) -> list[Cell]:
    """The control models and the given ones, on each backend."""
    models = [prepared_control(index) for index in range(CONTROLS)]
    for file in files:
        inputs = random_inputs(artifact_from_file(file).inputs, 1, seed=0)
        models.append(bare_model(file, inputs, dataset_name="random"))
    return [Cell(model=model, backend=backend) for model in models for backend in backends]


def runnable(sessions: BoardSessions, cells: Sequence[Cell]) -> list[Cell]:
    """The cells that give a time here; what the others say is told."""
    found = []
    for cell in cells:
        try:
            sessions.time(cell.model, cell.backend)
            found.append(cell)
        except SessionError as error:
            sessions.note(f"left out: {cell.model.workload} on {cell.backend}: {error}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", required=True)
    parser.add_argument("--devices-dir")
    parser.add_argument("--backend", action="append", default=[], help="repeatable; default: all of the device's")
    parser.add_argument("--model", action="append", default=[], type=Path, help="a .tflite; repeatable")
    parser.add_argument("--nights", type=int, default=30, help="how many there are to be in the end")
    parser.add_argument("--blocks", type=int, default=3, help="the same of blocks of sessions")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two nights")
    parser.add_argument("--load", default="quiet", help="what else the machine does meanwhile; a word")
    parser.add_argument("--name", default="a")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    try:
        _record(options)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _record(options: argparse.Namespace) -> None:
    """Records what is missing.

    Raises:
        HarnessError: nothing that has a clock, too few cells, or a board that fails.
    """
    profile = get_profile(options.device, options.devices_dir)
    if not takes_controls(profile):
        raise UserInputError(
            f"its times are no clock's ({profile.time_basis}): they repeat to the digit, and no night has noise to record",
            where=profile.name,
        )
    tell = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731
    with BoardSessions(profile=profile, run="recording", note=tell) as sessions:
        cells = runnable(sessions, cells_of(options.backend or list(profile.backends), options.model))
        if len(cells) < 6:
            raise UserInputError(
                f"{len(cells)} cells can be timed here, and five of them will stand for the board",
                hint="add --model FILE or --backend NAME",
            )
        recorder = Recorder(sessions=sessions, cells=cells, folder=options.out, load=options.load, name=options.name)
        while recorder.nights < options.nights:
            begun_s = time.monotonic()
            recorder.night()
            tell(f"night {recorder.nights} of {options.nights}: {len(cells)} cells, {time.monotonic() - begun_s:.1f} s")
            while recorder.blocks < options.blocks * recorder.nights // options.nights:
                recorder.block()
            if recorder.nights < options.nights:
                time.sleep(options.pause)


if __name__ == "__main__":
    sys.exit(main())
