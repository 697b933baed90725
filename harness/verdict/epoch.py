"""Epochs: what a cell ran on, and what of it changed between two records."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.files import sha256_json
from harness.core.fingerprint import Fingerprint

#: the fields whose change starts a new epoch, and their names in sentences; harness version, agent hash and Python are
#: recorded only
FIELDS: dict[str, str] = {
    "runtime": "runtime",
    "delegate": "delegate",
    "kernel": "kernel",
    "bsp": "BSP",
    "governor": "governor",
    "firmware": "firmware",
    "clock_hz": "clock",
    "board_model": "board",
    "cpu_model": "CPU",
    "cpu_count": "CPU count",
    "machine": "machine",
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """A field of the fingerprint that is another one than it was."""

    field: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{FIELDS[self.field]} {self.before} -> {self.after}"


def changes(before: Fingerprint | None, after: Fingerprint | None) -> tuple[Change, ...]:
    """What changed between two fingerprints; nothing where one of them is not known.

    A field that one of the two does not tell says nothing: boards answer more or less, as they can at the moment.
    """
    if before is None or after is None:
        return ()
    found = []
    for name in FIELDS:
        old, new = getattr(before, name), getattr(after, name)
        if old != new and old is not None and new is not None:
            found.append(Change(field=name, before=str(old), after=str(new)))
    if (before.delegate is None) != (after.delegate is None):
        found.append(Change(field="delegate", before=before.delegate or "none", after=after.delegate or "none"))
    return tuple(found)


def epoch_id(fingerprint: Fingerprint | None) -> str | None:
    """A short name of an epoch, the same for two fingerprints that differ in recorded-only fields; None without one."""
    if fingerprint is None:
        return None
    return sha256_json({name: getattr(fingerprint, name) for name in FIELDS})[:12]


def since_text(found: tuple[Change, ...]) -> str:
    """` since runtime a -> b`; empty where nothing changed."""
    return f" since {', '.join(str(change) for change in found)}" if found else ""
