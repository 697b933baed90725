"""The arithmetic of a model on this machine: the error of each layer against float, and what a layer back in float gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.core.errors import HarnessError, UserInputError
from harness.explain.document import LayerError, LayerLoss
from harness.explain.error import SHARES, ErrorSums, Levels, Weights
from harness.explain.hosttwin import HostTwin, tapped
from harness.explain.loss import layer_loss, loss_samples, score_of
from harness.explain.matching import Match, NoMatch, channel_axis, match_models, weight_values
from harness.explaining.floatmodel import FloatModel
from harness.measure.op_cases import Run
from harness.tflite.arithmetic import node_arithmetic, weights_of
from harness.tflite.fakequant.values import LIMITS
from harness.tflite.graph import Graph, Node, read_graph
from harness.tflite.macs import model_macs
from harness.variants.convert.layers import layer_ops
from harness.variants.convert.units import units_of, word_of
from harness.workloads.input_names import same_inputs
from harness.workloads.metrics.base import Metric

#: bytes of inner values that are held at a time
_HELD_BYTES = 192 << 20


@dataclass(kw_only=True)
class HostFound:
    """What this machine's arithmetic tells.

    Attributes:
        compared_with: what float is, in words; empty where nothing is quantized.
        called: node -> what a `mixed[...]` recipe calls it.
        units: that name -> what leaves int8 with it.
        whole: what putting all layers back to float gives.
    """

    compared_with: str
    called: dict[int, str] = field(default_factory=dict)
    units: dict[str, tuple[str, ...]] = field(default_factory=dict)
    errors: dict[int, LayerError] = field(default_factory=dict)
    losses: dict[int, LayerLoss] = field(default_factory=dict)
    score: float | None = None
    float_score: float | None = None
    whole: LayerLoss | None = None
    error_samples: int = 0
    loss_samples: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class HostArithmetic:
    """One model on this machine.

    Attributes:
        inputs: all its samples, [N, ...] per input, as stored; they may lie in files.
        labels: [N, ...], or None.
        plain: the float model; None: the model itself without rounding stands for it.
    """

    data: bytes
    graph: Graph
    inputs: Sequence[np.ndarray]
    run_float: Run
    plain: FloatModel | None = None
    no_plain: str = ""
    metric: Metric | None = None
    labels: np.ndarray | None = None
    say: Callable[[str], None] = lambda text: None
    _match: Match | None = None

    def prepare(self) -> HostFound:
        """Finds what float is here. To be called first.

        Raises:
            UnsupportedError: the model has no float twin.
        """
        why = self.no_plain
        if self.plain is not None:
            found = match_models(self.graph, read_graph(self.plain.data))
            if isinstance(found, NoMatch):
                why = f"{self.plain.words} is not what it was made of: {found.why}"
                self.plain = None
            else:
                self._match = found
        self._twin = HostTwin(self.data, self.graph, self._match.constants if self._match else None)
        if self.plain is not None and self._match is not None:
            words = f"the float model {self.plain.words}{_apart(self._match)}"
        elif self._twin.is_plain:
            words = ""
            self.say("nothing is quantized")
        else:
            words = f"the model itself without rounding, its weights as stored: what these lose is not seen ({why})"
        host = HostFound(compared_with=words)
        self._name(host)
        return host

    def _name(self, found: HostFound) -> None:
        """What a recipe calls the nodes: it knows layers, and ops by their numbers in the float model."""
        if self.plain is None or self._match is None or self.plain.layers is None:
            return
        plain = read_graph(self.plain.data)
        ops = layer_ops(plain, self.plain.layers)
        words = {op.node.index: word_of(op) for op in ops}
        found.called = {node: words[other] for node, other in self._match.nodes.items() if other in words}
        found.units = {unit.layer: unit.layers for unit in units_of(plain, ops)}

    @property
    def layers(self) -> list[Node]:
        """The nodes that compute: what only moves numbers or makes floats of constants is none."""
        found = []
        for node in self.graph.nodes:
            kind = node_arithmetic(self.graph, node)
            computes = kind in ("float", "weight-only", "hybrid", "integer") or node.op == "QUANTIZE"
            if computes and node.outputs and self.graph.tensors[node.outputs[0]].dtype in ("float32", *LIMITS):
                found.append(node)
        return found

    # --------------------------------------------------------------------------------------------------------- errors

    def errors(self, found: HostFound, samples: int) -> None:
        """The quantization error of every layer over the first samples."""
        layers = self.layers
        model, places = self._twin.with_shadows(node.index for node in layers)
        wanted = [t for p in places.values() for t in (p.value, p.unrounded, p.shadow) if t is not None]
        twin, given = tapped(model, wanted)
        plain, plain_places = self._plain_places(layers)
        plain_model, plain_given = tapped(plain, list(plain_places.values()))
        sums = {node.index: ErrorSums(levels=self._levels(node), shares=node.op in SHARES) for node in layers}
        count = min(samples, len(self.inputs[0]))
        rows = self._rows([*given, *plain_given], layers)
        for start in range(0, count, rows):
            self.say(f"the error of each layer: sample {start + 1} of {count}")
            chunk = self._chunk(self.inputs, start, min(start + rows, count))
            mine = dict(zip(given, self.run_float(twin, chunk), strict=True))
            floats = self._float_inputs(start, min(start + rows, count))
            theirs = dict(zip(plain_given, self.run_float(plain_model, floats), strict=True)) if plain_given else {}
            for node in layers:
                self._add(sums[node.index], node, places[node.index], mine, theirs, plain_places)
        found.error_samples = count
        found.errors = {
            node.index: sums[node.index].figures(self._weights(node)) for node in layers if sums[node.index].count
        }

    def _add(self, sums: ErrorSums, node: Node, places, mine, theirs, plain_places) -> None:
        value, unrounded = mine.get(places.value), mine.get(places.unrounded)
        if value is None:
            return
        unrounded = value if unrounded is None else unrounded
        shadow = mine.get(places.shadow) if places.shadow is not None else unrounded
        plain = theirs.get(plain_places.get(node.index))
        if plain is not None and plain.size != value.size:
            plain = None
        sums.add(plain, value, unrounded, shadow)

    def _plain_places(self, layers: Sequence[Node]) -> tuple[bytes, dict[int, int]]:
        """The float model, and its tensor for each layer."""
        if self.plain is not None and self._match is not None:
            known = self._match.tensors
            return self.plain.data, {n.index: known[n.outputs[0]] for n in layers if n.outputs[0] in known}
        model, places = self._unrounded(layers)
        return model, places

    def _unrounded(self, layers: Sequence[Node]) -> tuple[bytes, dict[int, int]]:
        _, places = self._twin.with_shadows(n.index for n in layers)
        return self._twin.with_float(n.index for n in layers), {i: p.unrounded for i, p in places.items()}

    def _float_inputs(self, start: int, end: int) -> list[np.ndarray]:
        if self.plain is None:
            return self._chunk(self.inputs, start, end)
        if self.plain.inputs is not None and len(self.plain.inputs[0]) >= end:
            return self._chunk(self.plain.inputs, start, end)
        chunk = self._chunk(self.inputs, start, end)
        found: list[np.ndarray] = []
        plain = read_graph(self.plain.data)
        for place in same_inputs(plain, self.graph):
            values, tensor = chunk[place], self.graph.tensors[self.graph.inputs[place]]
            if tensor.is_quantized:
                values = (values.astype(np.float64) - tensor.zero_points[0]) * tensor.scales[0]
            found.append(values.astype(plain.tensors[plain.inputs[len(found)]].dtype))
        return found

    @staticmethod
    def _chunk(inputs: Sequence[np.ndarray], start: int, end: int) -> list[np.ndarray]:
        return [np.ascontiguousarray(values[start:end]) for values in inputs]

    def _rows(self, tensors: Sequence[int], layers: Sequence[Node]) -> int:
        size = 4 * sum(self.graph.tensors[node.outputs[0]].element_count for node in layers) * 4
        return max(1, min(len(self.inputs[0]), _HELD_BYTES // max(1, size)))

    def _levels(self, node: Node) -> Levels | None:
        tensor = self.graph.tensors[node.outputs[0]]
        if not tensor.is_quantized or tensor.dtype not in LIMITS:
            return None
        low, high = LIMITS[tensor.dtype]
        return Levels(scale=tensor.scales[0], zero_point=tensor.zero_points[0], low=low, high=high)

    def _weights(self, node: Node) -> Weights | None:
        tensor, stored = weights_of(self.graph, node), weight_values(self.graph, node)
        if tensor is None or stored is None or not stored.ndim:
            return None
        position = list(node.inputs).index(tensor.index)
        plain = self._match.constants.get((node.index, position)) if self._match is not None else None
        levels = 2 ** (tensor.bits or 8) if tensor.is_quantized else 1 << 24
        scales = tensor.scales if tensor.is_quantized else ()
        return Weights(stored=stored, axis=channel_axis(tensor, node), scales=scales, levels=levels, plain=plain)

    # ----------------------------------------------------------------------------------------------------------- loss

    def losses(self, found: HostFound, asked: int | None) -> None:
        """The score with one layer at a time back in float, on the same samples."""
        layers = [node for node in self.layers if self._loses(node, found)]
        if not layers:
            return
        available = len(self.inputs[0]) if self.labels is None else min(len(self.labels), len(self.inputs[0]))
        count = loss_samples(model_macs(self.graph), len(layers), available, asked)
        inputs, labels = self._chunk(self.inputs, 0, count), None if self.labels is None else self.labels[:count]
        self.say(f"the loss of each layer: the whole model on {count} samples")
        quantized = self.run_float(self._twin.model, inputs)
        plain = self._plain_outputs(count, inputs)
        found.loss_samples = count
        if self.metric is not None and labels is not None:
            found.score = score_of(self.metric, quantized, labels)
            found.float_score = score_of(self.metric, plain, labels)
            found.whole = layer_loss(plain, quantized, plain, metric=self.metric, labels=labels)
        for number, node in enumerate(layers, 1):
            self.say(f"the loss of each layer: {number} of {len(layers)}, node {node.index} {node.op}")
            try:
                outputs = self.run_float(self._twin.with_float([node.index]), inputs)
            except HarnessError as error:
                found.problems.append(f"node {node.index} {node.op} cannot be put back to float: {error.what}")
                continue
            found.losses[node.index] = layer_loss(outputs, quantized, plain, metric=self.metric, labels=labels)

    def _loses(self, node: Node, found: HostFound) -> bool:
        error = found.errors.get(node.index)
        return error is not None and error.own_db is not None

    def _plain_outputs(self, count: int, inputs: list[np.ndarray]) -> Sequence[np.ndarray]:
        if self.plain is None:
            return self.run_float(self._unrounded(self.layers)[0], inputs)
        outputs = self.run_float(self.plain.data, self._float_inputs(0, count))
        shapes = [self.graph.tensors[t].shape[1:] for t in self.graph.outputs]
        if [np.asarray(o).shape[1:] for o in outputs] != shapes and [o.size for o in outputs] != [
            count * int(np.prod(s)) for s in shapes
        ]:
            raise UserInputError("the float model has other outputs")
        return outputs


def _apart(match: Match) -> str:
    """What of a model has no counterpart in the float model, in words."""
    said = f"; {len(match.missing)} nodes have no counterpart there" if match.missing else ""
    if match.unfolded:
        which = ", ".join(f"node {index}" for index in match.unfolded)
        said += f"; it has the normalization folded into the weights that here stands behind {which}"
    return said
