"""A microcontroller's firmware onto its board, by the name of the device."""

from __future__ import annotations

from collections.abc import Callable

from harness.boards.lease import lease
from harness.boards.registry import kind_of
from harness.boards.resolve import get_profile


def flash_device(name: str, devices_dir: str | None, *, emulated: bool, build: bool, say: Callable[[str], None]) -> str:
    """Flashes a board that is nobody else's meanwhile, and proves that it runs what it was given; says what was done.

    Args:
        build: compile the firmware first, where that was not done yet.

    Raises:
        HarnessError: no such device, it cannot be flashed from here, or it does not run what it was given.
    """
    profile = get_profile(name, devices_dir, emulated=emulated)
    kind = kind_of(profile)
    if kind.can_flash(profile):
        kind.require_address(profile)
    with lease(profile, on_wait=say):
        return kind.flash(profile, build=build, say=say)
