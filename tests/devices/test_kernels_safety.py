"""What the kernels may touch: their buffers and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fixtures_kernels import QUICK_CASES
from tests.support.kernel_catalog import GENERATORS
from tests.support.kernels_build import KERNELS, build_library, compile_objects, sanitizer_environment
from tests.support.places import ROOT

_ALLOWED = {"memcpy", "memmove", "memset"}


@pytest.fixture(scope="module")
def sanitized_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library(tmp_path_factory.mktemp("sanitized"), sanitize=True)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return compile_objects(tmp_path_factory.mktemp("objects"))


def _run_sanitized(library: Path, count: int, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "tests.support.kernels_sanitized_main", str(library), str(count), *options]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **sanitizer_environment()}, capture_output=True, text=True
    )


def test_random_cases_are_clean_under_address_and_undefined_behaviour_sanitizer(sanitized_library: Path) -> None:
    done = _run_sanitized(sanitized_library, QUICK_CASES // 2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == f"{len(GENERATORS) * (QUICK_CASES // 2)} cases clean\n"


def test_the_sanitizer_sees_a_buffer_that_is_too_short(sanitized_library: Path) -> None:
    done = _run_sanitized(sanitized_library, 1, "--out-of-bounds")
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr


def test_kernels_need_nothing_of_the_c_library_but_memory_functions(objects: list[Path]) -> None:
    for path in objects:
        undefined = subprocess.run(["nm", "-u", str(path)], check=True, capture_output=True, text=True).stdout.split()
        foreign = {name for name in undefined if name not in ("U", "w") and not name.startswith("kn_")}
        assert foreign <= _ALLOWED, f"{path.name} needs {sorted(foreign - _ALLOWED)}"


def test_kernels_have_no_writable_globals(objects: list[Path]) -> None:
    for path in objects:
        listing = subprocess.run(["nm", "--defined-only", str(path)], check=True, capture_output=True, text=True).stdout
        kinds = {line.split()[-1]: line.split()[-2] for line in listing.splitlines()}
        assert not {name for name, kind in kinds.items() if kind in "bBdDC"}
        assert all(name.startswith("kn_") for name, kind in kinds.items() if kind.isupper())


def test_floating_point_stays_in_the_float_kernels_in_quantize_and_in_preparation() -> None:
    with_floats = {path.name for path in KERNELS.glob("*.c") if "float" in path.read_text().replace("floating", "")}
    own = {path.name for path in KERNELS.glob("float_*.c")}
    assert with_floats - own == {"cast.c", "quantize.c", "quantize_16.c", "prepare.c"}
