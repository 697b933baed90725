"""Asks a device op by op: each alone, all of them inside the whole model, partitions, and what each takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from harness.boards.base import BackendSpec, BenchPlan, Board, Deadlines, PlacementResult, WorkerFailure
from harness.core.errors import HarnessError, UnsupportedError, UserInputError
from harness.core.fingerprint import TimeBasis
from harness.explain.cost import counted_nodes, from_prefixes
from harness.explain.divergence import diverge
from harness.explain.document import LayerCost, OpDivergence, Piece
from harness.explain.hosttwin import tapped
from harness.explain.matching import bias_values
from harness.explaining.proof import Proof
from harness.measure.alone import Alone, Probe
from harness.measure.op_cases import OpCase, Run, checkable, record_cases
from harness.measure.twins import judge_outputs, twin_answers
from harness.tflite.arithmetic import weights_of
from harness.tflite.cut.cutter import Cutter
from harness.tflite.graph import Graph

#: how a single op or a whole model is timed
PLAN = BenchPlan(min_samples=20, min_ns=30_000_000, max_ns=400_000_000, warmup_max_ns=20_000_000)
#: samples that an op is fed with; inside the whole model fewer do, because every op is looked at in one go
OP_SAMPLES, INSIDE_SAMPLES = 32, 16
#: bytes of inner tensors that a device is asked for at once
_MOST_TAPPED = 64 << 20
#: partitions that are run as models of their own
_MOST_PIECES = 16
#: what costs one answer, and no more
_REFUSED = (WorkerFailure, UnsupportedError, UserInputError)
#: why an op was not begun
LATE = "the time that was given was over"


@dataclass(kw_only=True)
class Found:
    """What a device gave.

    Attributes:
        problems: what could not be asked, in words.
        refused: why the whole model does not run there; None where it does, or was not tried.
        whole, whole_reason: what the whole model's outputs tell, by the rule of `wrong`.
        whole_changed: the model gives other outputs when its inner tensors are outputs too.
        basis: what a time is a time of.
        proof: the first op that is wrong when it runs alone.
    """

    alone: dict[int, OpDivergence] = field(default_factory=dict)
    inside: dict[int, OpDivergence] = field(default_factory=dict)
    costs: dict[int, LayerCost] = field(default_factory=dict)
    pieces: list[Piece] = field(default_factory=list)
    ran_on: dict[int, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    refused: str | None = None
    whole_cost: float | None = None
    whole_beside: float | None = None
    whole: Literal["ok", "wrong", "undecided"] | None = None
    whole_reason: str | None = None
    whole_changed: bool | None = None
    cost_unit: str | None = None
    basis: TimeBasis | None = None
    op_samples: int = 0
    proof: Proof | None = None


@dataclass(kw_only=True)
class DeviceProbe:
    """One model on one backend of a connected board.

    Attributes:
        data, graph: the model.
        inputs: its first samples, [n, ...] per input, as stored.
        run_float: float models on this machine.
        beside: another backend on which single ops are timed too: the one without the delegate.
        ends_s: by `time.monotonic()`, when no further op is begun.
    """

    board: Board
    backend: BackendSpec
    folder: Path
    data: bytes
    graph: Graph
    inputs: Sequence[np.ndarray]
    run_float: Run
    deadlines: Deadlines
    beside: BackendSpec | None = None
    ends_s: float = math.inf
    say: Callable[[str], None] = lambda text: None
    found: Found = field(default_factory=Found)

    def run(self) -> Found:
        """Everything that the device can be asked.

        Raises:
            DeviceError: the board or the link failed.
        """
        (self.folder / "board").mkdir(exist_ok=True)
        with Alone(self.board, self.backend, self.folder / "board", self.deadlines) as alone:
            whole = self._whole(alone)
            self._ops_alone(alone)
            if whole is not None and whole.evaluated.counts is None:
                values = self._inside(alone, whole)
                self._pieces(alone, whole.placement, values)
        if self.beside is not None:
            self._beside(self.beside)
        if whole is not None and whole.layers is None and whole.evaluated.counts is not None:
            with Alone(self.board, self.backend, self.folder / "board", self.deadlines) as alone:
                self._prefixes(alone, whole)
        return self.found

    # ------------------------------------------------------------------------------------------------ the whole model

    def _whole(self, alone: Alone) -> Probe | None:
        self.say("the whole model")
        few = [values[:OP_SAMPLES] for values in self.inputs]
        try:
            probe = alone.probe(self.data, few, plan=PLAN, placement=True, layers=True)
        except _REFUSED as error:
            self.found.problems.append(f"the whole model does not run there: {error.what}")
            self.found.refused = error.what
            return None
        self.found.whole_cost, self.found.cost_unit = cost_of(probe)
        self.found.basis = self.board.time_basis
        if probe.layers is not None:
            self.found.costs = counted_nodes({layer.node: layer.count for layer in probe.layers.layers})
            self.found.cost_unit = probe.layers.unit
        self._judge_whole(few, probe)
        for row in probe.placement.nodes if probe.placement is not None else ():
            self.found.ran_on[row.node] = row.ran_on
        return probe

    def _judge_whole(self, inputs: Sequence[np.ndarray], probe: Probe) -> None:
        outputs = probe.evaluated.outputs
        try:
            answers = twin_answers(self.data, inputs, self.run_float)
            judged = judge_outputs(self.graph, outputs, answers, classes=[None] * len(outputs))
        except (*_REFUSED, ValueError):
            return  # without a twin nothing else of the model can be told either, and says so
        self.found.whole, self.found.whole_reason = judged.verdict, judged.reason

    # ------------------------------------------------------------------------------------------------- ops one by one

    def _ops_alone(self, alone: Alone) -> None:
        few = [values[:OP_SAMPLES] for values in self.inputs]
        self.found.op_samples = len(few[0])
        slowest = 0.0
        total, done = len(checkable(self.graph)), 0
        for case in self._cases(few):
            done += 1
            self.say(f"op {done} of {total}: node {case.node} {case.op}")
            if time.monotonic() + 2 * slowest > self.ends_s:
                self.found.alone[case.node] = OpDivergence(where="alone", kind=None, reason=LATE)
                continue
            began = time.monotonic()
            try:
                probe = alone.probe(case.model, case.inputs, plan=PLAN)
            except _REFUSED as error:
                reason = f"the device does not run it alone: {error.what}"
                self.found.alone[case.node] = OpDivergence(where="alone", kind=None, reason=reason)
            else:
                outputs = probe.evaluated.outputs
                divergence = self._diverged(case, outputs, "alone")
                self.found.alone[case.node] = divergence
                if divergence.is_wrong and self.found.proof is None:
                    self.found.proof = Proof(case=case, outputs=tuple(outputs), divergence=divergence)
                cost, unit = cost_of(probe)
                self.found.cost_unit = self.found.cost_unit or unit
                if cost is not None and self.board.fresh_starts:
                    self.found.costs[case.node] = LayerCost(value=cost)
            slowest = max(slowest, time.monotonic() - began)

    def _cases(self, inputs: Sequence[np.ndarray]) -> Iterator[OpCase]:
        try:
            yield from record_cases(self.data, inputs, self.run_float, samples=OP_SAMPLES)
        except _REFUSED as error:
            self.found.problems.append(f"its ops cannot be held against anything: {error.what}")

    def _diverged(
        self, case: OpCase, outputs: Sequence[np.ndarray], where: Literal["alone", "in the model"]
    ) -> OpDivergence:
        node = self.graph.nodes[case.node]
        weights = weights_of(self.graph, node)
        scales = () if weights is None or not weights.per_channel else weights.scales
        bias = bias_values(self.graph, node)
        return diverge(case, outputs, where=where, weight_scales=scales, bias=bias)

    # ---------------------------------------------------------------------------------------------- inside the model

    def _inside(self, alone: Alone, whole: Probe) -> dict[int, np.ndarray]:
        """Runs the model once with its inner tensors as outputs, and holds each op against what it was given there."""
        nodes = checkable(self.graph)
        wanted = [t for n in nodes for t in (*self.graph.nodes[n].inputs, *self.graph.nodes[n].outputs) if t >= 0]
        rows = self._affordable(wanted)
        fed = [values[:rows] for values in self.inputs]
        self.say("the whole model with its inner tensors as outputs")
        try:
            model, given = tapped(self.data, wanted)
            outputs = alone.probe(model, fed).evaluated.outputs
        except _REFUSED as error:
            self.found.problems.append(f"its inner tensors cannot be had: {error.what}")
            return {}
        values = dict(zip(given, outputs, strict=True)) | dict(zip(self.graph.inputs, fed, strict=True))
        self.found.whole_changed = any(
            t in values and not np.array_equal(values[t], out[:rows], equal_nan=np.issubdtype(out.dtype, np.floating))
            for t, out in zip(self.graph.outputs, whole.evaluated.outputs, strict=True)
        )
        for number in nodes:
            divergence = self._one_inside(number, values)
            if divergence is not None:
                self.found.inside[number] = divergence
        return values

    def _one_inside(self, number: int, values: dict[int, np.ndarray]) -> OpDivergence | None:
        node = self.graph.nodes[number]
        try:
            cut = Cutter(self.data).one_op(number)
            fed = [values[t] for t in cut.inputs]
            outputs = [values[t] for t in cut.outputs]
            *_, case = record_cases(cut.model, fed, self.run_float, samples=len(fed[0]))
        except (HarnessError, KeyError, ValueError):
            return None
        case = replace(case, node=number, op=node.op)
        return self._diverged(case, outputs, "in the model")

    def _affordable(self, tensors: Sequence[int]) -> int:
        size = 4 * sum(self.graph.tensors[t].element_count for t in set(tensors))
        return max(1, min(INSIDE_SAMPLES, len(self.inputs[0]), _MOST_TAPPED // max(1, size)))

    # -------------------------------------------------------------------------------------------------- partitions

    def _pieces(self, alone: Alone, placement: PlacementResult | None, values: dict[int, np.ndarray]) -> None:
        """Each partition of an external delegate as a model of its own, fed with what the device computed up to there."""
        if placement is None or not self.backend.delegate_path:
            return
        partitions: dict[int, list[int]] = {}
        for row in placement.nodes:
            if row.partition is not None and row.ran_on not in ("cpu", "xnnpack"):
                partitions.setdefault(row.partition, []).append(row.node)
        for number, nodes in list(partitions.items())[:_MOST_PIECES]:
            self.say(f"partition {number}: nodes {nodes[0]} to {nodes[-1]}")
            self.found.pieces.append(self._piece(alone, number, nodes, values))

    def _piece(self, alone: Alone, number: int, nodes: list[int], values: dict[int, np.ndarray]) -> Piece:
        ends = min(nodes), max(nodes)
        try:
            given, wanted = borders(self.graph, nodes)
            cut = Cutter(self.data).between(given, wanted)
            fed = [values[t] for t in cut.inputs]
            answers = twin_answers(cut.model, fed, self.run_float)
            outputs = alone.probe(cut.model, fed).evaluated.outputs
            from harness.tflite.graph import read_graph

            judged = judge_outputs(read_graph(cut.model), outputs, answers, classes=[None] * len(outputs))
        except _REFUSED as error:
            return Piece(partition=number, nodes=ends, verdict=None, reason=error.what)
        except (KeyError, ValueError) as error:
            return Piece(partition=number, nodes=ends, verdict=None, reason=f"it cannot be run by itself ({error})")
        return Piece(partition=number, nodes=ends, verdict=judged.verdict, reason=judged.reason)

    # ---------------------------------------------------------------------------------------------------------- cost

    def _beside(self, backend: BackendSpec) -> None:
        """Times each op that was timed once more without the delegate."""
        few = [values[:1] for values in self.inputs]
        with Alone(self.board, backend, self.folder / "board", self.deadlines) as alone:
            for case in self._cases(few):
                if case.node not in self.found.costs or time.monotonic() > self.ends_s:
                    continue
                self.say(f"node {case.node} {case.op} without the delegate")
                try:
                    cost, _ = cost_of(alone.probe(case.model, case.inputs, plan=PLAN))
                except _REFUSED:
                    continue
                self.found.costs[case.node] = replace(self.found.costs[case.node], beside=cost)
            try:
                self.found.whole_beside, _ = cost_of(alone.probe(self.data, few, plan=PLAN))
            except _REFUSED as error:
                self.found.problems.append(f"the model does not run without the delegate: {error.what}")

    def _prefixes(self, alone: Alone, whole: Probe) -> None:
        """Counts of models that end one node after the other; their differences are what the nodes take."""
        cutter, inputs = Cutter(self.data), self.graph.inputs
        few = [values[:1] for values in self.inputs]
        last = len(self.graph.nodes) - 1
        counts: dict[int, float] = {}
        for number in range(last):
            node = self.graph.nodes[number]
            handed = [t for t in cutter.alive_after(number) if t in cutter.producers]
            if not handed or not set(node.outputs) & cutter.varying:
                continue
            if time.monotonic() > self.ends_s:
                self.found.problems.append(f"counts of nodes {number} to {last - 1} are missing: {LATE}")
                break
            self.say(f"counting up to node {number} {node.op}")
            try:
                count, _ = cost_of(alone.probe(cutter.between(inputs, handed).model, few))
            except _REFUSED as error:
                self.found.problems.append(f"nothing is counted up to node {number}: {error.what}")
                continue
            if count is not None:
                counts[number] = count
        total = cost_of(whole)[0]
        if total is not None:
            counts[last] = total
        self.found.costs = from_prefixes(counts)


def cost_of(probe: Probe) -> tuple[float | None, str | None]:
    """What an inference of a probe took, and in what: its first count, else the median time in ns."""
    if probe.evaluated.counts is not None and len(probe.evaluated.counts.values):
        return float(probe.evaluated.counts.values[0]), probe.evaluated.counts.unit
    times = probe.bench.samples_ns if probe.bench is not None else probe.evaluated.invoke_ns
    times = np.asarray(times, np.float64)
    times = times[np.isfinite(times) & (times > 0)]
    return (float(np.median(times)), "ns") if times.size else (None, None)


def borders(graph: Graph, nodes: Sequence[int]) -> tuple[list[int], list[int]]:
    """What a group of nodes reads from outside, and what of theirs is read outside or is the model's."""
    inside = set(nodes)
    made = {t for n in inside for t in graph.nodes[n].outputs}
    read = [t for n in sorted(inside) for t in graph.nodes[n].inputs if t >= 0]
    flowing = (t for t in read if not graph.tensors[t].is_constant and not graph.tensors[t].is_variable)
    given = [t for t in dict.fromkeys(flowing) if t not in made]
    outside = {t for node in graph.nodes if node.index not in inside for t in node.inputs} | set(graph.outputs)
    return given, [t for n in sorted(inside) for t in graph.nodes[n].outputs if t in outside]
