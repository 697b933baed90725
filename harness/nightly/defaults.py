"""What a night runs where nobody says so: the devices that exist without hardware, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.boards.connect import availability
from harness.boards.resolve import get_profile
from harness.boards.runtimes import runtime_id
from harness.core.errors import MissingPartError
from harness.envs.hostenv import parse_package

#: devices that exist on every machine; one whose runtime cannot be had here is left out, with the reason
HOST_DEVICES = ("host-tflite", "host-litert")
#: devices that `--emulated` adds
EMULATED_DEVICES = ("imx8mp@qemu", "cortex-m4@qemu")
#: those of them whose runtime this harness installs
_WITH_RUNTIME = ("imx8mp@qemu",)
#: time for a night, without and with emulated boards
BUDGET, EMULATED_BUDGET = "6m", "15m"


@dataclass(frozen=True, kw_only=True)
class Tonight:
    """Devices of a night that names none.

    Attributes:
        asked: all of them, which name the series: one that is left out tonight is missed by it, and begins no other one.
        present: those that can run.
        left_out: the others, with the reason.
    """

    asked: tuple[str, ...]
    present: tuple[str, ...]
    left_out: Mapping[str, str]


def devices_of_tonight(emulated: bool, runtimes: tuple[str, ...], devices_dir: str | None) -> Tonight:
    """The devices without `--device`; their ids say runtime and emulation.

    Raises:
        MissingPartError: none of them can run here.
    """
    asked = _default_devices(emulated, runtimes)
    states = {name: availability(get_profile(name, devices_dir)) for name in asked}
    present = tuple(name for name, state in states.items() if state.ok)
    if not present:
        raise MissingPartError("no device on this machine can run", hint="see `harness devices list`")
    left_out = {name: state.reason or "" for name, state in states.items() if not state.ok}
    return Tonight(asked=asked, present=present, left_out=left_out)


def _default_devices(emulated: bool, runtimes: tuple[str, ...]) -> tuple[str, ...]:
    """The ids of the devices without `--device`: with `--runtime`, one host device per release and the boards that take it."""
    if not runtimes:
        return (*HOST_DEVICES, *(EMULATED_DEVICES if emulated else ()))
    hosts = {"tflite-runtime": "host-tflite", "ai-edge-litert": "host-litert"}
    own = [runtime_id(hosts[parse_package(package).name], package) for package in runtimes]
    boards = _WITH_RUNTIME if emulated else ()
    return (*own, *(runtime_id(board, package) for board in boards for package in runtimes))
