"""A model in the form in which a microcontroller takes it: a plan made on this machine, or the .tflite itself.

Which of the two, and how much memory there is for it, the board says when it is connected (`McuFacts`). Before that, `harness
check` has what the profile says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from harness.boards.base import NodePlace
from harness.boards.mcu.profile import FLOAT_CORES, KERNEL_NAMES, McuProfile
from harness.core.errors import UnsupportedError
from harness.core.files import sha256_bytes, sha256_file, write_bytes_atomic
from harness.core.paths import cache_dir
from harness.core.tensor import TensorIo
from harness.tflite.memory import MemoryEstimate, estimate_memory
from harness.tflite.plan.words_float import FLOAT_RECORDS

if TYPE_CHECKING:
    from harness.tflite.graph import Graph
    from harness.tflite.plan import Plan
    from harness.tflite.plan.base import KernelSet

#: the plan format that this harness writes (docs/internals/plan-format.md)
PLAN_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class McuFacts:
    """What decides whether and in which form a board takes a model.

    Attributes:
        plans: the runtime executes plans; else it reads a .tflite.
        kernels: kernel set of the build, by its number in docs/internals/serial-protocol.md.
        arena_bytes, model_bytes: memory for tensors and for the model; None where nobody has said.
        plan_ops: numbers of the plan's ops that the firmware has; None where nobody has said.
        floats: the firmware has float kernels.
    """

    plans: bool
    kernels: int
    arena_bytes: int | None = None
    model_bytes: int | None = None
    plan_ops: frozenset[int] | None = None
    floats: bool = False


@dataclass(frozen=True, kw_only=True)
class PlanNode:
    """A node that an inference of a plan runs: the node of the .tflite that it comes from (None: at the model's edges), and that
    one's multiply-accumulates.
    """

    node: int | None
    macs: int


@dataclass(frozen=True, kw_only=True)
class McuModel:
    """What is pushed.

    Attributes:
        path, sha256, size_bytes: of the file that travels.
        inputs, outputs: the model's own, as the .tflite has them; open dimensions are 1.
        arena_bytes: as planned; None where the board's own runtime plans.
        memory: a lower bound before the push: exact for a plan.
        nodes: one per node of the .tflite.
        plan_nodes: what an inference runs, in order; empty where the board's own runtime plans.
        exact: its outputs are promised to the bit: a plan of integer kernels alone.
    """

    path: Path
    sha256: str
    size_bytes: int
    inputs: tuple[TensorIo, ...]
    outputs: tuple[TensorIo, ...]
    arena_bytes: int | None
    memory: MemoryEstimate
    nodes: tuple[NodePlace, ...]
    plan_nodes: tuple[PlanNode, ...] = ()
    exact: bool = False


def profile_facts(profile: McuProfile) -> McuFacts:
    """What can be said of a board that nobody has asked."""
    return McuFacts(
        plans=profile.runtime.module == "plan",
        kernels=profile.kernels,
        arena_bytes=profile.limits.arena_bytes,
        model_bytes=profile.limits.model_bytes,
        floats=profile.core in FLOAT_CORES,
    )


def mcu_model(graph: Graph, tflite: Path | None, facts: McuFacts) -> McuModel:
    """Makes what is pushed for a model; plans are kept by content in the cache.

    Args:
        graph: the model.
        tflite: its file; None: where the graph was read from.
        facts: the board.

    Raises:
        UnsupportedError: the plan runtime cannot run it: every reason, with op and node; or it takes no single sample.
    """
    path = Path(tflite or graph.source or "")
    _require_one_sample(graph)
    return _planned(graph, path, facts) if facts.plans else _as_it_is(graph, path)


def too_large(model: McuModel, facts: McuFacts) -> list[str]:
    """Why a model does not fit into a board's memory, a sentence each; empty when it does, or when nobody knows."""
    form = "plan" if facts.plans else ".tflite"
    pairs = (
        (f"the {form} has {model.size_bytes:,} bytes", "for a model", model.size_bytes, facts.model_bytes),
        (
            f"its tensors need {'' if facts.plans else 'at least '}{model.memory.arena_bytes:,} bytes of arena",
            "of arena",
            model.memory.arena_bytes,
            facts.arena_bytes,
        ),
    )
    return [f"{what}, the board has {has:,} {of}" for what, of, needs, has in pairs if has is not None and needs > has]


def _as_it_is(graph: Graph, path: Path) -> McuModel:
    inputs, outputs = _model_io(graph)
    return McuModel(
        path=path,
        sha256=sha256_file(path),
        size_bytes=graph.size_bytes,
        inputs=inputs,
        outputs=outputs,
        arena_bytes=None,
        memory=estimate_memory(graph, graph.size_bytes),
        nodes=_nodes(graph, folded=()),
    )


def _planned(graph: Graph, tflite: Path, facts: McuFacts) -> McuModel:
    from harness.tflite.plan import make_plan

    plan = make_plan(tflite, kernels=_kernel_set(facts), floats=facts.floats)
    _require_ops(plan, facts)
    sha256 = sha256_bytes(plan.data)
    path = cache_dir() / "plans" / f"{sha256}.plan"
    if not _holds(path, plan.data, sha256):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(path, plan.data)
    return McuModel(
        path=path,
        sha256=sha256,
        size_bytes=len(plan.data),
        inputs=plan.inputs,
        outputs=plan.outputs,
        arena_bytes=plan.arena_bytes,
        memory=MemoryEstimate(file_bytes=len(plan.data), arena_bytes=plan.arena_bytes, complete=True),
        nodes=_nodes(graph, folded=plan.folded_nodes),
        plan_nodes=_plan_nodes(graph, plan),
        exact=not any(op.op in FLOAT_RECORDS for op in plan.ops),
    )


def _plan_nodes(graph: Graph, plan: Plan) -> tuple[PlanNode, ...]:
    """A node of the .tflite that became several has its multiply-accumulates at the first of them."""
    from harness.tflite.macs import node_macs
    from harness.tflite.plan import read_plan

    macs = {node.index: node_macs(graph, node) for node in graph.nodes}
    ran = plan.ops[read_plan(plan.data).reset_nodes :]
    return tuple(PlanNode(node=op.node, macs=0 if op.node is None else macs.pop(op.node, 0)) for op in ran)


def _holds(path: Path, data: bytes, sha256: str) -> bool:
    """Whether a file of the cache is what its name says: a full disk or somebody's hand may have left another one."""
    return path.is_file() and path.stat().st_size == len(data) and sha256_file(path) == sha256


def _require_one_sample(graph: Graph) -> None:
    """Samples are rows of arrays [N, ...], and an inference takes one: axis 0 of every input and output is a batch of 1.

    Raises:
        UnsupportedError: naming each tensor with another first axis.
    """
    inputs, outputs = _model_io(graph)
    other = [
        f"the {what} '{io.name}' has the shape {list(io.shape)}"
        for what, tensors in (("input", inputs), ("output", outputs))
        for io in tensors
        if io.shape[:1] != (1,)
    ]
    if other:
        raise UnsupportedError(
            f"{'; '.join(other)}: the first axis must be a batch of 1",
            hint="a microcontroller runs one sample at a time: convert the model with a first axis of 1, or of -1",
        )


def _kernel_set(facts: McuFacts) -> KernelSet:
    """The kernel set to plan scratch memory for; a firmware with another one takes its portable kernels instead."""
    return cast("KernelSet", KERNEL_NAMES.get(facts.kernels, KERNEL_NAMES[1]))


def _require_ops(plan: Plan, facts: McuFacts) -> None:
    """Ops that a firmware was built without.

    Raises:
        UnsupportedError: the plan has some of them.
    """
    if facts.plan_ops is None:
        return
    from harness.tflite.plan.words import RECORDS

    missing = [op for op in plan.ops if RECORDS[op.op].number not in facts.plan_ops]
    if missing:
        words = "; ".join(dict.fromkeys(f"{op.op} (of node {op.node} {op.tflite_op})" for op in missing))
        raise UnsupportedError(f"the board's firmware was built without {words}", hint="flash a firmware with all ops")


def _model_io(graph: Graph) -> tuple[tuple[TensorIo, ...], tuple[TensorIo, ...]]:
    from dataclasses import replace

    from harness.tflite.graph import model_io

    def fixed(tensors: Sequence[TensorIo]) -> tuple[TensorIo, ...]:
        return tuple(replace(t, shape=tuple(max(1, d) for d in t.shape)) for t in tensors)

    inputs, outputs = model_io(graph)
    return fixed(inputs), fixed(outputs)


def _nodes(graph: Graph, *, folded: Sequence[int]) -> tuple[NodePlace, ...]:
    """Where every node runs: on the core, or nowhere, where the host had worked it out or it only names memory. A command stream
    of an offline compiler runs on the NPU that it was compiled for.
    """
    from harness.tflite.vela.nodes import CUSTOM_OP

    gone = set(folded)
    return tuple(
        NodePlace(
            node=n.index,
            op=n.op,
            ran_on="removed" if n.index in gone else CUSTOM_OP if n.custom_name == CUSTOM_OP else "cpu",
            inputs=tuple(n.inputs),
            outputs=tuple(n.outputs),
        )
        for n in graph.nodes
    )
