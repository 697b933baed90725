"""Compiles npu-standin, the NPU stand-in of emulated boards, from this package's C sources (docs/internals/npu-standin.md)."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from harness.core import paths
from harness.core.errors import MissingPartError, UserInputError, unknown_name
from harness.core.files import sha256_bytes, sha256_json

#: native: for this machine. aarch64: for 64-bit Arm boards running Linux.
Target = Literal["native", "aarch64"]

LIBRARY = "libnpu_standin.so"
#: strict ISO C; a fused multiply-add would change the last bit of a prepared parameter (docs/internals/kernels.md)
FLAGS = (
    "-std=c11",
    "-D_POSIX_C_SOURCE=200809L",
    "-O2",
    "-Wall",
    "-Wextra",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-shared",
    "-fPIC",
    "-Wl,-z,defs",
)
_LIBRARIES = ("-lm",)
_CROSS_COMPILER = "aarch64-linux-gnu-gcc"
_CROSS_PACKAGES = "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
_NATIVE_PACKAGES = "gcc libc6-dev"
_TIMEOUT_S = 300.0
_LOG_LINES = 12


def build_standin(target: Target = "native") -> Path:
    """The delegate's library for a target, compiled now if it is not in the cache yet (about 3 s).

    The cache entry's name is a hash of sources, flags and compiler version.

    Raises:
        UserInputError: an unknown target; the cache cannot be written.
        MissingPartError: no compiler (names the Debian packages), or it failed (its last lines are quoted).
    """
    if target not in ("native", "aarch64"):
        raise unknown_name("target of the NPU stand-in", target, ("native", "aarch64"))
    compiler = _find_compiler(target)
    sources = source_files()
    library = paths.cache_dir() / "npu-standin" / _key(target, compiler, sources) / LIBRARY
    if library.is_file():
        return library
    from filelock import FileLock

    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(library.parent / "lock"):
            if not library.is_file():
                _compile(compiler, sources, library)
    except OSError as error:
        raise UserInputError(
            f"the NPU stand-in cannot be written: {error.strerror or error}",
            where=str(library.parent),
            hint="set HARNESS_CACHE_DIR to a folder that can be written",
        ) from error
    return library


def source_files() -> list[Path]:
    """Sources and headers of the stand-in and of the kernels below it, in a fixed order.

    Raises:
        MissingPartError: they are not there; the installation is not whole.
    """
    root = paths.packaged_devices_dir()
    files = [path for folder in ("npu", "kernels") for path in sorted((root / folder).glob("*.[ch]"))]
    if not files:
        raise MissingPartError(
            "the sources of the NPU stand-in are missing", where=str(root), hint="install the harness again"
        )
    return files


def compile_command(compiler: Sequence[str], sources: Sequence[Path], output: Path, *extra: str) -> list[str]:
    """The one command that makes the library; `extra` are further flags such as a sanitizer's."""
    return [*compiler, *FLAGS, *extra, "-o", str(output), *[str(p) for p in sources if p.suffix == ".c"], *_LIBRARIES]


def _find_compiler(target: Target) -> str:
    """The path of the compiler. On a 64-bit Arm machine its own compiler makes both targets."""
    cross = target == "aarch64" and platform.machine() != "aarch64"
    name = _CROSS_COMPILER if cross else os.environ.get("CC") or "cc"
    found = shutil.which(name)
    if found is None:
        packages = _CROSS_PACKAGES if cross else _NATIVE_PACKAGES
        raise MissingPartError(
            f"the NPU stand-in for {target} is compiled with {name}, which is not installed",
            hint=f"apt-get install --no-install-recommends {packages}",
        )
    return found


def _key(target: Target, compiler: str, sources: Sequence[Path]) -> str:
    version = _run([compiler, "-v"]).stderr
    contents = {f"{path.parent.name}/{path.name}": sha256_bytes(path.read_bytes()) for path in sources}
    # A native library holds for the kind of machine it was made on; a cache folder may be shared.
    machine = platform.machine() if target == "native" else target
    return sha256_json([machine, version, FLAGS, contents])[:24]


def _compile(compiler: str, sources: Sequence[Path], library: Path) -> None:
    handle, temporary = tempfile.mkstemp(dir=library.parent, prefix=".tmp-", suffix=".so")
    os.close(handle)
    try:
        done = _run(compile_command([compiler], sources, Path(temporary)))
        if done.returncode:
            lines = "\n".join(done.stderr.strip().splitlines()[-_LOG_LINES:]) or f"exit status {done.returncode}"
            raise MissingPartError(
                f"the NPU stand-in does not compile; the last lines of {compiler}:\n{lines}",
                hint="a C11 compiler and the C library's headers are needed",
            )
        os.chmod(temporary, 0o755)
        os.replace(temporary, library)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_TIMEOUT_S,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except subprocess.TimeoutExpired:
        raise MissingPartError(f"{command[0]} did not end within {_TIMEOUT_S:.0f} s") from None
