# %% [markdown]
# # Your own model with your own metric
#
# A finished .tflite and samples from pandas, judged by a metric that is written here: the digit itself is right, and so is its
# neighbour.

# %%
import shutil
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

import harness
from harness.workloads.metrics.base import Direction, Ends, Loss, Metric, Paired, Scored
from harness.workloads.metrics.top1 import Top1

# %% [markdown]
# The model: any .tflite will do. This one is the harness' own, so that the example needs nothing else.

# %%
shutil.copy(harness.build("mnist-cnn", recipes="ptq-int8-io").path("ptq-int8-io"), "digits.tflite")

# %% [markdown]
# The samples: a table of pixels with a column of labels, and from it the arrays that the model takes.

# %%
digits = load_digits()
table = pd.DataFrame(digits.data).assign(label=digits.target).sample(300, random_state=0)
images = table.drop(columns="label").to_numpy().reshape(-1, 8, 8) / 16
images = images.repeat(4, axis=1).repeat(4, axis=2)[:, 2:-2, 2:-2]
samples = harness.dataset(images.astype(np.float32), table["label"])


# %% [markdown]
# The metric: which labels it takes, what outputs answer, the score with its interval, and the paired comparison. Right or not is
# judged as accuracy is.


# %%
@dataclass(frozen=True, kw_only=True)
class Neighbour(Metric):
    """The share of samples whose digit is met to within one."""

    name: ClassVar[str] = "neighbour"
    title: ClassVar[str] = "share within one digit"
    direction: ClassVar[Direction] = "higher"
    loss: ClassVar[Loss] = Loss(name="SparseCategoricalCrossentropy", takes_logits=True)

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        return Top1().checked(labels, ends)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        return Top1().answers(outputs)

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Scored:
        return Top1().score(*self._met(answers, labels))

    def paired(self, answers: np.ndarray, baseline: np.ndarray, labels: np.ndarray) -> Paired:
        cell, met = self._met(answers, labels)
        return Top1().paired(cell, self._met(baseline, labels)[0], met)

    @staticmethod
    def _met(answers: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        met = (np.abs(answers - labels) <= 1).astype(np.int64)
        return met, np.ones_like(met)


harness.use_metric(Neighbour())

# %%
run = harness.measure(
    "digits.tflite", data=samples, metric="neighbour", devices="host-litert", backends="cpu", budget="2s"
)
cell = run.records[0]
cell.metric_title, cell.score, (cell.score_low, cell.score_high)

# %% [markdown]
# Sample by sample: what the metric forgives.

# %%
answers = run.answers("digits/as-is/host-litert/cpu")
forgiven = answers[(answers["answer"] != answers["label"]) & ((answers["answer"] - answers["label"]).abs() <= 1)]
forgiven
