"""Device profiles: what a board is, as its YAML file says. Field by field in docs/reference/devices.md.

`Profile` has what all boards have; each kind of board adds its own (`harness.boards.*.profile`). The models check everything
before anything is sent: each value that can end up in a path or a process on a board has a strict pattern.
`harness.core.located_yaml` turns their complaints into messages with file, line and column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr

from harness.boards.base import Deadlines
from harness.boards.profile.compile import CompileProfile
from harness.boards.profile.fields import (
    Affinity,
    BackendName,
    BoardPath,
    DelegateName,
    DeviceName,
    OptionName,
    Samples,
    Value,
)
from harness.boards.surroundings import CoolDown
from harness.core.fields import EnvName, Line, Part, Seconds
from harness.core.fingerprint import TimeBasis
from harness.links.profile import LinkPlace
from harness.meters.registry import MeterBlock


class DelegateProfile(Part):
    """An external delegate on the board: its library, the name it goes by in tables, its options."""

    path: BoardPath
    name: DelegateName
    options: dict[OptionName, Value] = Field(default_factory=dict)


class BackendProfile(Part):
    """Where ops run: kernels, threads, CPUs, delegate, and environment variables set before the delegate loads.

    `compile` is an offline compiler that a model goes through on this machine before it travels.
    """

    kernels: Literal["reference", "default", "no-default-delegate"] = "default"
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    affinity: Affinity = ()
    delegate: DelegateProfile | None = None
    env: dict[EnvName, Value] = Field(default_factory=dict)
    #: samples per cell on this backend, where it needs fewer than the device's others
    samples: Samples | None = None
    compile: CompileProfile | None = None


class DeadlinesProfile(Part):
    """Seconds before a worker is killed, per request; the defaults are those of `harness.boards.base.Deadlines`."""

    load_s: Seconds = Deadlines.load_s
    first_invoke_s: Seconds = Deadlines.first_invoke_s
    evaluate_s: Seconds = Deadlines.evaluate_s
    bench_s: Seconds = Deadlines.bench_s


class LimitsProfile(Part):
    """What the harness may take of the board: bytes of models and samples kept in the agent's folder, and of memory."""

    cache_bytes: Annotated[int, Field(ge=1 << 20)] = 1 << 30
    #: graphs that a delegate compiled (`{cache_dir}`), kept for the length of a cell; a cell that writes more fails
    graph_cache_bytes: Annotated[int, Field(ge=1 << 10)] = 256 << 20
    #: memory that a model may need; only `harness check` uses it. None: nobody has said
    ram_bytes: Annotated[int, Field(ge=1 << 10)] | None = None


class ConnectProfile(Part):
    """Seconds for which a board that cannot be reached is tried again: at first, because it may be starting, and after it was
    lost, because it may be rebooting. What trying again cannot mend (a refused key, a changed host key) is never tried again.
    """

    first_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 30.0
    again_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 120.0


class WaitProfile(Part):
    """What a cell waits for before it is timed: a board that is cooler than `below_c` degrees Celsius, for `at_most_s` seconds.

    A board that is still hot then is timed all the same, and the cell says so.
    """

    below_c: Annotated[float, Field(ge=-50, le=150, allow_inf_nan=False)]
    at_most_s: Annotated[float, Field(ge=0, le=3_600, allow_inf_nan=False)] = 300.0


class PowerProfile(Part):
    """How the board is powered, in words for the person at the bench."""

    note: Line | None = None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a profile came from.

    Attributes:
        path: its YAML file.
        local_path: the git-ignored `local.yaml` in which the user's own overrides of it stand, or would stand.
    """

    path: Path
    local_path: Path


class Profile(Part):
    """One device of any kind. `name` is its file's name without `.yaml`; `kind` says which package of the harness, or of
    somebody else's, knows the rest (`harness.boards.registry`).
    """

    name: DeviceName
    title: Line
    kind: str
    backends: Annotated[dict[BackendName, BackendProfile], Field(min_length=1)]
    #: `all`, or the size of the stratified sample that accuracy is measured on; `--samples` overrides
    samples: Samples = "all"
    deadlines: DeadlinesProfile = Field(default_factory=DeadlinesProfile)
    connect: ConnectProfile = Field(default_factory=ConnectProfile)
    limits: LimitsProfile = Field(default_factory=LimitsProfile)
    power: PowerProfile = Field(default_factory=PowerProfile)
    wait: WaitProfile | None = None
    #: what measures energy beside the board (docs/guides/energy.md)
    meter: MeterBlock | None = None
    time_basis: TimeBasis = "device"
    #: devices that share a machine name the same lock here, so that only one of them is used at a time
    exclusive: DeviceName | None = None
    #: how to make an emulated twin; read by the kind that makes it
    emulation: dict[str, Any] | None = None

    _origin: Origin | None = PrivateAttr(default=None)

    @property
    def samples_count(self) -> int | None:
        """Samples per cell as the profile wants them; None means all."""
        return None if self.samples == "all" else self.samples

    def deadlines_spec(self) -> Deadlines:
        """The deadlines in the words of the board seam."""
        return Deadlines(**self.deadlines.model_dump())

    def cool_down(self) -> CoolDown | None:
        """What a cell waits for, in the words of the board seam."""
        return None if self.wait is None else CoolDown(**self.wait.model_dump())

    @property
    def origin(self) -> Origin | None:
        """Where it came from; None for a profile that was not read from a file."""
        return self._origin

    @property
    def where(self) -> str:
        """What stands before an error about what the profile says: its file, else its name."""
        return str(self._origin.path) if self._origin else self.name

    @property
    def lock_name(self) -> str:
        """What is leased while the device is in use: its machine's lock, or its own id."""
        return self.exclusive or self.name

    def from_file(self, origin: Origin | None) -> Self:
        """The same profile, knowing its origin."""
        copy = self.model_copy()
        copy._origin = origin
        return copy

    def place(self, environ: Mapping[str, str] | None = None, say: Callable[[str], None] | None = None) -> LinkPlace:
        """The device in the words of its link.

        Args:
            environ: instead of this process's environment.
            say: told of long waits.
        """
        facts: dict[str, Any] = {"device": self.name, "has_twin": self.emulation is not None, "say": say}
        if self._origin:
            facts["local_file"] = self._origin.local_path
        if environ is not None:
            facts["environ"] = environ
        return LinkPlace(**facts)
