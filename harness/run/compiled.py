"""Cells of backends with a `compile:` block: the model goes through an offline compiler before it travels.

On a real board the compiled file is pushed and measured; on a twin that is made of estimates (`imx93@vela`) the record is
written from what the compiler says and nothing runs. Either way the rows of the op table are the nodes of the model as it
was built, because those are what a reader can change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError, UnsupportedError
from harness.core.finding import Finding
from harness.prepare.prepared import PreparedModel
from harness.results.record import CellRecord, FallbackOp
from harness.run.budget import Budget
from harness.run.cell import CellContext, new_record

if TYPE_CHECKING:
    from harness.boards.profile.compile import CompileProfile
    from harness.run.execute import PlannedCell
    from harness.tflite.vela.compiler import VelaCompiled
    from harness.tflite.vela.nodes import VelaNode

#: runs a cell on the board, with retries; None when the run was interrupted
RunOnBoard = Callable[["PlannedCell", CellContext], CellRecord | None]


def run_compiled(
    cell: PlannedCell,
    context: CellContext,
    compiler: CompileProfile,
    budget: Budget,
    *,
    run: RunOnBoard,
    say: Callable[[str], None] = lambda _text: None,
) -> CellRecord | None:
    """Compiles the cell's model, then runs the compiled file with `run`, or takes the estimates where nothing runs.

    A model that the compiler refuses is `unsupported` with its reason; a compiler that is not there, or was killed, is
    `failed`. Neither stops the device's other cells.
    """
    from harness.tflite.vela.compiler import NothingOnNpu, compile_model

    model, started_ns = cell.model, time.perf_counter_ns()
    try:
        compiled = compile_model(
            model.artifact.path, compiler.vela_options(), sha256=model.artifact.sha256, progress=say
        )
    except HarnessError as error:
        record = new_record(context, cell.key, model)
        unsupported = isinstance(error, UnsupportedError)
        record.outcome, record.reason = ("unsupported" if unsupported else "failed"), f"compile: {error}"
        if context.time_basis == "estimate":
            record.threads = record.affinity = None
        if isinstance(error, NothingOnNpu):
            record.delegate_name = context.backend.delegate_name or context.backend.delegate_path
            record.delegated_nodes, record.total_nodes = 0, len(error.nodes)
            record.fallback = _fallback(error.nodes)
    else:
        if context.time_basis != "estimate":
            record = run(replace(cell, model=with_compiled_artifact(model, compiled)), context)
            if record is not None:
                note_compiled(record, compiled, context)
            return record
        record = estimated_record(context, cell, compiled)
    record.duration_ns = time.perf_counter_ns() - started_ns
    budget.cell_done(overhead_s=record.duration_ns / 1e9)
    return record


def with_compiled_artifact(model: PreparedModel, compiled: VelaCompiled) -> PreparedModel:
    """The same model with the compiled file in the artifact's place: inputs, outputs and references stay what they are."""
    artifact = replace(model.artifact, path=compiled.path, sha256=compiled.sha256, size_bytes=compiled.size_bytes)
    return replace(model, artifact=artifact)


def note_compiled(record: CellRecord, compiled: VelaCompiled, context: CellContext) -> None:
    """Turns a record of the compiled file's nodes into one of the original model's, and adds the compiler's figures.

    Where a node ran is what the board said of the compiled node that it went into; without placement from the board
    (the cell did not get that far) the counts stay empty.
    """
    record.compiled = compiled_facts(compiled)
    measured = {op["node"]: op for op in record.ops}
    record.total_nodes = len(compiled.nodes)
    record.ops, record.fallback = [], []
    if not measured:
        return
    taken = 0
    for node in compiled.nodes:
        place = measured.get(node.compiled_node, {})
        ran_on = "removed" if node.place == "removed" else place.get("ran_on", "unknown")
        record.ops.append(_row(node, compiled, ran_on=ran_on, partition=place.get("partition")))
        taken += node.place == "npu" and ran_on not in ("cpu", "xnnpack", "unknown")
    if record.delegated_nodes is not None:
        record.delegated_nodes = taken
    record.fallback = _fallback(compiled.nodes)


def estimated_record(context: CellContext, cell: PlannedCell, compiled: VelaCompiled) -> CellRecord:
    """A record of what the compiler says, with no accuracy, because nothing was computed.

    The estimate covers the NPU's part alone. It stands as the latency only when no node is left on the CPU; otherwise the
    latency is not known, and a finding gives the part that is.
    """
    record = new_record(context, cell.key, with_compiled_artifact(cell.model, compiled))
    record.outcome, record.reason = "estimated", None
    record.threads = record.affinity = None
    record.compiled = compiled_facts(compiled)
    name = context.backend.delegate_name or "npu"
    record.delegate_name, record.partitions = name, compiled.partitions
    record.total_nodes = len(compiled.nodes)
    record.delegated_nodes = sum(n.place == "npu" for n in compiled.nodes)
    operators = sorted({n.compiled_node for n in compiled.nodes if n.place == "npu" and n.compiled_node is not None})
    partition_of = {operator: index for index, operator in enumerate(operators)}
    record.ops = [
        _row(n, compiled, ran_on=name, partition=partition_of.get(n.compiled_node))
        if n.place == "npu"
        else _row(n, compiled, ran_on=n.place)
        for n in compiled.nodes
    ]
    record.fallback = _fallback(compiled.nodes)
    estimate_ns = compiled.summary.inference_ns
    if not compiled.cpu_nodes:
        record.latency_median_ns = estimate_ns
        return record
    ops = ", ".join(dict.fromkeys(n.op for n in compiled.cpu_nodes))
    record.findings.append(
        Finding(
            code="estimate-npu-part-only",
            severity="warning",
            where=cell.key.text,
            what=f"{len(compiled.cpu_nodes)} of {len(compiled.nodes)} nodes stay on the CPU ({ops}), and the compiler does not "
            f"estimate their time: the NPU's part alone takes {(estimate_ns or 0) / 1e3:.1f} us",
            fix="take a recipe with integer inputs and outputs if these ops convert to and from float, or measure on the board",
        )
    )
    return record


def compiled_facts(compiled: VelaCompiled) -> dict[str, Any]:
    """The record's `compiled` field: identity of the original file, the compiler with its options, its estimates."""
    return {
        "compiler": compiled.options.compiler,
        "options": {k: v for k, v in asdict(compiled.options).items() if k != "package"},
        "source_sha256": compiled.source_sha256,
        "source_size_bytes": compiled.source_size_bytes,
        "npu_operators": compiled.npu_operators,
        "cpu_operators": compiled.cpu_operators,
        "partitions": compiled.partitions,
        **asdict(compiled.summary),
    }


def _row(node: VelaNode, compiled: VelaCompiled, *, ran_on: str, partition: int | None = None) -> dict[str, Any]:
    return {
        "node": node.node,
        "op": node.op,
        "ran_on": ran_on,
        "partition": partition,
        "inputs": list(node.inputs),
        "outputs": list(node.outputs),
        "cycles": node.cycles,
        "estimate_ns": compiled.node_ns(node),
    }


def _fallback(nodes: tuple[VelaNode, ...]) -> list[FallbackOp]:
    return [FallbackOp(node=n.node, op=n.op, reason=n.reason) for n in nodes if n.place == "cpu"]
