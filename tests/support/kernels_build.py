"""Compiles devices/kernels/ into shared libraries for the tests: plain, and with AddressSanitizer and UBSan."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.places import ROOT

KERNELS = ROOT / "devices" / "kernels"
#: ISO C without contraction of a * b + c, which would change the last bit of a prepared parameter
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-ffp-contract=off")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")


def build_library(folder: Path, *, sanitize: bool = False) -> Path:
    """All kernels and prepare.c as one shared library in `folder`.

    Raises:
        RuntimeError: the compiler's messages; a warning is an error.
    """
    library = folder / ("kernels_sanitized.so" if sanitize else "kernels.so")
    sources = sorted(str(path) for path in KERNELS.glob("*.c"))
    _run([*FLAGS, "-shared", "-fPIC", *(SANITIZERS if sanitize else ()), "-o", str(library), *sources, "-lm"])
    return library


def compile_objects(folder: Path) -> list[Path]:
    """Every kernel (without prepare.c, which is for hosts) as an object file of its own, as for a bare-metal core."""
    objects = []
    for source in sorted(KERNELS.glob("*.c")):
        if source.name != "prepare.c":
            objects.append(folder / f"{source.stem}.o")
            _run(
                [
                    *FLAGS,
                    "-ffreestanding",
                    "-fno-stack-protector",
                    "-fno-pic",
                    "-c",
                    "-o",
                    str(objects[-1]),
                    str(source),
                ]
            )
    return objects


def sanitizer_environment() -> dict[str, str]:
    """For a process that loads the sanitized library into an ordinary Python: ASan's runtime must come first.

    Leaks are not looked for: the kernels do not allocate, and Python leaks by design at its end.
    """
    compiler = os.environ.get("CC", "cc")
    runtime = subprocess.run([compiler, "-print-file-name=libasan.so"], check=True, capture_output=True, text=True)
    return {
        "LD_PRELOAD": str(Path(runtime.stdout.strip()).resolve()),
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def _run(options: list[str]) -> None:
    command = [os.environ.get("CC", "cc"), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
