"""How long `harness explain` takes: a 30-layer model on an emulated board, and the error of its layers on this machine.

    python benchmarks/bench_explain.py [--device imx8mp@qemu] [--backend npu] [--model FILE.tflite]

The model is a separable network of 30 layers on 64x64x3, quantized here, with random weights, unless one is named. Timed are

- the whole explanation on the device: every op alone and inside the model, partitions, times with and without the delegate, and
  what this machine computes; target 120 s;
- the error of each layer over 100 samples on this machine alone; target 30 s.

Exit status 1 when a target is missed, or when an op of the right kernels is called wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from harness.explain.document import Explanation
from harness.explaining import ExplainOptions, explain_model
from harness.explaining.host import HostArithmetic
from harness.measure.reference import References
from harness.run.options import RunOptions
from harness.tflite.graph import read_graph

TARGET_DEVICE_S, TARGET_ERROR_S = 120.0, 30.0
SAMPLES = 100


def separable_net() -> bytes:
    """Thirty layers: a convolution, thirteen pairs of depthwise and 1x1 convolutions, pooling, dense, softmax; int8."""
    from harness.envs.hostenv import ensure_runtime_env
    from tests.support.host_runtime import HostRuntime
    from tests.support.small_nets import Net
    from tests.support.small_quantizer import Style, calibrate, quantize

    net = Net((64, 64, 3))
    x = net.conv(net.inputs[0], 8, stride=2)
    for number in range(13):
        x = net.depthwise(x, stride=2 if number in (2, 6, 10) else 1)
        x = net.conv(x, min(64, 8 * 2 ** (number // 4)), kernel=1)
    model = net.model(net.softmax(net.dense(net.pool(x, kind="average", size=4), 10)))
    samples = np.random.default_rng(0).normal(size=(32, 64, 64, 3)).astype(np.float32)
    with HostRuntime(str(ensure_runtime_env("ai-edge-litert==2.3.0").python)) as runtime:
        return quantize(model, calibrate(model, [samples], runtime), Style())


def explain_on(path: Path, device: str, backend: str | None) -> tuple[float, Explanation]:
    """Seconds from the first look to the answer, the board's start included."""
    options = RunOptions(devices=(device,), recipes=(), backends=(backend,) if backend else ())
    began = time.perf_counter()
    found = explain_model(path, run_options=options, backend=backend, options=ExplainOptions(samples=SAMPLES))
    return time.perf_counter() - began, found


def errors_of(path: Path) -> tuple[float, int]:
    """Seconds for the error of each layer over SAMPLES samples, and how many layers there are."""
    data = path.read_bytes()
    graph = read_graph(data)
    inputs = [_inputs(graph.tensors[t]) for t in graph.inputs]
    with tempfile.TemporaryDirectory() as name, References() as references:
        with references.float_runner(Path(name)) as run:
            began = time.perf_counter()
            arithmetic = HostArithmetic(data=data, graph=graph, inputs=inputs, run_float=run)
            found = arithmetic.prepare()
            arithmetic.errors(found, SAMPLES)
            return time.perf_counter() - began, len(found.errors)


def _inputs(tensor) -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (SAMPLES, *tensor.shape[1:])
    if tensor.dtype == "float32":
        return rng.normal(size=shape).astype(np.float32)
    limits = np.iinfo(tensor.dtype)
    return rng.integers(limits.min, limits.max + 1, shape).astype(tensor.dtype)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="imx8mp@qemu")
    parser.add_argument("--backend", default="npu")
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = arguments.model or Path(name) / "separable.tflite"
        if arguments.model is None:
            path.write_bytes(separable_net())
        error_s, layers = errors_of(path)
        print(
            f"error of {layers} layers over {SAMPLES} samples on this machine: {error_s:.1f} s (target {TARGET_ERROR_S:g} s)"
        )
        device_s, found = explain_on(path, arguments.device, arguments.backend)
    asked = sum(layer.alone is not None and layer.alone.kind is not None for layer in found.layers)
    print(f"explain on {arguments.device} {arguments.backend}: {device_s:.1f} s (target {TARGET_DEVICE_S:g} s)")
    print(f"  {asked} of {len(found.layers)} ops asked; answer: {found.answer}")
    wrong = found.first_wrong is not None
    return int(device_s > TARGET_DEVICE_S or error_s > TARGET_ERROR_S or wrong)


if __name__ == "__main__":
    sys.exit(main())
