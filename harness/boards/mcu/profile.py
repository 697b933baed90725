"""Profiles of microcontrollers (`kind: mcu`): a serial port, a core, a runtime. Field by field in docs/reference/devices.md.

What the firmware really has (board, core, memory, ops, clock) it says itself when it is connected; what stands here is how to
reach it, and what `harness check` assumes as long as nobody has asked.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from harness.boards.profile.model import (
    TWIN_SUFFIX,
    BackendName,
    BackendProfile,
    EnvName,
    LimitsProfile,
    Line,
    Profile,
    Samples,
    _Part,
)

#: the one backend of a microcontroller
BACKEND = "cpu"
#: cores that the firmware is built for, and the kernel set that its build chooses (`KERNELS_*`,
#: docs/internals/serial-protocol.md)
CORE_KERNELS = {"cortex-m0": 1, "cortex-m3": 1, "cortex-m4": 2, "cortex-m7": 2, "cortex-m33": 2, "cortex-m55": 3}
#: kernel sets by the number that HELLO gives
KERNEL_NAMES = {1: "portable", 2: "dsp", 3: "mve"}

_PATH = re.compile(r"(?!.*/\.\.(/|$))(/[A-Za-z0-9._+@:,=-]+)+|COM[0-9]{1,3}")
#: `ign_set_control`: the one of pyserial's options that a terminal server may need (it does not confirm the control lines)
_URL = re.compile(
    r"(socket://[A-Za-z0-9_.\[\]:-]+|rfc2217://[A-Za-z0-9_.\[\]:-]+):(?P<port>[0-9]{1,5})(?P<option>\?ign_set_control)?"
)
_MOST_PORT = 65_535
PORT_WORDS = (
    "an absolute path such as /dev/serial/by-id/..., COM3, socket://HOST:PORT, rfc2217://HOST:PORT or "
    f"rfc2217://HOST:PORT?ign_set_control, with a PORT of 1 to {_MOST_PORT}"
)


def _check_port(value: str) -> str:
    if not is_port(value):
        raise PydanticCustomError("not_allowed", "{words}", {"words": PORT_WORDS})
    return value


def is_port(text: str) -> bool:
    """Whether a text can be a serial port: a device's path, or a URL of a kind that carries a serial line."""
    if _PATH.fullmatch(text) is not None:
        return True
    url = _URL.fullmatch(text)
    if url is None or (url["option"] and not text.startswith("rfc2217://")):
        return False
    return 1 <= int(url["port"]) <= _MOST_PORT


class SerialLinkProfile(_Part):
    """The board hangs on a serial line. `port_env` names an environment variable that, when set, wins over `port`.

    `dtr` and `rts` are the control lines' levels while the port is open: some boards reset by one of them.
    """

    type: Literal["serial"]
    port: Annotated[str, AfterValidator(_check_port)] | None = None
    port_env: EnvName | None = None
    baud: Annotated[int, Field(ge=300, le=12_000_000)] = 115_200
    dtr: bool = True
    rts: bool = True


class TfliteMicroProfile(_Part):
    """The user's own TFLite Micro, for firmware that the harness builds (docs/guides/tflite-micro.md).

    What is not said here comes from the environment: HARNESS_TFLM_INCLUDE, HARNESS_TFLM_LIBRARY, HARNESS_TFLM_DEFINES.
    """

    include: tuple[Line, ...] = ()
    library: Line | None = None
    defines: tuple[Line, ...] = ()


class McuRuntimeProfile(_Part):
    """Which runtime the firmware is expected to have: `harness check` believes it, a connected board says it itself.

    Firmware that the harness builds for an emulated board is built with it.
    """

    module: Literal["plan", "tflite-micro"] = "plan"
    tflite_micro: TfliteMicroProfile | None = None

    @model_validator(mode="after")
    def _tflite_micro_where_it_is_used(self) -> McuRuntimeProfile:
        if self.tflite_micro is not None and self.module != "tflite-micro":
            words = "`runtime.tflite_micro` is of use with `runtime.module: tflite-micro` alone"
            raise PydanticCustomError("inconsistent", "{words}", {"words": words})
        return self

    @property
    def package(self) -> None:
        """No environment on this machine belongs to it."""
        return None

    @property
    def python(self) -> None:
        """There is no Python on the board."""
        return None


class McuLimitsProfile(LimitsProfile):
    """Memory of the board, for `harness check`; None: ask the board."""

    arena_bytes: Annotated[int, Field(ge=64)] | None = None
    model_bytes: Annotated[int, Field(ge=64)] | None = None


class McuProfile(Profile):
    """One microcontroller board."""

    kind: Literal["mcu"]
    link: SerialLinkProfile
    runtime: McuRuntimeProfile = Field(default_factory=McuRuntimeProfile)
    backends: dict[BackendName, BackendProfile] = Field(default_factory=lambda: {BACKEND: BackendProfile()})
    limits: McuLimitsProfile = Field(default_factory=McuLimitsProfile)
    core: Literal["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"]
    #: the name that the firmware must give itself, so that a run never lands on another board that hangs on the same port
    board: Line | None = None

    @model_validator(mode="after")
    def _one_plain_backend(self) -> McuProfile:
        plain = {name: backend.model_copy(update={"samples": None}) for name, backend in self.backends.items()}
        if plain != {BACKEND: BackendProfile()}:
            words = f"a microcontroller has the one backend `{BACKEND}`, with nothing to set but `samples`"
            raise PydanticCustomError("inconsistent", "{words}", {"words": words})
        return self

    @property
    def emulated(self) -> bool:
        """True for a twin: the firmware runs in QEMU."""
        return self.name.endswith(TWIN_SUFFIX)

    @property
    def kernels(self) -> int:
        """The kernel set that a build for this core has."""
        return CORE_KERNELS[self.core]


#: models that MLPerf Tiny's reference firmware is published with, by the name it tells
MlperfModel = Literal["ic01", "kws01", "vww01", "ad01"]
#: the name that stands in `runtime`
MLPERF_TINY = "mlperf-tiny"


def _mlperf_in_short(value: Any) -> Any:
    """`runtime: mlperf-tiny` is short for a mapping with that module."""
    return {"module": value} if isinstance(value, str) else value


class MlperfRuntimeProfile(_Part):
    """MLPerf Tiny's reference firmware. It holds its model, so that the profile says which model of the host that is.

    `models` maps a finished .tflite's name (without the ending), or `WORKLOAD/RECIPE`, to the firmware's name of the model.
    """

    module: Literal["mlperf-tiny"]
    models: dict[Line, MlperfModel] = Field(default_factory=dict)

    @property
    def package(self) -> None:
        """No environment on this machine belongs to it."""
        return None

    @property
    def python(self) -> None:
        """There is no Python on the board."""
        return None


class MlperfTinyProfile(Profile):
    """One board with MLPerf Tiny's reference firmware (docs/guides/mlperf-tiny.md)."""

    kind: Literal["mcu"]
    link: SerialLinkProfile
    runtime: Annotated[MlperfRuntimeProfile, BeforeValidator(_mlperf_in_short)]
    backends: dict[BackendName, BackendProfile] = Field(default_factory=lambda: {BACKEND: BackendProfile()})
    #: every sample takes its time on the line: 3 KB are 0.7 s at 115200 baud
    samples: Samples = 200
    #: the vendor's name that the firmware must tell, so that a run never lands on another board that hangs on the same port
    board: Line | None = None

    @model_validator(mode="after")
    def _nothing_to_set(self) -> MlperfTinyProfile:
        plain = {name: backend.model_copy(update={"samples": None}) for name, backend in self.backends.items()}
        words = None
        if plain != {BACKEND: BackendProfile()}:
            words = f"a microcontroller has the one backend `{BACKEND}`, with nothing to set but `samples`"
        elif self.emulation is not None:
            words = "nothing emulates a board with MLPerf Tiny's firmware: leave `emulation` out"
        elif self.time_basis != "device":
            words = "MLPerf Tiny's firmware tells times of the board's timer: `time_basis` is `device`"
        if words:
            raise PydanticCustomError("inconsistent", "{words}", {"words": words})
        return self

    @property
    def emulated(self) -> bool:
        """Never."""
        return False


#: every board on a serial line
SerialProfile = McuProfile | MlperfTinyProfile


def profile_model(data: dict[str, Any]) -> type[Profile]:
    """The model that a profile file is checked against, by its `kind` and runtime."""
    if data.get("kind") != "mcu":
        return Profile
    runtime = data.get("runtime")
    module = runtime.get("module") if isinstance(runtime, dict) else runtime
    return MlperfTinyProfile if module == MLPERF_TINY else McuProfile
