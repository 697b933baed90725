"""The plan runtime against answers that nobody here wrote: every model of TFLite Micro's repository.

    python benchmarks/bench_oracles.py --tflite-micro DIR [--micro-python PYTHON] [--list]

DIR is a checkout of github.com/tensorflow/tflite-micro, beside the project: nothing of it is part of the project. Models that
come with golden data (NAME_input0_TYPE.csv, NAME_golden_TYPE.csv; the networks of integration_tests/seanet) must give it to the
last bit. The others get random inputs and are held against tflite-runtime 2.14.0's reference kernels, int8 and int16 models to
the last bit, float32 models within 1e-5 of the largest of their inputs and outputs; where those kernels refuse a model, against
TensorFlow Lite Micro itself: PYTHON is an interpreter that has the package `tflite-micro`. The plans run on the
firmware's own runtime, compiled for this machine by a C compiler.

Exit status 1 when an output differs, or when fewer models run than `GOAL`. Prints what does not run, with its reason.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.core.errors import HarnessError
from harness.tflite.plan import Plan, PlanUnsupported, make_plan
from tests.support.fixtures_kernels import ReferenceRuntime
from tests.support.kernel_cases import Case
from tests.support.kernels_abi import Kernels
from tests.support.plan_runtime import HostRuntime, build_runtime

#: models that are to run, of those in the repository
GOAL = 141
#: of the largest output, or of the inputs, which are up to 1: how far float32 outputs may be apart, whose sums have another order
_FLOAT_SHARE = 1e-5
_SAMPLES = 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tflite-micro", type=Path, required=True, metavar="DIR")
    parser.add_argument("--micro-python", type=Path, metavar="PYTHON")
    parser.add_argument("--list", action="store_true", help="one line per model")
    options = parser.parse_args()
    models = sorted(options.tflite_micro.rglob("*.tflite"))
    if not models:
        raise SystemExit(f"no .tflite below {options.tflite_micro}")
    with tempfile.TemporaryDirectory() as folder:
        oracles = _Oracles(HostRuntime(build_runtime(Path(folder))), options.micro_python, Path(folder))
        results = {path: oracles.check(path) for path in models}
        oracles.close()
    kinds = Counter(kind for kind, _text in results.values())
    for path, (kind, text) in results.items():
        if options.list or kind in ("refused", "wrong", "unknown"):
            print(f"{kind:10}{path.relative_to(options.tflite_micro)}: {text}")
    ran = kinds["golden"] + kinds["reference"] + kinds["micro"]
    print(
        f"{len(models)} models: {kinds['golden']} equal their golden data, {kinds['reference']} equal tflite-runtime 2.14.0, "
        f"{kinds['micro']} equal TensorFlow Lite Micro, {kinds['unknown']} have no oracle, {kinds['wrong']} wrong, "
        f"{kinds['refused']} do not run; goal {GOAL}"
    )
    return int(kinds["wrong"] > 0 or ran < GOAL)


class _Oracles:
    """The oracles, and the runtime that is held against them."""

    def __init__(self, runtime: HostRuntime, micro_python: Path | None, folder: Path) -> None:
        self._runtime, self._micro_python, self._folder = runtime, micro_python, folder
        self._reference: ReferenceRuntime | None = None

    def check(self, path: Path) -> tuple[str, str]:
        """`golden`, `reference`, `micro`, `unknown`, `wrong` or `refused`, and in words."""
        try:
            plan = make_plan(path)
        except PlanUnsupported as error:
            return "refused", "; ".join(dict.fromkeys(f"{one.op}: {one.reason}" for one in error.reasons))
        except HarnessError as error:
            return "refused", str(error)
        self._runtime.load(plan.data)
        golden = sorted(path.parent.glob(f"{path.stem}_golden_*.csv"))
        return self._golden(path, plan, golden[0]) if golden else self._against_reference(path, plan)

    def _golden(self, path: Path, plan: Plan, golden: Path) -> tuple[str, str]:
        inputs = []
        for i, io in enumerate(plan.inputs):
            found = list(path.parent.glob(f"{path.stem}_input{i}_*.csv"))
            if not found:
                return "wrong", f"the golden data has no input {i}"
            inputs.append(_numbers(found[0], io.dtype))
        expected, got = _numbers(golden, plan.outputs[0].dtype), self._runtime.run(inputs)[0]
        return _verdict("golden", expected, got)

    def _against_reference(self, path: Path, plan: Plan) -> tuple[str, str]:
        rng = np.random.default_rng(1)
        cases = []
        for _ in range(_SAMPLES):
            inputs = tuple(_random(rng, io.dtype, io.shape) for io in plan.inputs)
            model = with_channel_axes(path.read_bytes())
            cases.append(Case(op="model", text=path.name, model=model, inputs=inputs, run=_no_kernels))
        for case, expected in zip(cases, self._reference_outputs(cases), strict=True):
            if isinstance(expected, str):
                return self._against_micro(path, [one.inputs for one in cases], expected)
            self._runtime.reset()  # each interpreter of the reference is a new one
            verdict = _verdict("reference", expected.ravel(), self._runtime.run(case.inputs)[0])
            if verdict[0] == "wrong":
                return verdict
        return "reference", f"{_SAMPLES} random inputs"

    def _reference_outputs(self, cases: list[Case]) -> list[np.ndarray | str]:
        """A model that ends the process (keyword_scrambled_8bit does) counts as refused."""
        try:
            return self._runtime_of_reference().run(cases)
        except RuntimeError as error:
            self._reference = None
            return [str(error)] * len(cases)

    def _against_micro(self, path: Path, inputs: list[tuple[np.ndarray, ...]], why: str) -> tuple[str, str]:
        """One sequence: TensorFlow Lite Micro keeps its state from one sample to the next."""
        if self._micro_python is None:
            return "unknown", f"the reference refuses it: {why}; --micro-python has it judged"
        asked, answered = self._folder / "inputs.npz", self._folder / "outputs.npy"
        np.savez(asked, **{f"{i}_{j}": one for i, row in enumerate(inputs) for j, one in enumerate(row)})
        words = [str(self._micro_python), "-c", _MICRO, str(path), str(asked), str(answered), str(len(inputs))]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            return "unknown", f"TensorFlow Lite Micro: {done.stderr.strip().splitlines()[-1]}"
        self._runtime.reset()
        got = np.array([self._runtime.run(row)[0] for row in inputs])
        return _verdict("micro", np.load(answered).reshape(got.shape), got)

    def _runtime_of_reference(self) -> ReferenceRuntime:
        if self._reference is None:
            self._reference = ReferenceRuntime("tflite-runtime==2.14.0")
        return self._reference

    def close(self) -> None:
        if self._reference is not None:
            self._reference.close()


#: run by the Python of --micro-python: model, inputs, outputs, samples
_MICRO = """
import sys
import numpy as np
from tflite_micro.python.tflite_micro import runtime
model, asked, answered, count = sys.argv[1:]
interpreter, arrays, found = runtime.Interpreter.from_file(model), np.load(asked), []
for row in range(int(count)):
    for position in range(sum(name.startswith(f"{row}_") for name in arrays)):
        interpreter.set_input(arrays[f"{row}_{position}"], position)
    interpreter.invoke()
    found.append(interpreter.get_output(0).ravel())
np.save(answered, np.array(found))
"""


def _no_kernels(_kernels: Kernels) -> np.ndarray:
    raise NotImplementedError("a whole model is not one kernel")


def _verdict(kind: str, expected: np.ndarray, got: np.ndarray) -> tuple[str, str]:
    if expected.size != got.size or expected.dtype != got.dtype:
        return "wrong", f"{got.size} outputs of {got.dtype} instead of {expected.size} of {expected.dtype}"
    if got.dtype == np.float32:
        off = float(np.abs(got - expected).max() / max(1.0, np.abs(expected).max()))
        return (kind if off <= _FLOAT_SHARE else "wrong"), f"{got.size} outputs, off by {off:.1e}"
    different = int(np.count_nonzero(expected != got))
    return ("wrong", f"{different} of {got.size} outputs differ") if different else (kind, f"{got.size} outputs")


def _numbers(path: Path, dtype: str) -> np.ndarray:
    text = path.read_text().replace("\n", ",")
    return np.array([int(word) for word in text.split(",") if word.strip()]).astype(dtype)


def _random(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    if dtype == "float32":
        return rng.uniform(-1, 1, shape).astype(np.float32)
    info = np.iinfo(dtype)
    return rng.integers(info.min, int(info.max) + 1, shape).astype(dtype)


def with_channel_axes(model: bytes) -> bytes:
    """A copy in which the biases' `quantized_dimension` is 0: person_detect.tflite has 3 on tensors of one dimension, which
    TFLite Micro does not look at and tflite-runtime refuses."""
    import tflite

    data = bytearray(model)
    subgraph = tflite.Model.GetRootAs(data, 0).Subgraphs(0)
    for index in range(subgraph.TensorsLength()):
        tensor = subgraph.Tensors(index)
        quantization = tensor.Quantization()
        if quantization is None or quantization.QuantizedDimension() < max(tensor.ShapeLength(), 1):
            continue
        table = quantization._tab
        place = table.Pos + table.Offset(16)
        data[place : place + 4] = bytes(4)
    return bytes(data)


if __name__ == "__main__":
    sys.exit(main())
