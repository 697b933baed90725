"""Profiles of boards with Linux (`kind: linux`): a link that starts programs, a Python with a runtime, the agent's settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.boards.profile.fields import BoardPath, Package, SensorFile, SensorText, VendorBenchmark
from harness.boards.profile.model import Profile
from harness.core.fields import Part, Seconds, inconsistent
from harness.envs.hostenv import parse_package
from harness.links.profile import ProgramLink


class RuntimeProfile(Part):
    """Which runtime executes models, and where.

    `package` asks for a virtual environment made on this machine, so it needs a local link or a loopback address;
    `python` names an interpreter that the board already has. Exactly one of them is set.
    """

    module: Literal["ai_edge_litert", "tflite_runtime"]
    package: Package | None = None
    python: BoardPath | None = None

    @model_validator(mode="after")
    def _one_source(self) -> RuntimeProfile:
        if (self.package is None) == (self.python is None):
            raise inconsistent(
                "a runtime needs one of `package` (installed on this machine) and `python` (the board's own)"
            )
        if self.package is not None and parse_package(self.package).module != self.module:
            raise inconsistent(
                f"{self.package} provides the module {parse_package(self.package).module}, not {self.module}"
            )
        return self

    @property
    def text(self) -> str:
        """The package with its version, or the module of whichever version the board has."""
        return self.package or self.module


class AgentProfile(Part):
    """How the agent is kept and watched on the board; the defaults are those of `harness.boards.linux.board.AgentOptions`."""

    #: its folder; without one the board chooses ($HARNESS_AGENT_DIR there, else the login's cache)
    directory: BoardPath | None = None
    operation_timeout_s: Seconds = 30.0
    #: the board sends signs of life; this long without one means that the link is dead
    silence_timeout_s: Seconds = 20.0
    #: workers are copies of a process that has imported the runtime; false: each imports it itself
    fork_server: bool = True


class SensorsProfile(Part):
    """Where the board's sensors are read, where that is not its own `/sys`; what is read there is recorded as simulated.

    `sysfs` is a folder on the board with the same files below it; `simulated` lists the files and what they hold. At most one.
    """

    sysfs: BoardPath | None = None
    simulated: Annotated[dict[SensorFile, SensorText], Field(max_length=200)] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> SensorsProfile:
        if self.sysfs is not None and self.simulated is not None:
            raise inconsistent("sensors are read from a folder (`sysfs`) or listed (`simulated`), not both")
        return self


class LinuxProfile(Profile):
    """One board on which the agent runs."""

    kind: str = "linux"
    link: ProgramLink
    runtime: RuntimeProfile
    agent: AgentProfile = Field(default_factory=AgentProfile)
    sensors: SensorsProfile = Field(default_factory=SensorsProfile)
    #: TensorFlow Lite's own benchmark program on the board: without one it is looked for where vendors keep it, `none`: not run
    vendor_benchmark: VendorBenchmark | None = None

    @model_validator(mode="after")
    def _package_is_here(self) -> LinuxProfile:
        # An address that comes from the environment is checked when it is known (`LinuxKind.require_address`).
        other = self.link.other_machine()
        if self.runtime.package and other:
            raise inconsistent(
                f"`runtime.package` is installed on this machine, but {other} is not it; use `runtime.python`"
            )
        return self
