"""Boards with Linux: the agent over a link that starts programs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from harness.boards.base import BackendSpec, Board
from harness.boards.kind import BoardKind, CheckStep
from harness.boards.linux.profile import LinuxProfile, RuntimeProfile
from harness.boards.runtimes import runtime_id
from harness.core.errors import MissingPartError, UserInputError
from harness.envs.hostenv import parse_package

if TYPE_CHECKING:
    from harness.envs.hostenv import TextProgress
    from harness.links.base import Channel, SshLink
    from harness.meters.base import MeterPlace
    from harness.predict.prediction import Prediction
    from harness.tflite.graph import Graph

L = TypeVar("L", bound=LinuxProfile)


class LinuxBoards(BoardKind[L]):
    """What boards with Linux have in common; kinds that are built on them derive from it."""

    def require_address(self, profile: L) -> None:
        """The link knows its address, and a runtime that is installed on this machine is not wanted on another one."""
        place = profile.place()
        profile.link.require_address(place)
        other = profile.link.other_machine(place.environ)
        if profile.runtime.package and other:
            raise UserInputError(
                f"`runtime.package` is installed on this machine, but {other} is not it",
                where=profile.where,
                hint="name the board's own interpreter with `runtime.python`",
            )

    def require_parts(self, profile: L) -> None:
        """What the link needs, and a Python for a runtime that is installed on this machine."""
        from harness.envs.hostenv import env_unavailable_reason

        profile.link.require_parts(profile.place())
        package = profile.runtime.package
        if package and (reason := env_unavailable_reason(package)):
            raise MissingPartError(reason)

    def link_text(self, profile: L) -> str:
        """The link's own words."""
        return profile.link.text(profile.place())

    def runtime_text(self, profile: L) -> str:
        """The pinned package, or the module of whichever version the board has."""
        return profile.runtime.text

    def environment_text(self, profile: L) -> str:
        """The pinned package, or the board's own interpreter."""
        return profile.runtime.package or f"{profile.runtime.module} of {profile.runtime.python}"

    def ssh(self, profile: L) -> SshLink | None:
        """The link's."""
        return profile.link.ssh(profile.place())

    def is_this_machine(self, profile: L) -> bool:
        """A runtime that is installed on this machine runs here."""
        return profile.runtime.package is not None

    def with_runtime(self, profile: L, package: str) -> L:
        """Where this machine installs the runtime: into an environment here, or into the image of an emulated board."""
        wanted = parse_package(package)
        if package in (profile.runtime.package, profile.link.runtime()):
            return profile
        changed: dict[str, object]
        if profile.runtime.package is not None:
            changed = {"runtime": RuntimeProfile(module=wanted.module, package=package)}
        elif (link := profile.link.with_runtime(package)) is not None:
            changed = {"link": link, "runtime": RuntimeProfile(module=wanted.module, python=profile.runtime.python)}
        else:
            return super().with_runtime(profile, package)
        name, title = runtime_id(profile.name, package), f"{profile.title}, with {wanted.name} {wanted.version}"
        return profile.model_copy(update={"name": name, "title": title, **changed}).from_file(profile.origin)

    def install_runtime(self, profile: L, *, progress: TextProgress | None = None) -> None:
        """Makes the environment of a device that is this machine (about 20 s, once)."""
        from harness.boards.linux.start import board_python

        if self.is_this_machine(profile):
            board_python(profile, progress=progress)

    def connect(self, profile: L, *, progress: TextProgress | None = None) -> Board:
        """The board. Makes the runtime's environment on this machine where the profile asks for one (about 20 s, once)."""
        from harness.boards.linux.board import LinuxBoard
        from harness.boards.linux.start import agent_options, board_python

        self.require_address(profile)
        return LinuxBoard(
            name=profile.name,
            link=profile.link.make_link(profile.place(say=progress)),
            runtime_module=profile.runtime.module,
            python=board_python(profile, progress=progress),
            options=agent_options(profile),
        )

    def meter_place(self, profile: L) -> MeterPlace:
        """Power files are read on the board, over a connection of their own."""
        from harness.boards.linux.start import board_python
        from harness.meters.base import MeterPlace

        def start(argv: Sequence[str]) -> Channel:
            link = profile.link.make_link(profile.place())
            link.open()
            return link.start(argv)

        return MeterPlace(device=profile.name, start=start, python=board_python(profile))

    def check_board(self, profile: L, board: Board) -> Iterator[CheckStep]:
        """Login, agent, and the tiny model on each backend."""
        from harness.boards.linux.check import check_linux

        yield from check_linux(profile, board)

    def predict(
        self,
        profile: L,
        graph: Graph,
        artifact_size: int,
        backend: BackendSpec,
        *,
        runtime: str | None = None,
        machine: str | None = None,
        devices_option: str | os.PathLike[str] | None = None,
        board: object | None = None,
    ) -> Prediction:
        """By the runtime's data file and the delegate's table."""
        from harness.boards.linux.predict import linux_target
        from harness.predict.prediction import predict

        target = linux_target(profile, backend, runtime=runtime, machine=machine)
        return predict(graph, artifact_size, target, devices_option=devices_option)

    def twin(self, profile: L) -> LinuxProfile:
        """A board made of QEMU."""
        from harness.boards.linux.twin import qemu_twin

        return qemu_twin(profile)


class LinuxKind(LinuxBoards[LinuxProfile]):
    """`kind: linux`."""

    name = "linux"
    profile_model = LinuxProfile


KIND = LinuxKind()
