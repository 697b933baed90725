"""What becomes of a model before it travels to a microcontroller: a plan, mostly, or the .tflite as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.boards.adapt import Adapted, NotAdapted, StageFacts
from harness.boards.mcu.model import McuFacts, McuModel, mcu_model, too_large
from harness.core.errors import UnsupportedError

if TYPE_CHECKING:
    from harness.prepare.prepared import PreparedModel

#: how many ops a reason names; `harness check` lists all
_REASONS = 4
#: the reference whose kernels the integer kernels of the plan runtime equal to the bit (docs/internals/kernels.md)
EXACT_REFERENCE = "tflite-runtime 2.14.0 BUILTIN_REF"


def adapt_for_mcu(model: PreparedModel, board: McuFacts) -> Adapted | NotAdapted:
    """A model as a board of these facts takes it.

    Nothing is pushed that the board cannot run: an op that its runtime lacks, or a model larger than its memory, is
    `unsupported` with the op or the sizes. The stage is `plan`, or `file` where the .tflite itself travels; its facts:
    `arena_bytes` (None where the board's own runtime plans), `model_bytes`, `sha256` of what travels, and `exact_reference`, the
    reference whose outputs are promised to the bit (None: no promise).

    Raises:
        UserInputError: the file is no readable model.
    """
    from harness.tflite.graph import read_graph

    artifact = model.artifact
    assert artifact.path is not None
    try:
        made = mcu_model(read_graph(artifact.path), artifact.path, board)
    except UnsupportedError as error:
        return NotAdapted(outcome="unsupported", reason=f"plan: {_told(error)}")
    stages = (_facts(made, board),)
    if why_not := too_large(made, board):
        return NotAdapted(outcome="unsupported", reason=f"does not fit: {'; '.join(why_not)}", stages=stages)
    # Samples and references stay what they are.
    pushed = replace(artifact, path=made.path, sha256=made.sha256, size_bytes=made.size_bytes)
    return Adapted(model=replace(model, artifact=pushed), artifact=artifact, stages=stages, form=made)


def _facts(made: McuModel, board: McuFacts) -> StageFacts:
    return StageFacts(
        name="plan" if board.plans else "file",
        facts={
            "arena_bytes": made.arena_bytes,
            "model_bytes": made.size_bytes,
            "sha256": made.sha256,
            "exact_reference": EXACT_REFERENCE if made.exact else None,
        },
    )


def _told(error: UnsupportedError) -> str:
    """The first reasons, how many more there are, and what to do."""
    reasons = [str(replace(reason, hint=None)) for reason in getattr(error, "reasons", ())] or [error.what]
    shown = "; ".join(reasons[:_REASONS]) + (f"; and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else "")
    return f"{shown} ({error.hint})" if error.hint else shown
