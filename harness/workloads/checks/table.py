"""Every way in which a question is known to be misread, what gives it away, and what is done about it.

The table of docs/reference/questions.md is this one; a test compares them. A row is either `refused` (shape or meaning do not
fit: no number is given) or an `error`: a finding beside the number, which also keeps the cell out of every answer. Checks that
rest on a chance say how often they fire on a right question.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from harness.core.finding import Finding

#: how often a statistical check may fire on data that are right, per dataset or cell; the others cannot
ALARM = 1e-6

_NEVER = "none: it is a fact about the files"
_EXACT = "at most 1 in 1,000,000"


@dataclass(frozen=True, kw_only=True)
class Misreading:
    """A row of the table.

    Attributes:
        code: of the finding; for what is refused, its name in this table.
        verdict: `refused`, or `error` for a finding of that severity.
        when: `before` anything runs, or `after` the outputs are there.
        what: the mistake, with its usual forms.
        said: the same of one number, in a few words, for sentences; empty for what is refused.
        sign: what gives it away.
        alarms: how often it fires on a right question.
        fix: what to do, as the finding says it.
    """

    code: str
    verdict: Literal["refused", "error"]
    when: Literal["before", "after"]
    what: str
    sign: str
    alarms: str
    fix: str
    said: str = ""


TABLE: tuple[Misreading, ...] = (
    Misreading(
        code="sample-shape",
        verdict="refused",
        when="before",
        what="samples of another shape than the model's input, a model that takes several samples at once, an input without "
        "samples of its own, or samples of no input",
        sign="the shapes, with a channel axis of 1 added or dropped, and the names of arrays and inputs; an input without a "
        "batch axis takes each sample whole",
        alarms=_NEVER,
        fix="reshape the samples, call the arrays like the inputs, or export the model with a batch of 1",
    ),
    Misreading(
        code="open-size",
        verdict="refused",
        when="before",
        what="a .tflite whose input is open beyond the batch (any height and width): a runtime would take it as 1x1",
        sign="-1 in the input's shape signature behind the first axis",
        alarms=_NEVER,
        fix="fix the input's size before converting, such as keras.Input(shape=(96, 96, 3))",
    ),
    Misreading(
        code="label-range",
        verdict="refused",
        when="before",
        what="labels that are not the model's classes: counted from 1, negative, of another model",
        sign="a label outside of 0..classes-1",
        alarms=_NEVER,
        fix="number the classes as the model's outputs are, from 0",
    ),
    Misreading(
        code="label-shape",
        verdict="refused",
        when="before",
        what="labels in another form than the metric takes: one-hot, one per pixel for an output that is no map, of another "
        "count than the samples",
        sign="the labels' shape and type",
        alarms=_NEVER,
        fix="give the labels of the metric (docs/guides/metrics.md), or take one that fits",
    ),
    Misreading(
        code="output-is-a-map",
        verdict="refused",
        when="before",
        what="one label per sample for an output that gives a class at each of many places (segmentation, steps of a sequence)",
        sign="the output has more than one axis longer than 1",
        alarms=_NEVER,
        fix="leave the labels out to measure agreement only, or use the model that answers once per sample",
    ),
    Misreading(
        code="no-probability",
        verdict="refused",
        when="before",
        what="labels 0 and 1 for one output that is no probability, or more than two classes for one output",
        sign="the output's size, and no LOGISTIC or SOFTMAX behind it (RESHAPE, QUANTIZE and the like are looked through)",
        alarms=_NEVER,
        fix="end the model in a sigmoid, or leave the labels out",
    ),
    Misreading(
        code="whole-numbers",
        verdict="refused",
        when="before",
        what="an output of several whole numbers, such as indices or a class at each place, for one label per sample; one whole "
        "number per sample (an ARG_MAX head, a comparison) is taken as the class itself",
        sign="an integer output without quantization, or ARG_MAX before it",
        alarms=_NEVER,
        fix="export the model without its last step, so that it gives scores",
    ),
    Misreading(
        code="outputs-not-judged",
        verdict="error",
        when="before",
        what="a model with several outputs of which not all have labels: what is worse in the others is not seen",
        sign="the number of outputs, and which of them are judged",
        alarms=_NEVER,
        fix="give labels of the other outputs as y_test_NAME, or say by --metric NAME=none that nothing is to be said of one",
        said="not all of its outputs are judged",
    ),
    Misreading(
        code="signatures-not-run",
        verdict="error",
        when="before",
        what="a model with several signatures, of which only the first subgraph's runs",
        sign="signatures that lead to different subgraphs",
        alarms=_NEVER,
        fix="name the one that is meant behind the file: model.tflite#NAME, or [model] signature in harness.toml",
        said="only the first of several signatures is run",
    ),
    Misreading(
        code="one-class",
        verdict="error",
        when="before",
        what="labels that are all the same, in the test or the training part: any constant answer is right",
        sign="one value in y_test or y_train",
        alarms=_NEVER,
        fix="give samples of every class; sorted data cut in two leaves one class in each part",
        said="all labels are the same",
    ),
    Misreading(
        code="few-samples",
        verdict="error",
        when="before",
        what="a test set of a dozen samples, or of a few that are repeated",
        sign="fewer than 30 different samples: no paired test can see a loss of less than 20 points (6 discordant pairs)",
        alarms=_NEVER,
        fix="give at least 30 different test samples; 500 tell a loss of 2 points",
        said="there are too few different samples",
    ),
    Misreading(
        code="train-in-test",
        verdict="error",
        when="before",
        what="test samples that are training samples too: the same array, a part of it, in any order",
        sign="equal samples in x_train and x_test, more than the repetitions within each of them explain",
        alarms=_EXACT,
        fix="take the training samples out of the test part",
        said="test samples are training samples",
    ),
    Misreading(
        code="train-test-scale",
        verdict="error",
        when="before",
        what="training and test samples on different scales: 0..1 and 0..255, standardised and not",
        sign="another distribution (Kolmogorov-Smirnov) that a usual rescaling explains, or of 3 times the spread",
        alarms=_EXACT,
        fix="save both parts in the same units; `scale` and `offset` in the file apply to both",
        said="training and test samples are on different scales",
    ),
    Misreading(
        code="input-range",
        verdict="error",
        when="before",
        what="samples on another scale than a quantized input: pixels 0..255 where it spans 0..1, and the other way round",
        sign="more than 5 % of the values lie a quarter of the input's range outside of it, or all within a fortieth of it",
        alarms=_NEVER,
        fix="save the samples as the float model took them, or give `scale` and `offset` in the file",
        said="the samples are on another scale than the quantized input",
    ),
    Misreading(
        code="input-scale",
        verdict="error",
        when="before",
        what="samples on another scale than the float model was trained on: pixels 0..255 into a 0..1 model, and the like",
        sign="the float model is far too sure, hardly right, or right less often, and on the same samples rescaled in a usual "
        "way it explains the labels far better, even when its confidence is corrected first (likelihood ratio), and is right no "
        "less often",
        alarms="at most 1 in 1,000,000 for a model that is too sure by a factor of 4 at most, and however unsure",
        fix="save the samples as the model was trained, or give `scale` and `offset` in the file",
        said="the samples are on another scale than the model was trained on",
    ),
    Misreading(
        code="channel-order",
        verdict="error",
        when="before",
        what="colour images whose channels come in another order than in training: BGR, as OpenCV reads files, for RGB",
        sign="as of `input-scale`, with red and blue exchanged",
        alarms="as of `input-scale`",
        fix='save the channels in the order of training (x[..., ::-1] turns them round; of image files channels = "bgr" does)',
        said="the colours come in another order than the model was trained on",
    ),
    Misreading(
        code="input-layout",
        verdict="error",
        when="before",
        what="images laid out otherwise than in training: channels in front that `reshape` made fit, rows and columns exchanged",
        sign="as of `input-scale`, with the samples read the other way round",
        alarms="as of `input-scale`",
        fix="transpose the samples in place of reshaping them: x.transpose(0, 2, 3, 1) puts channels last, x.swapaxes(1, 2) "
        "exchanges rows and columns",
        said="the samples are laid out otherwise than the model was trained on",
    ),
    Misreading(
        code="score-at-chance",
        verdict="error",
        when="after",
        what="a score that guessing reaches: labels of other samples, samples of another model, preprocessing left out, a "
        "quantization that lost everything",
        sign="answers and labels are not shown to depend on each other (p > .01), and would be if Cohen's kappa were .25",
        alarms="at most 1 in 1,000 for a model of kappa .25 or more, of 1 in 4 better than the best constant for numbers",
        fix="run the float model on these samples in the framework it comes from, and compare its score",
        said="guessing reaches the score",
    ),
    Misreading(
        code="labels-renumbered",
        verdict="error",
        when="after",
        what="labels that number the classes otherwise than the model does: shifted by one, sorted as text, inverted",
        sign="a numbering learned on half of the samples is right on the other half where the given one is not (exact McNemar)",
        alarms=_EXACT,
        fix="number the classes in the order of the model's outputs",
        said="the labels number the classes otherwise than the model",
    ),
    Misreading(
        code="model-not-finite",
        verdict="error",
        when="after",
        what="a model that gives NaN or infinity by itself, such as the logarithm of a negative number",
        sign="the reference's outputs are not finite at the same places; where only the board's are, the cell is `wrong`",
        alarms=_NEVER,
        fix="look at the samples that the finding names: their values, or the model's arithmetic, leave what numbers can hold",
        said="the model itself gives NaN or infinity",
    ),
)
ROWS = {row.code: row for row in TABLE}
#: codes of findings that say of a number that it answers another question
CODES = frozenset(row.code for row in TABLE if row.verdict == "error")


def misread(code: str, where: str, what: str) -> Finding:
    """The finding of a row.

    Args:
        where: the workload, file or cell.
        what: what was seen, with its numbers.
    """
    row = ROWS[code]
    return Finding(code=code, severity="error", where=where, what=what, fix=row.fix)


def said_words(codes: Iterable[str]) -> str:
    """What findings of these codes say of a number, in words with the code in brackets: `guessing reaches the score
    (score-at-chance)`.
    """
    return "; ".join(f"{ROWS[code].said} ({code})" for code in dict.fromkeys(codes))


def is_misread(findings: Iterable[Finding]) -> bool:
    """Whether a cell's number answers another question than was asked, so that no answer may rest on it."""
    return any(finding.code in CODES and finding.severity == "error" for finding in findings)
