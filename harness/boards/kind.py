"""A kind of board as one object: what its profiles hold, how a board of it is reached, checked, predicted and emulated.

One package per kind has one object of it (`boards/linux`, `boards/mcu`, `boards/mlperf_tiny`, `boards/estimate`); other packages
bring theirs by the entry point group `harness.boards` (docs/guides/adding-a-board-kind.md). `harness.boards.registry` knows them
all, and nothing else asks what kind a device is.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from harness.boards.base import BackendSpec, Board
from harness.boards.profile.model import Profile
from harness.core.errors import HarnessError, UserInputError, unknown_name

if TYPE_CHECKING:
    from harness.envs.hostenv import TextProgress
    from harness.links.base import SshLink
    from harness.meters.base import MeterPlace
    from harness.predict.prediction import Prediction
    from harness.tflite.graph import Graph

#: the suffix of an emulated twin's device id
QEMU_SUFFIX = "@qemu"
#: the lock that emulated boards share with the host devices: they compute with the same cores
HOST_LOCK = "host-cpu"

P = TypeVar("P", bound=Profile)


@dataclass(frozen=True, kw_only=True)
class Availability:
    """Whether a device can be tried at all; `reason` says why not. Nothing was connected to find out."""

    ok: bool
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class CheckStep:
    """One line of `harness devices check`. `ok` False: `detail` says why, with what to do.

    `private`: what in any text about the board names its place and stands in no profile, such as its host name; a report for
    others (`harness devices report`) leaves it out.
    """

    name: str
    ok: bool
    detail: str
    private: tuple[str, ...] = ()


class BoardKind(ABC, Generic[P]):
    """What the harness asks of a kind of board. `connect` and `profile_model` are its own; the rest has an answer for boards that
    have nothing special to say.

    Attributes:
        name: what stands in `kind:` of a profile, unless several kinds share a word (`takes` tells them apart then).
        profile_model: the model that its profiles are checked against, and that its devices are of.
        twin_suffix: what its twins are called behind the device's name.
        twin_machines: `emulation.machine` of twins that it makes of other kinds' boards.
    """

    name: str
    profile_model: type[P]
    twin_suffix: str = QEMU_SUFFIX
    twin_machines: tuple[str, ...] = ()

    # ---------------------------------------------------------------------------------------------- whose profile it is

    def takes(self, data: Mapping[str, Any]) -> bool:
        """Whether a profile file with this kind's word in `kind:` is of this kind, by what else stands in it."""
        return True

    # ---------------------------------------------------------------------------------------------- before a connection

    def require_address(self, profile: P) -> None:
        """Ends a command before anything is built when nobody knows where the board is.

        Raises:
            UserInputError: says which variable to set, or which line to write where.
        """
        return None

    def require_parts(self, profile: P) -> None:
        """A cheap look at whether this machine has what driving the board takes, such as a program or a Python.

        Raises:
            HarnessError: it has not; the hint says how to get it.
        """
        return None

    def availability(self, profile: P) -> Availability:
        """Whether the board can be tried. It is not asked."""
        try:
            self.require_address(profile)
            self.require_parts(profile)
        except HarnessError as error:
            return Availability(ok=False, reason=str(error))
        return Availability(ok=True)

    def absence(self, profile: P) -> str | None:
        """Why the board is plainly not there now, such as a port that does not exist; None: nothing speaks against it. A run
        tries all the same: the board may come until then.
        """
        return None

    def link_text(self, profile: P) -> str:
        """How the board is reached, in a few words."""
        return self.name

    def runtime_text(self, profile: P) -> str:
        """Which runtime it is expected to have."""
        return self.name

    def environment_text(self, profile: P) -> str:
        """What of it stands on this machine, for the first step of a check."""
        return self.runtime_text(profile)

    def ssh(self, profile: P) -> SshLink | None:
        """The SSH connection by which the board is reached, whose host keys have to be pinned; None where there is none.

        Raises:
            UserInputError: as `require_address`.
        """
        return None

    def is_this_machine(self, profile: P) -> bool:
        """Whether the device is the machine that the harness runs on: `--emulated` leaves it what it is, beside others."""
        return False

    def with_runtime(self, profile: P, package: str) -> P:
        """The same device with another release of a runtime, under an id of its own (`harness.boards.runtimes.runtime_id`);
        the profile as it is where that is the runtime that it has.

        Args:
            package: pinned, such as `ai-edge-litert==1.2.0`.

        Raises:
            UserInputError: the board brings its own runtime.
        """
        raise UserInputError(
            f"{profile.name} brings its own runtime ({self.runtime_text(profile)}), and no other is installed on it",
            where="--runtime",
            hint="runtimes are chosen for devices whose runtime this harness installs: host-litert, host-tflite, and the "
            "emulated twins of boards with Linux, such as imx8mp@qemu",
        )

    def install_runtime(self, profile: P, *, progress: TextProgress | None = None) -> None:
        """Installs on this machine the runtime that the device runs with, where it does.

        Args:
            progress: told what is going on.

        Raises:
            UserInputError: there is no such release.
            MissingPartError: it cannot be had on this machine now.
        """
        return None

    # ---------------------------------------------------------------------------------------------- the board

    @abstractmethod
    def connect(self, profile: P, *, progress: TextProgress | None = None) -> Board:
        """The board, ready for its `connect()`.

        Args:
            profile: the device.
            progress: told of long waits, such as an environment being made.

        Raises:
            UserInputError: as `require_address`.
            MissingPartError: something that it takes cannot be had on this machine.
        """

    def backend_spec(self, profile: P, name: str) -> BackendSpec:
        """One backend of a device, in the words of the board seam.

        Raises:
            UserInputError: the device has no such backend.
        """
        if name not in profile.backends:
            raise unknown_name(f"backend of {profile.name}", name, profile.backends)
        backend = profile.backends[name]
        delegate = backend.delegate
        return BackendSpec(
            name=name,
            kernels=backend.kernels,
            threads=backend.threads,
            affinity=backend.affinity,
            delegate_path=delegate.path if delegate else None,
            delegate_name=delegate.name if delegate else None,
            delegate_options=dict(delegate.options) if delegate else {},
            env=dict(backend.env),
            compiler=backend.compile.vela_options() if backend.compile else None,
        )

    def check(self, profile: P, *, progress: TextProgress | None = None) -> Iterator[CheckStep]:
        """The steps of `harness devices check`: the board is leased and `check_board` walks through it."""
        from harness.boards.check import check_leased

        yield from check_leased(self, profile, progress)

    def check_board(self, profile: P, board: Board) -> Iterator[CheckStep]:
        """The steps once the board is leased: it connects, and each backend answers a tiny model rightly."""
        from harness.boards.check import backend_steps, step

        connected = step("board", lambda: board.connect().runtime)
        yield connected
        if connected.ok:
            yield from backend_steps(profile, board)

    def meter_place(self, profile: P) -> MeterPlace:
        """Where a meter of the profile stands. Power files are read on the board where programs run there, else on this machine.

        Raises:
            HarnessError: the board cannot be reached.
        """
        from harness.meters.base import MeterPlace

        return MeterPlace(device=profile.name)

    def can_flash(self, profile: P) -> bool:
        """Whether `flash` knows how: the profile has a `flash:` block, or the board is an emulated one."""
        return False

    def flash(self, profile: P, *, build: bool, say: TextProgress) -> str:
        """Brings the firmware onto the board that belongs there, unless it runs it already, and proves that it runs. The device
        is leased by the caller.

        Args:
            build: compile it where that was not done yet.
            say: told what is done.

        Returns:
            What became of it, a sentence.

        Raises:
            HarnessError: why not.
        """
        raise UserInputError(
            f"{profile.name} has no firmware that the harness flashes",
            where=profile.where,
            hint="microcontrollers with the harness's own firmware have one (`kind: mcu`)",
        )

    # ---------------------------------------------------------------------------------------------- without the board

    def predict(
        self,
        profile: P,
        graph: Graph,
        artifact_size: int,
        backend: BackendSpec,
        *,
        runtime: str | None = None,
        machine: str | None = None,
        devices_option: str | os.PathLike[str] | None = None,
        board: object | None = None,
    ) -> Prediction:
        """What is expected of a model on one backend; the arguments are those of `harness.boards.predict.predict`.

        Without knowledge of its own, a kind predicts nothing but memory.
        """
        from harness.predict.prediction import unknown_prediction

        return unknown_prediction(
            graph,
            artifact_size,
            device=profile.name,
            backend=backend.name,
            runtime=runtime or self.runtime_text(profile),
            runtime_assumed=runtime is None,
            reason=f"nothing is known of what boards of the kind {self.name} load before they are asked",
        )

    def twin(self, profile: P) -> Profile:
        """The profile of a board's twin, as its `emulation:` block says; nothing is built or started.

        Raises:
            UserInputError: the block is wrong, with the field; this kind has no twins.
        """
        raise UserInputError(
            f"nothing emulates boards of the kind {self.name}", where=profile.where, hint="leave `emulation` out"
        )
