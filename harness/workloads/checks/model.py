"""A model's graph against its data: what is not judged, what is not run, what the metric cannot take."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.core.errors import UserInputError
from harness.core.finding import Finding
from harness.tflite.graph import Graph
from harness.workloads.checks.inputs import refuse_open_inputs
from harness.workloads.checks.outputs import model_outputs, output_ends
from harness.workloads.checks.table import misread
from harness.workloads.outputs import OutputMetric

if TYPE_CHECKING:
    from harness.workloads.base import Dataset, Workload


def refuse_misfit(graph: Graph, dataset: Dataset, workload: Workload) -> None:
    """Refuses a model that the question does not fit. A description of a model may leave this open; the built file does not.

    Raises:
        UserInputError: an open input, or an output that is not there, or that its metric cannot judge by its labels.
    """
    refuse_open_inputs(graph)
    outputs = model_outputs(graph, graph.source)
    main = OutputMetric(output=workload.output, name=str(workload.output), metric=workload.metric)
    for one, labels in (
        (main, dataset.y_test),
        *((one, dataset.y_test_of.get(one.name)) for one in workload.further),
    ):
        if labels is None or one.metric is None:
            continue
        place = workload.place_of(one.output, outputs)
        if place >= len(outputs):
            raise UserInputError(
                f"the model has {len(outputs)} outputs, and the metric '{one.metric.name}' is to judge output {one.output}",
                where=graph.source,
                hint="outputs are counted from 0",
            )
        one.metric.fitted(outputs[place]).checked(labels, outputs[place])


def graph_findings(
    graph: Graph,
    *,
    judged: Collection[int],
    left_out: Collection[int] = (),
    everything: bool = False,
    where: str,
    names: Mapping[int, str] = MappingProxyType({}),
) -> list[Finding]:
    """`outputs-not-judged` and `signatures-not-run`.

    Args:
        judged: the positions of the outputs that have labels and a metric.
        left_out: those that nothing is to be said of, on purpose.
        everything: one metric judges all outputs together.
        names: what outputs are called by their positions; the others as the file calls them.
    """
    found = []
    shown = [
        f"'{names.get(place, output.name)}' {list(output.shape or ())}"
        for place, output in enumerate(output_ends(graph))
    ]
    others = [shown[i] for i in range(len(shown)) if i not in judged and i not in left_out]
    if judged and others and not everything:
        ours = ", ".join(shown[i] for i in sorted(judged))
        of = f"the score is that of output {ours}" if len(judged) == 1 else f"the scores are those of outputs {ours}"
        words = f"{of}; {', '.join(others)} {'is' if len(others) == 1 else 'are'} not judged"
        found.append(misread("outputs-not-judged", where, words))
    if len(set(graph.signatures.values())) > 1:
        run, left = (
            [f"'{key}'" for key, number in graph.signatures.items() if (number == 0) is first]
            for first in (True, False)
        )
        words = f"of the signatures only {', '.join(run) or 'the first subgraph'} is run, and not {', '.join(left)}"
        found.append(misread("signatures-not-run", where, words))
    return found
