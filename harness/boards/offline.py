"""The stage that all kinds of boards share: an offline compiler on this machine, which a backend's `compile:` block names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from harness.boards.adapt import Adapted, NotAdapted, StageFacts
from harness.core.errors import HarnessError, UnsupportedError

if TYPE_CHECKING:
    from harness.prepare.prepared import PreparedModel
    from harness.tflite.vela.compiler import VelaCompiled, VelaOptions
    from harness.tflite.vela.nodes import VelaNode

#: the stage's name
VELA = "vela"


def compile_stage(
    model: PreparedModel, options: VelaOptions, *, say: Callable[[str], None] = lambda _text: None
) -> Adapted | NotAdapted:
    """Compiles a model. Inputs, outputs and references stay what they are.

    A model that the compiler refuses is `unsupported` with its reason; a compiler that is not there, or was killed, is
    `failed`. The facts: `compiled`, the figures of a record's field of that name; `nodes`, one entry per node of the model as it
    was built, with `place` (`npu`, `cpu`, `removed`), `compiled_node`, `cycles`, `estimate_ns`, `reason`, `inputs` and `outputs`.
    """
    from harness.tflite.graph import read_graph
    from harness.tflite.vela.compiler import NothingOnNpu, compile_model
    from harness.workloads.input_names import same_inputs

    assert model.artifact.path is not None
    try:
        compiled = compile_model(model.artifact.path, options, sha256=model.artifact.sha256, progress=say)
    except HarnessError as error:
        return NotAdapted(
            outcome="unsupported" if isinstance(error, UnsupportedError) else "failed",
            reason=f"compile: {error}",
            stages=(StageFacts(name=VELA, facts={"nodes": _nodes(error.nodes)}),)
            if isinstance(error, NothingOnNpu)
            else (),
        )
    # In whatever order the compiler left them.
    places = same_inputs(read_graph(compiled.path), read_graph(model.artifact.path))
    model = replace(model, inputs=tuple(model.inputs[place] for place in places) if model.inputs else ())
    artifact = replace(
        model.artifact,
        path=compiled.path,
        sha256=compiled.sha256,
        size_bytes=compiled.size_bytes,
        inputs=tuple(model.artifact.inputs[place] for place in places),
    )
    facts = {"compiled": _figures(compiled), "nodes": _nodes(compiled.nodes, compiled)}
    return Adapted(
        model=replace(model, artifact=artifact), artifact=artifact, stages=(StageFacts(name=VELA, facts=facts),)
    )


def _figures(compiled: VelaCompiled) -> dict[str, Any]:
    """Identity of the original file, the compiler with its options, its estimates."""
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


def _nodes(nodes: Sequence[VelaNode], compiled: VelaCompiled | None = None) -> list[dict[str, Any]]:
    return [
        {
            "node": node.node,
            "op": node.op,
            "place": node.place,
            "compiled_node": node.compiled_node,
            "cycles": node.cycles,
            "estimate_ns": compiled.node_ns(node) if compiled else None,
            "reason": node.reason,
            "inputs": list(node.inputs),
            "outputs": list(node.outputs),
        }
        for node in nodes
    ]
