"""The NPU stand-in against the runtime's own reference kernels, op by op on random models, in both runtimes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from harness.predict.coverage import delegate_coverage
from harness.tflite.graph import read_graph
from tests.support import tiny_model
from tests.support.fixtures_npu import NpuCase, NpuResult, RunNpu
from tests.support.kernel_catalog import GENERATORS, make_cases

CASES_PER_OP = 8
#: ops of the kernels that the stand-in does not take
REFUSED = {"PADV2", "RESIZE_NEAREST_NEIGHBOR"}
_SHARED = os.environ.get("HARNESS_SHARED")
_PUBLISHED = ("ad01_int8.tflite", "mobilenet_v1_0.25_128_quant.tflite") if _SHARED else ()


@pytest.fixture(scope="module")
def op_cases() -> list[tuple[str, NpuCase]]:
    """(operator, case) of every generator of the kernel tests."""
    return [
        (case.op, NpuCase(model=case.model, inputs=case.inputs, text=case.text))
        for name in GENERATORS
        for case in make_cases(name, CASES_PER_OP, seed=5)
    ]


@pytest.fixture(scope="module")
def op_results(op_cases: list[tuple[str, NpuCase]], run_npu: RunNpu) -> list[NpuResult]:
    """Their results on tflite-runtime 2.14.0, whose reference kernels the stand-in equals bit for bit."""
    return run_npu([case for _, case in op_cases])


def test_every_op_it_takes_equals_the_reference_bit_for_bit(op_cases, op_results):
    wrong = [
        f"{op}: {case.text}: {result.error}"
        for (op, case), result in zip(op_cases, op_results, strict=True)
        if not result.identical
    ]
    assert not wrong, wrong[:10]
    assert {op for (op, _), result in zip(op_cases, op_results, strict=True) if result.log.nodes} == (
        {op for op, _ in op_cases} - REFUSED
    )


def test_the_coverage_table_says_of_every_op_what_the_delegate_does(op_cases, op_results):
    for (_, case), result in zip(op_cases, op_results, strict=True):
        for node in delegate_coverage("npu-standin", read_graph(case.model)):
            assert node.taken == (node.node in result.log.claimed), f"{case.text}: {node}, it said {result.log.refused}"


def test_litert_gives_the_same_bytes_where_its_kernels_round_the_same(op_cases, op_results, run_npu):
    """The delegate's outputs do not depend on the runtime that it is loaded into."""
    litert = run_npu([case for _, case in op_cases], module="ai_edge_litert")
    for (op, case), here, there in zip(op_cases, op_results, litert, strict=True):
        if here.log.nodes and there.error is None:
            assert np.array_equal(here.delegated[0], there.delegated[0]), f"{op}: {case.text}"
    assert sum(result.error is None for result in litert) > 0.9 * len(litert)


def test_no_op_touches_memory_that_is_not_its_own(op_cases, run_npu, sanitized_standin):
    few = [case for _, case in op_cases[:: CASES_PER_OP // 2]]
    results = run_npu(few, library=sanitized_standin, sanitized=True)
    assert all(result.identical for result in results)


@pytest.mark.parametrize("name", ["mnist_cnn", *_PUBLISHED])
@pytest.mark.parametrize("module", ["tflite_runtime", "ai_edge_litert"])
def test_whole_integer_models_run_as_one_partition(name, module, run_npu):
    model = tiny_model.mnist_cnn() if name == "mnist_cnn" else (Path(_SHARED or "") / "models" / name).read_bytes()
    graph = read_graph(model)
    source = graph.tensors[graph.inputs[0]]
    limits, rng = np.iinfo(source.dtype), np.random.default_rng(3)
    cases = [
        NpuCase(model=model, inputs=(rng.integers(limits.min, limits.max + 1, source.shape).astype(source.dtype),))
        for _ in range(3)
    ]
    for result in run_npu(cases, module=module):
        assert (result.log.nodes, result.log.partitions) == (len(graph.nodes), 1)
        # LiteRT's own FULLY_CONNECTED rounds otherwise on this model (docs/internals/kernels.md); tflite-runtime is the oracle.
        assert result.identical or (module == "ai_edge_litert" and name == "ad01_int8.tflite")


def test_single_rounding_differs_from_the_cpu_by_at_most_one_step_in_one_layer(run_npu):
    model = tiny_model.int8_dense(inputs=64, outputs=200)
    rng = np.random.default_rng(9)
    cases = [NpuCase(model=model, inputs=(rng.integers(-128, 128, (1, 64), np.int8),)) for _ in range(20)]
    differences = [
        np.abs(r.delegated[0].astype(int) - r.plain[0]) for r in run_npu(cases, options={"rounding": "single"})
    ]
    assert max(d.max() for d in differences) == 1
