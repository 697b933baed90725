"""What will happen to a model on a device, said before anything is pushed, and compared afterwards with what did.

Three questions: will the runtime load it and compute it rightly (harness.tflite.support), which nodes will the delegate
take (harness.predict.coverage), and will it fit.
"""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.errors import UserInputError
from harness.core.finding import Finding
from harness.predict.advice import advise
from harness.predict.coverage import NodeCoverage, known_delegates, load_delegate_table, table_coverage
from harness.predict.partitions import count_partitions
from harness.results.record import CellRecord
from harness.tflite.features import features
from harness.tflite.graph import Graph
from harness.tflite.memory import MemoryEstimate, estimate_memory
from harness.tflite.support import Support, known_runtimes, runtime_supports

if TYPE_CHECKING:
    from harness.boards.base import BackendSpec
    from harness.boards.mcu.model import McuFacts
    from harness.boards.profile.model import Profile


#: processor family of every twin of a Linux board, as `uname -m` says it
EMULATED_FAMILY = "aarch64"


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
        reasons: what speaks against it, a sentence each.
        advice: settings and recipes that would help.
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

    @property
    def taken(self) -> int | None:
        """How many nodes the delegate takes."""
        return None if self.nodes is None else sum(node.taken for node in self.nodes)

    @property
    def fallback(self) -> tuple[NodeCoverage, ...]:
        """The nodes that stay on the CPU."""
        return tuple(node for node in self.nodes or () if not node.taken)


def predict(
    graph: Graph,
    artifact_size: int,
    profile: Profile,
    backend: BackendSpec,
    *,
    runtime: str | None = None,
    machine: str | None = None,
    devices_option: str | os.PathLike[str] | None = None,
    board: McuFacts | None = None,
) -> Prediction:
    """What is expected of a model on one backend of a device.

    Args:
        graph: the model.
        artifact_size: bytes of its file.
        profile: the device.
        backend: one of the profile's, from `harness.boards.connect.backend_spec`.
        runtime: `NAME VERSION` as a board's fingerprint says, or `NAME==VERSION`. Without it the profile's package, else
            the newest version of the profile's runtime that is known here, marked as assumed.
        machine: the board's processor family as its fingerprint says. Without it this machine's where the profile's board
            is this machine, else unknown: what is known of one family alone is then not predicted.
        devices_option: a folder to look for delegate tables in first.
        board: what a connected microcontroller says of itself, in place of its profile's limits.

    Raises:
        UserInputError: an unknown runtime, a faulty delegate table.
    """
    if profile.runtime.module == "mlperf-tiny":
        return _held(graph, artifact_size, profile, backend, runtime)
    if profile.kind == "mcu":
        from harness.boards.mcu.predict import predict_mcu

        return predict_mcu(graph, artifact_size, profile, backend, runtime=runtime, board=board)
    emulated = _emulated_runtime(profile)
    if profile.estimated and runtime is None:
        stated, assumed = "none", False
        support = Support(loads=None, right=None, reasons=[])  # a compiler's estimates: no runtime sees the model
    else:
        name, version, assumed = _runtime(profile, runtime or emulated)
        stated = f"{name} {version}"
        if machine is None and profile.link.type == "local":
            machine = EMULATED_FAMILY if emulated else platform.machine()
        support = runtime_supports(name, version, graph, kernels=backend.kernels, machine=machine)
    reasons = list(support.reasons)
    nodes: tuple[NodeCoverage, ...] | None = None
    delegate = (backend.delegate_name or backend.delegate_path) if backend.delegate_path else None
    if delegate is not None and delegate not in known_delegates(devices_option):
        reasons.append(f"there is no table of what the delegate {delegate} takes (docs/guides/adding-a-delegate.md)")
    elif delegate is not None:
        table = load_delegate_table(delegate, devices_option)
        nodes = tuple(table_coverage(table, graph, options=backend.delegate_options))
    memory = estimate_memory(graph, artifact_size)
    fits, too_large = _fits(memory, profile)
    partitions = None if nodes is None else count_partitions(graph, {node.node for node in nodes if node.taken})
    return Prediction(
        device=profile.name,
        backend=backend.name,
        runtime=stated,
        runtime_assumed=assumed,
        delegate=delegate,
        loads=support.loads,
        right=support.right,
        nodes=nodes,
        total_nodes=len(graph.nodes),
        partitions=partitions,
        fits=fits,
        memory=memory,
        reasons=(*reasons, *too_large),
        advice=tuple(advise(graph, features(graph), support, nodes, runtime=stated, kernels=backend.kernels)),
    )


def _held(graph: Graph, artifact_size: int, profile: Profile, backend: BackendSpec, runtime: str | None) -> Prediction:
    """The firmware was built with its model: there is nothing to load, and only the outputs can say whether it is this one."""
    reason = "the firmware holds a model of its own; whether it is this one, `runtime.models` says and the outputs show"
    return Prediction(
        device=profile.name,
        backend=backend.name,
        runtime=runtime or profile.runtime.module,
        runtime_assumed=runtime is None,
        delegate=None,
        loads=None,
        right=None,
        nodes=None,
        total_nodes=len(graph.nodes),
        partitions=None,
        fits=None,
        memory=estimate_memory(graph, artifact_size),
        reasons=(reason,),
        advice=(),
    )


def _emulated_runtime(profile: Profile) -> str | None:
    """The pinned runtime of a twin that QEMU runs: it is in the board's image, so nothing has to be assumed."""
    from harness.emulation.linux.spec import parse_block
    from harness.emulation.linux.twin import is_qemu_twin

    return parse_block(profile.emulation or {}, where=profile.name).spec.runtime if is_qemu_twin(profile) else None


def _runtime(profile: Profile, stated: str | None) -> tuple[str, str, bool]:
    """Name, version, and whether the version is assumed."""
    from harness.envs.hostenv import DISTRIBUTIONS, parse_package

    if stated:
        name, _, version = stated.replace("==", " ").partition(" ")
        if not version.strip():
            raise UserInputError(f"'{stated}' is no runtime with its version", hint="write NAME==VERSION")
        return name, version.strip(), False
    if profile.runtime.package:
        package = parse_package(profile.runtime.package)
        return package.name, package.version, False
    name = next(n for n, d in DISTRIBUTIONS.items() if d.module == profile.runtime.module)
    versions = [v for n, v in known_runtimes() if n == name]
    return name, max(versions, key=lambda v: [int(p) if p.isdigit() else 0 for p in v.split(".")]), True


def _fits(memory: MemoryEstimate, profile: Profile) -> tuple[bool | None, list[str]]:
    limits = profile.limits
    reasons = []
    if memory.file_bytes > limits.cache_bytes:
        what = f"the file has {memory.file_bytes:,} bytes"
        reasons.append(f"{what}, the profile allows {limits.cache_bytes:,} (limits.cache_bytes)")
    if limits.ram_bytes is not None and memory.total_bytes > limits.ram_bytes:
        reasons.append(
            f"file and activations need at least {memory.total_bytes:,} bytes of memory, the profile allows"
            f" {limits.ram_bytes:,} (limits.ram_bytes)"
        )
    if reasons:
        return False, reasons
    return (None if limits.ram_bytes is None else True), []


# ------------------------------------------------------------------------------------------------------- afterwards


def compare_prediction(prediction: Prediction, record: CellRecord) -> list[Finding]:
    """Where a cell's record contradicts what was predicted: loading, correctness, memory, placement per operator.

    A cell that failed for reasons of board or link contradicts nothing. The fixes say what to correct: usually a data file.
    """
    found = [_compare_load(prediction, record), _compare_right(prediction, record), _compare_fit(prediction, record)]
    return [finding for finding in found if finding] + list(_compare_placement(prediction, record))


def _loaded(record: CellRecord) -> bool | None:
    """Did the runtime load it? None when the record cannot tell."""
    if record.load_ns is not None or record.ran:
        return True
    refused = record.outcome == "unsupported" and (record.reason or "").startswith(("load:", "start:"))
    return False if refused else None


def _compare_load(prediction: Prediction, record: CellRecord) -> Finding | None:
    loaded = _loaded(record)
    if prediction.loads is None or loaded is None or prediction.loads == loaded:
        return None
    expected = "would load" if prediction.loads else f"would not load ({'; '.join(prediction.reasons[:2])})"
    seen = "it loaded" if loaded else f"it did not ({record.reason})"
    return Finding(
        code="prediction-load",
        severity="warning",
        where=record.key.text,
        what=f"predicted for {prediction.runtime}: the model {expected}; {seen}",
        fix=_runtime_fix(prediction, record),
    )


def _runtime_fix(prediction: Prediction, record: CellRecord) -> str:
    ran = record.fingerprint.runtime if record.fingerprint else None
    if ran and ran != prediction.runtime:
        again = f"check again with --runtime {ran.replace(' ', '==')}"
        return f"the board has {ran}, the prediction was for {prediction.runtime}: {again}"
    return "correct the runtime's data file (docs/guides/adding-a-delegate.md), or look for a delegate's part in the board log"


def _compare_right(prediction: Prediction, record: CellRecord) -> Finding | None:
    """Only a comparison with a reference can contradict: an `ok` cell without one was not checked."""
    if prediction.right is None or record.outcome not in ("ok", "wrong"):
        return None
    right = record.outcome == "ok"
    if prediction.right == right or (right and record.reference is None):
        return None
    if right:
        expected = f"predicted to be computed wrongly ({'; '.join(prediction.reasons[:2])})"
        return Finding(
            code="prediction-right",
            severity="warning",
            where=record.key.text,
            what=f"{expected}, but the outputs agree with {record.reference}",
            fix=_runtime_fix(prediction, record),
        )
    culprit = f"the delegate {prediction.delegate} or the runtime" if prediction.delegate else f"{prediction.runtime}"
    return Finding(
        code="prediction-right",
        severity="error",
        where=record.key.text,
        what=f"nothing known speaks against this model, but its outputs are wrong ({record.reason})",
        fix=f"{culprit} computes it differently: run the same model on another backend to tell which",
    )


def _compare_fit(prediction: Prediction, record: CellRecord) -> Finding | None:
    if prediction.fits is not False or not record.ran:
        return None
    return Finding(
        code="prediction-fit",
        severity="warning",
        where=record.key.text,
        what="predicted not to fit, but it ran",
        fix="raise `limits` in the device's profile",
    )


def _compare_placement(prediction: Prediction, record: CellRecord) -> Iterable[Finding]:
    """One finding per operator and direction, with the nodes it concerns."""
    if prediction.nodes is None or not record.ops:
        return
    ran_on = {row["node"]: row["ran_on"] for row in record.ops}
    names = {record.delegate_name, prediction.delegate, "delegate"}
    wrong: dict[tuple[str, bool], list[NodeCoverage]] = defaultdict(list)
    for node in prediction.nodes:
        if node.node in ran_on and (ran_on[node.node] in names) != node.taken:
            wrong[node.op, node.taken].append(node)
    for (op, taken), nodes in wrong.items():
        listed = ", ".join(str(node.node) for node in nodes)
        where = f"node{'s' if len(nodes) > 1 else ''} {listed}"
        expected = "the delegate" if taken else f"the CPU ({nodes[0].reason})"
        actual = f"the CPU ({_logged_reason(record, nodes[0].node)})" if taken else "the delegate"
        yield Finding(
            code="prediction-placement",
            severity="warning",
            where=f"{record.key.text} {where}",
            what=f"{op}: predicted on {expected}, ran on {actual}",
            fix=f"correct the table of {prediction.delegate} for this version of it (docs/guides/adding-a-delegate.md)",
        )


def _logged_reason(record: CellRecord, node: int) -> str:
    reasons = [entry.reason for entry in record.fallback if entry.node == node and entry.reason]
    return reasons[0] if reasons else "the delegate does not say why"
