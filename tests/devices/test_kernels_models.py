"""Whole models on the kernels, bit for bit: published ones where HARNESS_SHARED names a folder that has them."""

import os
from pathlib import Path

import numpy as np
import pytest

from harness.tflite.graph import read_graph
from tests.support.fixtures_kernels import ReferenceRuntime
from tests.support.kernel_cases import Case
from tests.support.kernel_graph import KernelGraph
from tests.support.kernels_abi import Kernels
from tests.support.tiny_model import int8_dense

_SHARED = os.environ.get("HARNESS_SHARED")
_PUBLISHED = ("ad01_int8.tflite", "mobilenet_v1_0.25_128_quant.tflite") if _SHARED else ()


@pytest.mark.parametrize("name", ["int8_dense", *_PUBLISHED])
def test_a_whole_model_equals_the_reference_kernels(
    name: str, kernels: Kernels, reference_runtime: ReferenceRuntime
) -> None:
    model = int8_dense() if name == "int8_dense" else (Path(_SHARED or "") / "models" / name).read_bytes()
    graph = read_graph(model)
    source = graph.tensors[graph.inputs[0]]
    limits = np.iinfo(source.dtype)
    rng = np.random.default_rng(11)
    samples = [rng.integers(limits.min, limits.max + 1, source.shape).astype(source.dtype) for _ in range(10)]
    cases = [
        Case(op=name, text=name, model=model, inputs=(sample,), run=KernelGraph(graph, kernels).run)
        for sample in samples
    ]
    expected = reference_runtime.run(cases)
    for sample, reference in zip(samples, expected, strict=True):
        output = KernelGraph(graph, kernels).run(sample)
        assert output.dtype == reference.dtype
        assert np.array_equal(output, reference), (
            f"{np.count_nonzero(output != reference)} of {output.size} outputs differ"
        )
    assert len({reference.tobytes() for reference in expected}) > 1, "the inputs must matter"
