"""A model's graph against its data: what is not judged, what is not run, what the metric cannot take."""

from __future__ import annotations

import numpy as np

from harness.core.finding import Finding
from harness.tflite.graph import Graph
from harness.workloads.checks.inputs import refuse_open_inputs
from harness.workloads.checks.outputs import model_outputs, output_ends
from harness.workloads.checks.table import misread
from harness.workloads.metrics.base import Metric


def refuse_misfit(graph: Graph, labels: np.ndarray | None, metric: Metric | None) -> None:
    """Refuses a model that the question does not fit. A description of a model may leave this open; the built file does not.

    Raises:
        UserInputError: an open input, or an output that the metric cannot judge by these labels.
    """
    refuse_open_inputs(graph)
    if labels is not None and metric is not None and graph.outputs:
        metric.checked(labels, model_outputs(graph, graph.source)[0])


def graph_findings(graph: Graph, *, judged: bool, where: str) -> list[Finding]:
    """`outputs-not-judged` and `signatures-not-run`.

    Args:
        judged: there are labels and a metric, so that one output is scored.
    """
    found = []
    if judged and len(graph.outputs) > 1:
        first, *others = [f"'{output.name}' {list(output.shape or ())}" for output in output_ends(graph)]
        words = (
            f"the score is that of output {first}; {', '.join(others)} {'is' if len(others) == 1 else 'are'} not judged"
        )
        found.append(misread("outputs-not-judged", where, words))
    if len(set(graph.signatures.values())) > 1:
        run, left = (
            [f"'{key}'" for key, number in graph.signatures.items() if (number == 0) is first]
            for first in (True, False)
        )
        words = f"of the signatures only {', '.join(run) or 'the first subgraph'} is run, and not {', '.join(left)}"
        found.append(misread("signatures-not-run", where, words))
    return found
