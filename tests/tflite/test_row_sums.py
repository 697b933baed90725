"""Long rows of hybrid weights: where LiteRT 2.3.0 on x86-64 sums them in 16 bits, held against the runtimes themselves."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from harness.boards.connect import backend_spec
from harness.boards.predict import predict
from harness.boards.registry import twin_kind
from harness.boards.resolve import packaged_profile
from harness.tflite.graph import read_graph
from harness.tflite.row_sums import overflowing_rows
from harness.tflite.support import runtime_supports
from tests.support.quantized_ops import Case, _Model, run_cases

LITERT = ("ai-edge-litert", "2.3.0")


@dataclass(frozen=True, kw_only=True)
class RowCase(Case):
    """A case with a name of its own and the outputs that must be off."""

    name: str
    rows: tuple[int, ...]

    @property
    def key(self) -> str:
        return self.name


def row_case(
    name: str,
    weights: np.ndarray,
    rows: tuple[int, ...],
    *,
    op: str = "FULLY_CONNECTED",
    per_channel: bool = True,
    asymmetric: bool = True,
    transposed: bool = False,
    version: int = 3,
) -> RowCase:
    """One op over float inputs in 0..1, as they come out of a ReLU: their zero point is -128."""
    weights = np.asarray(weights, np.int8)
    count, depth = weights.shape
    scales = np.full(count if per_channel else 1, 0.01, np.float32)
    if per_channel:
        scales *= np.linspace(1.0, 1.5, count, dtype=np.float32)  # equal scales would be per-tensor in disguise
    x = np.random.default_rng(0).random((1, depth)).astype(np.float32)
    x[0, :2] = 0, 1
    model = _Model()
    source = model.tensor("x", (1, depth), "float32")
    stored = weights.T if transposed else weights
    kernel = model.tensor("w", stored.shape, "int8", stored, scales=scales, axis=1 if transposed else 0)
    result = model.tensor("y", (1, count), "float32")
    if op == "FULLY_CONNECTED":
        options = schema.FullyConnectedOptionsT()
        bias = model.tensor("b", (count,), "float32", np.zeros(count, np.float32))
        inputs = [source, kernel, bias]
    else:
        options = schema.BatchMatMulOptionsT()
        options.adjY = not transposed
        inputs = [source, kernel]
    options.asymmetricQuantizeInputs = asymmetric
    model.op(op, inputs, [result], options, version)
    return RowCase(
        op=op,
        activation="float32",
        weight="int8",
        per_channel=per_channel,
        zero_point=0,
        output_scale=1.0,
        name=name,
        rows=rows,
        model=model.finish([source], [result]),
        x=x,
        want=x @ (weights * scales[:, None].astype(float)).T,
    )


def ones(depth: int, first: int | None = None) -> np.ndarray:
    """Three rows: 127 in the first `first` places, an alternating one, -127 everywhere else but there."""
    row = np.where(np.arange(depth) < (depth if first is None else first), 127, 0)
    return np.stack([row, np.where(np.arange(depth) % 2, -100, 100), -row])


CASES = [
    row_case("129 blocks", ones(2064), ()),
    row_case("129 blocks and a rest", ones(2071), ()),
    row_case("129 blocks and a half", ones(2072), (0, 2)),
    row_case("130 blocks", ones(2080), (0, 2)),
    row_case("130 blocks, per-tensor", ones(2080), (0, 2), per_channel=False),
    row_case("130 blocks, symmetric inputs", ones(2080), (), asymmetric=False),
    row_case("long, few large weights", ones(28800, 2064), ()),
    row_case("long, more large weights", ones(28800, 2080), (0, 2)),
    row_case("long, random", np.random.default_rng(1).integers(-127, 128, (3, 28800)), ()),
    # The lane overflows on the way and comes back: sums wrap, so only where they end counts.
    row_case("there and back", np.hstack([ones(2400), -ones(2400)[:, 16:]]), ()),
    row_case("BATCH_MATMUL", ones(2080), (0, 2), op="BATCH_MATMUL"),
    row_case("BATCH_MATMUL, transposed", ones(2080), (0, 2), op="BATCH_MATMUL", transposed=True, per_channel=False),
]


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_the_rows_that_overflow_are_found_without_running(case):
    graph = read_graph(case.model)
    assert overflowing_rows(graph, graph.nodes[0]) == case.rows


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels of x86-64; others are predicted to be right")
def test_the_prediction_is_what_the_runtime_does(litert_python):
    seen = run_cases(litert_python, CASES)
    predicted = {
        (case.key, kernels): "right" if support.right else "wrong"
        for case in CASES
        for kernels in ("reference", "no-default-delegate", "default")
        for support in [runtime_supports(*LITERT, read_graph(case.model), kernels=kernels, machine="x86_64")]
    }
    assert predicted == seen
    built_in = ("reference", "no-default-delegate")
    wrong = {(case.key, kernels) for case in CASES if case.rows for kernels in built_in}
    assert {key for key, verdict in seen.items() if verdict == "wrong"} == wrong


def test_the_older_runtime_gets_them_right(tflite_python):
    cases = [c for c in CASES if not c.per_channel]
    assert set(run_cases(tflite_python, cases).values()) == {"right"}
    for case in cases:
        assert runtime_supports("tflite-runtime", "2.14.0", read_graph(case.model), machine="x86_64").right


def test_the_rule_holds_on_x86_alone_and_names_the_outputs():
    graph = read_graph(next(c for c in CASES if c.rows).model)
    for machine in ("aarch64", None):
        assert runtime_supports(*LITERT, graph, machine=machine).right is True
    (reason,) = runtime_supports(*LITERT, graph, machine="x86_64").reasons
    assert (
        reason.startswith("node 0 FULLY_CONNECTED: the x86-64 kernel sums each row")
        and "2 of its outputs: 0, 2" in reason
    )


def test_a_board_that_is_this_machine_is_predicted_with_its_processor():
    case = next(c for c in CASES if c.rows)
    profile = packaged_profile("host-litert")
    found = {
        name: predict(read_graph(case.model), len(case.model), profile, backend_spec(profile, name))
        for name in ("cpu-ref", "cpu")
    }
    affected = platform.machine() == "x86_64"
    assert {name: p.right for name, p in found.items()} == {"cpu-ref": not affected, "cpu": True}
    assert any("XNNPACK" in advice for advice in found["cpu-ref"].advice) == affected


def test_a_twin_is_predicted_with_the_processor_that_it_emulates():
    case = next(c for c in CASES if c.rows)
    board = packaged_profile("imx8mp")
    board = board.model_copy(update={"emulation": {**board.emulation, "runtime": "==".join(LITERT)}})
    twin = twin_kind(board).twin(board)
    assert predict(read_graph(case.model), len(case.model), twin, backend_spec(twin, "cpu-ref")).right is True
