"""Device profiles: what a board is, as its YAML file says. Field by field in docs/reference/devices.md.

The models here check everything before anything is sent: each value that can end up in a path or a process on a board
has a strict pattern. `harness.core.located_yaml` turns their complaints into messages with file, line and column.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from harness.boards.base import CACHE_DIR, Deadlines
from harness.boards.profile.compile import CompileProfile
from harness.core.errors import UserInputError
from harness.core.fingerprint import TimeBasis
from harness.envs.hostenv import parse_package

#: the suffix of an emulated twin's device id
TWIN_SUFFIX = "@qemu"
#: the suffix of a twin that nothing runs on: its cells are an offline compiler's estimates
ESTIMATE_SUFFIX = "@vela"


def _text(pattern: str, words: str) -> AfterValidator:
    """A validator for text that must match `pattern`; `words` says in English what is allowed."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise PydanticCustomError("not_allowed", "{words}", {"words": words})
        return value

    return AfterValidator(check)


def _check_host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?", value):
            words = "a host name or IP address, without user, port or brackets (they have fields of their own)"
            raise PydanticCustomError("not_allowed", "{words}", {"words": words}) from None
    return value


def _check_package(value: str) -> str:
    try:
        parse_package(value)
    except UserInputError as error:
        raise PydanticCustomError("not_allowed", "{words}", {"words": str(error)}) from None
    return value


def _number_to_text(value: Any) -> Any:
    """Delegate options and environment variables are text on the board; a plain number in the file means its digits."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_samples(value: Any) -> Any:
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise PydanticCustomError("not_allowed", "{words}", {"words": "`all` or a whole number from 1"})


def _check_affinity(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(value)) != len(value):
        raise PydanticCustomError("not_allowed", "{words}", {"words": "each CPU number once"})
    return value


def _check_placeholders(value: str) -> str:
    """`{name}` stands for something that only the board knows; other braces are plain text, such as JSON's."""
    unknown = [name for name in re.findall(r"\{[A-Za-z_][A-Za-z0-9_]*\}", value) if name != CACHE_DIR]
    if unknown:
        words = f"no placeholder but {CACHE_DIR}, the agent's own folder for compiled graphs; {unknown[0]} is unknown"
        raise PydanticCustomError("not_allowed", "{words}", {"words": words})
    return value


_NAME = r"[a-z0-9][a-z0-9._-]{0,62}"
_NAME_WORDS = "1 to 63 small letters, digits, '.', '_' and '-', starting with a letter or digit"
_BOARD_PATH = r"(?!.*/\.\.(/|$))(/[A-Za-z0-9._+@-]+)+"
_BOARD_PATH_WORDS = "an absolute path of letters, digits and ._+@-, without '..'"

DeviceName = Annotated[str, _text(_NAME, _NAME_WORDS)]
BackendName = Annotated[str, _text(r"[a-z0-9][a-z0-9_-]{0,31}", "1 to 32 small letters, digits, '_' and '-'")]
Host = Annotated[str, AfterValidator(_check_host)]
Port = Annotated[int, Field(ge=1, le=65535)]
User = Annotated[str, _text(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", "a login name of letters, digits, '_', '.' and '-'")]
#: a path on the board; it is part of what runs there
BoardPath = Annotated[str, _text(_BOARD_PATH, _BOARD_PATH_WORDS)]
VendorBenchmark = Annotated[str, _text(rf"none|{_BOARD_PATH}", f"`none`, or {_BOARD_PATH_WORDS}")]
#: a path on this machine; `~` is expanded where it is used
LocalPath = Annotated[str, _text(r"[^\x00-\x1f\x7f]{1,4096}", "a path without control characters")]
EnvName = Annotated[str, _text(r"[A-Za-z_][A-Za-z0-9_]{0,127}", "an environment variable's name: letters, digits, '_'")]
OptionName = Annotated[str, _text(r"[A-Za-z0-9_.-]{1,128}", "an option's name: letters, digits, '_', '.' and '-'")]
Value = Annotated[
    str,
    BeforeValidator(_number_to_text),
    _text(r"[^\x00-\x1f\x7f]{0,4096}", "one line of text"),
    AfterValidator(_check_placeholders),
]
Line = Annotated[str, _text(r"[^\x00-\x1f\x7f]{1,200}", "one line of text, 1 to 200 characters")]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
CpuNumber = Annotated[int, Field(ge=0, le=1023)]
Samples = Annotated[Any, AfterValidator(_check_samples)]


class _Part(BaseModel):
    # Strict: `threads: "4"` is a mistake to point at, not to guess around.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LocalLinkProfile(_Part):
    """The board is this machine: the agent runs as a subprocess."""

    type: Literal["local"]


class JumpHost(_Part):
    """An SSH host on the way to the board."""

    host: Host
    port: Port = 22
    user: User | None = None


class SshLinkProfile(_Part):
    """The board is reached over SSH.

    `*_env` name environment variables that, when set, win over the value in the file. Without `port` it is 22, unless
    `port_env` is there: then the port must come from the variable.
    """

    type: Literal["ssh"]
    host: Host | None = None
    host_env: EnvName | None = None
    port: Port | None = None
    port_env: EnvName | None = None
    user: User | None = None
    user_env: EnvName | None = None
    #: private keys to try; none means the SSH agent and the usual files in ~/.ssh
    key_files: tuple[LocalPath, ...] = ()
    key_env: EnvName | None = None
    use_agent: bool = True
    #: name of the environment variable that holds a password; passwords themselves never stand in a profile
    password_env: EnvName | None = None
    jump: JumpHost | None = None
    connect_timeout_s: Seconds = 10.0
    keepalive_s: Annotated[int, Field(ge=1, le=3600)] = 15

    @model_validator(mode="after")
    def _has_address(self) -> SshLinkProfile:
        if self.host is None and self.host_env is None:
            words = "an SSH link needs `host`, or `host_env` with the name of the variable that holds it"
            raise PydanticCustomError("inconsistent", "{words}", {"words": words})
        return self


class RuntimeProfile(_Part):
    """Which runtime executes models, and where.

    `package` asks for a virtual environment made on this machine, so it needs a local link or a loopback address;
    `python` names an interpreter that the board already has. Exactly one of them is set.
    """

    module: Literal["ai_edge_litert", "tflite_runtime"]
    package: Annotated[str, AfterValidator(_check_package)] | None = None
    python: BoardPath | None = None

    @model_validator(mode="after")
    def _one_source(self) -> RuntimeProfile:
        words = None
        if (self.package is None) == (self.python is None):
            words = "a runtime needs one of `package` (installed on this machine) and `python` (the board's own)"
        elif self.package is not None and parse_package(self.package).module != self.module:
            words = f"{self.package} provides the module {parse_package(self.package).module}, not {self.module}"
        if words:
            raise PydanticCustomError("inconsistent", "{words}", {"words": words})
        return self


class DelegateProfile(_Part):
    """An external delegate on the board: its library, the name it goes by in tables, its options."""

    path: BoardPath
    name: Annotated[str, _text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", "1 to 32 letters, digits, '.', '_' and '-'")]
    options: dict[OptionName, Value] = Field(default_factory=dict)


class BackendProfile(_Part):
    """Where ops run: kernels, threads, CPUs, delegate, and environment variables set before the delegate loads.

    `compile` is an offline compiler that a model goes through on this machine before it travels.
    """

    kernels: Literal["reference", "default", "no-default-delegate"] = "default"
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    affinity: Annotated[tuple[CpuNumber, ...], AfterValidator(_check_affinity)] = ()
    delegate: DelegateProfile | None = None
    env: dict[EnvName, Value] = Field(default_factory=dict)
    #: samples per cell on this backend, where it needs fewer than the device's others
    samples: Samples | None = None
    compile: CompileProfile | None = None


class DeadlinesProfile(_Part):
    """Seconds before a worker is killed, per request; the defaults are those of `harness.boards.base.Deadlines`."""

    load_s: Seconds = Deadlines.load_s
    first_invoke_s: Seconds = Deadlines.first_invoke_s
    evaluate_s: Seconds = Deadlines.evaluate_s
    bench_s: Seconds = Deadlines.bench_s


class AgentProfile(_Part):
    """How the agent is kept and watched on the board; the defaults are those of `harness.boards.linux.board.AgentOptions`."""

    #: its folder; without one the board chooses ($HARNESS_AGENT_DIR there, else the login's cache)
    directory: BoardPath | None = None
    operation_timeout_s: Seconds = 30.0
    #: the board sends signs of life; this long without one means that the link is dead
    silence_timeout_s: Seconds = 20.0
    #: workers are copies of a process that has imported the runtime; false: each imports it itself
    fork_server: bool = True


class LimitsProfile(_Part):
    """What the harness may take of the board: bytes of models and samples kept in the agent's folder, and of memory."""

    cache_bytes: Annotated[int, Field(ge=1 << 20)] = 1 << 30
    #: graphs that a delegate compiled (`{cache_dir}`), kept for the length of a cell; a cell that writes more fails
    graph_cache_bytes: Annotated[int, Field(ge=1 << 10)] = 256 << 20
    #: memory that a model may need; only `harness check` uses it. None: nobody has said
    ram_bytes: Annotated[int, Field(ge=1 << 10)] | None = None


class PowerProfile(_Part):
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


class Profile(_Part):
    """One device. `name` is its file's name without `.yaml`."""

    name: DeviceName
    title: Line
    kind: Literal["linux", "mcu"] = "linux"
    link: Annotated[LocalLinkProfile | SshLinkProfile, Field(discriminator="type")]
    runtime: RuntimeProfile
    backends: Annotated[dict[BackendName, BackendProfile], Field(min_length=1)]
    #: `all`, or the size of the stratified sample that accuracy is measured on; `--samples` overrides
    samples: Samples = "all"
    deadlines: DeadlinesProfile = Field(default_factory=DeadlinesProfile)
    agent: AgentProfile = Field(default_factory=AgentProfile)
    limits: LimitsProfile = Field(default_factory=LimitsProfile)
    power: PowerProfile = Field(default_factory=PowerProfile)
    #: TensorFlow Lite's `benchmark_model` on the board; without it looked for where vendors keep it, `none`: not run
    vendor_benchmark: VendorBenchmark | None = None
    time_basis: TimeBasis = "device"
    #: devices that share a machine name the same lock here, so that only one of them is used at a time
    exclusive: DeviceName | None = None
    #: how to make an emulated twin; read by harness.emulation
    emulation: dict[str, Any] | None = None

    _origin: Origin | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _package_is_here(self) -> Profile:
        link = self.link
        # An address that comes from the environment is checked when it is known, in harness.boards.connect.
        if self.runtime.package and isinstance(link, SshLinkProfile) and link.host and not is_loopback(link.host):
            words = f"`runtime.package` is installed on this machine, but {link.host} is not it; use `runtime.python`"
            raise PydanticCustomError("inconsistent", "{words}", {"words": words})
        return self

    @model_validator(mode="after")
    def _estimates_have_a_source(self) -> Profile:
        if self.estimated and any(backend.compile is None for backend in self.backends.values()):
            words = "`time_basis: estimate` needs a `compile:` block in every backend: nothing else gives estimates"
            raise PydanticCustomError("inconsistent", "{words}", {"words": words})
        return self

    @property
    def estimated(self) -> bool:
        """True when nothing runs: the cells are made from the compiler's estimates."""
        return self.time_basis == "estimate"

    @property
    def samples_count(self) -> int | None:
        """Samples per cell as the profile wants them; None means all."""
        return None if self.samples == "all" else self.samples

    def deadlines_spec(self) -> Deadlines:
        """The deadlines in the words of the board seam."""
        return Deadlines(**self.deadlines.model_dump())

    @property
    def origin(self) -> Origin | None:
        """Where it came from; None for a profile that was not read from a file."""
        return self._origin

    @property
    def lock_name(self) -> str:
        """What is leased while the device is in use: its machine's lock, or its own id."""
        return self.exclusive or self.name

    def from_file(self, origin: Origin) -> Profile:
        """The same profile, knowing its origin."""
        copy = self.model_copy()
        copy._origin = origin
        return copy


def is_loopback(host: str) -> bool:
    """True when `host` is this machine by its loopback name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
