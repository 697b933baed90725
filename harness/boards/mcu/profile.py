"""Profiles of microcontrollers (`kind: mcu`): a serial port, a core, a runtime. Field by field in docs/reference/devices.md.

What the firmware really has (board, core, memory, ops, clock) it says itself when it is connected; what stands here is how to
reach it, and what `harness check` assumes as long as nobody has asked.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.boards.profile.fields import BackendName
from harness.boards.profile.model import BackendProfile, LimitsProfile, Profile
from harness.core.fields import Line, Part, inconsistent
from harness.flash.profile import Flash
from harness.links.profile import LineLink

#: the one backend of a microcontroller
BACKEND = "cpu"
#: cores that the firmware is built for, and the kernel set that its build chooses (`KERNELS_*`,
#: docs/internals/serial-protocol.md)
CORE_KERNELS = {"cortex-m0": 1, "cortex-m3": 1, "cortex-m4": 2, "cortex-m7": 2, "cortex-m33": 2, "cortex-m55": 3}
#: those whose firmware has float kernels: the ports that came with the harness are of cores with the floating-point unit
FLOAT_CORES = frozenset({"cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"})
#: kernel sets by the number that HELLO gives
KERNEL_NAMES = {1: "portable", 2: "dsp", 3: "mve"}


class TfliteMicroProfile(Part):
    """The user's own TFLite Micro, for firmware that the harness builds (docs/guides/tflite-micro.md).

    What is not said here comes from the environment: HARNESS_TFLM_INCLUDE, HARNESS_TFLM_LIBRARY, HARNESS_TFLM_DEFINES.
    """

    include: tuple[Line, ...] = ()
    library: Line | None = None
    defines: tuple[Line, ...] = ()


class McuRuntimeProfile(Part):
    """Which runtime the firmware is expected to have: `harness check` believes it, a connected board says it itself.

    Firmware that the harness builds for an emulated board is built with it.
    """

    module: Literal["plan", "tflite-micro"] = "plan"
    tflite_micro: TfliteMicroProfile | None = None

    @model_validator(mode="after")
    def _tflite_micro_where_it_is_used(self) -> McuRuntimeProfile:
        if self.tflite_micro is not None and self.module != "tflite-micro":
            raise inconsistent("`runtime.tflite_micro` is of use with `runtime.module: tflite-micro` alone")
        return self


class McuLimitsProfile(LimitsProfile):
    """Memory of the board, for `harness check`; None: ask the board."""

    arena_bytes: Annotated[int, Field(ge=64)] | None = None
    model_bytes: Annotated[int, Field(ge=64)] | None = None


class McuProfile(Profile):
    """One microcontroller board."""

    kind: Literal["mcu"]
    link: LineLink
    runtime: McuRuntimeProfile = Field(default_factory=McuRuntimeProfile)
    backends: Annotated[dict[BackendName, BackendProfile], Field(min_length=1)] = Field(
        default_factory=lambda: {BACKEND: BackendProfile()}
    )
    limits: McuLimitsProfile = Field(default_factory=McuLimitsProfile)
    core: Literal["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"]
    #: the name that the firmware must give itself, so that a run never lands on another board that hangs on the same port
    board: Line | None = None
    #: how a firmware comes onto it: `harness devices flash`, `run --flash`
    flash: Flash | None = None

    @model_validator(mode="after")
    def _plain_backends(self) -> McuProfile:
        ignored = {"samples": None, "compile": None}
        plain = all(backend.model_copy(update=ignored) == BackendProfile() for backend in self.backends.values())
        uncompiled = {name for name, backend in self.backends.items() if backend.compile is None}
        if not plain or not uncompiled <= {BACKEND}:
            raise inconsistent(
                f"a microcontroller has the one backend `{BACKEND}`, with nothing to set but `samples`; others differ from it by "
                "a `compile:` block alone"
            )
        return self

    @model_validator(mode="after")
    def _something_runs(self) -> McuProfile:
        if self.time_basis == "estimate":
            raise inconsistent(
                "estimates for a microcontroller are a twin's: write `emulation: {machine: vela-estimate}`"
            )
        return self

    @property
    def kernels(self) -> int:
        """The kernel set that a build for this core has."""
        return CORE_KERNELS[self.core]
