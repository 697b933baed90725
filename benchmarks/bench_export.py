"""Exported C libraries of whole models, run under QEMU by a program that is not the harness's: bits, counts, sizes.

    python benchmarks/bench_export.py --models DIR [--core m4 ...] [--samples 4]

DIR holds .tflite files, such as MLPerf Tiny's `kws_ref_model.tflite` and `pretrainedResnet_quant.tflite`. Each is measured on the
emulated core, exported (`harness export`), and linked, from the exported folder alone, with the start-up, main and counter of
tests/support/bare_metal. Every output has to be the measured one to the bit, and every count the measured one to the
instruction, once what reading the counters takes is off both. Exit status 1 when one is not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.bare_metal_build import BOARDS
from tests.support.exported import NAME, link_user_program, run_user_program


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--core", action="append", choices=("m3", "m4", "m7", "m55"), help="default: m4")
    parser.add_argument("--samples", type=int, default=4)
    options = parser.parse_args()
    heads = (("own program", 14), ("apart", 7), ("bytes differ", 14), ("code", 9), ("of firmware", 13))
    print(f"{'model':26}{'core':12}{'measured':>14}" + "".join(f"{head:>{width}}" for head, width in heads))
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        for core in options.core or ["m4"]:
            for model in sorted(options.models.glob("*.tflite")):
                good = one(Path(temporary), model, core, options.samples) and good
    return 0 if good else 1


def one(folder: Path, model: Path, core: str, samples: int) -> bool:
    """Measures, exports, builds and runs one model; returns whether it is right."""
    board, exported = BOARDS[f"cortex-{core}"], folder / f"{model.stem}-{core}"
    environment = {**os.environ, "HARNESS_RESULTS_DIR": str(folder / "results")}
    command = [
        sys.executable,
        "-m",
        "harness.cli.main",
        "export",
        str(model),
        str(exported),
        "--device",
        f"cortex-{core}@qemu",
    ]
    done = subprocess.run(
        [*command, "--name", NAME, "--samples", str(samples)], env=environment, capture_output=True, text=True
    )
    name = f"{model.stem:26}cortex-{core:5}"
    if done.returncode:
        print(f"{name}{done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode}")
        return False
    manifest = json.loads((exported / "export.json").read_text())
    objects = compile_library(exported, manifest["flags"])
    link_user_program(board, exported, objects, folder / "user.elf")
    rows = run_user_program(board, folder / "user.elf")
    counts = [count - manifest["counter_instructions"] for count in manifest["example_counts"]]
    apart = max(abs(count - found) for count, (_, found) in zip(counts, rows, strict=True))
    differ = sum(bytes_apart for bytes_apart, _ in rows)
    code = code_bytes(folder / "user.elf") - manifest["plan"]["size_bytes"]
    share = code / manifest["firmware_code_bytes"]
    print(f"{name}{counts[0]:>14,}{rows[0][1]:>14,}{apart:>7}{differ:>14}{code:>9,}{share:>13.2f}", flush=True)
    return differ == 0 and apart == 0


def compile_library(exported: Path, flags: list[str]) -> list[Path]:
    """The objects of an export, by the compiler's own hand."""
    sources = sorted((exported / "src").glob("*.c"))
    build = exported.with_name(f"{exported.name}-build")
    build.mkdir()
    subprocess.run(
        ["arm-none-eabi-gcc", *flags, f"-I{exported / 'include'}", "-c", *map(str, sources)], cwd=build, check=True
    )
    return sorted(build.glob("*.o"))


def code_bytes(elf: Path) -> int:
    """Code and constants of a program."""
    done = subprocess.run(["arm-none-eabi-size", str(elf)], capture_output=True, text=True, check=True)
    text, data = map(int, done.stdout.splitlines()[1].split()[:2])
    return text + data


if __name__ == "__main__":
    sys.exit(main())
