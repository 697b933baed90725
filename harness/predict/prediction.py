"""What will happen to a model on a device, said before anything is pushed (and compared afterwards: harness.predict.compare).

Three questions: will the runtime load it and compute it rightly (harness.tflite.support), which nodes will the delegate
take (harness.predict.coverage), and will it fit. What the device is comes as plain facts: `harness.boards.predict` asks its kind.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.core.names import near_names
from harness.predict.advice import advise
from harness.predict.coverage import NodeCoverage, table_coverage
from harness.predict.partitions import count_partitions
from harness.tflite.delegates.table import known_delegates, load_delegate_table
from harness.tflite.features import features
from harness.tflite.graph import Graph
from harness.tflite.memory import MemoryEstimate, estimate_memory
from harness.tflite.support import Kernels, Support, runtime_supports

#: in place of a runtime where none sees the model
NO_RUNTIME = "none"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What is expected of one model on one backend of a device.

    Attributes:
        device, backend: their names.
        runtime: such as `tflite-runtime 2.14.0`; `none` for a compiler's estimates, where nothing runs.
        runtime_assumed: the device's profile names no version, and nobody has asked the board yet.
        delegate: the external delegate's name; None on a backend without one.
        loads, right: as in `harness.tflite.support.Support`.
        nodes: every node of the model and whether the delegate takes it; None without a delegate or without its table.
        total_nodes: of the model.
        partitions: how many pieces the delegate's share makes; None where `nodes` is.
        fits: False when file or memory are over the profile's limits; None where the profile has no memory limit.
        memory: a lower bound of what the runtime needs for the model.
        finishes: False when an inference would take so long that the board's watchdog ends it; None where nobody can tell.
        reasons: what speaks against it, a sentence each.
        advice: settings and recipes that would help.
        room: what it takes of which memory, a sentence, where a board has several; None elsewhere.
        float16_accumulation: the delegate sums in float16, so that its outputs are further from the model's definition.
    """

    device: str
    backend: str
    runtime: str
    runtime_assumed: bool
    delegate: str | None
    loads: bool | None
    right: bool | None
    nodes: tuple[NodeCoverage, ...] | None
    total_nodes: int
    partitions: int | None
    fits: bool | None
    memory: MemoryEstimate
    reasons: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    finishes: bool | None = None
    room: str | None = None
    float16_accumulation: bool = False

    @property
    def taken(self) -> int | None:
        """How many nodes the delegate takes."""
        return None if self.nodes is None else sum(node.taken for node in self.nodes)

    @property
    def fallback(self) -> tuple[NodeCoverage, ...]:
        """The nodes that stay on the CPU."""
        return tuple(node for node in self.nodes or () if not node.taken)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a model is to run on, in plain facts; the kind of board that knows them puts them together.

    Attributes:
        device, backend: their names.
        runtime: `NAME VERSION`; None where no runtime sees the model, such as for a compiler's estimates.
        runtime_assumed: the version is a guess: nobody has asked the board yet.
        kernels: the op resolver: `reference`, `default` or `no-default-delegate`.
        machine: the board's processor family as `uname -m` says it; None: what is known of one family alone is not predicted.
        delegate_name, delegate_path, delegate_options: the external delegate; no path: there is none.
        file_limit_bytes, memory_limit_bytes: what the device's profile allows (`limits.cache_bytes`, `limits.ram_bytes`).
    """

    device: str
    backend: str
    runtime: str | None
    runtime_assumed: bool = False
    kernels: Kernels = "default"
    machine: str | None = None
    delegate_name: str | None = None
    delegate_path: str | None = None
    delegate_options: Mapping[str, str] = field(default_factory=dict)
    file_limit_bytes: int | None = None
    memory_limit_bytes: int | None = None


def predict(
    graph: Graph,
    artifact_size: int,
    target: Target,
    *,
    devices_option: str | os.PathLike[str] | None = None,
) -> Prediction:
    """What is expected of a model on a runtime with or without a delegate.

    Args:
        graph: the model.
        artifact_size: bytes of its file.
        target: what it is to run on.
        devices_option: a folder to look for delegate tables in first.

    Raises:
        UserInputError: an unknown runtime, a faulty delegate table.
    """
    reasons: list[str] = []
    nodes: tuple[NodeCoverage, ...] | None = None
    float16 = False
    delegate = (target.delegate_name or target.delegate_path) if target.delegate_path else None
    if delegate is not None and delegate not in known_delegates(devices_option):
        near = near_names(delegate, known_delegates(devices_option), most=1)
        meant = f"; did the profile mean {near[0]}?" if near else ""
        reasons.append(
            f"there is no table of what the delegate {delegate} takes (docs/guides/adding-a-delegate.md){meant}"
        )
    elif delegate is not None:
        table = load_delegate_table(delegate, devices_option)
        nodes = tuple(table_coverage(table, graph, options=target.delegate_options))
        float16 = table.float16_accumulation and any(node.taken for node in nodes)
    support = Support(loads=None, right=None, reasons=[])
    stated = target.runtime or NO_RUNTIME
    if target.runtime is not None:
        name, _, version = target.runtime.partition(" ")
        taken = {node.node for node in nodes or () if node.taken}
        support = runtime_supports(
            name, version, graph, kernels=target.kernels, machine=target.machine, elsewhere=taken
        )
    reasons = [*support.reasons, *reasons]
    memory = estimate_memory(graph, artifact_size)
    fits, too_large = _fits(memory, target)
    partitions = None if nodes is None else count_partitions(graph, {node.node for node in nodes if node.taken})
    return Prediction(
        device=target.device,
        backend=target.backend,
        runtime=stated,
        runtime_assumed=target.runtime_assumed,
        delegate=delegate,
        loads=support.loads,
        right=support.right,
        nodes=nodes,
        total_nodes=len(graph.nodes),
        partitions=partitions,
        fits=fits,
        memory=memory,
        reasons=(*reasons, *too_large),
        advice=tuple(advise(graph, features(graph), support, nodes, runtime=stated, kernels=target.kernels)),
        float16_accumulation=float16,
    )


def unknown_prediction(
    graph: Graph, artifact_size: int, *, device: str, backend: str, runtime: str, runtime_assumed: bool, reason: str
) -> Prediction:
    """The prediction where nothing can be said but how much memory the model needs at least, and why nothing can."""
    return Prediction(
        device=device,
        backend=backend,
        runtime=runtime,
        runtime_assumed=runtime_assumed,
        delegate=None,
        loads=None,
        right=None,
        nodes=None,
        total_nodes=len(graph.nodes),
        partitions=None,
        fits=None,
        memory=estimate_memory(graph, artifact_size),
        reasons=(reason,),
    )


def _fits(memory: MemoryEstimate, target: Target) -> tuple[bool | None, list[str]]:
    file_limit, memory_limit = target.file_limit_bytes, target.memory_limit_bytes
    reasons = []
    if file_limit is not None and memory.file_bytes > file_limit:
        what = f"the file has {memory.file_bytes:,} bytes"
        reasons.append(f"{what}, the profile allows {file_limit:,} (limits.cache_bytes)")
    if memory_limit is not None and memory.total_bytes > memory_limit:
        reasons.append(
            f"file and activations need at least {memory.total_bytes:,} bytes of memory, the profile allows"
            f" {memory_limit:,} (limits.ram_bytes)"
        )
    if reasons:
        return False, reasons
    return (None if memory_limit is None else True), []
