"""Where a study runs whose question no backend changes."""

from __future__ import annotations

from harness.boards.resolve import get_profiles
from harness.run.options import RunOptions


def usual_backends(options: RunOptions) -> tuple[str, ...]:
    """Each device's first backend that is not made of reference kernels: the others give the same scores, later."""
    profiles = get_profiles(options.devices, options.devices_dir, emulated=options.emulated, runtimes=options.runtimes)
    found = []
    for profile in profiles:
        usual = [name for name in profile.backends if not name.endswith("-ref")] or list(profile.backends)
        found.append(usual[0])
    return tuple(dict.fromkeys(found))
