"""What a project file says, each with the evidence for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.boards.connect import availability
from harness.boards.resolve import get_profiles, list_profiles
from harness.core.errors import HarnessError, MissingPartError
from harness.core.paths import packaged_devices_dir
from harness.core.tensor import TensorIo
from harness.init.writing import toml_key
from harness.tflite.graph import read_graph
from harness.tflite.support import newest_runtimes, runtime_supports
from harness.variants.recipe import CORE, parse_recipe, select_recipes
from harness.workloads.checks.model import graph_findings
from harness.workloads.finished import finished_model
from harness.workloads.input_keys import input_keys
from harness.workloads.keras.signature import split_signature
from harness.workloads.metrics.registry import get_metric, metric_names
from harness.workloads.npz import npz_keys, read_arrays
from harness.workloads.outputs import OutputMetric, label_keys, output_name
from harness.workloads.project import TASKS
from harness.workloads.user_metric import chosen_metrics, ends_for

if TYPE_CHECKING:
    from harness.tflite.graph import Graph
    from harness.workloads.metrics.base import Ends, Metric
    from harness.workloads.user import ModelEnds

#: devices that need nothing but this machine
_HOSTS = ("host-litert", "host-tflite")
#: of the budget, for each cell with its part of building; samples shrink where that is short
_SECONDS_PER_CELL = 10
_SHORTEST_MINUTES = 6
_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One key of a table, with its value and why.

    Attributes:
        value: text, a number, or a list of texts; None for a key that is left out, whose evidence is told all the same.
        evidence: sentences without a full stop, one a line.
    """

    key: str
    value: Any
    evidence: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Choices:
    """The tables of a project file, in order."""

    tables: dict[str, list[Choice]] = field(default_factory=dict)

    def add(self, table: str, key: str, value: Any, *evidence: str) -> None:
        self.tables.setdefault(table, []).append(
            Choice(key=key, value=value, evidence=tuple(line for line in evidence if line))
        )


def model_words(path: Path, ends: ModelEnds) -> list[str]:
    """What was read off the model, without running it."""
    kinds = {2: "Keras 2", 3: "Keras 3"}
    kind = (
        "a finished .tflite: measured as it is"
        if ends.kind == "tflite"
        else f"a float model of {kinds[ends.keras_major]}"
    )
    if ends.signature is not None:
        kind = (
            f"the signature '{ends.signature}' of a SavedModel: a graph without layers, of which nothing can be trained"
        )
    elif ends.kind == "keras" and path.is_dir():
        kind += ", SavedModel"
    if ends.kind == "tflite" and (signature := split_signature(path)[1]) is not None:
        kind = f"the signature '{signature}' of a finished .tflite, cut out of it and measured as it is"
    words = [kind]
    if ends.input is not None:
        words.append(f"one input, {_input_words(ends.input)}")
    if ends.several:
        told = ", ".join(f"{one.name} ({_input_words(one.io)})" for one in ends.several)
        words.append(f"{len(ends.several)} inputs: {told}")
    words.append(output_words(ends))
    return words


def _input_words(io: TensorIo) -> str:
    shape = "x".join("any" if size == -1 else str(size) for size in io.sample_shape)
    quantized = f", scale {io.scale:.6g}, zero point {io.zero_point}" if io.scale else ""
    return f"{shape} of {io.dtype}{quantized}"


def model_warnings(path: Path, ends: ModelEnds) -> list[str]:
    """What a reader must know of a finished model: what is not run, and what runtimes refuse."""
    if ends.kind != "tflite":
        return []
    graph = read_graph(finished_model(path).path)
    unseen = [finding.what for finding in graph_findings(graph, judged=[], where=path.name)]
    return [*unseen, *_runtime_words(graph)]


def _runtime_words(graph: Graph) -> list[str]:
    """What speaks against a finished model on the newest runtimes, as far as their data files tell."""
    found: dict[str, list[str]] = {}
    for name, version in newest_runtimes():
        for reason in runtime_supports(name, version, graph, kernels="default").reasons:
            found.setdefault(reason, []).append(f"{name} {version}")
    return [f"against it on {' and '.join(names)}: {reason}" for reason, names in found.items()]


def output_words(ends: ModelEnds) -> str:
    """The outputs in words."""
    if len(ends.outputs) == 1:
        return f"the output {_gives(ends.outputs[0])}"
    told = (f"{output_name(ends.outputs, number)} {_gives(one)}" for number, one in enumerate(ends.outputs))
    return f"{len(ends.outputs)} outputs: {'; '.join(told)}"


def _gives(output: Ends) -> str:
    """What an output gives, as the rest of a sentence."""
    if output.numbers:
        return "is a class number"
    if output.units is None:
        return "is of a size that the file does not say"
    what = "probability" if output.squashed else "value"
    plural = {"value": "values", "probability": "probabilities"}[what]
    each = f" at each of {output.places:,} places" if output.places not in (None, 1) else ""
    end = "softmax or sigmoid at the end" if output.squashed else "no softmax or sigmoid at the end"
    return f"gives {output.units} {what if output.units == 1 else plural}{each}: {end}"


def add_score(choices: Choices, samples: Path, ends: ModelEnds, source: str) -> Metric | None:
    """The metric that each output and its labels ask for, and which others would take them.

    Returns:
        That of the first output with labels; None where none has.

    Raises:
        UserInputError: labels that no metric can judge their output by.
    """
    judged = chosen_metrics(samples, ends.outputs, None, ends.several)
    if judged.metric is None:
        choices.add(
            "score", "task", "none", f"no labels in {source}: agreement with the float model in place of a score"
        )
        return None
    found = input_keys(npz_keys(samples), ends.several, str(samples))
    base = found.labels
    places = label_keys(found.others, base, ends.outputs, str(samples))
    if len(ends.outputs) == 1:
        _add_metric(choices, "score", samples, ends.outputs[0], places[0], judged.metric)
        return judged.metric
    for position in range(len(ends.outputs)):
        name = output_name(ends.outputs, position)
        if position not in places:
            told = f"output {name} has no labels ({base}_{name}): what is worse in it is not seen, and no variant is recommended"
            meant = f'metric = "none" in [score.outputs.{toml_key(name)}] says that nothing is to be said of it'
            choices.add("score", "outputs", None, told, meant)
    main = OutputMetric(output=judged.output, name=output_name(ends.outputs, judged.output), metric=judged.metric)
    for one in (main, *judged.further):
        assert one.metric is not None
        table = f"score.outputs.{toml_key(one.name)}"
        _add_metric(choices, table, samples, ends.outputs[one.output], places[one.output], one.metric)
    return judged.metric


def _add_metric(choices: Choices, table: str, samples: Path, output: Ends, key: str, metric: Metric) -> None:
    """Task and metric of one output, with its labels as evidence."""
    labels = read_arrays(samples, [key])[key]
    evidence = [label_words(labels), f"the output {_gives(output)}"]
    others = [name for name in metric_names() if name != metric.name and _takes(name, labels, output, samples, key)]
    if others:
        evidence.append(f"these take such labels and this output, too: {', '.join(others)}")
    task = next((task for task, name in TASKS.items() if name == metric.name), None)
    if task is not None:
        choices.add(table, "task", task)
    choices.add(table, "metric", metric.name, *evidence)


def label_words(labels: np.ndarray) -> str:
    """Labels in words."""
    shape = "one" if labels.size == len(labels) else f"{labels[0].size}"
    if labels.dtype.kind in "iub" and labels.size == len(labels):
        values, counts = np.unique(labels, return_counts=True)
        spread = f"{counts.min():,} to {counts.max():,}" if counts.min() != counts.max() else f"{counts.min():,}"
        return f"labels: one whole number per sample, {values.min()} to {values.max()}, {spread} test samples of each"
    return f"labels: {shape} {labels.dtype} per sample, {labels.min():.4g} to {labels.max():.4g}"


def _takes(name: str, labels: np.ndarray, output: Ends, samples: Path, key: str) -> bool:
    """Asks a metric whether it can judge; what cannot be loaded or says no is none that can be named."""
    try:
        get_metric(name).checked(labels, ends_for(output, samples, key))
    except (HarnessError, ValueError, TypeError):
        return False
    return True


def chosen_recipes(ends: ModelEnds, *, trained: bool, judged: bool) -> tuple[tuple[str, ...], str]:
    """The recipes, and why these."""
    if ends.kind == "tflite":
        return (), ""
    if trained and judged and ends.signature is None:
        return ("core",), f"all {len(CORE)} of core: quantization after training, and in training with its controls"
    plain = tuple(name for name in CORE if parse_recipe(name).training.name == "ptq")
    why = "no training part" if judged else "no labels"
    if ends.signature is not None:
        return plain, "those of core that need no training: a graph without layers cannot be trained"
    return plain, f"those of core that need no training: there is {why} to train on"


def expanded(recipes: Sequence[str]) -> list[str]:
    """The names that recipes, globs and sets stand for."""
    return [recipe.name for recipe in select_recipes(recipes)]


def named_devices(names: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Devices that the user named, with the number of their backends, and what is seen of them: one that cannot be tried now
    is meant all the same.

    Raises:
        UserInputError: there is no such device, or no twin of it.
    """
    found: dict[str, int] = {}
    words = []
    for profile in get_profiles(names):
        state = availability(profile)
        found[profile.name] = len(profile.backends)
        ready = "" if state.ok else f"; not ready: {state.reason}"
        words.append(f"{profile.name}: named; {profile.title}, {' and '.join(profile.backends)}{ready}")
    return found, words


def chosen_devices() -> tuple[dict[str, int], list[str]]:
    """The devices that can be tried now, with the number of their backends, and what was seen of them and others.

    Raises:
        MissingPartError: none can.
    """
    packaged = packaged_devices_dir()
    found: dict[str, int] = {}
    words, unready = [], []
    for entry in list_profiles():
        own = packaged not in entry.path.parents
        if entry.profile is None or not (own or entry.name in _HOSTS):
            continue
        state = availability(entry.profile)
        if not state.ok:
            unready.append(f"left out: {entry.name}: {state.reason}")
            continue
        found[entry.name] = len(entry.profile.backends)
        words.append(f"{entry.name}: {entry.profile.title}, {' and '.join(entry.profile.backends)}")
    if not found:
        raise MissingPartError("no device on this machine can run", hint="see `harness devices list`")
    words += unready
    words.append("others: `harness devices list`; emulated boards such as imx8mp@qemu and cortex-m4@qemu need QEMU")
    return found, words


def chosen_budget(cells: int) -> tuple[str, str]:
    """Time for a run of so many cells, and how it was reckoned."""
    minutes = max(_SHORTEST_MINUTES, math.ceil(cells * _SECONDS_PER_CELL / 60))
    words = f"{cells} cell{'s' * (cells != 1)} at {_SECONDS_PER_CELL} s each, at least {_SHORTEST_MINUTES} minutes"
    return f"{minutes}m", f"{words}; a budget that is short costs samples, never cells"


def some(names: Sequence[str]) -> str:
    """Names for a sentence, the first of many."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
