"""What the user asked for, as plain data, and its checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.core.errors import UserInputError
from harness.core.plain import from_plain
from harness.workloads.keras.signature import split_signature


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What the user asked for, as plain data: it is stored with the run, so that `--resume` needs nothing but the run's id."""

    workloads: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ("core",)
    devices: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    #: releases of runtimes, as NAME==VERSION, that each device is run with in place of its own
    runtimes: tuple[str, ...] = ()
    seeds: int = 1
    #: samples per cell: None as the profile says, 0 for all
    samples: int | None = None
    budget_s: float | None = None
    emulated: bool = False
    data_dir: str | None = None
    #: the .npz of workloads that are the user's own model files
    data: str | None = None
    #: what those are judged by; None: what output and labels ask for
    metric: str | None = None
    devices_dir: str | None = None
    bundle: str | None = None
    #: bounds of the outcome `wrong` that earlier versions let a user change: refused, also where a stored run has them
    tolerances: tuple[str, ...] = ()
    jobs: int | None = None
    #: how long a conversion, a training without progress, or one inference of a model may take
    deadline_s: float | None = None
    #: bring the firmware of microcontrollers onto their boards first, where they do not run it yet
    flash: bool = False
    #: also as MLPerf Tiny's rules measure: five loops, median, top-1 and AUC
    mlperf: bool = False

    def absolute(self) -> RunOptions:
        """The same options from any working folder: `--resume` may be called from another one."""

        def path(text: str) -> str:
            return str(Path(text).expanduser().absolute())

        workloads = tuple(path(w) if split_signature(Path(w).expanduser())[0].exists() else w for w in self.workloads)
        return replace(
            self,
            workloads=workloads,
            data_dir=self.data_dir and path(self.data_dir),
            data=self.data and path(self.data),
            bundle=self.bundle and path(self.bundle),
            devices_dir=self.devices_dir and path(self.devices_dir),
        )

    @staticmethod
    def from_json(stored: dict[str, Any]) -> RunOptions:
        """The options of a stored run; unknown fields of a newer harness are left out.

        Raises:
            UserInputError: they are no options.
        """
        try:
            return from_plain(RunOptions, stored, {})
        except ValueError as error:
            raise UserInputError(f"the run's stored options cannot be read ({error})", hint="start a new run") from None


def parse_samples(text: str | None) -> int | None:
    """None for "as the profile says", 0 for `all`, else the number.

    Raises:
        UserInputError: for anything else.
    """
    if text is None:
        return None
    if text == "all":
        return 0
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise UserInputError(f"--samples takes a number of at least 1 or `all`, not '{text}'")


def refuse_tolerances(settings: Sequence[str]) -> None:
    """Refuses the bounds of `wrong` that could once be set.

    Raises:
        UserInputError: for any of `settings`; names the bound that is in its place.
    """
    from harness.workloads.tolerance import tolerance_gone

    for setting in settings:
        raise tolerance_gone(setting.partition("=")[0].strip() or "?")
