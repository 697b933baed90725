"""The emulated twin of a device: the same agent, protocol, suites and tables, on a board made of QEMU.

`NAME@qemu` is a device id of its own. Its profile is the real board's with the `emulation:` block laid over it, its link
is SSH to the emulated board, whose host key is pinned because the harness made it, and where the vendor's delegate would
be stands `npu-standin`, under its own name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.boards.profile.model import (
    TWIN_SUFFIX,
    BackendName,
    BackendProfile,
    DeadlinesProfile,
    LimitsProfile,
    LocalLinkProfile,
    Profile,
    RuntimeProfile,
    Samples,
)
from harness.core.errors import TransientDeviceError, UserInputError
from harness.emulation.linux.spec import MACHINE, BoardFile, EmulationSpec, parse_block
from harness.envs.hostenv import TextProgress, parse_package

if TYPE_CHECKING:
    from harness.emulation.linux.aarch64 import RunningBoard
    from harness.links.base import Channel, Link

#: where the stand-in's library stands on an emulated board, and what a profile's backend calls it
STANDIN_PATH = "/usr/lib/libnpu_standin.so"
STANDIN_NAME = "npu-standin"
#: the lock that emulated boards share with the host devices: they compute with the same cores
_HOST_LOCK = "host-cpu"
_OVERRIDES: dict[str, Any] = {
    "backends": dict[BackendName, BackendProfile],
    "samples": Samples,
    "deadlines": DeadlinesProfile,
    "limits": LimitsProfile,
}
#: an emulated processor computes a key exchange for a second, on a busy machine for several
_CONNECT_S = 30.0
#: the interpreter of the image; `RunningBoard.python` says the same once it runs
_PYTHON = "/usr/bin/python3"


def is_qemu_twin(profile: Profile) -> bool:
    """Whether a profile is the twin that `qemu_twin` made."""
    return profile.name.endswith(TWIN_SUFFIX) and (profile.emulation or {}).get("machine") == MACHINE


def qemu_twin(profile: Profile) -> Profile:
    """The twin's profile; nothing is built or started.

    Raises:
        UserInputError: the `emulation:` block is wrong, with the field.
    """
    where = str(profile.origin.path) if profile.origin else profile.name
    block = parse_block(profile.emulation or {}, where=where)
    laid_over = {key: _checked(key, value, f"{where}, emulation") for key, value in block.overrides.items()}
    laid_over.setdefault(
        "backends", {n: _without_affinity(b) for n, b in profile.backends.items() if b.delegate is None}
    )
    twin = profile.model_copy(
        update={
            "name": f"{profile.name}{TWIN_SUFFIX}",
            "title": f"{profile.title}, emulated by QEMU",
            "link": LocalLinkProfile(type="local"),
            "runtime": RuntimeProfile(module=parse_package(block.spec.runtime).module, python=_PYTHON),
            "time_basis": block.spec.time_basis,
            "exclusive": _HOST_LOCK,
            **laid_over,
        }
    )
    _require_standin_name(twin, where)
    return twin.from_file(profile.origin) if profile.origin else twin


def _require_standin_name(twin: Profile, where: str) -> None:
    """No table may show the stand-in under the name of a real delegate.

    Raises:
        UserInputError: a backend gives it another name.
    """
    for name, backend in twin.backends.items():
        delegate = backend.delegate
        if delegate is not None and delegate.path == STANDIN_PATH and delegate.name != STANDIN_NAME:
            raise UserInputError(
                f"emulation.backends.{name}.delegate.name: found {delegate.name!r}, but {STANDIN_PATH} is the NPU stand-in",
                where=where,
                hint=f"write `name: {STANDIN_NAME}`: it is called what it is in every table",
            )


def _checked(key: str, value: Any, where: str) -> Any:
    """An override in the form that the profile's own field has.

    Raises:
        UserInputError: it is not what that field allows.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        # Through JSON, in which a list may become a tuple although the models are strict, as it may from YAML.
        return TypeAdapter(_OVERRIDES[key]).validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in (key, *first["loc"]))
        raise UserInputError(
            f"{field}: {first['msg']}", where=where, hint="docs/reference/devices.md has the fields"
        ) from None


def _without_affinity(backend: BackendProfile) -> BackendProfile:
    """A real board's CPU numbers mean nothing on a board with another number of cores."""
    return backend.model_copy(update={"affinity": (), "threads": 1})


def twin_spec(profile: Profile) -> EmulationSpec:
    """The machine of a twin, with the files that its backends need baked in: compiles the NPU stand-in where one is named."""
    from harness.emulation.npu.build import build_standin

    wanted = any(b.delegate is not None and b.delegate.path == STANDIN_PATH for b in profile.backends.values())
    files = (BoardFile(source=Path(build_standin("aarch64")), path=STANDIN_PATH),) if wanted else ()
    return parse_block(profile.emulation or {}, where=profile.name, files=files).spec


class EmulatedLink:
    """A link to a board that exists as long as the link is open: `open` resumes a pristine machine, `close` ends it."""

    def __init__(self, profile: Profile, progress: TextProgress | None) -> None:
        self._profile = profile
        self._progress = progress
        self._machine: RunningBoard | None = None
        self._ssh: Link | None = None
        self.description = f"the emulated board {profile.name}"

    def open(self) -> None:
        """Starts the machine, after making its image where there is none, and connects to it.

        Raises:
            MissingPartError: QEMU, a cross compiler or another system package is missing; the hint names it.
            TransientDeviceError: the machine did not come up.
        """
        from harness.emulation.linux.aarch64 import EmulatedBoard
        from harness.links.base import SshLink, make_link

        self.close()
        machine = self._machine = EmulatedBoard.start(twin_spec(self._profile), progress=self._progress)
        settings = SshLink(
            host=machine.host,
            port=machine.port,
            user=machine.user,
            key_files=(str(machine.key_file),),
            use_agent=False,
            device=self._profile.name,
            known_hosts_file=str(machine.known_hosts_file),
            connect_timeout_s=_CONNECT_S,
        )
        self._ssh = make_link(settings)
        try:
            self._ssh.open()
        except BaseException:
            self.close()
            raise

    def start(self, argv: Sequence[str]) -> Channel:
        """Starts a program on the board."""
        if self._ssh is None:
            raise TransientDeviceError("the emulated board is not running", where=self._profile.name)
        return self._ssh.start(argv)

    def close(self) -> None:
        """Ends the connection and the machine with it. Safe to call twice."""
        ssh, self._ssh = self._ssh, None
        machine, self._machine = self._machine, None
        try:
            if ssh is not None:
                ssh.close()
        finally:
            if machine is not None:
                machine.stop()
