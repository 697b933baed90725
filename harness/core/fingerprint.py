"""What a measurement ran on, and what its times are times of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TimeBasis = Literal["device", "device-cycles", "guest-instructions", "host-emulated", "estimate"]


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What a cell ran on. A changed fingerprint starts a new epoch: its numbers are not compared with older ones."""

    runtime: str
    delegate: str | None = None
    python: str | None = None
    kernel: str | None = None
    machine: str | None = None
    cpu_model: str | None = None
    cpu_count: int | None = None
    board_model: str | None = None
    bsp: str | None = None
    governor: str | None = None
    agent_sha256: str | None = None
    #: a microcontroller's firmware: its build and compiler, and the clock of its core
    firmware: str | None = None
    #: SHA-256 of the program that it runs (ELF); None where that build was not made on this machine
    firmware_sha256: str | None = None
    clock_hz: int | None = None
    harness_version: str | None = None
