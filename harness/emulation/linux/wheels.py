"""The board's Python packages: aarch64 wheels by pip, which resolves them for a platform other than this machine's."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import MissingPartError
from harness.core.files import sha256_file
from harness.emulation.linux.spec import BOARD_PYTHON
from harness.emulation.tools import run_tool
from harness.envs.hostenv import numpy_version
from harness.envs.pip_said import no_such_version

_DEADLINE_S = 600.0
#: Debian 12 has glibc 2.36; pip takes these names literally and does not try older ones by itself
_PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)), "linux_aarch64")


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """One wheel by file name and content."""

    file_name: str
    sha256: str


def resolve_wheels(runtime: str, folder: Path) -> tuple[Wheel, ...]:
    """Downloads a runtime, its pinned numpy and what they need into `folder` (kept there from then on).

    Raises:
        UserInputError: there is no such release of the runtime.
        MissingPartError: pip failed, or there is no wheel for the board.
    """
    folder.mkdir(parents=True, exist_ok=True)
    incoming = folder / f".incoming-{os.getpid()}"
    shutil.rmtree(incoming, ignore_errors=True)
    try:
        version = ".".join(map(str, BOARD_PYTHON))
        abi = f"cp{BOARD_PYTHON[0]}{BOARD_PYTHON[1]}"
        run_tool(
            [
                *_pip(),
                "download",
                "--quiet",
                "--no-input",
                "--disable-pip-version-check",
                "--dest",
                incoming,
                "--only-binary=:all:",
                "--implementation",
                "cp",
                "--python-version",
                version,
                *(f"--abi={name}" for name in (abi, "abi3", "none")),
                *(f"--platform={name}" for name in _PLATFORMS),
                runtime,
                f"numpy=={numpy_version(runtime)}",
            ],
            f"no aarch64 wheels for {runtime}",
            timeout_s=_DEADLINE_S,
        )
        wheels = []
        for path in sorted(incoming.glob("*.whl")):
            os.replace(path, folder / path.name)
            wheels.append(Wheel(file_name=path.name, sha256=sha256_file(folder / path.name)))
        return tuple(wheels)
    except MissingPartError as error:
        raise no_such_version(str(error)) or error from None
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def unpack_wheels(wheels: tuple[Wheel, ...], folder: Path, target: Path) -> None:
    """Unpacks wheels for import; what nothing imports stays out.

    Raises:
        MissingPartError: a wheel is gone from the cache, has changed, or holds a path that leads out of it.
    """
    target.mkdir(parents=True, exist_ok=True)
    for wheel in wheels:
        path = folder / wheel.file_name
        if not path.is_file() or sha256_file(path) != wheel.sha256:
            hint = "build the board anew: `harness emulator build --refresh`"
            raise MissingPartError("a downloaded wheel is gone or has changed", where=str(path), hint=hint)
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                parts = Path(info.filename).parts
                if info.is_dir() or not parts or not _is_needed(parts):
                    continue
                if Path(info.filename).is_absolute() or ".." in parts:
                    raise MissingPartError(f"the wheel holds an unsafe path '{info.filename}'", where=str(path))
                archive.extract(info, target)


def _is_needed(parts: tuple[str, ...]) -> bool:
    """False for scripts, tests, headers, stubs and static libraries: two thirds of numpy's files."""
    return not (
        parts[0].endswith(".data")
        or "tests" in parts[:-1]
        or "include" in parts[:-1]
        or parts[-1].endswith((".pyi", ".a", ".h"))
    )


def _pip() -> list[str | Path]:
    """pip of this environment, or the one that virtualenv carries where the environment has none (uv, conda)."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-I", "-m", "pip"]
    from virtualenv.seed.wheels.embed import get_embed_wheel

    wheel = get_embed_wheel("pip", f"{sys.version_info[0]}.{sys.version_info[1]}")
    if wheel is None:
        raise MissingPartError(
            "pip is not installed beside the harness", hint="install pip in the harness's environment"
        )
    return [sys.executable, "-I", wheel.path / "pip"]
