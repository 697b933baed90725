"""Which training samples calibrate activations: how many, and how they are chosen. Data; nothing here imports TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from harness.core.errors import UserInputError, unknown_name
from harness.workloads.base import Dataset, stratified_order
from harness.workloads.rows import Samples

Choice = Literal["stratified", "random", "first", "worst"]
CHOICES: tuple[Choice, ...] = get_args(Choice)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A choice of calibration samples.

    Attributes:
        choice: `stratified`: the first of the fixed order in which every beginning has all classes in proportion (what a build
            takes without a word about it); `random`: a draw by `seed`; `first`: as they lie in the file; `worst`: the samples
            that drive the float model's activations least far, so that ranges come out as narrow as samples can make them.
        count: how many; None for all training samples, in file order.
        seed: of a random draw. Draws of one seed contain each other: 50 samples hold the 20 of the same seed.
    """

    choice: Choice = "stratified"
    count: int | None = None
    seed: int = 0

    @property
    def text(self) -> str:
        """The canonical form between the brackets of `-cal[...]`."""
        if self.count is None:
            return "all"
        words = [self.choice, str(self.count)]
        return ",".join([*words, f"seed{self.seed}"] if self.choice == "random" and self.seed else words)

    @property
    def words(self) -> str:
        """The choice in words: `50 random training samples (seed 3)`."""
        if self.count is None:
            return "all training samples"
        plural = "" if self.count == 1 else "s"
        kind = {"stratified": "stratified training", "random": "random training", "first": "first training"}.get(
            self.choice, "worst training"
        )
        return f"{self.count:,} {kind} sample{plural}" + (f" (seed {self.seed})" if self.choice == "random" else "")

    def indices(self, total: int, strata: np.ndarray | None, reach: Callable[[], np.ndarray]) -> np.ndarray:
        """Which samples calibrate, int64 [min(count, total)].

        Args:
            total: how many training samples there are.
            strata: int [total], the class of each, or None.
            reach: gives how far each sample drives the model's activations, float [total]; asked for `worst` only.
        """
        if self.count is None or self.choice == "first":
            return np.arange(total if self.count is None else min(self.count, total))
        if self.choice == "random":
            return np.random.default_rng([self.seed, total]).permutation(total)[: self.count]
        if self.choice == "worst":
            return np.argsort(reach(), kind="stable")[: self.count]
        return stratified_order(strata, total)[: self.count]


def calibration_part(dataset: Dataset) -> tuple[Samples | None, np.ndarray | None]:
    """The samples that calibrations choose from, and their labels: those kept for it, else the training set."""
    if dataset.x_calibration is not None:
        return dataset.x_calibration, dataset.y_calibration
    return dataset.x_train, dataset.y_train


def parse_calibration(text: str) -> Calibration:
    """Reads what stands inside `-cal[...]`: `all`, or a choice and a number, and `seedN` behind `random`.

    Raises:
        UserInputError: for anything else.
    """
    words = [word.strip() for word in text.split(",")]
    if words == ["all"]:
        return Calibration()
    choice = next((known for known in CHOICES if known == words[0]), None)
    if choice is None:
        raise unknown_name("choice of calibration samples", words[0], [*CHOICES, "all"])
    count = words[1] if len(words) > 1 else ""
    if not count.isdigit() or int(count) < 1:
        raise UserInputError(f"cal[{text}] does not say how many samples", hint=f"such as cal[{choice},100]")
    seed = words[2].removeprefix("seed") if len(words) > 2 else "0"
    if len(words) > 3 or not seed.isdigit() or (len(words) > 2 and choice != "random"):
        raise UserInputError(f"cal[{text}] has a word too many", hint="such as cal[random,100,seed3] or cal[first,100]")
    return Calibration(choice=choice, count=int(count), seed=int(seed))
