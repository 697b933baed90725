"""The calibration study: how the score depends on which training samples calibrate, and how many are enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core.errors import UserInputError
from harness.prepare.prepared import Say
from harness.reports.studies.calibration_page import write_calibration_page
from harness.results.layout import run_dir
from harness.results.objects import open_objects
from harness.run.jobs import Watcher
from harness.run.options import RunOptions
from harness.session.session import RunResult, run_session
from harness.studies.asked import studied
from harness.studies.backends import usual_backends
from harness.variants.calibration import Calibration, Choice, calibration_part
from harness.variants.calibration_known import remember
from harness.variants.recipe import parse_recipe
from harness.verdict.answers import AnswerBook
from harness.verdict.enough import CalibrationFound, find_enough
from harness.workloads.base import Workload

#: numbers of samples that are tried where nobody says
COUNTS = (1, 3, 10, 30, 100, 300, 1000)
#: draws of each number of random samples
DRAWS = 5
USUAL_RECIPE = "ptq-int8-io"
PAGE_NAME = "calibration.html"


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationStudy:
    """A study that has run.

    Attributes:
        result: the run; each calibration is a cell of it.
        found: one per backend of a device.
        page: the drawing, in the run's folder.
    """

    result: RunResult
    found: tuple[CalibrationFound, ...]
    page: Path


def calibrations(
    total: int, *, counts: Sequence[int] = COUNTS, draws: int = DRAWS, choices: Sequence[Choice] = ()
) -> list[Calibration]:
    """Every calibration of a study: all samples, then each choice with each number below that.

    Args:
        total: how many training samples there are.
        choices: only these; none: all four.
    """
    wanted = choices or ("random", "stratified", "first", "worst")
    tried = sorted({count for count in counts if count < total})
    found = [Calibration()]
    for choice in wanted:
        seeds = range(draws) if choice == "random" else range(1)
        found += [Calibration(choice=choice, count=count, seed=seed) for count in tried for seed in seeds]
    return found


def study_calibration(
    options: RunOptions,
    results: Path,
    *,
    recipe: str = USUAL_RECIPE,
    counts: Sequence[int] = COUNTS,
    draws: int = DRAWS,
    choices: Sequence[Choice] = (),
    watcher: Watcher | None = None,
    say: Say | None = None,
    command: Sequence[str] = (),
    planned: Callable[[int], None] = lambda count: None,
) -> CalibrationStudy:
    """Runs a study and keeps what it says for the audits of the same model.

    Args:
        options: what to study and where; one workload, whose recipes are put in here. Without backends each device's first that
            is not made of reference kernels.
        recipe: what is calibrated.
        counts, draws, choices: see `calibrations`.
        watcher, say, command, planned: as `run_session` takes them.

    Raises:
        UserInputError: several workloads, a recipe that calibrates nothing, no training samples, or no number below theirs.
    """
    if len(options.workloads) != 1:
        raise UserInputError("a study is of one workload or model", hint="such as: harness study calibration mnist-cnn")
    if draws < 1 or any(count < 1 for count in counts):
        raise UserInputError("a study tries numbers of at least 1")
    request = studied(options, recipe)
    total = _training_samples(request.workload, options)
    chosen = calibrations(total, counts=counts, draws=draws, choices=choices)
    if len(chosen) == 1:
        raise UserInputError(
            f"none of the numbers {', '.join(map(str, counts))} is below the {total:,} training samples",
            hint="give smaller ones by --counts",
        )
    names = tuple(f"{parse_recipe(recipe).name}-cal[{calibration.text}]" for calibration in chosen)
    for name in names:
        parse_recipe(name)  # a recipe that calibrates nothing ends the command before anything is built
    options = replace(options, recipes=names, backends=options.backends or usual_backends(options))
    result = run_session(options, results, watcher=watcher, say=say, command=command, planned=planned)
    found = tuple(find_enough(result.records, AnswerBook(open_objects(results)), total=total))
    for one in found:
        remember(request, one, result.run)
    page = run_dir(results, result.run) / PAGE_NAME
    write_calibration_page(found, results, page)
    return CalibrationStudy(result=result, found=found, page=page)


def _training_samples(workload: Workload, options: RunOptions) -> int:
    from harness.workloads.datasets import DataSource

    samples, _ = calibration_part(workload.load_dataset(DataSource.default(options.data_dir)))
    if samples is None:
        raise UserInputError(
            "there are no training samples to calibrate with", where=workload.name, hint="give x_train in the .npz"
        )
    return len(samples)
