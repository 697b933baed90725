"""What a call asks for, as the options of a run: one conversion for every call that runs cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api.calls import Data, Names, PathLike, data_file, names, seconds, text
from harness.api.calls import samples as sample_count

if TYPE_CHECKING:
    from harness.run.options import RunOptions


def run_options(
    workloads: Names,
    devices: Names,
    *,
    recipes: Names = ("core",),
    backends: Names = (),
    runtimes: Names = (),
    seeds: int = 1,
    samples: int | str | None = None,
    budget: float | str | None = None,
    emulated: bool = False,
    data_dir: PathLike | None = None,
    data: Data | None = None,
    metric: str | None = None,
    devices_dir: PathLike | None = None,
    bundle: PathLike | None = None,
    jobs: int | None = None,
    deadline: float | str | None = None,
) -> RunOptions:
    """Arguments as `harness.run` takes them.

    Raises:
        UserInputError: a number, a duration or arrays that are none.
    """
    from harness.run.options import RunOptions

    return RunOptions(
        workloads=names(workloads),
        recipes=names(recipes),
        devices=names(devices),
        backends=names(backends),
        runtimes=names(runtimes),
        seeds=seeds,
        samples=sample_count(samples),
        budget_s=seconds(budget, "budget"),
        emulated=emulated,
        data_dir=text(data_dir),
        data=data_file(data),
        metric=metric,
        devices_dir=text(devices_dir),
        bundle=text(bundle),
        jobs=jobs,
        deadline_s=seconds(deadline, "deadline"),
    )
