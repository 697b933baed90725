"""Studies: `harness.study_calibration` and `harness.study_schemes`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.asked import run_options
from harness.api.calls import Data, Names, PathLike, told
from harness.api.running import Progress
from harness.api.runs import Run, run_of
from harness.core.paths import results_dir

if TYPE_CHECKING:
    import pandas as pd

    from harness.studies.calibration import CalibrationStudy
    from harness.studies.schemes import SchemeStudy
    from harness.variants.calibration import Choice


@dataclass(frozen=True, eq=False)
class Calibrations:
    """What a calibration study found."""

    study: CalibrationStudy

    def __repr__(self) -> str:
        return f"<harness calibration study {self.run.id}: enough {self.enough}>"

    @property
    def run(self) -> Run:
        """The run; each calibration is a cell of it."""
        return run_of(self.study.result)

    @property
    def page(self) -> Path:
        """The drawing, an HTML file in the run's folder."""
        return self.study.page

    @property
    def enough(self) -> dict[str, int | None]:
        """Choice -> the smallest number from which on no test tells the score from all samples'; None: none of those tried. Of
        the first device and backend."""
        return {one.choice: one.count for one in self.study.found[0].enough}

    def to_frame(self) -> pd.DataFrame:
        """A row per calibration: `choice`, `count`, `seed`, `score`, `loss` and `p` against all samples, `told`, `detectable`."""
        from harness.reports.studies.calibration import calibration_frame

        return calibration_frame(self.study.found)


@told
def study_calibration(
    workload: PathLike,
    *,
    devices: Names,
    recipe: str = "ptq-int8-io",
    counts: Sequence[int] = (1, 3, 10, 30, 100, 300, 1000),
    draws: int = 5,
    choices: Sequence[Choice] = (),
    backends: Names = (),
    data: Data | None = None,
    metric: str | None = None,
    samples: int | str | None = None,
    budget: float | str | None = None,
    emulated: bool = False,
    runtimes: Names = (),
    jobs: int | None = None,
    data_dir: PathLike | None = None,
    devices_dir: PathLike | None = None,
    results: PathLike | None = None,
    progress: Progress | None = None,
) -> Calibrations:
    """How many calibration samples are enough, and which: `harness study calibration`.

    Args:
        workload: one workload, or a float model of your own with `data`.
        recipe: what is calibrated.
        counts: numbers of training samples to try, below all of them.
        draws: of each number of random samples.
        choices: of `random`, `stratified`, `first`, `worst`; none: all four.

    The other arguments are those of `harness.run`.

    Raises:
        HarnessError: wrong input, no training samples, or the model that all samples calibrate has no score.
    """
    from harness.studies.calibration import study_calibration as study

    options = run_options(
        workload, devices, backends=backends, runtimes=runtimes, samples=samples, budget=budget, emulated=emulated,
        data_dir=data_dir, data=data, metric=metric, devices_dir=devices_dir, jobs=jobs,
    )  # fmt: skip
    return Calibrations(
        study(
            options, results_dir(results), recipe=recipe, counts=counts, draws=draws, choices=choices, say=progress,
            command=["harness.study_calibration"],
        )
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Schemes:
    """What a study of schemes found."""

    study: SchemeStudy

    @property
    def run(self) -> Run:
        """The run; each scheme is a cell of it."""
        return run_of(self.study.result)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Title -> scores: index the training, columns as in arXiv 1806.08342, the float model's last."""
        return {table.title: table.to_frame() for table in self.study.tables}

    @property
    def effects(self) -> dict[str, bool | None]:
        """Published effect -> whether it shows here; None: its cells did not run."""
        return {effect.name: effect.appears for effect in self.study.effects}

    def to_frame(self) -> pd.DataFrame:
        """All tables below each other, with columns `weight_bits` and `activation_bits` (missing: activations in float)."""
        import pandas as pd

        parts = []
        for table in self.study.tables:
            frame = table.to_frame().reset_index()
            frame.insert(0, "weight_bits", table.weight_bits)
            frame.insert(1, "activation_bits", table.activation_bits)
            parts.append(frame)
        return pd.concat(parts, ignore_index=True).astype({"activation_bits": "Int64"})


@told
def study_schemes(
    workload: PathLike,
    *,
    devices: Names,
    weight_bits: Sequence[int] = (8, 4),
    trainings: Sequence[str] = (),
    backends: Names = (),
    data: Data | None = None,
    metric: str | None = None,
    samples: int | str | None = None,
    budget: float | str | None = None,
    emulated: bool = False,
    runtimes: Names = (),
    jobs: int | None = None,
    data_dir: PathLike | None = None,
    devices_dir: PathLike | None = None,
    results: PathLike | None = None,
    progress: Progress | None = None,
) -> Schemes:
    """What bits, ranges, symmetry and training do to a score, in the tables of arXiv 1806.08342: `harness study schemes`.

    Args:
        workload: one workload, or a float model of your own with `data`.
        weight_bits: a pair of tables for each.
        trainings: of `ptq`, `ft` (the control) and `qat`, only these; none: all.

    The other arguments are those of `harness.run`, with one device.

    Raises:
        HarnessError: wrong input, or the float model has no score.
    """
    from harness.studies.schemes import study_schemes as study

    options = run_options(
        workload, devices, backends=backends, runtimes=runtimes, samples=samples, budget=budget, emulated=emulated,
        data_dir=data_dir, data=data, metric=metric, devices_dir=devices_dir, jobs=jobs,
    )  # fmt: skip
    return Schemes(
        study(
            options,
            results_dir(results),
            weight_bits=weight_bits,
            trainings=trainings,
            say=progress,
            command=["harness.study_schemes"],
        )
    )
