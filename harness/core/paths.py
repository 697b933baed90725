"""Where things live. One resolver, so that `harness` works inside a checkout, outside of one, and from a wheel."""

from __future__ import annotations

import os
from pathlib import Path

APP_NAME = "tflite-hil-harness"
#: names a shared results store; its value may hold a password, so that no process gets it that does not need it
STORE_VARIABLE = "HARNESS_STORE"


def cache_dir() -> Path:
    """The root of every cache (artifacts, host environments, emulated boards): `$HARNESS_CACHE_DIR` or the user's cache."""
    override = os.environ.get("HARNESS_CACHE_DIR")
    if override:
        return Path(override).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path(APP_NAME)


def user_config_dir() -> Path:
    """The user's own settings: device profiles in `devices/`, pinned host keys in `known_hosts`."""
    override = os.environ.get("HARNESS_CONFIG_DIR")
    if override:
        return Path(override).expanduser().absolute()
    from platformdirs import user_config_path

    return user_config_path(APP_NAME)


def results_dir(option: str | os.PathLike[str] | None = None) -> Path:
    """Where runs land: the option, else `$HARNESS_RESULTS_DIR`, else `./results`."""
    return Path(option or os.environ.get("HARNESS_RESULTS_DIR") or "results").expanduser().absolute()


def data_dir(option: str | os.PathLike[str] | None = None) -> Path | None:
    """Where the user keeps datasets: the option, else `$HARNESS_DATA_DIR`, else None (then the bundled digits serve)."""
    chosen = option or os.environ.get("HARNESS_DATA_DIR")
    return Path(chosen).expanduser().absolute() if chosen else None


def packaged_devices_dir() -> Path:
    """The profiles and board-side files that came with the harness, from a wheel or from a checkout."""
    package = Path(__file__).resolve().parent.parent
    in_wheel = package / "_devices"
    return in_wheel if in_wheel.is_dir() else package.parent / "devices"


def device_dirs(option: str | os.PathLike[str] | None = None) -> list[Path]:
    """Folders searched for device profiles, first match wins.

    The order: the option, `$HARNESS_DEVICES`, `./devices`, the user's configuration, the packaged profiles.
    """
    candidates = [
        option,
        os.environ.get("HARNESS_DEVICES"),
        "devices",
        user_config_dir() / "devices",
        packaged_devices_dir(),
    ]
    found: list[Path] = []
    for candidate in candidates:
        if candidate:
            path = Path(candidate).expanduser().absolute()
            if path.is_dir() and path.resolve() not in [p.resolve() for p in found]:
                found.append(path)
    return found
