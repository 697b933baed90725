"""How the model wants its samples: it shows that by its answers to them as they are, rescaled, and laid out otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from harness.core.errors import HarnessError
from harness.core.files import sha256_json
from harness.measure.reference import References
from harness.prepare.prepared import FLOAT_RECIPE, PreparedModel
from harness.run.plan import ModelRequest, prepare_requests
from harness.run.question import better_samples, float_outputs, may_be_asked, probed
from harness.variants.artifact import AS_IS
from harness.workloads.base import Dataset, Workload
from harness.workloads.checks.arrangements import Arrangement
from harness.workloads.checks.scales import Rescaling
from harness.workloads.datasets import DataSource
from harness.workloads.rows import changed

#: a scale, a layout and an order of colours can all be wrong at once
_MOST_CHANGES = 3


@dataclass(frozen=True, kw_only=True)
class Change:
    """What becomes of the stored values of an input on their way to the model.

    Attributes:
        scale, offset: value * scale + offset.
        settings: further keys of [preprocessing].
    """

    scale: float = 1.0
    offset: float = 0.0
    settings: tuple[tuple[str, str], ...] = ()

    def then(self, other: Rescaling | Arrangement) -> Change:
        """This, and then that."""
        if isinstance(other, Arrangement):
            return replace(self, settings=(*self.settings, other.setting))
        return replace(self, scale=self.scale * other.factor, offset=self.offset * other.factor + other.offset)


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What becomes of stored values.

    Attributes:
        changes: by input, the empty name for the one; those of which nothing becomes are left out.
        evidence: what the model answered, in words.
        score: the metric's on samples made ready so, None where the model was not asked.
    """

    changes: Mapping[str, Change] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    score: float | None = None

    def of(self, name: str) -> Change:
        """What becomes of one input's values."""
        return self.changes.get(name, Change())


def ask_model(workload: Workload, say: Callable[[str], None]) -> Preparation:
    """Builds the float model and looks on which samples it explains the labels.

    Args:
        workload: with the samples as they are stored.
        say: told what is going on.

    Returns:
        What to do with the samples; nothing, and why, where the model cannot be asked.
    """
    recipe = FLOAT_RECIPE if workload.build_model is not None else AS_IS
    say(f"asking {workload.name} about its samples (building {recipe} where it is not built yet)")
    try:
        source = DataSource()
        (model,) = prepare_requests([ModelRequest(workload=workload, recipe=recipe, seed=0)], source)
        if not may_be_asked(model):
            return Preparation(evidence=(f"the model was not asked: {_why_not(model)}",))
        with References(None) as references:
            return _asked(model, workload.load_dataset(source), references)
    except HarnessError as error:
        say(f"the model was not asked: {error}")
        return Preparation(evidence=(f"the model was not asked: {error.what}",))


def _why_not(model: PreparedModel) -> str:
    if model.artifact.path is None:
        return model.artifact.refused or "its float form is refused"
    if model.metric is None or model.labels is None:
        return "there are no labels to judge its answers by"
    return f"its {model.artifact.inputs[0].dtype} input says its range itself"


def _asked(model: PreparedModel, dataset: Dataset, references: References) -> Preparation:
    assert model.metric is not None and model.labels is not None
    found = Preparation()
    for _ in range(_MOST_CHANGES * len(model.artifact.inputs)):
        better = better_samples(model, dataset, references)
        if better is None:
            break
        other, name = better.other, better.input
        changes = {**found.changes, name: found.of(name).then(other)}
        found = replace(found, changes=changes, evidence=(*found.evidence, better.words))
        digest = sha256_json([dataset.digest, other.name, *([name] if name else [])])
        dataset = replace(dataset, x_test=changed(dataset.x_test[:], name, other.of), digest=digest)
    rows, labels = probed(model, dataset)
    outputs = float_outputs(model, rows, "as they are", dataset, references)
    if outputs is None:
        return replace(found, evidence=(*found.evidence, "no runtime on this machine runs the float model"))
    score = model.metric.score(model.metric.answers(outputs), labels)
    interval = "" if score.low is None else f" [{score.low:.4f}, {score.high:.4f}]"
    words = (
        f"so fed, the float model's {model.metric.title} is {score.value:.4f}{interval} on {len(labels)} test samples"
    )
    if not found.changes:
        words = words.replace("so fed", "fed the values as they are")
        words += "; no usual rescaling or layout explains the labels far better"
    return replace(found, evidence=(*found.evidence, words), score=score.value)
