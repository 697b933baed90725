"""Exact instruction counts of the int8 kernels on emulated Cortex-M boards, layer by layer: portable against fast.

    python benchmarks/bench_kernels.py [--core cortex-m4 ...] [--model ic ...] [--options "-Os"] [--totals]

Needs arm-none-eabi-gcc and qemu-system-arm, and no model files: the layers of four published networks stand here as data
(MLPerf Tiny's ic, kws and ad, and the 0.25 MobileNet v1 of TensorFlow Lite Micro's person_detect). Only CONV_2D,
DEPTHWISE_CONV_2D and FULLY_CONNECTED are counted; the rest of a model (pooling, ADD, SOFTMAX, the runtime) comes on top. The
same program gives the same counts, to the last digit, on every machine. They are instructions, not cycles. Exit status 1 when
a target on Cortex-M4 is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.bare_metal_build import BOARDS, PROGRAMS, BareBoard, compile_kernels, link_program, run_program

ICOUNT_SHIFT = 7
_KINDS = {"conv": "CASE_CONV", "depthwise": "CASE_DEPTHWISE", "dense": "CASE_FULLY_CONNECTED"}
#: million instructions of whole models on Cortex-M4 with TensorFlow Lite Micro, measured elsewhere: reference kernels, CMSIS-NN
TFLM_MILLIONS = {"ic": (107.5, 29.9), "kws": (43.1, 7.7), "ad": (1.95, 0.58), "vww": (95.89, 22.93)}
#: million instructions on Cortex-M4 that the layers of a model may need
TARGET_MILLIONS = {"ic": 29.9, "ad": 0.58}


@dataclass(frozen=True)
class Layer:
    """One layer with SAME padding. Of a `dense` one, `channels` are the inputs."""

    kind: str
    channels: int
    outputs: int
    height: int = 1
    width: int = 1
    filter_height: int = 1
    filter_width: int = 1
    stride: int = 1

    @property
    def output_size(self) -> tuple[int, int]:
        return -(-self.height // self.stride), -(-self.width // self.stride)

    @property
    def weights(self) -> int:
        return (
            self.filter_height * self.filter_width * self.outputs * (1 if self.kind == "depthwise" else self.channels)
        )

    @property
    def macs(self) -> int:
        height, width = self.output_size
        return height * width * self.weights

    def __str__(self) -> str:
        if self.kind == "dense":
            return f"dense {self.channels} -> {self.outputs}"
        stride = f" / {self.stride}" if self.stride > 1 else ""
        return (
            f"{self.kind} {self.height}x{self.width}x{self.channels} -> {self.outputs}, "
            f"{self.filter_height}x{self.filter_width}{stride}"
        )

    def c_initializer(self) -> str:
        """A counted_layer of layers.h."""
        height, width = self.output_size
        pads = [
            max((size - 1) * self.stride + window - before, 0) // 2
            for size, window, before in (
                (height, self.filter_height, self.height),
                (width, self.filter_width, self.width),
            )
        ]
        shape = (
            1,
            self.height,
            self.width,
            self.channels,
            self.filter_height,
            self.filter_width,
            self.outputs // self.channels if self.kind == "depthwise" else self.channels,
            height,
            width,
            self.outputs,
        )
        ending = (3, 0, -5, -128, 127, "KN_ROUND_DOUBLE")
        params = (self.stride, self.stride, 1, 1, *pads, *ending)
        dense = (1, self.channels, self.outputs, *ending)
        groups = ", ".join("{" + ", ".join(map(str, group)) + "}" for group in (shape, params, dense))
        return f"{{{_KINDS[self.kind]}, {groups}, {self.weights}}}"


def _square(kind: str, size: int, channels: int, outputs: int, window: int, stride: int = 1) -> Layer:
    return Layer(kind, channels, outputs, size, size, window, window, stride)


def _mobilenet() -> list[Layer]:
    layers = [_square("conv", 96, 1, 8, 3, 2)]
    size, channels = 48, 8
    for outputs, stride in (
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        *((128, 1),) * 5,
        (256, 2),
        (256, 1),
    ):
        layers.append(_square("depthwise", size, channels, channels, 3, stride))
        size = -(-size // stride)
        layers.append(_square("conv", size, channels, outputs, 1))
        channels = outputs
    return [*layers, _square("conv", 1, 256, 2, 1)]


MODELS: dict[str, list[Layer]] = {
    "ic": [
        _square("conv", 32, 3, 16, 3),
        _square("conv", 32, 16, 16, 3),
        _square("conv", 32, 16, 16, 3),
        _square("conv", 32, 16, 32, 3, 2),
        _square("conv", 16, 32, 32, 3),
        _square("conv", 32, 16, 32, 1, 2),
        _square("conv", 16, 32, 64, 3, 2),
        _square("conv", 8, 64, 64, 3),
        _square("conv", 16, 32, 64, 1, 2),
        Layer("dense", 64, 10),
    ],
    "ad": [
        Layer("dense", inputs, outputs)
        for inputs, outputs in (
            (640, 128),
            (128, 128),
            (128, 128),
            (128, 128),
            (128, 8),
            (8, 128),
            (128, 128),
            (128, 128),
            (128, 128),
            (128, 640),
        )
    ],
    "kws": [
        Layer("conv", 1, 64, 49, 10, 10, 4, 2),
        *[layer for _ in range(4) for layer in (Layer("depthwise", 64, 64, 25, 5, 3, 3), Layer("conv", 64, 64, 25, 5))],
        Layer("dense", 64, 12),
    ],
    "vww": _mobilenet(),
}


@dataclass(frozen=True)
class Count:
    """Instructions of one layer; `fast` is None where the fast kernel does not take it."""

    portable: int
    fast: int | None
    scratch_bytes: int

    @property
    def best(self) -> int:
        return self.portable if self.fast is None else self.fast


def count_layers(
    board: BareBoard, layers: list[Layer], folder: Path, options: tuple[str, ...] = ("-Os",)
) -> list[Count]:
    """One count per layer, on one board, with kernels compiled with `options`."""
    cmsdk = board.core != "cortex-m55"
    rows = ",\n".join(layer.c_initializer() for layer in layers)
    objects = compile_kernels(board, folder, options)
    (folder / "layers.h").write_text(
        f"#define COUNTER_CMSDK_TIMER {int(cmsdk)}\n#define COUNTER_HZ {25_000_000 if cmsdk else 32_000_000}u\n"
        f"#define ICOUNT_SHIFT {ICOUNT_SHIFT}\n"
        "typedef struct {\n    int kind;\n    kn_conv_shape shape;\n    kn_conv_params params;\n"
        "    kn_fully_connected_params dense;\n    int32_t weights_bytes;\n} counted_layer;\n"
        f"static const counted_layer counted_layers[] = {{\n{rows}}};\n"
    )
    program = link_program(
        board, folder, [Path(__file__).with_name("count_kernels.c"), PROGRAMS / "cases.c"], objects, (f"-I{folder}",)
    )
    lines = run_program(board, program, icount_shift=ICOUNT_SHIFT).splitlines()
    numbers = [[int(word) for word in line.split()] for line in lines if line[:1].isdigit()]
    if [row[0] for row in numbers] != list(range(len(layers))):
        raise RuntimeError(f"{board.machine} printed:\n" + "\n".join(lines))
    return [Count(portable, fast or None, scratch) for _, portable, fast, scratch in numbers]


def _print_model(model: str, core: str, counts: list[Count], totals_only: bool) -> bool:
    layers = MODELS[model]
    total, portable = sum(count.best for count in counts), sum(count.portable for count in counts)
    if not totals_only:
        for layer, count in zip(layers, counts, strict=True):
            fast = "portable" if count.fast is None else f"{count.fast:,}"
            print(
                f"  {str(layer):40} {layer.macs / 1e6:8.3f} M MAC {count.portable:12,} {fast:>12}"
                f" {count.best / layer.macs:6.2f} per MAC {count.scratch_bytes:6,} B scratch"
            )
    macs = sum(layer.macs for layer in layers)
    text = f"{core} {model}: {macs / 1e6:.3f} M MAC, portable {portable / 1e6:.3f} M, fast {total / 1e6:.3f} M instructions"
    text += f" ({total / macs:.2f} per MAC), largest scratch {max(count.scratch_bytes for count in counts):,} bytes"
    missed = False
    if core == "cortex-m4":
        reference, cmsis = TFLM_MILLIONS[model]
        text += f"; TFLite Micro, whole model: reference {reference} M, CMSIS-NN {cmsis} M"
        missed = model in TARGET_MILLIONS and total / 1e6 > TARGET_MILLIONS[model]
        text += f"; MISSED {TARGET_MILLIONS[model]} M" if missed else ""
    print(text)
    return missed


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core", action="append", choices=BOARDS)
    parser.add_argument("--model", action="append", choices=MODELS)
    parser.add_argument("--options", default="-Os", help="for the compiler of the kernels")
    parser.add_argument("--totals", action="store_true", help="one line per model")
    options = parser.parse_args()
    models = options.model or list(MODELS)
    missed = False
    for core in options.core or list(BOARDS):
        with tempfile.TemporaryDirectory() as folder:
            counts = count_layers(
                BOARDS[core],
                [layer for model in models for layer in MODELS[model]],
                Path(folder),
                tuple(options.options.split()),
            )
        for model in models:
            of_model, counts = counts[: len(MODELS[model])], counts[len(MODELS[model]) :]
            missed |= _print_model(model, core, of_model, options.totals)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
