"""The emulated twin of a board with Linux: the same agent, protocol, suites and tables, on a board made of QEMU.

`NAME@qemu` is a device id of its own. Its profile is the real board's with the `emulation:` block laid over it, its link
is SSH to the emulated board, whose host key is pinned because the harness made it, and where the vendor's delegate would
be stands `npu-standin`, under its own name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from harness.boards.kind import HOST_LOCK, QEMU_SUFFIX
from harness.boards.linux.profile import LinuxProfile, RuntimeProfile, SensorsProfile
from harness.boards.profile.fields import BackendName, Samples
from harness.boards.profile.model import BackendProfile, DeadlinesProfile, LimitsProfile, Profile, WaitProfile
from harness.boards.profile.overrides import checked_override
from harness.core.errors import UserInputError
from harness.emulation.linux.link import STANDIN_NAME, STANDIN_PATH, EmulatedLink, with_standin
from harness.emulation.linux.spec import FAMILY, EmulationSpec, parse_block
from harness.envs.hostenv import parse_package
from harness.links.base import Link
from harness.links.profile import LinkPlace, ProgramLinkProfile

_OVERRIDES: dict[str, Any] = {
    "backends": dict[BackendName, BackendProfile],
    "samples": Samples,
    "deadlines": DeadlinesProfile,
    "limits": LimitsProfile,
    "sensors": SensorsProfile,
    "wait": WaitProfile,
}
#: the interpreter of the image; `RunningBoard.python` says the same once it runs
_PYTHON = "/usr/bin/python3"


class EmulatedLinkProfile(ProgramLinkProfile):
    """The link of a twin. No file can name it: a twin's profile is made of the real board's."""

    type: Literal["emulated"] = "emulated"
    spec: EmulationSpec = Field(exclude=True)
    #: the NPU stand-in has to be in the image
    standin: bool = Field(exclude=True)

    def require_parts(self, place: LinkPlace) -> None:
        """QEMU and the tools that make an image are here."""
        from harness.emulation.tools import require_tools

        require_tools()

    def make_link(self, place: LinkPlace) -> Link:
        """A link that starts its machine when it is opened."""
        return EmulatedLink(place.device, self.spec, standin=self.standin, progress=place.say)

    def processor(self) -> str:
        """QEMU's."""
        return FAMILY

    def runtime(self) -> str:
        """The one that is pinned in the image."""
        return self.spec.runtime

    def with_runtime(self, package: str) -> EmulatedLinkProfile:
        """To a board whose image has another one."""
        return self.model_copy(update={"spec": replace(self.spec, runtime=package)})


def qemu_twin(profile: LinuxProfile) -> LinuxProfile:
    """The twin's profile; nothing is built or started.

    Raises:
        UserInputError: the `emulation:` block is wrong, with the field.
    """
    where = profile.where
    block = parse_block(profile.emulation or {}, where=where)
    laid_over = {
        key: checked_override(key, value, _OVERRIDES[key], where=f"{where}, emulation")
        for key, value in block.overrides.items()
    }
    laid_over.setdefault(
        "backends", {n: _without_affinity(b) for n, b in profile.backends.items() if b.delegate is None}
    )
    backends: dict[str, BackendProfile] = laid_over["backends"]
    _require_standin_name(backends, where)
    standin = any(b.delegate is not None and b.delegate.path == STANDIN_PATH for b in backends.values())
    twin = profile.model_copy(
        update={
            "name": f"{profile.name}{QEMU_SUFFIX}",
            "title": f"{profile.title}, emulated by QEMU",
            "link": EmulatedLinkProfile(spec=block.spec, standin=standin),
            "runtime": RuntimeProfile(module=parse_package(block.spec.runtime).module, python=_PYTHON),
            "time_basis": block.spec.time_basis,
            "exclusive": HOST_LOCK,
            # The board's own sensors, and how hot it may be, mean nothing on a machine without any.
            "sensors": SensorsProfile(),
            "wait": None,
            **laid_over,
        }
    )
    return twin.from_file(profile.origin)


def twin_machine(profile: Profile) -> EmulationSpec:
    """The machine of a board's twin, with all that its image needs; compiles the NPU stand-in where a backend names it.

    Raises:
        UserInputError: the `emulation:` block is wrong, or describes no machine with Linux.
        MissingPartError: the cross compiler is missing; the hint names the package.
    """
    if not isinstance(profile, LinuxProfile):
        hint = f"runs with `--device {profile.name} --emulated` start what they need"
        raise UserInputError(f"the twin of {profile.name} is no emulated board with Linux", hint=hint)
    link = qemu_twin(profile).link
    assert isinstance(link, EmulatedLinkProfile)
    return with_standin(link.spec) if link.standin else link.spec


def _require_standin_name(backends: dict[str, BackendProfile], where: str) -> None:
    """No table may show the stand-in under the name of a real delegate.

    Raises:
        UserInputError: a backend gives it another name.
    """
    for name, backend in backends.items():
        delegate = backend.delegate
        if delegate is not None and delegate.path == STANDIN_PATH and delegate.name != STANDIN_NAME:
            raise UserInputError(
                f"emulation.backends.{name}.delegate.name: found {delegate.name!r}, but {STANDIN_PATH} is the NPU stand-in",
                where=where,
                hint=f"write `name: {STANDIN_NAME}`: it is called what it is in every table",
            )


def _without_affinity(backend: BackendProfile) -> BackendProfile:
    """A real board's CPU numbers mean nothing on a board with another number of cores."""
    return backend.model_copy(update={"affinity": (), "threads": 1})
