"""A model that takes longer than the watchdog's deadline runs to its end on an emulated Cortex-M4: MobileNetV2, 300 million MACs.

    python benchmarks/bench_long.py [--device cortex-m4@qemu] [--alpha 1.0] [--size 224]

Keras' MobileNetV2 with random weights, as int8, goes the way of any model: `harness check` foretells, `harness measure` runs it
on one sample. Printed: instructions, how many deadlines they are, the distance from the reference, and the five dearest layers.
Exit status 1 where it does not end, or its layers do not sum to the whole. Takes minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

#: instructions in a deadline of 60 s of the board's time
DEADLINE_INSTRUCTIONS = 60 * 10**9 // 2**7


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cortex-m4@qemu")
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--size", type=int, default=224, choices=(96, 128, 160, 192, 224))
    parser.add_argument("--model", type=Path, help="a .tflite in place of MobileNetV2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = options.model or folder / "mobilenet_v2.tflite"
        if options.model is None:
            model.write_bytes(mobilenet_v2(options.alpha, options.size))
        print(harness(folder, "check", str(model), "--device", options.device))
        begun = time.monotonic()
        out = folder / "cells.json"
        said = harness(folder, "measure", str(model), "--device", options.device, "--samples", "1", "--json", str(out))
        print(said)
        (cell,) = json.loads(out.read_text())["cells"]
        return report(cell, time.monotonic() - begun)


def mobilenet_v2(alpha: float, size: int) -> bytes:
    """The int8 .tflite, weights and calibration samples drawn at random."""
    import tensorflow as tf

    tf.keras.utils.set_random_seed(0)
    network = tf.keras.applications.MobileNetV2(input_shape=(size, size, 3), alpha=alpha, weights=None, classes=1000)
    rng = np.random.default_rng(0)
    # Random weights alone let the signal die out: each normalization takes the statistics of one batch.
    for layer in network.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(rng.uniform(-1, 1, (8, size, size, 3)).astype(np.float32), training=True)
    function = tf.function(lambda image: network(image, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((1, size, size, 3), tf.float32))
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(concrete)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [rng.uniform(-1, 1, (1, size, size, 3)).astype(np.float32)] for _ in range(4)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def harness(folder: Path, *arguments: str) -> str:
    """What a command of the harness printed."""
    environment = {**os.environ, "HARNESS_RESULTS_DIR": str(folder / "results")}
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"harness {arguments[0]} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def report(cell: dict, took_s: float) -> int:
    """Prints what became of it; returns the exit status."""
    if cell["instructions"] is None:
        print(f"{cell['outcome']}: {cell['reason']}")
        return 1
    layers = [op for op in cell["ops"] if op.get("count") is not None]
    macs = sum(op["macs"] for op in layers)
    total = sum(op["count"] for op in layers) + cell["layer_edges"] + cell["layer_rest"]
    deadlines = cell["instructions"] / DEADLINE_INSTRUCTIONS
    print(
        f"{cell['outcome']}: {cell['instructions']:,} instructions ({macs:,} MACs), {deadlines:.2f} deadlines of 60 s; "
        f"{cell['max_lsb_diff']} LSB off; arena {cell['arena_bytes']:,}, plan {cell['model_bytes']:,} bytes; {took_s:.0f} s"
    )
    for op in sorted(layers, key=lambda op: -op["count"])[:5]:
        each = op["macs_per_count"] or 0
        print(f"  node {op['node']:>3} {op['op']:20}{op['count']:>14,} {op['share']:>7.1%}  {each:.2f} MACs each")
    print(f"  {len(layers)} layers, edges {cell['layer_edges']:,}, rest {cell['layer_rest']:,}")
    return 0 if total == cell["instructions"] and abs(cell["layer_rest"]) < 10_000 else 1


if __name__ == "__main__":
    sys.exit(main())
