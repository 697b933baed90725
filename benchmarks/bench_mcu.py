"""Whole models on emulated Cortex-M cores: exact instructions, arena and code, beside TFLite Micro's figures.

    python benchmarks/bench_mcu.py --models DIR [--cifar FILE.npz] [--core m4 --core m55] [--samples 32] [--layers]
    python benchmarks/bench_mcu.py --models DIR --example

DIR holds any of `ad01_int8.tflite`, `kws_ref_model.tflite`, `pretrainedResnet_quant.tflite`, `vww_96_int8.tflite` (MLPerf Tiny's)
and `micro_speech_quantized.tflite`, `person_detect.tflite` (TFLite Micro's), and, for --cifar, `pretrainedResnet.h5`; FILE has
x_train, y_train, x_test, y_test of CIFAR-10 as uint8 or float. The residual network is then quantized by the harness (recipe
ptq-int8-io). Every model goes the way of any cell: plan, serial upload, inference on the board, outputs against
tflite-runtime's reference kernels (0 LSB apart, or the benchmark fails).

--layers prints below each model what its layers cost. --example prints what each model takes of the flash and RAM of the guide's
example board (a NUCLEO-F446RE, 512 KB and 128 KB), and ends with 1 where one does not fit.

TFLite Micro's figures were measured apart, with its own build: with its reference kernels and with CMSIS-NN, in million
instructions; on the M55 CMSIS-NN's convolutions and dense layers alone. What is to be reached, and the goal after it, stand in
`KNOWN`; code is at most 64 KB with all ops. Exit status 1 when something that is to be reached is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.bench_oracles import with_channel_axes


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A count of CMSIS-NN's, what is to be reached, and the goal after it, in million instructions."""

    cmsis_nn_m: float | None
    target_m: float
    goal_m: float | None = None

    def told(self, millions: float) -> str:
        """The count beside these."""
        beside = f", {millions / self.cmsis_nn_m:.3f} of CMSIS-NN's {self.cmsis_nn_m:g}" if self.cmsis_nn_m else ""
        goal = f", goal {self.goal_m:g}" if self.goal_m else ""
        missed = ": MISSED" if millions > self.target_m else ""
        return f"{millions:.4g} M{beside}, to reach {self.target_m:g}{goal}{missed}"


@dataclass(frozen=True, kw_only=True)
class Known:
    """TFLite Micro's figures for a model, and what is to be reached.

    Attributes:
        reference_m: its reference kernels on the M4, in million instructions.
        arena_bytes: the most arena on the M4.
        whole: the whole model on the M4.
        layers_m55: convolutions and dense layers on the M55.
        whole_m55: the whole model on the M55.
    """

    reference_m: float
    arena_bytes: int
    whole: Reached
    layers_m55: Reached | None = None
    whole_m55: Reached | None = None


_IC = Known(
    reference_m=107.5,
    arena_bytes=50304,
    whole=Reached(cmsis_nn_m=29.9, target_m=16.6, goal_m=15.5),
    layers_m55=Reached(cmsis_nn_m=4.40, target_m=4.3),
    whole_m55=Reached(cmsis_nn_m=None, target_m=4.5, goal_m=4.0),
)
KNOWN = {
    "ad01_int8": Known(reference_m=1.95, arena_bytes=768, whole=Reached(cmsis_nn_m=0.58, target_m=0.455, goal_m=0.45)),
    "pretrainedResnet": _IC,
    "pretrainedResnet_quant": _IC,
    "kws_ref_model": Known(
        reference_m=43.1,
        arena_bytes=16576,
        whole=Reached(cmsis_nn_m=7.7, target_m=5.6, goal_m=5.2),
        layers_m55=Reached(cmsis_nn_m=1.77, target_m=1.75),
    ),
    "micro_speech_quantized": Known(
        reference_m=9.31, arena_bytes=6600, whole=Reached(cmsis_nn_m=1.50, target_m=1.2, goal_m=1.0)
    ),
    "person_detect": Known(
        reference_m=95.89, arena_bytes=55360, whole=Reached(cmsis_nn_m=22.93, target_m=17.0, goal_m=15.0)
    ),
    # The same network as person_detect, trained by others: TFLite Micro's counts on the M4 are of that one.
    "vww_96_int8": Known(
        reference_m=95.89,
        arena_bytes=55360,
        whole=Reached(cmsis_nn_m=22.93, target_m=18.0),
        layers_m55=Reached(cmsis_nn_m=6.37, target_m=6.3),
    ),
}
#: ADD of this many elements on the M55, which ic has
ADD_ELEMENTS = 16384
ADD_M55 = Reached(cmsis_nn_m=0.225, target_m=0.22)
LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
CODE_LIMIT_BYTES = 64 << 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--cifar", type=Path, help="CIFAR-10, for the residual network")
    parser.add_argument("--core", action="append", choices=("m0", "m3", "m4", "m7", "m55"), help="default: m4")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--layers", action="store_true", help="what each layer costs")
    parser.add_argument("--example", action="store_true", help="whether the models fit the example board")
    options = parser.parse_args()
    if options.example:
        return example(options.models)
    devices = [word for core in options.core or ["m4"] for word in ("--device", f"cortex-{core}@qemu")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wanted = [*devices, "--samples", str(options.samples)]
        cells = []
        for name in KNOWN:
            path = options.models / f"{name}.tflite"
            if path.is_file():
                cells += run(folder, ["measure", str(copied(path, folder)), *wanted])
        if options.cifar:
            data = float_images(options.cifar, folder / "cifar10.npz")
            cells += run(
                folder,
                [
                    "run",
                    "--workload",
                    str(options.models / "pretrainedResnet.h5"),
                    "--data",
                    str(data),
                    "--recipe",
                    "ptq-int8-io",
                    *wanted,
                ],
            )
    return report(cells, layers=options.layers)


def copied(path: Path, folder: Path) -> Path:
    """The model in a folder, such that tflite-runtime takes it as well (`with_channel_axes`)."""
    copy = folder / path.name
    copy.write_bytes(with_channel_axes(path.read_bytes()))
    return copy


def example(models: Path) -> int:
    """Prints what each model takes of the example board; returns the exit status."""
    from harness.boards.mcu.model import McuFacts, mcu_model, too_large
    from harness.emulation.mcu.elf import room
    from harness.emulation.mcu.firmware import build_firmware
    from harness.tflite.graph import read_graph

    made = build_firmware("example")
    found = room(made.elf)
    print(
        f"example: {made.code_bytes:,} bytes of program; {found.model_bytes:,} for a model, {found.arena_bytes:,} of arena"
    )
    facts = McuFacts(plans=True, kernels=2, arena_bytes=found.arena_bytes, model_bytes=found.model_bytes)
    over = False
    for name in KNOWN:
        path = models / f"{name}.tflite"
        if path.is_file():
            model = mcu_model(read_graph(path), path, facts)
            why = too_large(model, facts)
            over |= bool(why)
            print(f"{name:24}{model.size_bytes:>10,}{model.arena_bytes:>9,}  {'; '.join(why) or 'fits'}")
    return 1 if over else 0


def float_images(source: Path, target: Path) -> Path:
    """The file with float pixels of 0 to 255, as the residual network was trained."""
    with np.load(source, allow_pickle=False) as data:
        arrays = {name: data[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(
        target,
        x_train=arrays["x_train"][:500].astype(np.float32),
        y_train=arrays["y_train"][:500].ravel(),
        x_test=arrays["x_test"].astype(np.float32),
        y_test=arrays["y_test"].ravel(),
    )
    return target


def run(folder: Path, arguments: list[str]) -> list[dict]:
    """The cells of one harness command."""
    environment = {**os.environ, "HARNESS_RESULTS_DIR": str(folder / "results")}
    out = folder / "cells.json"
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", *arguments, "--json", str(out)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"harness {arguments[0]} ended with {done.returncode}:\n{done.stdout}")
    return json.loads(out.read_text())["cells"]


def report(cells: list[dict], *, layers: bool = False) -> int:
    """Prints the table; returns the exit status."""
    print(
        f"{'model':23}{'core':16}{'instructions':>14}{'of TFLM ref':>12}{'arena':>9}{'stack':>7}{'code':>8}"
        f"{'model':>9}  outputs, targets"
    )
    missed = False
    for cell in cells:
        known, on_m4 = KNOWN[cell["workload"]], cell["device"] == "cortex-m4@qemu"
        name = f"{cell['workload']:23}{cell['device']:16}"
        if cell["outcome"] not in ("ok", "undecided"):
            print(f"{name}{cell['outcome']}: {cell['reason']}")
            missed |= on_m4 or cell["outcome"] != "unsupported"
            continue
        met = cell["max_lsb_diff"] == 0 and (
            not on_m4 or (cell["arena_bytes"] <= known.arena_bytes and cell["code_bytes"] <= CODE_LIMIT_BYTES)
        )
        verdict = f"{cell['max_lsb_diff']:g} LSB off, n={cell['reference_samples']}{'' if met else ': MISSED'}"
        memory = (("arena_bytes", 9), ("stack_peak_bytes", 7), ("code_bytes", 8), ("model_bytes", 9))
        sizes = "".join(f"{cell[field]:>{width},}" for field, width in memory)
        share = f"{cell['instructions'] / 1e6 / known.reference_m:>12.3f}" if on_m4 else f"{'':12}"
        print(f"{name}{cell['instructions']:>14,}{share}{sizes}  {verdict}")
        for what, count, reached in compared(cell, known):
            print(f"    {what}: {reached.told(count / 1e6)}")
            met &= count / 1e6 <= reached.target_m
        missed |= not met or (layers and not print_layers(cell))
    return 1 if missed else 0


def compared(cell: dict, known: Known) -> list[tuple[str, int, Reached]]:
    """What a cell is held against: in words, the count, and what is to be reached."""
    if cell["device"] == "cortex-m4@qemu":
        return [("whole", cell["instructions"], known.whole)]
    if cell["device"] != "cortex-m55@qemu":
        return []
    found = []
    counted = [op for op in cell["ops"] if op.get("count") is not None]
    if known.layers_m55 is not None:
        total = sum(op["count"] for op in counted if op["op"] in LAYERS)
        found.append(("convolutions and dense layers", total, known.layers_m55))
    if known.whole_m55 is not None:
        found.append(("whole", cell["instructions"], known.whole_m55))
    if known is _IC:
        # The first of its three has the most elements.
        found.append((f"ADD of {ADD_ELEMENTS:,}", max(op["count"] for op in counted if op["op"] == "ADD"), ADD_M55))
    return found


def print_layers(cell: dict) -> bool:
    """The layers of a cell; whether they sum to the whole, with a rest that is only the call of the runtime."""
    told = [op for op in cell["ops"] if op.get("count") is not None]
    for op in told:
        each = "" if op["macs_per_count"] is None else f"{op['macs_per_count']:.3f} MACs each"
        print(f"    node {op['node']:>3} {op['op']:20}{op['count']:>12,}{op['share']:>8.1%}  {each}")
    total = sum(op["count"] for op in told) + cell["layer_edges"] + cell["layer_rest"]
    print(f"    edges {cell['layer_edges']:,}, rest {cell['layer_rest']:,}: {total:,} in all")
    return total == cell["instructions"] and 0 < cell["layer_rest"] < 200


if __name__ == "__main__":
    sys.exit(main())
