"""What all tests of a session share, also across the processes that run them: caches, and things that are made once.

The caches of a session are laid out for each process (a worker of pytest-xdist, or the only one):

- what this machine keeps for every session (environments of runtimes, images of boards, compiled firmware) is the user's own;
- what tests build (models, references, samples) is one folder for all processes, new in each session; HARNESS_TEST_CACHE
  names a folder to keep between sessions, whose keys take care that nothing stale is used;
- all else is the process's own, leases first: tests of two processes may use a device of the same name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

#: kept by this machine, each keyed by content and guarded by locks of its own
_KEPT = ("envs", "emulation", "firmware", "npu-standin")
#: made by the tests of a session, and guarded in the same way
_BUILT = ("artifacts", "build", "digests", "plans", "references", "samples", "trainings", "vela")
_NOT_FAST = "--fast has neither TensorFlow nor QEMU: tests/support/selection.py must know that this test is slow"
#: `make_once("name", make)`: a folder that `make(folder)` filled, in whichever process came first
MakeOnce = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that every process of this session sees."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def session_cache(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache folder of this process, in the environment for every test that sets none of its own."""
    from harness.core import paths

    kept = paths.cache_dir()
    named = os.environ.get("HARNESS_TEST_CACHE")
    built = Path(named).absolute() if named else shared_folder / "built"
    own = tmp_path_factory.mktemp("cache")
    for folder, names in ((kept, _KEPT), (built, _BUILT)):
        for name in names:
            (folder / name).mkdir(parents=True, exist_ok=True)
            (own / name).symlink_to(folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE_DIR", str(own))
        patch.setenv("HARNESS_AGENT_DIR", str(own / "agent"))
        for name in ("HARNESS_STORE", "HARNESS_OBJECTS"):  # the user's own store is no place for tests
            patch.delenv(name, raising=False)
        yield own


@pytest.fixture(scope="session", autouse=True)
def no_terminal() -> Iterator[None]:
    """What commands print has the width that it has in a pipe, whoever runs the tests where (xdist tells 80 columns)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def fast_is_fast(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """With --fast neither TensorFlow nor QEMU can be had, here and in every process that a test starts.

    So a test that needs one of them fails until tests/support/selection.py knows that it is slow.
    """
    if not request.config.getoption("fast"):
        yield
        return
    folder = tmp_path_factory.mktemp("fast")
    (folder / "tensorflow.py").write_text(f"raise ImportError({_NOT_FAST!r})\n")
    for program in ("qemu-system-aarch64", "qemu-system-arm"):
        (folder / program).write_text(f"#!/bin/sh\necho '{_NOT_FAST}' >&2\nexit 99\n")
        (folder / program).chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")])))
        patch.setenv("PATH", str(folder), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def make_once(shared_folder: Path) -> MakeOnce:
    """Makes costly files once in a session, whichever process needs them first; the others wait for it."""

    def once(name: str, make: Callable[[Path], None]) -> Path:
        folder = shared_folder / "once" / name
        folder.parent.mkdir(exist_ok=True)
        done = folder.with_name(f"{name}.done")
        with FileLock(folder.with_name(f"{name}.lock")):
            if not done.exists():
                folder.mkdir(exist_ok=True)
                make(folder)
                done.touch()
        return folder

    return once
