"""Samples on their way from a user's files to an .npz: parts, where each sample came from, and what was seen meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from harness.core.tensor import TensorIo
from harness.workloads.input_names import ModelInput
from harness.workloads.metrics.base import Ends
from harness.workloads.rows import Arrays

PartName = Literal["train", "calibration", "test"]
PARTS: tuple[PartName, ...] = ("train", "calibration", "test")
#: what people call the parts
PART_WORDS: Mapping[str, PartName] = {
    "train": "train", "training": "train", "test": "test", "testing": "test", "eval": "test",
    "calibration": "calibration", "calib": "calibration", "representative": "calibration",
    "val": "calibration", "valid": "calibration", "validation": "calibration", "dev": "calibration",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the model takes.

    Attributes:
        input: its one input, -1 where any size fits; None where the file does not say, and where there are several.
        several: the inputs of a model with more than one.
        finished: a .tflite, on which nothing is trained.
        outputs: the model's, which say what labels there can be.
    """

    input: TensorIo | None = None
    finished: bool = False
    several: tuple[ModelInput, ...] = ()
    outputs: tuple[Ends, ...] = ()

    @property
    def sample_shape(self) -> tuple[int, ...] | None:
        return self.input.sample_shape if self.input is not None else None


@dataclass(kw_only=True)
class Part:
    """Some samples.

    Attributes:
        x: [N, ...], as they are stored; of several inputs such rows of each.
        y: labels [N, ...] of the first output; None where there are none.
        places: where each sample stands, for messages: file names, rows.
        keys: a hash of each sample as it was before it was made fit for a model, so that parts are the same for every model;
            None: that of `x`.
        y_of: labels [N, ...] of outputs that the source names.
    """

    x: Arrays
    y: np.ndarray | None
    places: Sequence[str]
    keys: Sequence[bytes] | None = None
    y_of: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def labels(self) -> np.ndarray | None:
        """Those of the first output that has some."""
        return self.y if self.y is not None else next(iter(self.y_of.values()), None)

    def rows(self, which: np.ndarray) -> Part:
        """The samples at some positions, in that order."""
        return Part(
            x=self.x[which],
            y=None if self.y is None else self.y[which],
            places=[self.places[position] for position in which],
            keys=None if self.keys is None else [self.keys[position] for position in which],
            y_of={name: labels[which] for name, labels in self.y_of.items()},
        )


@dataclass(kw_only=True)
class Found:
    """What a source holds.

    Attributes:
        parts: by name, where the source brings parts of its own; else all samples as `whole`.
        what: the source in a few words, such as "a folder of images, 10 classes".
        classes: names of the classes, in the order of their numbers; empty where labels have none.
        evidence: key of the project file -> what was seen that decides it.
        scaling: of an .npz that brings them, scale and offset by input; the one input's name is empty.
        sequence: int [N], the number of the sequence that each tested sample belongs to; None: each stands for itself.
    """

    what: str
    parts: dict[PartName, Part] = field(default_factory=dict)
    whole: Part | None = None
    classes: tuple[str, ...] = ()
    evidence: dict[str, str] = field(default_factory=dict)
    scaling: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    sequence: np.ndarray | None = None

    @property
    def any_part(self) -> Part:
        """The samples that show what all are like: the test part, or all."""
        return self.whole if self.whole is not None else self.parts["test"]


@dataclass(frozen=True, kw_only=True)
class Places(Sequence[str]):
    """`KEY[0]`, `KEY[1]`, ...: the places of an array's samples, without a text for each."""

    key: str
    total: int

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, position: Any) -> Any:
        return f"{self.key}[{position}]"
