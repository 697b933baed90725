"""What `harness tune` regains on networks with one planted outlier layer, at which size and in which time.

    python benchmarks/bench_tune.py [--device host-litert] [--budget 10m] [--only channel --only readers] [--keep FOLDER]

Each network of benchmarks/tune/planted.py is trained, planted and tuned in a fresh cache and a fresh results folder, as a user
would. All scores are of test samples that the search did not see. Exit status 1 when int8 loses fewer than 5 points on a network
(the plant is none), or the winner loses more than 1 point, has 1.3 times the size of int8 or more, takes longer than the budget,
or cannot be built again to the same bytes by its name.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.tune.planted import PLANTS

POINTS_LOST, POINTS_LEFT, SIZE, SECONDS = 5.0, 1.0, 1.3, 600.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network's figures, on the unseen half of its test samples."""

    name: str
    float_score: float
    int8_score: float
    tuned_score: float | None
    samples: int
    size_ratio: float | None
    seconds: float
    recipe: str
    same_bytes: bool

    @property
    def lost(self) -> float:
        """Points that int8 loses."""
        return 100 * (self.float_score - self.int8_score)

    @property
    def left(self) -> float:
        """Points that the winner still loses."""
        return 100.0 if self.tuned_score is None else 100 * (self.float_score - self.tuned_score)

    @property
    def good(self) -> bool:
        reached = self.lost >= POINTS_LOST and self.left <= POINTS_LEFT + 1e-9 and self.same_bytes
        return reached and self.size_ratio is not None and self.size_ratio < SIZE and self.seconds <= SECONDS


def tuned(name: str, folder: Path, device: str, budget: str) -> Row:
    """Tunes one network by the command line, and runs the winner again by its name in another cache."""
    environment = {**os.environ, "HARNESS_CACHE_DIR": str(folder / f"{name}-cache")}
    data = ["--data", str(folder / f"{name}.npz"), "--device", device]
    report = folder / f"{name}.json"
    begun_s = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "harness.cli.main", "tune", str(folder / f"{name}.h5"), *data, "--max-drop", "1p",
         "--prefer", "size", "--budget", budget, "--results", str(folder / f"{name}-results"), "--samples", "all",
         "--json", str(report)],
        env=environment, check=True,
    )  # fmt: skip
    seconds = time.monotonic() - begun_s
    found = json.loads(report.read_text())
    scores = proven(folder / f"{name}-results", found["run"])
    winner = found["winner"]
    return Row(
        name=name,
        float_score=scores["ptq-float32"]["score"],
        int8_score=scores["ptq-int8-io"]["score"],
        tuned_score=winner and winner["score"],
        samples=scores["ptq-float32"]["samples"],
        size_ratio=winner and winner["size_bytes"] / scores["ptq-int8-io"]["size_bytes"],
        seconds=seconds,
        recipe=winner["recipe"] if winner else "-",
        same_bytes=winner is not None and built_again(name, folder, winner["recipe"]) == winner["sha256"],
    )


def proven(results: Path, run: str) -> dict[str, dict[str, float]]:
    """Recipe -> figures of its cell on the unseen half."""
    from harness.results.store import Store

    with Store.open(results, create=False) as store:
        cells = [r for r in store.cells(run=run) if (r.dataset_name or "").endswith("-proof")]
    return {
        r.key.recipe: {"score": r.score if r.score is not None else r.accuracy, "samples": r.samples, "size_bytes": r.size_bytes}
        for r in cells
    }  # fmt: skip


def built_again(name: str, folder: Path, recipe: str) -> str:
    """The hash of what the recipe's name alone makes, in a cache that knows nothing."""
    target = folder / f"{name}-again.json"
    subprocess.run(
        [sys.executable, "-m", "harness.cli.main", "build", str(folder / f"{name}.h5"), "--data", str(folder / f"{name}.npz"),
         "--recipe", recipe, "--json", str(target), "--cache-dir", str(folder / f"{name}-again")],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return str(json.loads(target.read_text())["artifacts"][0]["sha256"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="host-litert")
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--only", action="append", choices=PLANTS)
    parser.add_argument("--keep", type=Path, help="Leave models, caches and results here.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, str(Path(__file__).parent / "tune" / "planted.py"), str(folder)], check=True)
        rows = [tuned(name, folder, arguments.device, arguments.budget) for name in arguments.only or PLANTS]
    print("\n| plant | float | int8 | lost | tuned | lost | size | seconds | same bytes by name | recipe |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        score = "-" if row.tuned_score is None else f"{row.tuned_score:.4f}"
        size = "-" if row.size_ratio is None else f"{row.size_ratio:.2f}x"
        print(
            f"| {row.name} | {row.float_score:.4f} (n={row.samples}) | {row.int8_score:.4f} | {row.lost:.1f} | {score} "
            f"| {row.left:.1f} | {size} | {row.seconds:.0f} | {'yes' if row.same_bytes else 'no'} | `{row.recipe}` |"
        )
    print(
        f"to reach: int8 loses at least {POINTS_LOST:g} points, the winner at most {POINTS_LEFT:g}, below {SIZE:g}x the size, "
        f"within {SECONDS:g} s"
    )
    return int(not all(row.good for row in rows))


if __name__ == "__main__":
    sys.exit(main())
