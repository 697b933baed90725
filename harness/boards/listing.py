"""Every device that can be found, and whether it can be tried: what `harness devices list` and the Python API show."""

from __future__ import annotations

from harness.boards.lease import holder_of
from harness.boards.profile.model import Profile
from harness.boards.registry import kind_of
from harness.boards.resolve import DevicesOption, ProfileEntry, get_profile, list_profiles, twin_suffix
from harness.core.errors import HarnessError


def device_rows(devices_dir: DevicesOption = None) -> list[dict[str, object]]:
    """One row per device and emulated twin, as plain JSON values; a profile that cannot be read is a row with its reason.

    Args:
        devices_dir: a folder with profiles, searched first.
    """
    return [row for entry in list_profiles(devices_dir) for row in _rows(entry, devices_dir)]


def _rows(entry: ProfileEntry, devices_dir: DevicesOption) -> list[dict[str, object]]:
    """A device and its emulated twin, where it has one, as plain JSON values."""
    place: dict[str, object] = {"path": str(entry.path)}
    if entry.profile is None:
        return [{"name": entry.name, **place, "available": False, "reason": str(entry.error)}]
    rows = [_row(entry.profile, place)]
    if entry.profile.emulation is None:
        return rows
    name = entry.name + twin_suffix(entry.profile)
    try:
        rows.append(_row(get_profile(name, devices_dir), place))
    except HarnessError as error:  # one wrong block hides no other device
        rows.append({"name": name, **place, "available": False, "reason": str(error)})
    return rows


def _row(profile: Profile, place: dict[str, object]) -> dict[str, object]:
    kind, holder = kind_of(profile), holder_of(profile)
    state = kind.availability(profile)
    return {
        "name": profile.name,
        **place,
        "title": profile.title,
        "kind": profile.kind,
        "link": kind.link_text(profile),
        "runtime": kind.runtime_text(profile),
        "backends": list(profile.backends),
        "samples": profile.samples,
        "time_basis": profile.time_basis,
        "exclusive": profile.exclusive,
        "emulated_twin": profile.emulation is not None,
        "power": profile.power.note,
        "available": state.ok,
        "absent": kind.absence(profile) if state.ok else None,
        "reason": state.reason,
        "host_key_known": _host_key_known(profile),
        "in_use_by": str(holder) if holder else None,
    }


def _host_key_known(profile: Profile) -> bool | None:
    """Whether a key is pinned for the board's address; None where there is no address or no SSH."""
    try:
        settings = kind_of(profile).ssh(profile)
    except HarnessError:
        return None
    if settings is None:
        return None
    from harness.links.ssh.hostkeys import known_keys

    return bool(known_keys(settings.host, settings.port))
