"""What is judged: a model, samples for it, and what its answers are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from harness.measure.rule import Classes, above, top_class
from harness.measure.twins import real_values
from harness.tflite.features import features, output_lsb
from harness.tflite.graph import Graph, read_graph


@dataclass(kw_only=True)
class Subject:
    """A model under test.

    Attributes:
        feeds: samples per input, [n, ...] without the batch, in the input's dtype.
        task: `multiclass`, `binary` or `none`, of its first output.
        repeats: another subject is the same network with another interface, so that planting defects here would count them twice.
    """

    name: str
    model: bytes
    feeds: list[np.ndarray]
    task: str
    repeats: bool = False

    @cached_property
    def graph(self) -> Graph:
        return read_graph(self.model)

    @property
    def arithmetic(self) -> frozenset[str]:
        return frozenset(features(self.graph).arithmetic)

    @property
    def is_integer(self) -> bool:
        return not self.arithmetic & {"hybrid", "float", "weight-only"}

    @property
    def steps(self) -> list[float | None]:
        return list(output_lsb(self.graph))

    @property
    def classes(self) -> list[Classes | None]:
        first: Classes | None = {"multiclass": top_class, "binary": above(0.5)}.get(self.task)
        return [first, *[None] * (len(self.graph.outputs) - 1)]

    def real(self, outputs: list[np.ndarray]) -> list[np.ndarray]:
        """Outputs of the model as real numbers."""
        return real_values(self.graph, outputs)


def stored_samples(model: bytes, samples: np.ndarray, position: int = 0) -> np.ndarray:
    """Real-valued samples in the dtype of a model's input, in its shape without the batch."""
    graph = read_graph(model)
    tensor = graph.tensors[graph.inputs[position]]
    shape = (len(samples), *tensor.shape[1:])
    if not tensor.scales:
        return samples.reshape(shape).astype(tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    values = np.round(samples / tensor.scales[0]) + tensor.zero_points[0]
    return np.clip(values, limits.min, limits.max).astype(tensor.dtype).reshape(shape)


def folder_subjects(folder: Path, *, samples: int) -> Iterator[Subject]:
    """The .tflite files of a folder. NAME.npz beside NAME.tflite has `x_test` (real values); without one, inputs are random.

    A model whose single output has one value is taken for a binary one, any other with data for one of classes, unless the .npz
    says `task`.
    """
    for path in sorted(folder.glob("*.tflite")):
        model = path.read_bytes()
        graph = read_graph(model)
        data = path.with_suffix(".npz")
        if data.is_file():
            with np.load(data, allow_pickle=False) as stored:
                x, task = stored["x_test"][:samples], str(stored["task"]) if "task" in stored else None
            feeds = [stored_samples(model, x)]
        else:
            feeds, task = [_random(graph.tensors[i], samples, n) for n, i in enumerate(graph.inputs)], None
        last = graph.tensors[graph.outputs[0]]
        yield Subject(
            name=path.stem,
            model=model,
            feeds=feeds,
            task=task or ("binary" if last.element_count == 1 else "multiclass"),
        )


def _random(tensor, samples: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (samples, *tensor.shape[1:])
    if tensor.dtype == "float32":
        return rng.standard_normal(shape).astype(np.float32)
    limits = np.iinfo(tensor.dtype)
    return rng.integers(limits.min, limits.max + 1, shape).astype(tensor.dtype)


Runner = Callable[[bytes, list[np.ndarray]], list[np.ndarray]]
"""Runs a model on one runtime with one kind of kernels."""
