"""What will happen to a model on a microcontroller, said before anything is pushed: ops by the planner, memory by the plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.boards.mcu.duration import Duration, expected_duration
from harness.boards.mcu.model import McuFacts, McuModel, mcu_model, profile_facts, too_large
from harness.boards.mcu.profile import McuProfile
from harness.core.errors import UnsupportedError
from harness.tflite.memory import estimate_memory

if TYPE_CHECKING:
    from harness.boards.base import BackendSpec
    from harness.predict.prediction import Prediction
    from harness.tflite.graph import Graph

_SMALLER = "a model with smaller tensors or fewer weights, or a board with more memory"


def predict_mcu(
    graph: Graph,
    artifact_size: int,
    profile: McuProfile,
    backend: BackendSpec,
    *,
    runtime: str | None = None,
    board: McuFacts | None = None,
) -> Prediction:
    """The prediction for a microcontroller.

    Args:
        graph, artifact_size: the model.
        profile: the device.
        backend: one of its backends.
        runtime: as a connected board says, such as `plan 1 (dsp)`; without it what the profile expects, marked as assumed.
        board: what a connected board says of its memory, kernels and ops, by which the run decides; without it the profile's.
    """
    from harness.predict.prediction import Prediction

    facts = board or _facts(profile, runtime)
    loads: bool | None = None
    right: bool | None = None
    reasons: list[str] = []
    advice: list[str] = []
    fits: bool | None = None
    memory = estimate_memory(graph, artifact_size)
    duration = Duration(finishes=None)
    room: str | None = None
    try:
        made = mcu_model(graph, Path(graph.source) if graph.source else None, facts)
    except UnsupportedError as error:
        loads = False
        each = getattr(error, "reasons", ())
        reasons += [str(replace(reason, hint=None)) for reason in each] or [error.what]
        advice += dict.fromkeys([reason.hint for reason in each if reason.hint] or ([error.hint] if error.hint else []))
    else:
        memory, room = made.memory, _room(made, facts)
        if facts.plans:
            loads = right = True
        else:
            reasons.append("which ops the board's own runtime was built with, only the board can tell")
        over = too_large(made, facts)
        known = facts.arena_bytes is not None and facts.model_bytes is not None
        fits = False if over else True if known and facts.plans else None
        reasons += over
        advice += [_SMALLER] if over else []
        duration = expected_duration(graph, profile, facts.kernels)
        reasons += [duration.reason] if duration.reason else []
        advice += [duration.advice] if duration.advice else []
    return Prediction(
        device=profile.name,
        backend=backend.name,
        runtime=runtime or profile.runtime.module,
        runtime_assumed=runtime is None,
        delegate=None,
        loads=loads,
        right=right,
        nodes=None,
        total_nodes=len(graph.nodes),
        partitions=None,
        fits=fits,
        memory=memory,
        reasons=tuple(reasons),
        advice=tuple(advice),
        finishes=duration.finishes,
        room=room,
    )


def _room(made: McuModel, facts: McuFacts) -> str:
    """What a model takes of the board's memory for models and of its arena, beside what there is."""
    least = "" if facts.plans else "at least "
    parts = (
        ("model", f"{made.size_bytes:,}", facts.model_bytes),
        ("arena", f"{least}{made.memory.arena_bytes:,}", facts.arena_bytes),
    )
    return ", ".join(f"{name} {needs} of {'?' if has is None else f'{has:,}'} B" for name, needs, has in parts)


def _facts(profile: McuProfile, runtime: str | None) -> McuFacts:
    """The profile's, or what is left of a connected board in its runtime's name."""
    facts = profile_facts(profile)
    return facts if runtime is None else replace(facts, plans=runtime.startswith("plan"))
