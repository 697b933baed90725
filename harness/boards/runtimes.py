"""One device with several releases of a runtime: each is a device of its own, called `NAME@RUNTIME-VERSION`.

`host-litert@ai-edge-litert-1.2.0` is what `--device host-litert --runtime ai-edge-litert==1.2.0` makes. Cells, history and leases
know devices by their id, so that figures of two releases are never taken for each other's. The release that a profile names
itself has no suffix: it is the device.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.boards.profile.model import Profile
from harness.boards.registry import kind_of
from harness.envs.hostenv import DISTRIBUTIONS, parse_package

_SUFFIX = re.compile(rf"(?P<name>{'|'.join(map(re.escape, DISTRIBUTIONS))})-(?P<version>[0-9][0-9A-Za-z.]*)")


def runtime_id(device: str, package: str) -> str:
    """The id of a device with this release of a runtime."""
    return f"{device}@{package.replace('==', '-')}"


def split_runtime(device: str) -> tuple[str, str | None]:
    """A device's id without the release of a runtime at its end, and the release as `NAME==VERSION`."""
    base, _, suffix = device.rpartition("@")
    found = _SUFFIX.fullmatch(suffix) if base else None
    return (base, f"{found['name']}=={found['version']}") if found else (device, None)


def with_runtimes(profile: Profile, packages: Sequence[str]) -> list[Profile]:
    """The device once per release, in the order given; without any, the device as it is.

    Raises:
        UserInputError: not a pinned runtime, or a device that brings its own.
    """
    for package in packages:
        parse_package(package)
    devices = [kind_of(profile).with_runtime(profile, package) for package in packages] or [profile]
    return list({device.name: device for device in devices}.values())
