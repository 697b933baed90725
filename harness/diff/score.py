"""Two models' scores on the same samples, paired: from two stored cells, or by running both files on this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness.core.errors import HarnessError, UserInputError
from harness.diff.side import Side
from harness.measure.reference import LITERT_FLOAT, References
from harness.measure.scoring import answers_of
from harness.prepare.prepared import PreparedModel, prepare_model
from harness.results.objects import ObjectStore
from harness.variants.artifact import AS_IS
from harness.verdict.answers import AnswerBook
from harness.verdict.scores import Answers, common

#: a difference whose test has a larger p is told from nothing
ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class ScoreDiff:
    """B's score against A's.

    Attributes:
        output: what the output is called that is judged; empty where a model has one.
        title, unit: of the metric.
        ran_on: what gave the answers.
        a, b: scores.
        delta: B's minus A's, whichever way is better; low, high: its 95 % interval, None where the metric tells none.
        p, test: of the paired test.
        only_a_right, only_b_right: samples; None where answers are not right or wrong.
        worse, better: B's score is, by more than chance explains.
        further: the same of the other outputs that both are judged by.
    """

    title: str
    unit: str | None
    ran_on: str
    samples: int
    a: float
    b: float
    delta: float
    low: float | None
    high: float | None
    p: float
    test: str
    only_a_right: int | None
    only_b_right: int | None
    worse: bool
    better: bool
    output: str = ""
    further: tuple[ScoreDiff, ...] = ()

    @property
    def every(self) -> tuple[ScoreDiff, ...]:
        """This one and the further outputs'."""
        return self, *self.further


def stored_score(a: Side, b: Side, objects: ObjectStore) -> ScoreDiff | str:
    """Of two cells, from what their devices answered; in words why there is none."""
    assert a.record is not None and b.record is not None
    if None in (a.record.score, b.record.score):
        return "a cell without a score: its data has no labels"
    book = AnswerBook(objects)
    ones, twos = book.all_of(a.record), book.all_of(b.record)
    if not ones or not twos:
        return "the stored answers of a cell cannot be read any more"
    if a.record.key.dataset != b.record.key.dataset:
        return "the two cells were measured on different data"
    pairs = _same_outputs(ones, twos)
    if not pairs:
        return "the two cells have no judged output in common"
    for one, two in pairs:
        if one.metric.name != two.metric.name:
            return f"the two cells are judged by different metrics: {one.metric.name}, {two.metric.name}"
        count = common(one.sample_ids, two.sample_ids)
        if count == 0 or not np.array_equal(one.labels[:count], two.labels[:count]):
            return "the two cells have no sample, or no label, in common"
    places = [f"{side.record.key.device}/{side.record.key.backend}" for side in (a, b) if side.record is not None]
    return _all_compared(
        [(one.first(count), two.first(count)) for one, two in pairs], " and ".join(dict.fromkeys(places))
    )


def run_score(a: Side, b: Side, data: Path, metric: str | None, folder: Path) -> ScoreDiff:
    """Of two files on the samples of `data`, both run on this machine by the pinned LiteRT.

    Args:
        data: an .npz with samples and labels.
        metric: by name; None: what output and labels ask for.
        folder: a temporary one, for models that come from the store.

    Raises:
        UserInputError: the data does not fit a model, or has no labels.
        HarnessError: a model does not run here.
    """
    models = [_prepared(side, data, metric, folder / f"{number}.tflite") for number, side in enumerate((a, b))]
    for side, model in zip((a, b), models, strict=True):
        if model.metric is None or model.labels is None:
            raise UserInputError(
                "it has no labels to score by", where=str(data), hint="add y_test to the .npz, or leave --data out"
            )
        if [(one.name, one.metric) for one in model.judged] != [(one.name, one.metric) for one in models[0].judged]:
            raise UserInputError(
                "the models are judged by different metrics or outputs",
                where=side.name,
                hint="name one with --metric, of several outputs as --metric OUTPUT=NAME",
            )
    with References() as references:
        answers = [_answers(references, side, model) for side, model in zip((a, b), models, strict=True)]
    return _all_compared(_same_outputs(*answers), f"this machine, {LITERT_FLOAT.package}")


def _same_outputs(a: list[Answers], b: list[Answers]) -> list[tuple[Answers, Answers]]:
    """The answers of each judged output of both, A's main one first: by name, or the only ones."""
    if len(a) == len(b) == 1:
        return [(a[0], b[0])]
    return [(one, two) for one in a for two in b if one.output == two.output]


def _all_compared(pairs: list[tuple[Answers, Answers]], ran_on: str) -> ScoreDiff:
    first, *rest = (compared(one, two, ran_on) for one, two in pairs)
    return replace(first, further=tuple(rest))


def compared(a: Answers, b: Answers, ran_on: str) -> ScoreDiff:
    """The paired comparison of answers on the same samples."""
    metric = a.metric
    paired = metric.paired(b.answers, a.answers, a.labels)
    told = paired.p < ALPHA and paired.delta != 0
    loss = metric.loss_of(paired.delta)
    return ScoreDiff(
        output=a.output,
        title=metric.title,
        unit=metric.unit,
        ran_on=ran_on,
        samples=len(a.labels),
        a=metric.score(a.answers, a.labels).value,
        b=metric.score(b.answers, a.labels).value,
        delta=paired.delta,
        low=paired.low,
        high=paired.high,
        p=paired.p,
        test=paired.test,
        only_a_right=paired.only_baseline_right,
        only_b_right=paired.only_cell_right,
        worse=told and loss > 0,
        better=told and loss < 0,
    )


def _answers(references: References, side: Side, model: PreparedModel) -> list[Answers]:
    """Of every judged output, the main one first."""
    assert model.labels is not None and model.sample_ids is not None
    outputs = references.float_outputs(model, len(model.labels))
    if outputs is None:
        raise HarnessError(
            f"it does not run on this machine's {LITERT_FLOAT.package}",
            where=side.name,
            hint="`harness check` says why; measure it on a device and compare the cells",
        )
    return [
        Answers(
            metric=one.metric,
            answers=answers_of(one.metric, outputs, model.artifact.outputs, one.output),
            labels=one.labels,
            sample_ids=model.sample_ids,
            output=one.name,
        )
        for one in model.judged
        if one.metric is not None and one.labels is not None
    ]


def _prepared(side: Side, data: Path, metric: str | None, path: Path) -> PreparedModel:
    """A file with its samples."""
    from harness.variants.build.build import artifact_from_file
    from harness.workloads.datasets import DataSource
    from harness.workloads.registry import get_workload

    if side.path is not None:
        path = side.path  # errors name it
    else:
        path.write_bytes(side.data)
    artifact = artifact_from_file(path)
    workload = get_workload(str(path), data=data, metric=metric)
    dataset = workload.load_dataset(DataSource.default(None))
    return replace(prepare_model(workload, AS_IS, artifact, dataset), workload=side.name)
