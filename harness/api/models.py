"""Models without a board: `harness.build` and `harness.check`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.asked import Project, require, with_project
from harness.api.calls import Data, Names, PathLike, data_file, names, seconds, text, told

if TYPE_CHECKING:
    import pandas as pd

    from harness.session.foretell import Foretold
    from harness.variants.artifact import Artifact
    from harness.variants.build.build import BuildOutcome

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Builds:
    """What was built, in table order; `project` says what came from a `harness.toml`."""

    outcomes: tuple[BuildOutcome, ...]
    project: str | None = None

    def __repr__(self) -> str:
        refused = sum(artifact.refused is not None for artifact in self)
        return f"<harness builds: {len(self)} models, {refused} refused>"

    def __len__(self) -> int:
        return len(self.outcomes)

    def __iter__(self) -> Iterator[Artifact]:
        return (outcome.artifact for outcome in self.outcomes)

    def path(self, recipe: str, *, workload: str | None = None, seed: int = 0) -> Path:
        """The .tflite of one recipe.

        Raises:
            UserInputError: it was not asked for here.
            UnsupportedError: the converter refused it; says why.
        """
        from harness.core.errors import unknown_name

        found = {a.recipe: a for a in self if a.seed == seed and workload in (None, a.workload)}
        if recipe not in found:
            raise unknown_name("recipe of these builds", recipe, found)
        return found[recipe].file

    def to_frame(self) -> pd.DataFrame:
        """A row per model: `workload`, `recipe`, `seed`, `size_bytes`, `sha256`, `cached`, `seconds`, `refused`, `path`."""
        from harness.reports.builds import builds_frame

        return builds_frame(self.outcomes)


@told
def build(
    workloads: Names = (),
    *,
    recipes: Names | None = None,
    data: Data | None = None,
    metric: str | None = None,
    seeds: int = 1,
    jobs: int | None = None,
    quota: str | None = None,
    deadline: float | str | None = None,
    data_dir: PathLike | None = None,
    project: Project = True,
    progress: Progress | None = None,
) -> Builds:
    """Builds what is not built yet: `harness build`. TensorFlow is imported by worker processes only.

    Args:
        workloads: published ones, or model files of your own; none: the project's model, or the published three.
        recipes: names, globs, `core` or `all`; None: the project's, or `core`.
        data, metric: of model files of your own: an .npz, arrays by its keys, or what `harness.dataset` gives.
        seeds: so many trainings.
        jobs: build workers; None: one per core.
        quota: the cache's size, such as `"2G"`.
        deadline: how long a conversion, or a training without progress, may take.
        data_dir: a folder with datasets.
        project: as `harness.run` takes it.
        progress: called with (what, done, total).

    Raises:
        HarnessError: wrong input, or TensorFlow is missing and not everything is in the cache.
    """
    from harness.core.errors import UserInputError
    from harness.variants.build.build import build_outcomes
    from harness.variants.build.requests import make_requests

    if seeds < 1:
        raise UserInputError(f"seeds takes a number of at least 1, not {seeds}")
    asked = with_project("build", project, names=workloads, recipes=recipes, data=data, metric=metric)
    given = asked.values
    requests = make_requests(
        names(given["names"]), names(given["recipes"] or "core"), range(seeds), text(data_dir), data_file(given["data"]),
        given["metric"],
    )  # fmt: skip
    done = build_outcomes(
        requests, jobs=jobs, quota=quota, deadline_s=seconds(deadline, "deadline"), progress=_told(progress)
    )
    return Builds(tuple(done), asked.taken)


def _told(progress: Progress | None) -> Callable[..., None] | None:
    return None if progress is None else (lambda *details: progress("building", *details[-2:]))


@dataclass(frozen=True, eq=False)
class Checks:
    """What is expected of models on devices; `project` says what came from a `harness.toml`."""

    found: tuple[Foretold, ...]
    project: str | None = None

    def __repr__(self) -> str:
        return f"<harness checks: {sum(one.is_good for one in self.found)} of {len(self.found)} good>"

    def __iter__(self) -> Iterator[Foretold]:
        return iter(self.found)

    @property
    def is_good(self) -> bool:
        """Whether every model is expected to load, to be right and to fit: what `--strict` asks."""
        return all(one.is_good for one in self.found)

    def to_frame(self) -> pd.DataFrame:
        """A row per model, device and backend: `loads`, `right`, `fits`, `finishes` (missing: nobody can tell),
        `delegated_nodes`, `total_nodes`, `partitions`, `memory_bytes`, `reasons`, `advice`; `refused` where the converter makes
        none."""
        from harness.reports.foretold import foretold_frame

        return foretold_frame(self.found)


@told
def check(
    models: Names = (),
    *,
    devices: Names = (),
    backends: Names = (),
    emulated: bool = False,
    runtime: str | None = None,
    data: Data | None = None,
    metric: str | None = None,
    seed: int = 0,
    data_dir: PathLike | None = None,
    devices_dir: PathLike | None = None,
    project: Project = True,
    progress: Progress | None = None,
) -> Checks:
    """What will happen to models on devices, without the devices: `harness check`.

    Args:
        models: .tflite files, or `WORKLOAD:RECIPE`, built first where they are not there yet; none: the project's.
        devices, backends, emulated, runtime, devices_dir: as the options of the command; no device: the project's.
        data, metric, data_dir, seed: what models are built with.
        project: as `harness.run` takes it.
        progress: called with (what, done, total) while models are built.

    Raises:
        HarnessError: wrong input, a damaged file, or a build that cannot be done here.
    """
    from harness.session.foretell import Given, foretell

    asked = with_project(
        "check",
        project,
        targets=models,
        devices=devices,
        backends=backends,
        emulated=emulated,
        data=data,
        metric=metric,
    )
    values = asked.values
    require(values["targets"], "model", "such as harness.check('my_model.tflite', devices='imx8mp')")
    require(values["devices"], "device", "such as devices='imx8mp'; `harness.devices()` lists them")
    file = data_file(values["data"])
    given = Given(data=Path(file) if file else None, metric=values["metric"], data_dir=text(data_dir), seed=seed)
    found = foretell(
        names(values["targets"]),
        names(values["devices"]),
        backends=names(values["backends"]),
        emulated=values["emulated"],
        runtime=runtime,
        devices_dir=text(devices_dir),
        given=given,
        say=progress or (lambda what, done, total: None),
    )
    return Checks(tuple(found), asked.taken)
