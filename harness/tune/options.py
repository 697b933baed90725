"""What a search is asked for, as plain data: it is stored with its run, so that it goes on with nothing but the run's id."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.core.errors import UserInputError
from harness.core.plain import from_plain
from harness.reports.answer.limits import Limits
from harness.run.options import RunOptions

BUDGET_S = 600.0
#: less than this makes no search: the plain recipes alone take so long
LEAST_BUDGET_S = 30.0
TRIALS = 10


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """A search for one workload on one device.

    Attributes:
        workload: a workload's name, or the user's own model file.
        device: a device profile.
        backends: only these of the device; empty for all that do not run reference kernels.
        limits: what the winner has to keep to, and what is preferred among those that do.
        budget_s: time for everything; what it does not reach is not tried.
        trials: how many searched variants the device is given at most.
        samples: samples per cell, of each half of the test samples; None as the profile says, 0 for all.
    """

    workload: str
    device: str
    backends: tuple[str, ...] = ()
    limits: Limits = Limits()
    budget_s: float = BUDGET_S
    trials: int = TRIALS
    samples: int | None = None
    emulated: bool = False
    data: str | None = None
    data_dir: str | None = None
    metric: str | None = None
    devices_dir: str | None = None
    jobs: int | None = None
    deadline_s: float | None = None

    def __post_init__(self) -> None:
        if self.budget_s < LEAST_BUDGET_S:
            raise UserInputError(
                f"--budget {self.budget_s:g}s is too short for a search",
                hint=f"give it at least {LEAST_BUDGET_S:g}s; the usual {BUDGET_S / 60:g}m suits a small network on this machine",
            )
        if self.trials < 1:
            raise UserInputError(f"--trials takes a number of at least 1, not {self.trials}")

    @property
    def run(self) -> RunOptions:
        """The same as a run takes it."""
        return RunOptions(
            workloads=(self.workload,),
            devices=(self.device,),
            backends=self.backends,
            samples=self.samples,
            budget_s=self.budget_s,
            emulated=self.emulated,
            data=self.data,
            data_dir=self.data_dir,
            metric=self.metric,
            devices_dir=self.devices_dir,
            jobs=self.jobs,
            deadline_s=self.deadline_s,
        )

    def absolute(self) -> TuneOptions:
        """The same from any working folder."""
        run = self.run.absolute()
        return replace(
            self, workload=run.workloads[0], data=run.data, data_dir=run.data_dir, devices_dir=run.devices_dir
        )

    @staticmethod
    def from_json(stored: dict[str, Any]) -> TuneOptions:
        """The options of a stored search.

        Raises:
            UserInputError: they are none.
        """
        try:
            return from_plain(TuneOptions, stored, {})
        except ValueError as error:
            raise UserInputError(
                f"the run's stored options cannot be read ({error})", hint="start a new search"
            ) from None


def refuse_finished(workload: str, is_built: bool) -> None:
    """Says plainly of a finished .tflite what cannot be done with it.

    Raises:
        UserInputError: there is nothing to build variants of.
    """
    if is_built:
        return
    raise UserInputError(
        "a finished .tflite cannot be tuned: its layers have their types, and variants are built from the float Keras model",
        where=str(Path(workload)),
        hint="give the Keras model that it was made of (.keras, .h5 or a SavedModel); `harness measure` and `harness check` say "
        "how the file does as it is",
    )
