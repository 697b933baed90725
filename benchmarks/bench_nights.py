"""Thirty nights on host runtimes, an emulated i.MX 8M Plus and an emulated Cortex-M4, with regressions injected on purpose.

    python benchmarks/bench_nights.py [--nights 30] [--folder DIR] [--json FILE]

Prints per night: what was done to the lab, the exit code and the one that it had to be, what is open, false alarms (open
regressions of cells that nothing was done to), suspects, seconds, and which boards are said to have changed, which blames no
cell. After a slower artifact and after another runtime `harness bisect` is asked, and must name it. Exit status 1 when a night
ends otherwise than it must, an injected change is not told, or anything else is.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.nights.lab import Done, Lab
from benchmarks.nights.story import Night, story

#: night -> (cell, quantity, what `harness bisect` has to name)
BISECTED = {
    10: ("conv/as-is/host-litert/cpu", "latency", "artifact"),
    20: ("conv/as-is/host-litert/cpu", "latency", "runtime"),
}


@dataclass(kw_only=True)
class Row:
    """One night of the table."""

    night: int
    what: str
    code: int
    must: int
    open: list[str] = field(default_factory=list)
    false_alarms: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    suspects: int = 0
    boards: list[str] = field(default_factory=list)
    seconds: float = 0.0
    bisect: str = ""

    @property
    def good(self) -> bool:
        return self.code == self.must and not (self.false_alarms or self.missed)


def judge(number: int, night: Night, done: Done) -> Row:
    """What came of a night beside what had to."""
    names = [(v["cell"], v["quantity"]) for v in done.open]
    false = [f"{cell} {quantity}" for cell, quantity in names if not cell.startswith(tuple(night.worse) or ("\0",))]
    told = {quantity for cell, quantity in names if f"{cell} {quantity}" not in false}
    missed = [quantity for quantity in night.quantities if quantity not in told]
    changed = [board for board in done.verdict.get("boards", ()) if board["changed"]]
    if night.board is not None and night.board not in {board["device"] for board in changed}:
        missed.append(f"board {night.board}")
    return Row(
        night=number,
        what=night.what,
        code=done.code,
        must=night.code,
        open=[f"{cell} {quantity}" for cell, quantity in names],
        false_alarms=false,
        missed=missed,
        suspects=len(done.suspects),
        boards=[f"{board['device']} {board['shift']:+.1%}" for board in changed],
        seconds=done.seconds,
    )


def bisect(lab: Lab, number: int) -> tuple[str, bool]:
    """What `harness bisect` says, and whether it names what was done."""
    cell, quantity, wanted = BISECTED[number]
    words = ("bisect", cell, "--quantity", quantity, "--results", str(lab.results), "--json")
    done = lab.harness(*words, "--devices-dir", str(lab.folder / "devices"))
    if done.returncode:
        return done.stderr.strip()[-300:], False
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found["conclusion"], found["culprits"] == [wanted]


def run(folder: Path, nights: int, *, first: int = 1) -> list[Row]:
    """The nights, each printed as it ends.

    Args:
        first: where a run that ended early goes on, in its folder.
    """
    lab = Lab(folder=folder)
    rows = []
    for number, night in list(enumerate(story()[:nights], 1))[first - 1 :]:
        night.before(lab)
        done = night.how(lab)
        row = judge(number, night, done)
        if number in BISECTED:
            row.bisect, named = bisect(lab, number)
            row.missed += [] if named else ["bisect"]
        (folder / f"night-{number:02d}.txt").write_text(done.text)
        rows.append(row)
        print_row(row)
    return rows


def print_row(row: Row) -> None:
    state = "" if row.good else "  <-- not as it must be"
    print(f"{row.night:3} {row.what:42} exit {row.code} (must {row.must}), {row.seconds:5.1f} s{state}", flush=True)
    if row.open:
        print(f"      open: {', '.join(row.open)}")
    if row.boards:
        print(f"      boards: {', '.join(row.boards)}")
    if row.bisect:
        print(f"      bisect: {row.bisect}")
    for name, found in (("false alarms", row.false_alarms), ("missed", row.missed)):
        if found:
            print(f"      {name}: {', '.join(found)}")
    if row.suspects:
        print(f"      asked the boards again: {row.suspects}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument(
        "--first", type=int, default=1, help="go on with this night in a --folder whose run ended early"
    )
    parser.add_argument(
        "--folder", metavar="DIR", help="keep models, results and logs here (default: a temporary folder)"
    )
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    begun_s = time.monotonic()
    if options.folder:
        rows = run(Path(options.folder).absolute(), options.nights, first=options.first)
    else:
        with tempfile.TemporaryDirectory(prefix="bench-nights-") as folder:
            rows = run(Path(folder), options.nights)
    false = sum(len(row.false_alarms) for row in rows)
    good = sum(row.good for row in rows)
    minutes = (time.monotonic() - begun_s) / 60
    print(f"\n{good} of {len(rows)} nights as they must be, {false} false alarms, {minutes:.1f} minutes")
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 0 if good == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
