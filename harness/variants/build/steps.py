"""The steps of a job, and how long each may take: whatever hangs is ended, and costs its own cell only."""

from __future__ import annotations

from typing import Literal

#: `preparing` is what comes before a job says anything, reading the dataset; `asking` lets the model answer some samples
Step = Literal["preparing", "loading", "asking", "training", "converting"]

#: how long a conversion, or a training that makes no progress, may take; seconds
DEADLINE_S = 600.0
#: loading a model may take this share of it: a second is usual, two minutes are none
_LOADING_SHARE = 0.2


def limit_s(step: Step, deadline_s: float) -> float:
    """How long a step may take, or a training may make no progress, seconds."""
    return deadline_s * _LOADING_SHARE if step == "loading" else deadline_s


def overdue_reason(step: Step, deadline_s: float) -> str:
    """Why a job that was ended has no result, in one sentence."""
    after = _duration(limit_s(step, deadline_s))
    said = {
        "preparing": f"the samples were not ready after {after}",
        "loading": f"the model was not loaded after {after}",
        "asking": f"the model had not answered a few samples after {after}",
        "training": f"the training made no progress for {after}",
        "converting": f"the converter had not ended after {after}",
    }[step]
    return f"{said} and was stopped; --deadline gives it more time"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} minutes"
