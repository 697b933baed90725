"""Running cells: `harness.run` and `harness.measure`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.api.asked import Project, require, run_options, with_project
from harness.api.calls import Data, Names, PathLike, told
from harness.api.runs import Run, run_of
from harness.core.paths import results_dir

if TYPE_CHECKING:
    from harness.run.options import RunOptions
    from harness.session.session import RunResult

Progress = Callable[[str, int, int], None]
"""Told how it goes: (what, done, total)."""


@told
def run(
    workloads: Names = (),
    *,
    devices: Names = (),
    recipes: Names | None = None,
    backends: Names = (),
    data: Data | None = None,
    metric: str | None = None,
    samples: int | str | None = None,
    seeds: int = 1,
    budget: float | str | None = None,
    emulated: bool = False,
    runtimes: Names = (),
    bundle: PathLike | None = None,
    jobs: int | None = None,
    deadline: float | str | None = None,
    data_dir: PathLike | None = None,
    devices_dir: PathLike | None = None,
    results: PathLike | None = None,
    project: Project = True,
    progress: Progress | None = None,
) -> Run:
    """Builds variants, runs them on devices, stores and exports the run: `harness run`.

    Args:
        workloads: published ones, or model files of your own; none: the project's model, or the published three.
        devices: names of profiles; none: the project's.
        recipes: names, globs, `core` or `all`. Default: `core` (everything of a `bundle`).
        backends: only these of the devices.
        data: the samples of model files: an .npz, arrays by its keys, or what `harness.dataset` gives.
        metric: what model files are judged by; None: what output and labels ask for.
        samples: per cell, or `"all"`; None as the device's profile says.
        seeds: so many trainings.
        budget: time for everything, in seconds or as `"8m"`: shrinks samples, never cells.
        emulated: the devices' emulated twins.
        runtimes: releases as `NAME==VERSION` in place of the devices' own.
        bundle: a folder of `harness build --bundle`, for machines without TensorFlow.
        jobs: build workers; None: one per core.
        deadline: how long a conversion, a training without progress, or an inference may take.
        data_dir, devices_dir, results: as the options of the command.
        project: what is left open comes from a `harness.toml`: True: the nearest one upward from the working folder, as the
            command finds it; False: from none; or a path. `Run.project` says what was taken.
        progress: called with (what, done, total) while models are prepared and cells run, also from other threads.

    Returns:
        The run; cells that a device failed are among its records, as `failed`.

    Raises:
        HarnessError: wrong input, or something that is missing; nothing has run then.
        KeyboardInterrupt: after everything finished is stored; `harness run --resume` goes on with it.
    """
    asked = with_project(
        "run", project, workloads=workloads, devices=devices, recipes=recipes, backends=backends, runtimes=runtimes,
        samples=samples, budget=budget, emulated=emulated, data=data, metric=metric, bundle=bundle,
    )  # fmt: skip
    values = asked.values
    require(values["devices"], "device", "such as devices='host-litert'; `harness.devices()` lists them")
    if values["recipes"] is None:
        values["recipes"] = () if bundle is not None else ("core",)
    options = run_options(
        values.pop("workloads"), values.pop("devices"), **values, seeds=seeds, data_dir=data_dir,
        devices_dir=devices_dir, jobs=jobs, deadline=deadline,
    )  # fmt: skip
    return run_of(run_cells(options, results, progress, "harness.run"), asked.taken)


@told
def measure(
    model: PathLike | None = None,
    *,
    devices: Names = (),
    backends: Names = (),
    data: Data | None = None,
    metric: str | None = None,
    samples: int | str | None = None,
    budget: float | str | None = None,
    emulated: bool = False,
    runtimes: Names = (),
    deadline: float | str | None = None,
    data_dir: PathLike | None = None,
    devices_dir: PathLike | None = None,
    results: PathLike | None = None,
    project: Project = True,
    progress: Progress | None = None,
) -> Run:
    """Measures one finished .tflite: `harness measure`. Without `data` inputs are random, and agreement with the reference
    takes the place of a score. No model: that of the project, if it is finished. Arguments, result and errors as `harness.run`
    has them."""
    from harness.run.measured import RANDOM_SAMPLES, measure_plan

    asked = with_project(
        "measure", project, model=model, devices=devices, backends=backends, runtimes=runtimes, samples=samples,
        budget=budget, emulated=emulated, data=data, metric=metric,
    )  # fmt: skip
    values = asked.values
    require(values["model"], "model", "such as harness.measure('my_model.tflite', devices='host-litert')")
    require(values["devices"], "device", "such as devices='host-litert'; `harness.devices()` lists them")
    options = run_options(
        values.pop("model"), values.pop("devices"), recipes=(), **values, data_dir=data_dir, devices_dir=devices_dir,
        deadline=deadline,
    )  # fmt: skip
    plan = measure_plan(options, RANDOM_SAMPLES)
    return run_of(run_cells(options, results, progress, "harness.measure", plan=plan), asked.taken)


def run_cells(
    options: RunOptions, results: PathLike | None, progress: Progress | None, command: str, **settings: Any
) -> RunResult:
    """A run whose cells are told as they end.

    Args:
        settings: as `harness.session.session.run_session` takes them.
    """
    from harness.run.jobs import Watcher
    from harness.session.session import run_session

    done = 0
    total = 0

    def planned(count: int) -> None:
        nonlocal total
        total = count

    def finished(record: object) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress("running", done, total)

    return run_session(
        options,
        results_dir(results),
        watcher=Watcher(cell_finished=finished),
        say=progress,
        command=[command],
        planned=planned,
        **settings,
    )
