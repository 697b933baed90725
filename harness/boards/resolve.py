"""Finds device profiles by name: folders in order, the user's overrides from `local.yaml`, emulated twins."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.boards.kind import QEMU_SUFFIX
from harness.boards.profile.model import Origin, Profile
from harness.boards.registry import kind_for, kind_of, twin_kind
from harness.boards.runtimes import split_runtime, with_runtimes
from harness.core import paths
from harness.core.errors import HarnessError, UserInputError, unknown_name
from harness.core.located_errors import validate
from harness.core.located_yaml import LocatedData, load_yaml, overlay
from harness.core.names import near_names

#: overrides of single fields per device, git-ignored: addresses, users, keys of this very lab
LOCAL_FILE = "local.yaml"
_SUFFIX = ".yaml"

DevicesOption = str | os.PathLike[str] | None


@dataclass(frozen=True, kw_only=True)
class ProfileEntry:
    """One line of `harness devices list`: a profile, or why it could not be read."""

    name: str
    path: Path
    profile: Profile | None = None
    error: HarnessError | None = None


def list_profiles(devices_option: DevicesOption = None) -> list[ProfileEntry]:
    """Every profile that can be found, by name; a name in two folders counts once, the first folder wins.

    A profile that cannot be read is an entry with its error, and so is a `local.yaml` that names no device.
    """
    files = _profile_files(devices_option)
    entries: list[ProfileEntry] = []
    for name, path in files.items():
        try:
            entries.append(ProfileEntry(name=name, path=path, profile=_load(name, path, devices_option)))
        except HarnessError as broken:
            entries.append(ProfileEntry(name=name, path=path, error=broken))
    for path in _local_files(devices_option):
        try:
            local = load_yaml(path, may_be_empty=True)
        except HarnessError:
            continue  # every profile already carries this error
        for name in local.data.keys() - files.keys():
            near = near_names(name, files, most=1)
            hint = f"did you mean {near[0]}?" if near else "remove the entry, or add the profile"
            error = UserInputError(f"no device is called '{name}'", where=str(local.keys[(name,)]), hint=hint)
            entries.append(ProfileEntry(name=name, path=path, error=error))
    return sorted(entries, key=lambda entry: entry.name)


def get_profile(name: str, devices_option: DevicesOption = None, emulated: bool = False) -> Profile:
    """The profile of one device.

    Args:
        name: such as `imx8mp`, or `imx8mp@qemu` for the emulated twin, `imx93@vela` for a compiler's estimates; behind it the
            release of a runtime, as in `host-litert@ai-edge-litert-1.2.0` (`harness.boards.runtimes`).
        devices_option: a folder to look in first.
        emulated: short for the twin's name.

    Raises:
        UserInputError: no such device; a faulty profile or local.yaml (with file, line, column); a device without a twin.
        MissingPartError: this version cannot make the twin.
    """
    device, package = split_runtime(name)
    base, at, suffix = device.partition("@")
    files = _profile_files(devices_option)
    if base not in files:
        _refuse_pattern(name, files)
        _explain_near_miss(base, devices_option)
        raise unknown_name("device", name, files)
    profile = _load(base, files[base], devices_option)
    if at or emulated:
        profile = _twin(profile, devices_option, f"@{suffix}" if at else None)
    return with_runtimes(profile, [package])[0] if package else profile


def get_profiles(
    names: Sequence[str],
    devices_option: DevicesOption = None,
    *,
    emulated: bool = False,
    runtimes: Sequence[str] = (),
) -> list[Profile]:
    """The profiles of several devices, each once.

    Args:
        names: as `get_profile` takes them.
        emulated: the twins of the boards among them. This machine, which has none, stays what it is beside them.
        runtimes: each device once with each of these, as `NAME==VERSION`, in place of its own.

    Raises:
        UserInputError: as `get_profile`; nothing among them has a twin; a device that brings its own runtime.
        MissingPartError: as `get_profile`.
    """
    profiles: dict[str, Profile] = {}
    here = []
    for name in dict.fromkeys(names):
        plain = get_profile(name, devices_option)
        if emulated and "@" not in name:
            if plain.emulation is None and kind_of(plain).is_this_machine(plain):
                here.append(name)
            else:
                plain = get_profile(name, devices_option, emulated=True)
        if runtimes and split_runtime(name)[1]:
            raise UserInputError(
                f"{name} names a runtime already", hint="leave --runtime out, or what stands behind the @"
            )
        profiles.update({profile.name: profile for profile in with_runtimes(plain, runtimes)})
    if here and len(here) == len(set(names)):
        raise UserInputError(
            f"--emulated has nothing to emulate: {', '.join(here)} {'is' if len(here) == 1 else 'are'} this machine itself",
            hint="leave it out, or name a board that has a twin: `harness devices list` shows which have",
        )
    return list(profiles.values())


def packaged_profile(name: str) -> Profile:
    """A profile as it came with the harness, whatever the user's own folders hold: for references, which are pinned."""
    folder = paths.packaged_devices_dir()
    path = folder / f"{name}{_SUFFIX}"
    if not path.is_file():
        raise unknown_name("packaged device", name, [p.stem for p in folder.glob(f"*{_SUFFIX}")])
    located = load_yaml(path)
    return _validated(located, Origin(path=path, local_path=folder / LOCAL_FILE))


def local_file_for(devices_option: DevicesOption = None) -> Path:
    """The `local.yaml` that a user should write to: an existing one, else beside their profiles, else in their settings."""
    existing = _local_files(devices_option)
    if existing:
        return existing[0]
    own = [d for d in paths.device_dirs(devices_option) if not d.is_relative_to(Path(paths.__file__).parent.parent)]
    return (own[0] if own else paths.user_config_dir() / "devices") / LOCAL_FILE


def _profile_files(devices_option: DevicesOption) -> dict[str, Path]:
    """Profile files by device name, from all folders, the first one winning."""
    if devices_option is not None and not Path(devices_option).expanduser().is_dir():
        raise UserInputError("there is no such folder of device profiles", where=str(devices_option))
    files: dict[str, Path] = {}
    for folder in paths.device_dirs(devices_option):
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            if path.name != LOCAL_FILE and not path.name.startswith("."):
                files.setdefault(path.name.removesuffix(_SUFFIX), path)
    return files


def _local_files(devices_option: DevicesOption) -> list[Path]:
    return [d / LOCAL_FILE for d in paths.device_dirs(devices_option) if (d / LOCAL_FILE).exists()]


def _load(name: str, path: Path, devices_option: DevicesOption) -> Profile:
    located = load_yaml(path)
    if located.data.get("name", name) != name:
        where = str(located.values[("name",)])
        what = f"name: found '{located.data['name']}', but the file is called {path.name}"
        raise UserInputError(what, where=where, hint=f"write `name: {name}` or rename the file")
    _apply_local(name, located, devices_option)
    return _validated(located, Origin(path=path, local_path=local_file_for(devices_option)))


def _validated(located: LocatedData, origin: Origin) -> Profile:
    """The profile, by the model of its kind."""
    model: type[Profile] = kind_for(located).profile_model
    return validate(model, located).from_file(origin)


def _apply_local(name: str, located: LocatedData, devices_option: DevicesOption) -> None:
    """Lays the overrides of the first `local.yaml` that names the device over its profile."""
    for path in _local_files(devices_option):
        local = load_yaml(path, may_be_empty=True)
        if name not in local.data:
            continue
        if not isinstance(local.data[name], dict):
            what = f"{name}: expected a mapping of fields to override"
            raise UserInputError(what, where=str(local.values[(name,)]), hint="such as `link: {host: 192.0.2.7}`")
        entry = local.subtree((name,))
        if "name" in entry.data:
            raise UserInputError("a device's name cannot be overridden", where=str(entry.keys[("name",)]))
        overlay(located, entry)
        return


def _refuse_pattern(name: str, known: Iterable[str]) -> None:
    """Boards are named one by one: a pattern would take in those of other people, or such as are not there."""
    if not any(sign in name for sign in "*?["):
        return
    matching = sorted(device for device in known if fnmatch.fnmatchcase(device, name))
    shown = matching or sorted(known)
    raise UserInputError(
        f"'{name}' is a pattern, and devices are named one by one",
        hint=f"{'it matches' if matching else 'nothing matches it; known are'} {', '.join(shown)}: repeat --device for each, "
        f"as in {' '.join(f'--device {device}' for device in shown[:2])}",
    )


def _explain_near_miss(name: str, devices_option: DevicesOption) -> None:
    """A profile named `.yml` is the likeliest reason why a device that the user just wrote is unknown."""
    for folder in paths.device_dirs(devices_option):
        path = folder / f"{name}.yml"
        if path.is_file():
            raise UserInputError("profiles end in .yaml", where=str(path), hint=f"rename it to {name}{_SUFFIX}")


def twin_suffix(profile: Profile) -> str:
    """What the twin of a profile with an `emulation:` block is called behind the device's name."""
    return twin_kind(profile).twin_suffix


def _twin(profile: Profile, devices_option: DevicesOption, suffix: str | None) -> Profile:
    """The twin, by the suffix that the user wrote (None: `--emulated`)."""
    own = twin_suffix(profile)
    if suffix not in (None, own, QEMU_SUFFIX) or (suffix not in (None, own) and profile.emulation is not None):
        its = "its" if profile.emulation is not None else "an emulated"
        raise UserInputError(
            f"unknown device '{profile.name}{suffix}'", hint=f"{its} twin is called {profile.name}{own}"
        )
    if profile.emulation is None:
        entries = list_profiles(devices_option)
        twins = [e.name + twin_suffix(e.profile) for e in entries if e.profile and e.profile.emulation is not None]
        what = f"{profile.name} has no emulated twin: its profile has no `emulation:` block"
        raise UserInputError(what, hint=f"devices with a twin: {', '.join(twins) or 'none'}")
    return twin_kind(profile).twin(profile)
