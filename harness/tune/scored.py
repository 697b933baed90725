"""The cheap error of a candidate: its outputs against the float model's on calibration samples. No TensorFlow, no device.

`python -m harness.tune.scored MODEL SAMPLES LAYERS` answers a JSON line for every candidate's name on stdin: a process of its
own, because quantizer and runtime crash on what they do not take, and a crash must cost one candidate.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import HarnessError
from harness.measure.tensor_error import TensorError
from harness.tflite.graph import Graph, read_graph
from harness.variants.convert.feeding import Feed, Sample
from harness.variants.convert.layers import LayerOp, layer_ops
from harness.variants.convert.mixed import quantize_mixed
from harness.variants.convert.ranges import open_interpreter
from harness.variants.recipe import parse_recipe
from harness.workloads.rows import Arrays, read_samples

#: per-layer errors are summed over this many samples
_LAYER_SAMPLES = 16


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What a candidate was found to be worth before any device saw it.

    Attributes:
        recipe: its name.
        sha256, size_bytes: of its file, which a build makes to the same bit.
        sqnr_db: of the first output over the samples.
        layers_db: (number of the op, SQNR of its output), where that was asked for.
        refused: why there is none; all else is empty then.
    """

    recipe: str
    sha256: str = ""
    size_bytes: int = 0
    sqnr_db: float = 0.0
    layers_db: tuple[tuple[int, float], ...] = ()
    refused: str | None = None


class Scorer:
    """Scores candidates of one float model."""

    def __init__(self, model: bytes, samples: Arrays, layers: Sequence[str]) -> None:
        """
        Args:
            model: the float .tflite.
            samples: calibration samples as the model's inputs take them.
            layers: the names of the Keras model's layers.
        """
        self._model, self._samples, self._layers = model, samples, layers
        self._float = _Outputs(model, samples, preserve=False)
        self._answers = [self._float.run(sample) for sample in samples]

    def score(self, recipe: str, *, by_layer: bool = False) -> Scored:
        """The score of a `mixed[...]` recipe without a training.

        Raises:
            HarnessError: the quantizer refuses it.
        """
        mix = parse_recipe(recipe).conversion.mix
        assert mix is not None, "only mixed recipes are scored"
        calibration = self._samples if mix.samples is None else self._samples[: mix.samples]
        data = quantize_mixed(self._model, mix, self._layers, calibration).model
        outputs, error = _Outputs(data, self._samples, preserve=False), TensorError()
        for sample, answer in zip(self._samples, self._answers, strict=True):
            error.add(answer, outputs.run(sample))
        return Scored(
            recipe=recipe,
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            sqnr_db=error.sqnr_db,
            layers_db=tuple(self._by_layer(data)) if by_layer else (),
        )

    def _by_layer(self, data: bytes) -> list[tuple[int, float]]:
        """The SQNR of every op's output, on the first samples."""
        plain, quantized = (_Outputs(one, self._samples, preserve=True) for one in (self._model, data))
        pairs = list(zip(plain.ops(self._layers), quantized.ops(self._layers), strict=True))
        errors = [TensorError() for _ in pairs]
        for sample in self._samples[:_LAYER_SAMPLES]:
            plain.run(sample)
            quantized.run(sample)
            for (mine, theirs), error in zip(pairs, errors, strict=True):
                values, others = plain.real(mine.node.outputs[0]), quantized.real(theirs.node.outputs[0])
                if values is not None and others is not None and values.shape == others.shape:
                    error.add(values, others)
        return [(pair[0].number, error.sqnr_db) for pair, error in zip(pairs, errors, strict=True) if error.count]


class _Outputs:
    """Runs one model sample by sample; tensors come as real values."""

    def __init__(self, model: bytes, samples: Arrays, *, preserve: bool) -> None:
        self.graph: Graph = read_graph(model)
        self._interpreter: Any = open_interpreter(model) if preserve else _fast_interpreter(model)
        self._feed = Feed(self._interpreter, model, samples)
        self._output = self._interpreter.get_output_details()[0]["index"]

    def ops(self, layers: Sequence[str]) -> list[LayerOp]:
        return layer_ops(self.graph, layers)

    def run(self, sample: Sample) -> np.ndarray:
        """The first output for one sample."""
        self._interpreter.reset_all_variables()
        self._feed.give(sample)
        self._interpreter.invoke()
        values = self.real(self._output)
        return self._interpreter.get_tensor(self._output) if values is None else values

    def real(self, index: int) -> np.ndarray | None:
        """A tensor's real values as they are now; None of one that is counted and not measured."""
        tensor = self.graph.tensors[index]
        values = self._interpreter.get_tensor(index)
        if values.dtype == np.float32:
            return values
        if not tensor.is_quantized or tensor.per_channel:
            return None
        return (values.astype(np.float32) - tensor.zero_points[0]) * np.float32(tensor.scales[0])


def _fast_interpreter(model: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def main() -> None:
    """Answers lines of `{"recipe", "by_layer"}` until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever quantizer and runtime print goes to stderr
    model, samples, layers = (Path(argument) for argument in sys.argv[1:4])
    scorer = Scorer(model.read_bytes(), read_samples(samples), json.loads(layers.read_text()))
    for line in sys.stdin:
        question = json.loads(line)
        try:
            found = scorer.score(question["recipe"], by_layer=question["by_layer"])
        except (HarnessError, RuntimeError, ValueError) as error:
            found = Scored(recipe=question["recipe"], refused=str(error).splitlines()[0])
        answers.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main()
