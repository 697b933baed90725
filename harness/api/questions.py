"""Questions to stored runs: `harness.compare`, `harness.recommend`, `harness.history`. Neither TensorFlow nor a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.calls import Names, PathLike, names, told
from harness.core.paths import results_dir

if TYPE_CHECKING:
    import pandas as pd

    from harness.api.runs import Run
    from harness.reports.answer.answer import Answer
    from harness.reports.answer.asked import Asked
    from harness.reports.answer.limits import Prefer
    from harness.verdict.compared import ComparedRuns
    from harness.verdict.told import CellNights
    from harness.verdict.verdict import Verdict


def _id(run: Run | str) -> str:
    return run if isinstance(run, str) else run.id


@dataclass(frozen=True, eq=False)
class Comparison:
    """What became of a run's cells in a later one."""

    found: ComparedRuns

    def __repr__(self) -> str:
        return f"<harness comparison {self.before} -> {self.after}: {len(self.worse)} worse>"

    @property
    def before(self) -> str:
        """The earlier run's id."""
        return self.found.before

    @property
    def after(self) -> str:
        """The later run's id."""
        return self.found.after

    @property
    def worse(self) -> list[Verdict]:
        """The open regressions, the most urgent first: what makes the command exit with 3."""
        return self.found.judgement.open

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know first, such as damaged records."""
        return self.found.notes

    def to_frame(self) -> pd.DataFrame:
        """A row per cell and quantity: `group`, `status` (`worse`, `better`, `suspect`, `vanished`, `same`, `first`), `quantity`,
        the cell, `before`, `after`, `unit`, `change`, `detectable` (the smallest change that would have been seen), `cause`,
        `reason`, `command`."""
        from harness.reports.regressions import verdicts_table

        return verdicts_table(self.found.judgement, {record.key: record for record in self.found.records})


@told
def compare(
    run_a: Run | str, run_b: Run | str = "latest", *, cells: Names = (), results: PathLike | None = None
) -> Comparison:
    """What got worse from `run_a` to `run_b`: `harness compare`.

    Args:
        run_a, run_b: runs, ids, unique beginnings, names of baselines, or `latest`.
        cells: only these, as `WORKLOAD/RECIPE/DEVICE/BACKEND`.
        results: the results folder.

    Raises:
        UserInputError: an unknown run or cell, or a run without a record of these cells.
    """
    from harness.verdict.compared import compare_stored

    return Comparison(compare_stored(results_dir(results), _id(run_a), _id(run_b), names(cells)))


@dataclass(frozen=True, eq=False)
class Recommendation:
    """What to ship, one answer per workload and device."""

    found: Asked

    def __repr__(self) -> str:
        return "\n".join(f"{a.workload} on {a.device}: {self.sentence(a)}" for a in self.answers) or "no answer"

    @property
    def run(self) -> str:
        """The run's id."""
        return self.found.run

    @property
    def answers(self) -> list[Answer]:
        """One per workload, dataset and device; `pick` is what to take, or None with `why_none`."""
        return self.found.answers

    @property
    def picks(self) -> Mapping[tuple[str, str], str | None]:
        """(workload, device) -> the recipe to ship; None where there is nothing to take."""
        return {(a.workload, a.device): None if a.pick is None else a.pick.recipe for a in self.answers}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know first: damaged records, cells that have not run."""
        return self.found.notes

    @staticmethod
    def sentence(answer: Answer) -> str:
        """The answer in one line."""
        from harness.reports.answer.words import sentence

        return sentence(answer)

    def to_frame(self) -> pd.DataFrame:
        """Every cell with its role in its answer: `pick`, `front` (nothing makes it needless), `beaten`, `control`, `left out`;
        score, difference to the float model with its p, median latency in ns, size in bytes, and why."""
        from harness.reports.answer.frame import recommended_frame

        return recommended_frame(self.answers)

    @told
    def save(self, folder: PathLike) -> list[Path]:
        """Writes the picked .tflite files, those that were measured to the byte; returns their paths.

        Raises:
            HarnessError: a model was not kept, or the folder cannot be written.
        """
        from harness.reports.answer.models import model_name, write_model

        made = []
        for answer in self.answers:
            name = model_name(answer, self.answers)
            if name is not None:
                made.append(Path(folder).expanduser() / name)
                write_model(answer, self.found.objects, made[-1])
        return made


@told
def recommend(
    run: Run | str = "latest",
    *,
    devices: Names = (),
    workloads: Names = (),
    backends: Names = (),
    max_drop: float | str | None = None,
    max_latency: str | None = None,
    max_size: int | str | None = None,
    prefer: Prefer = "speed",
    results: PathLike | None = None,
) -> Recommendation:
    """What to ship of a stored run, and how that is known: `harness recommend`.

    Args:
        run: a run, an id, its unique beginning, the name of a baseline, or `latest`.
        devices, workloads, backends: only these; names or globs.
        max_drop: the most that the score may be worse than the float model's, in its unit; None: one point, or 1 % of a score
            that is no share. Or as text: `"1p"`.
        max_latency: the longest median latency with its unit: `"5ms"`, `"300us"`.
        max_size: the largest .tflite in bytes, or as text: `"200k"`.
        prefer: `speed` or `size`, which decides among those that keep to the limits.
        results: the results folder.

    Raises:
        UserInputError: an unknown run or name, or a limit that cannot be read.
    """
    from harness.core.errors import unknown_name
    from harness.reports.answer.asked import ask, read_limits

    if prefer not in ("speed", "size"):
        raise unknown_name("preference", prefer, ("speed", "size"))
    texts = {"--max-drop": max_drop, "--max-latency": max_latency, "--max-size": max_size}
    limits = read_limits({name: None if v is None else str(v) for name, v in texts.items()}, prefer=prefer)
    filters = {"device": names(devices), "workload": names(workloads), "backend": names(backends)}
    chosen = {name: patterns for name, patterns in filters.items() if patterns}
    return Recommendation(ask(results_dir(results), _id(run), chosen, limits))


@dataclass(frozen=True, eq=False)
class CellHistory:
    """The nights of one cell."""

    found: CellNights

    def __repr__(self) -> str:
        return f"<harness history {self.cell}, series {self.series}: {len(self.found.rows)} nights>"

    @property
    def cell(self) -> str:
        """The cell's name."""
        return self.found.key.text_with_seed

    @property
    def series(self) -> str:
        """The series of nights."""
        return self.found.series

    @property
    def levels(self) -> list[dict[str, Any]]:
        """What was accepted: `run`, `quantity`, `why`, `accepted_utc`."""
        return list(self.found.to_json()["levels"])

    def to_frame(self) -> pd.DataFrame:
        """A row per night, oldest first: index `run`; `outcome`, `score`, `latency_median_ns`, `quality`, `size_bytes`,
        `detectable`, `verdicts` (what was said, in words)."""
        from harness.reports.cell_nights import cell_frame

        return cell_frame(self.found)


@told
def history(cell: str, *, series: str | None = None, nights: int = 30, results: PathLike | None = None) -> CellHistory:
    """The nights of one cell: `harness history`.

    Args:
        cell: `WORKLOAD/RECIPE/DEVICE/BACKEND`, and `/seedN` behind it for another seed.
        series: None: the newest one that has this cell.
        nights: at most so many, the newest.
        results: the results folder.

    Raises:
        UserInputError: an unknown cell or series, or a cell that has run in no night.
    """
    from harness.verdict.told import cell_nights

    return CellHistory(cell_nights(results_dir(results), cell, series=series, nights=nights))
