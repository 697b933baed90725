"""Plants defects at the first, a middle and the last layer with weights, and shows what outputs and single ops tell of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.wrong.defects import DEFECTS, Defect, Layer
from benchmarks.wrong.subject import Runner, Subject
from harness.measure.op_check import OpCase, OpVerdict, judge_op
from harness.tflite.cut.cutter import Cut, Cutter

#: layers with weights that defects are planted in
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


@dataclass(kw_only=True)
class Planted:
    """A defect in a model on a runtime, that changes outputs.

    Attributes:
        clean, outputs: what the model gives without and with it, as stored.
        op: what the per-op check says of the layer; None where the layer has no case.
    """

    defect: Defect
    node: int
    clean: list[np.ndarray]
    outputs: list[np.ndarray]
    op: OpVerdict | None


def planted(
    subject: Subject, run: Runner, cases: dict[int, OpCase], defects: tuple[Defect, ...] = DEFECTS
) -> Iterator[Planted]:
    """Every defect at up to three layers; those that change no output are left out."""
    cutter = Cutter(subject.model)
    nodes = [n.index for n in subject.graph.nodes if n.op in _WEIGHTED and _has_constant_weights(subject, n)]
    for node in sorted({nodes[0], nodes[len(nodes) // 2], nodes[-1]} if nodes else set()):
        layer = _LayerOnRuntime(subject, cutter, node, run)
        clean = layer.finish(layer.outputs)
        for defect in defects:
            changed = layer.with_defect(defect)
            if changed is None or np.array_equal(changed, layer.outputs):
                continue
            outputs = layer.finish(changed)
            if all(np.array_equal(a, b) for a, b in zip(outputs, clean, strict=True)):
                continue
            verdict = layer.op_verdict(defect, cases[node]) if node in cases else None
            yield Planted(defect=defect, node=node, clean=clean, outputs=outputs, op=verdict)


class _LayerOnRuntime:
    """One layer of a model as a runtime computes it: what goes in, what comes out, and how the model goes on from there."""

    def __init__(self, subject: Subject, cutter: Cutter, node: int, run: Runner) -> None:
        self._run = run
        self._cut = cutter.one_op(node)
        self._zero = subject.graph.tensors[self._cut.outputs[0]].zero_points
        (self._tensor,) = self._cut.outputs
        inputs = cutter.subgraph.indices("inputs")
        alive = cutter.alive_after(node)
        known = dict(zip(inputs, subject.feeds, strict=True))
        needed = [t for t in dict.fromkeys((*self._cut.inputs, *alive)) if t not in known and t != self._tensor]
        if needed:
            known.update(zip(needed, run(cutter.between(inputs, needed).model, subject.feeds), strict=True))
        self._fed = [known[t] for t in self._cut.inputs]
        (self.outputs,) = run(self._cut.model, self._fed)
        wanted = cutter.subgraph.indices("outputs")
        self._rest: Cut | None = None
        if wanted != (self._tensor,):
            self._rest = cutter.between(alive, [t for t in wanted if t not in alive])
        self._wanted, self._known = wanted, known
        self._alone: np.ndarray | None = None

    def with_defect(self, defect: Defect) -> np.ndarray | None:
        """The layer's outputs with a defect; None where the runtime refuses the changed op."""
        return self._defective(defect, self._fed, self.outputs)

    def _defective(self, defect: Defect, fed: list[np.ndarray], right: np.ndarray) -> np.ndarray | None:
        if defect.change is not None:
            zero = int(self._zero[0]) if self._zero else 0
            return defect.change(right, (zero, zero))
        layer = Layer(self._cut.model)
        defect.edit(layer)
        try:
            return self._run(layer.model(), fed)[0]
        except Exception as error:  # the runtime's own words; a changed op that it refuses is no defect that it has
            if type(error).__name__ != "RuntimeRefused":
                raise
            return None

    def finish(self, outputs: np.ndarray) -> list[np.ndarray]:
        """The model's outputs when this layer gives these."""
        values = self._known | {self._tensor: outputs}
        if self._rest is not None:
            rest = self._run(self._rest.model, [values[t] for t in self._rest.inputs])
            values |= dict(zip(self._rest.outputs, rest, strict=True))
        return [values[t] for t in self._wanted]

    def op_verdict(self, defect: Defect, case: OpCase) -> OpVerdict | None:
        """The per-op check of a device that has this defect."""
        fed = list(case.inputs)
        if self._alone is None:
            (self._alone,) = self._run(self._cut.model, fed)
        wrong = self._defective(defect, fed, self._alone)
        return None if wrong is None else judge_op(case, [wrong])


def _has_constant_weights(subject: Subject, node) -> bool:
    weights = subject.graph.input_at(node, 1)
    data = subject.graph.input_at(node, 2 if node.op == "TRANSPOSE_CONV" else 0)
    return (
        weights is not None
        and weights.is_constant
        and data is not None
        and not data.is_constant
        and bool(weights.scales)
    )
