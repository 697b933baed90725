"""Profiles of boards with MLPerf Tiny's reference firmware: `kind: mcu`, `runtime: mlperf-tiny` (docs/guides/mlperf-tiny.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from harness.boards.mcu.profile import BACKEND
from harness.boards.profile.fields import BackendName, Samples
from harness.boards.profile.model import BackendProfile, Profile
from harness.core.fields import Line, Part, inconsistent
from harness.links.profile import LineLink

#: models that the reference firmware is published with, by the name it tells
MlperfModel = Literal["ic01", "kws01", "vww01", "ad01"]
#: the name that stands in `runtime`
MLPERF_TINY = "mlperf-tiny"


def _in_short(value: Any) -> Any:
    """`runtime: mlperf-tiny` is short for a mapping with that module."""
    return {"module": value} if isinstance(value, str) else value


class MlperfRuntimeProfile(Part):
    """MLPerf Tiny's reference firmware. It holds its model, so that the profile says which model of the host that is.

    `models` maps a finished .tflite's name (without the ending), or `WORKLOAD/RECIPE`, to the firmware's name of the model.
    """

    module: Literal["mlperf-tiny"]
    models: dict[Line, MlperfModel] = Field(default_factory=dict)


class MlperfTinyProfile(Profile):
    """One board with MLPerf Tiny's reference firmware."""

    kind: Literal["mcu"]
    link: LineLink
    runtime: Annotated[MlperfRuntimeProfile, BeforeValidator(_in_short)]
    backends: dict[BackendName, BackendProfile] = Field(default_factory=lambda: {BACKEND: BackendProfile()})
    #: every sample takes its time on the line: 3 KB are 0.7 s at 115200 baud
    samples: Samples = 200
    #: the vendor's name that the firmware must tell, so that a run never lands on another board that hangs on the same port
    board: Line | None = None

    @model_validator(mode="after")
    def _nothing_to_set(self) -> MlperfTinyProfile:
        plain = {name: backend.model_copy(update={"samples": None}) for name, backend in self.backends.items()}
        if plain != {BACKEND: BackendProfile()}:
            raise inconsistent(f"a microcontroller has the one backend `{BACKEND}`, with nothing to set but `samples`")
        if self.emulation is not None:
            raise inconsistent("nothing emulates a board with MLPerf Tiny's firmware: leave `emulation` out")
        if self.time_basis != "device":
            raise inconsistent("MLPerf Tiny's firmware tells times of the board's timer: `time_basis` is `device`")
        return self
