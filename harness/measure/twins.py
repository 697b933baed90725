"""A device's outputs against the model's float twin: from files, tensors and graphs to what the rule wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.measure.op_cases import Run
from harness.measure.rule import Classes, Judgement, judge
from harness.tflite.cut.cutter import Cutter
from harness.tflite.cut.heads import before_class_map, before_suppression
from harness.tflite.fakequant.twin import float_twin
from harness.tflite.features import features, output_lsb
from harness.tflite.graph import Graph

#: raised when the twin of a model changes, so that stored answers of an older one are not taken for it
TWIN_VERSION = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class TwinAnswers:
    """What the float twin of a model and its companion answer: one array per output, real values, [n, ...]."""

    rounded: tuple[np.ndarray, ...]
    companion: tuple[np.ndarray, ...]


def twin_answers(model: bytes, inputs: Sequence[np.ndarray], run_float: Run) -> TwinAnswers:
    """Asks trusted float kernels.

    Args:
        model: the .tflite.
        inputs: its samples as stored, [n, ...] per input.
        run_float: such as `harness.measure.alone.Alone` on the host's pinned LiteRT with its default kernels.

    Raises:
        UnsupportedError: the model has no float twin.
        WorkerFailure, DeviceError: as `run_float` does.
    """
    twins = [float_twin(model), float_twin(model, companion=True)]
    rounded = tuple(run_float(twins[0].model, inputs))
    same = twins[0].model == twins[1].model
    return TwinAnswers(rounded=rounded, companion=rounded if same else tuple(run_float(twins[1].model, inputs)))


def judge_outputs(
    graph: Graph,
    outputs: Sequence[np.ndarray],
    answers: TwinAnswers,
    *,
    classes: Sequence[Classes | None],
    float16_accumulation: bool = False,
) -> Judgement:
    """Judges a device's outputs as it gave them.

    Args:
        graph: the model.
        outputs: one array per output, [n, ...], in the output's dtype; the first n samples of `answers`.
        classes: per output, what makes classes of its real values; None where it has none.
        float16_accumulation: the ops ran on a delegate that sums in float16.
    """
    count = len(outputs[0])
    return judge(
        real_values(graph, outputs),
        [values[:count] for values in answers.rounded],
        [values[:count] for values in answers.companion],
        steps=output_lsb(graph),
        arithmetic=set(features(graph).arithmetic),
        classes=classes,
        float16_accumulation=float16_accumulation,
    )


def real_values(graph: Graph, outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Outputs as real numbers: quantized ones by r = S (q - Z), others as they are."""
    found = []
    for values, index in zip(outputs, graph.outputs, strict=True):
        tensor = graph.tensors[index]
        if tensor.is_quantized:
            values = (values.astype(np.float64) - tensor.zero_points[0]) * tensor.scales[0]
        found.append(values)
    return found


def scores_model(model: bytes) -> bytes | None:
    """For a model that ends in a choice (ARG_MAX, suppression of boxes): the model of the values it chooses from, which tell more
    than the choice.

    A class map differs wherever two scores are nearly equal, and a list of boxes too; the values themselves are judged like any
    output. None for other models.
    """
    cutter = Cutter(model)
    outputs = before_class_map(cutter) or before_suppression(cutter)
    return None if outputs is None else cutter.between(cutter.subgraph.indices("inputs"), outputs).model
