"""Host environments: a virtual environment of its own for each runtime and each offline tool, made on demand and kept.

A board runtime such as tflite-runtime 2.14.0 needs `numpy<2` and cannot share an environment with the harness. Each
pinned runtime or tool gets one under `cache_dir()/envs`, so that several versions stand side by side.

A virtual environment cannot be renamed, so it is made under a name of its own and published by a marker file that names
it, written last. What no marker names is half-made: it is never used, and removed by the next maker. The name is new each
time because a killed maker can leave a pip behind that goes on writing for a moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from harness.core import paths
from harness.core.errors import HarnessError, MissingPartError, TransientDeviceError, UserInputError, unknown_name
from harness.core.files import sha256_json, write_json_atomic
from harness.envs.pip_said import no_such_version

#: called with one short line of what is going on
TextProgress = Callable[[str], None]

#: what the runtimes are imported as
RuntimeModule = Literal["ai_edge_litert", "tflite_runtime"]
Module = TypeVar("Module", bound=str)

_PIP_DEADLINE_S = 900.0
_LOG_LINES = 12
_NUMPY_1 = "1.26.4"


@dataclass(frozen=True, kw_only=True)
class _Distribution(Generic[Module]):
    """What is known of a runtime's wheels. `numpy` is pinned: the same package gives the same environment."""

    module: Module
    pythons: tuple[tuple[int, int], ...]
    machines: tuple[str, ...]
    numpy: str
    #: what must import before the environment counts as made; without one, `MODULE.interpreter`
    check: str | None = None
    #: further pinned requirements
    others: tuple[str, ...] = ()
    #: versions below this one were compiled against numpy 1 and fail at their first call under numpy 2
    numpy_1_below: tuple[int, ...] = ()


#: wheels as published on PyPI; versions other than the ones named in the profiles get the same treatment
DISTRIBUTIONS: dict[str, _Distribution[RuntimeModule]] = {
    "tflite-runtime": _Distribution(
        module="tflite_runtime",
        numpy="1.26.4",
        pythons=((3, 11), (3, 10), (3, 9)),
        machines=("x86_64", "aarch64"),
    ),
    "ai-edge-litert": _Distribution(
        module="ai_edge_litert",
        numpy="2.2.6",
        numpy_1_below=(1, 1),
        pythons=((3, 13), (3, 12), (3, 11), (3, 10)),
        machines=("x86_64", "aarch64"),
    ),
}

#: programs that run on this machine and want an environment of their own, such as an NPU's offline compiler
TOOLS: dict[str, _Distribution[str]] = {
    "ethos-u-vela": _Distribution(
        module="ethosu",
        check="ethosu.vela.vela",
        numpy="2.2.6",
        others=("flatbuffers==25.12.19",),
        pythons=((3, 13), (3, 12), (3, 11), (3, 10)),
        machines=("x86_64", "aarch64"),
    ),
}

_PACKAGE = re.compile(r"^(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)==(?P<version>[0-9]+(?:\.[0-9A-Za-z]+)*)$")


@dataclass(frozen=True, kw_only=True)
class RuntimePackage(Generic[Module]):
    """A pinned runtime or tool as pip knows it, and the name it is imported by."""

    name: str
    version: str
    module: Module


@dataclass(frozen=True, kw_only=True)
class RuntimeEnv:
    """A ready environment.

    Attributes:
        python: its interpreter.
        path: its folder.
        package: what was asked for, such as `tflite-runtime==2.14.0`.
        module: the runtime's import name.
        created: True when this call made it.
    """

    python: Path
    path: Path
    package: str
    module: str
    python_version: str
    created: bool


@dataclass(frozen=True, kw_only=True)
class _Interpreter:
    path: str
    version: tuple[int, int]


def parse_package(package: str) -> RuntimePackage[RuntimeModule]:
    """Reads `NAME==VERSION` of a known runtime.

    Raises:
        UserInputError: not of that form, or an unknown runtime.
    """
    return _parse(package, DISTRIBUTIONS, "runtime", "tflite-runtime==2.14.0")


def parse_tool(package: str) -> RuntimePackage[str]:
    """Reads `NAME==VERSION` of a known tool.

    Raises:
        UserInputError: not of that form, or an unknown tool.
    """
    return _parse(package, TOOLS, "tool", "ethos-u-vela==5.2.0")


def _parse(package: str, known: Mapping[str, _Distribution[Module]], kind: str, example: str) -> RuntimePackage[Module]:
    match = _PACKAGE.match(package)
    if not match:
        raise UserInputError(f"'{package}' is not a pinned {kind}", hint=f"write NAME==VERSION, such as {example}")
    if match["name"] not in known:
        raise unknown_name(f"{kind} package", match["name"], known)
    name = match["name"]
    return RuntimePackage(name=name, version=match["version"], module=known[name].module)


def _parse_any(package: str) -> RuntimePackage[RuntimeModule] | RuntimePackage[str]:
    return parse_tool(package) if package.split("==")[0] in TOOLS else parse_package(package)


def _distribution(package: str) -> _Distribution:
    name = _parse_any(package).name
    return TOOLS[name] if name in TOOLS else DISTRIBUTIONS[name]


def env_unavailable_reason(package: str) -> str | None:
    """Why this runtime or tool cannot have an environment on this machine, or None. Nothing is made or downloaded."""
    try:
        if _existing(package) is None:
            _find_interpreter(package)
    except HarnessError as error:
        return str(error)
    return None


def ensure_runtime_env(package: str, *, progress: TextProgress | None = None) -> RuntimeEnv:
    """The environment of one runtime or tool, made now if it is not there yet (about 20 s with a download).

    Args:
        package: `tflite-runtime==2.14.0`, `ai-edge-litert==2.3.0`, `ethos-u-vela==5.2.0`, or another version of these.
        progress: told what is going on, a line at a time.

    Raises:
        UserInputError: not a pinned runtime or tool; a version that does not exist; the cache folder cannot be written.
        MissingPartError: no wheel for this machine or for any Python found here; pip failed (its last lines are
            quoted); the runtime was installed but does not import.
    """
    say = progress or (lambda _line: None)
    existing = _existing(package)
    if existing is not None:
        return existing
    interpreter = _find_interpreter(package)
    marker = _marker(package)
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        with _lock(marker, say):
            existing = _existing(package)  # another process may have made it while this one waited
            return existing or _make(package, interpreter, say)
    except OSError as error:
        raise UserInputError(
            f"the environment for {package} cannot be made: {error.strerror or error}",
            where=str(error.filename or marker),
            hint="free space or point HARNESS_CACHE_DIR at a folder that can be written",
        ) from error


@contextlib.contextmanager
def _lock(marker: Path, say: TextProgress):
    """One maker at a time. The kernel frees the lock when its holder dies, so there is no stale lock."""
    import filelock

    lock = filelock.FileLock(marker.with_name(f"{marker.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        say(f"waiting for another process that is making {marker.stem}")
        try:
            lock.acquire(timeout=_PIP_DEADLINE_S + 60)
        except filelock.Timeout:
            what = f"another process has been making {marker.stem} for too long"
            raise TransientDeviceError(what, where=str(marker)) from None
    try:
        yield
    finally:
        lock.release()


def numpy_version(package: str) -> str:
    """The numpy that a pinned runtime or tool is installed with."""
    distribution = _distribution(package)
    old = tuple(int(n) for n in re.findall(r"\d+", _parse_any(package).version)) < distribution.numpy_1_below
    return _NUMPY_1 if old else distribution.numpy


def _requirements(package: str) -> list[str]:
    return [package, f"numpy=={numpy_version(package)}", *_distribution(package).others]


def _marker(package: str) -> Path:
    """The file that names the finished environment; its folder's name starts like the file's."""
    runtime = _parse_any(package)
    key = sha256_json({"requirements": _requirements(package), "machine": platform.machine(), "layout": 2})
    return paths.cache_dir() / "envs" / f"{runtime.name}-{runtime.version}-{key[:10]}.json"


def _existing(package: str) -> RuntimeEnv | None:
    """The finished environment, unless it or the Python that it was made from has been removed since."""
    marker = _marker(package)
    try:
        facts = json.loads(marker.read_text())
        folder, python_version = marker.parent / Path(facts["folder"]).name, str(facts["python_version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    python = folder / "bin" / "python"
    if not os.access(python, os.X_OK):
        return None
    return RuntimeEnv(
        python=python,
        path=folder,
        package=package,
        module=_parse_any(package).module,
        python_version=python_version,
        created=False,
    )


def _remove_unfinished(marker: Path) -> None:
    """Removes the marker and every folder of this runtime; called with the lock held and no finished environment."""
    marker.unlink(missing_ok=True)
    for folder in marker.parent.glob(f"{marker.stem}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _find_interpreter(package: str) -> _Interpreter:
    """A Python that has a wheel of the package: the harness's own, else one on PATH that really starts."""
    distribution = _distribution(package)
    wheels = f"{package} has wheels for Linux on {' and '.join(distribution.machines)} only"
    if not sys.platform.startswith("linux") or platform.machine() not in distribution.machines:
        raise MissingPartError(f"{wheels}, this is {sys.platform} on {platform.machine()}")
    # The base interpreter, not the harness's virtual environment: an environment made from it must outlive that one.
    own = _Interpreter(path=getattr(sys, "_base_executable", None) or sys.executable, version=sys.version_info[:2])
    if own.version in distribution.pythons:
        return own
    for version in distribution.pythons:
        command = shutil.which(f"python{version[0]}.{version[1]}")
        if command and _starts(command, version):
            return _Interpreter(path=command, version=version)
    oldest, newest = min(distribution.pythons), max(distribution.pythons)
    raise MissingPartError(
        f"{package} has wheels for Python {oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]} only; this is Python "
        f"{own.version[0]}.{own.version[1]} and none of {', '.join(f'python{a}.{b}' for a, b in distribution.pythons)} "
        "on PATH starts",
        hint=f"install one of them, such as python{newest[0]}.{newest[1]}",
    )


def _starts(command: str, version: tuple[int, int]) -> bool:
    """True when the command is that Python. A pyenv shim exists on PATH without being able to start."""
    try:
        answer = subprocess.run(
            [command, "-I", "-c", "import sys; print(sys.version_info[:2])"],
            capture_output=True,
            text=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == str(version)


def _make(package: str, interpreter: _Interpreter, say: TextProgress) -> RuntimeEnv:
    runtime, path = _parse_any(package), _marker(package)
    _remove_unfinished(path)
    folder = path.with_name(f"{path.stem}-{secrets.token_hex(4)}")
    python = folder / "bin" / "python"
    try:
        say(f"making an environment for {package} with Python {interpreter.version[0]}.{interpreter.version[1]}")
        # virtualenv carries pip with it, so a Python without ensurepip (Debian's without python3-venv) serves as well.
        create = ["-m", "virtualenv", "--no-download", "--quiet", "--python", interpreter.path, str(folder)]
        _run([sys.executable, *create], f"no environment could be made for {package}", say=None)
        install = ["-I", "-m", "pip", "install", "--no-input", "--only-binary=:all:", "--progress-bar=off"]
        _run([str(python), *install, *_requirements(package)], f"pip could not install {package}", say=say)
        say(f"checking that {package} imports")
        module = _distribution(package).check or f"{runtime.module}.interpreter"
        check = (
            f"import platform, numpy\nfrom importlib.metadata import version\nimport {module}\n"
            f"print('found', platform.python_version(), version({runtime.name!r}), numpy.__version__)"
        )
        log = _run([str(python), "-I", "-c", check], f"{package} was installed but does not import", say=None)
        found = log[-1].split() if log else []
        if len(found) != 4 or found[0] != "found":
            raise MissingPartError(f"{package} did not answer after its installation", hint="\n".join(log))
        marker = {
            "folder": folder.name,
            "package": package,
            "interpreter": interpreter.path,
            "python_version": found[1],
            "runtime_version": found[2],
            "numpy_version": found[3],
        }
        write_json_atomic(path, marker)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return RuntimeEnv(
        python=python,
        path=folder,
        package=package,
        module=runtime.module,
        python_version=found[1],
        created=True,
    )


def _run(command: Sequence[str], failure: str, *, say: TextProgress | None) -> list[str]:
    """Runs a command and returns its last lines; on failure they are in the error."""
    # What would make pip or Python look elsewhere than into the new environment; index and proxy settings stay.
    drop = {"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT", "VIRTUAL_ENV"}
    env = {k: v for k, v in os.environ.items() if k not in drop and not k.startswith("VIRTUALENV_")}
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    lines: deque[str] = deque(maxlen=_LOG_LINES)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=env,
    )
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill()

    timer = threading.Timer(_PIP_DEADLINE_S, expire)
    timer.start()
    try:
        for line in process.stdout or ():
            if line.strip():
                lines.append(line.rstrip())
                if say and line.startswith(("Collecting", "Downloading", "Installing", "Using cached")):
                    say(line.strip())
        code = process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()
    if expired.is_set():
        raise MissingPartError(f"{failure}: no end after {_PIP_DEADLINE_S:.0f} s", hint="\n".join(lines))
    if code:
        if (missing := no_such_version("\n".join(lines))) is not None:
            raise missing
        text = "\n".join(lines) or f"exit status {code}"
        hint = "check the network and the package index, then try again"
        raise MissingPartError(f"{failure}; its last lines:\n{text}", hint=hint)
    return list(lines)
