"""From a profile to a board that is ready to connect, whatever kind it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.boards.kind import Availability
from harness.boards.registry import kind_of

if TYPE_CHECKING:
    from harness.boards.base import BackendSpec, Board
    from harness.boards.profile.model import Profile
    from harness.envs.hostenv import TextProgress


def availability(profile: Profile) -> Availability:
    """A cheap look: address, key files, a Python for the runtime. The board itself is not asked."""
    return kind_of(profile).availability(profile)


def require_address(profile: Profile) -> None:
    """Ends a command before anything is built when a device has no address or port.

    Raises:
        UserInputError: says which variable to set, or which line to write where.
    """
    kind_of(profile).require_address(profile)


def install_runtime(profile: Profile, *, progress: TextProgress | None = None) -> None:
    """Installs the runtime of a device that is this machine; of others, nothing.

    Raises:
        UserInputError: there is no such release.
        MissingPartError: it cannot be had now.
    """
    kind_of(profile).install_runtime(profile, progress=progress)


def connect(profile: Profile, *, progress: TextProgress | None = None) -> Board:
    """The board of a profile, ready for its `connect()`. Makes the runtime's environment on this machine where the
    profile asks for one (about 20 s the first time; `progress` is told).

    Raises:
        UserInputError: no address; a key file that is not there.
        MissingPartError: the runtime cannot be had on this machine.
    """
    return kind_of(profile).connect(profile, progress=progress)


def backend_spec(profile: Profile, name: str) -> BackendSpec:
    """One backend of a device, in the words of the board seam.

    Raises:
        UserInputError: the device has no such backend.
    """
    return kind_of(profile).backend_spec(profile, name)
