"""What a metric is: it knows which labels and outputs it takes, turns outputs into answers, and judges answers.

A metric is a frozen dataclass without any state but its settings (such as the unit), so that it can be compared, stored with
a cell and found again by its name. A metric of one's own derives from `Metric`; docs/guides/adding-a-workload.md has one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

Direction = Literal["higher", "lower"]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What a model is trained by: a class of `keras.losses`, by name, because only build workers have Keras.

    Attributes:
        takes_logits: its constructor has `from_logits`, which is then the workload's.
        ignore_class: its constructor has `ignore_class`: what is labelled so is not trained on.
    """

    name: str
    takes_logits: bool = False
    ignore_class: int | None = None


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A score over `samples` samples with the ends of its 95 % interval; None where so few samples tell none."""

    value: float
    low: float | None
    high: float | None
    samples: int


@dataclass(frozen=True, kw_only=True)
class Paired:
    """A cell's score against a baseline's on the same samples.

    Attributes:
        delta: the cell's minus the baseline's, in the score's unit.
        p: two-sided; 1.0 where no answer differs.
        test: the test's name.
        only_baseline_right, only_cell_right: samples that one of the two alone got right; None where answers are not right or
            wrong.
        low, high: ends of the difference's 95 % interval; None where the metric tells none.
        least_p: the smallest p that the test could have given, where it is a permutation test of fewer than the usual number.
    """

    delta: float
    p: float
    test: str
    only_baseline_right: int | None = None
    only_cell_right: int | None = None
    low: float | None = None
    high: float | None = None
    least_p: float | None = None


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Whether a metric can judge a model's output by some labels.

    Attributes:
        metric: its name, as `get_metric` takes it.
        fits: whether it can.
        reason: what it judges, or what of labels or output it cannot; one line.
    """

    metric: str
    fits: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Ends:
    """What is known of a model's output and of the data's labels, to ask a metric whether it can judge them.

    Attributes:
        name: of the output; empty where there is one only, or nobody knows.
        units: how many values the output gives at a place; None where the model does not say.
        places: at how many places of a sample it gives them: 1, or those of a map; None where the model does not say.
        squashed: the output ends in softmax or sigmoid, so that its values are shares.
        numbers: the values are class numbers themselves, as ARG_MAX gives them.
        squashed_by: which of the two; None where it is neither, or the model does not say.
        shape: of one sample's output, -1 where any size fits; None where the model does not say.
        input_shape: the same of the model's one input; None where there are several.
        made_by: the op that makes the output's values, a custom one by its own name; None where the model does not say.
        made_at: which of that op's outputs it is.
        together: all outputs of the model in its order, this one among them; empty where only this one is known.
        class_names: of the labels' numbers, where they were made of names (folders, texts); empty where they are the user's own.
        where: the file of the labels, for errors.
        key: the labels' name in it.
    """

    units: int | None
    squashed: bool
    places: int | None = None
    numbers: bool = False
    squashed_by: Literal["softmax", "sigmoid"] | None = None
    shape: tuple[int, ...] | None = None
    input_shape: tuple[int, ...] | None = None
    made_by: str | None = None
    made_at: int = 0
    name: str = ""
    together: tuple[Ends, ...] = ()
    class_names: tuple[str, ...] = ()
    where: str | None = None
    key: str = "labels"

    @property
    def values(self) -> int | None:
        """How many values the output gives per sample; None where the model does not say."""
        return None if self.units is None or self.places is None else self.units * self.places


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """What a workload is judged by.

    Attributes:
        name: lower case, with underscores; stored with every cell.
        title: the score's name in tables and sentences.
        direction: which way the score gets better.
        loss: what training minimises.
        classes: answers are class numbers, so that two of them are the same or not.
        accuracy: the score is the share of right answers, and the record's `accuracy*` say it too.
        takes: which labels and outputs it judges, in words that complete "judges ...".
        unit: of the score; None for a share of 1, or in the labels' own unit.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    direction: ClassVar[Direction]
    loss: ClassVar[Loss]
    classes: ClassVar[bool] = False
    accuracy: ClassVar[bool] = False
    takes: ClassVar[str] = "what it accepts itself"
    #: the metric reads the samples themselves beside their labels (`with_inputs`)
    reads_inputs: ClassVar[bool] = False
    #: it judges all outputs of a model together (`answers_of`), and not one of them
    all_outputs: ClassVar[bool] = False
    #: answers and labels are numbers of one shape, so that how near they are tells something
    numbers: ClassVar[bool] = False

    unit: str | None = None

    @abstractmethod
    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        """The labels in the form that the other methods take, [N, ...].

        Raises:
            UserInputError: this metric cannot judge such labels, or such an output by them; says what it takes.
        """

    def fitted(self, ends: Ends) -> Metric:
        """The same with what this model's outputs say of it, where it has settings of the kind."""
        return self

    def fit(self, labels: np.ndarray, ends: Ends) -> Fit:
        """Whether it can judge such an output by these labels, with the reason: what `checked` raises, as an answer."""
        from harness.core.errors import UserInputError

        try:
            self.checked(labels, ends)
        except UserInputError as error:
            return Fit(metric=self.name, fits=False, reason=error.what)
        return Fit(metric=self.name, fits=True, reason=f"judges {self.takes}")

    @abstractmethod
    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """What outputs answer, one row per sample.

        Args:
            outputs: real numbers, float64 [N, ...]; quantized outputs are dequantized before.
        """

    def answers_of(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """What all outputs of a model answer together; asked where `all_outputs`.

        Args:
            outputs: in the model's order, each as in `answers`.
        """
        return self.answers(outputs[0])

    @abstractmethod
    def score(self, answers: np.ndarray, labels: np.ndarray) -> Scored:
        """The score of answers [N, ...] with its interval.

        Raises:
            UserInputError: no samples.
        """

    @abstractmethod
    def paired(self, answers: np.ndarray, baseline: np.ndarray, labels: np.ndarray) -> Paired:
        """Answers of a cell against a baseline's, [N, ...] each, on the same samples in the same order."""

    def tested(self, answers: np.ndarray, baseline: np.ndarray, labels: np.ndarray) -> Paired:
        """The same test for a comparison whose interval nobody shows: a metric may leave it out where it takes long."""
        return self.paired(answers, baseline, labels)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """The labels as the loss takes them."""
        return labels

    def strata(self, labels: np.ndarray) -> np.ndarray | None:
        """The stratum of each sample, int [N], so that a part of the samples has all in proportion; None where there are none."""
        return labels if self.classes else None

    def with_inputs(self, labels: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """The labels with what the samples themselves, float32 [N, ...], tell of the right answer; asked where `reads_inputs`."""
        return labels

    @property
    def chooses(self) -> bool:
        """Whether an output names one class, so that `chosen` tells which."""
        return self.classes

    def chosen(self, outputs: np.ndarray) -> np.ndarray | None:
        """The class that each output names, int [N]; None where outputs name none."""
        return self.answers(outputs) if self.classes else None

    def agreement(self, outputs: np.ndarray, reference: np.ndarray) -> float | None:
        """The share of samples on which two outputs [N, ...] name the same class; None where they name none."""
        mine, theirs = self.chosen(outputs), self.chosen(reference)
        return None if mine is None or theirs is None else float((mine == theirs).mean())

    def beats_guessing(self, answers: np.ndarray, labels: np.ndarray) -> bool | None:
        """Whether the score is shown to be better than what needs no model; None where nobody knows what guessing is."""
        return None

    def loss_of(self, delta: float) -> float:
        """How much worse a score is that lies `delta` from another: positive for worse, whichever way is better."""
        return -delta if self.direction == "higher" else delta

    def bound_words(self, delta: float, bound: float) -> str:
        """How a suite says that a score lies further from the float model's than it accepts."""
        unit = f" {self.unit}" if self.unit else ""
        changed = "lost" if self.direction == "higher" else "gained"
        return f"{changed} {self.loss_of(delta):.4f}{unit} {self.title} against the float model, more than the accepted {bound:g}"


def same_number(answers: np.ndarray, labels: np.ndarray) -> int:
    """How many samples there are, at least one.

    Raises:
        UserInputError: none.
        ValueError: answers and labels are of different samples.
    """
    from harness.core.errors import UserInputError

    if len(answers) != len(labels):
        raise ValueError(f"{len(answers)} answers for {len(labels)} samples")
    if len(labels) == 0:
        raise UserInputError("a score needs at least one sample")
    return len(labels)
