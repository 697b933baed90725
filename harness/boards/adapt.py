"""A prepared model in the form that travels to one board, and what was done to it: the stages between a build and a push.

Stages combine. An offline compiler that the backend names comes first and is the same for every kind of board
(`harness.boards.offline`); then the board's own: a plan, the model that its firmware holds, or the file as it is. What each
stage did is plain data, so that a cell can be judged without the board, and again later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from harness.core.finding import Finding

if TYPE_CHECKING:
    from harness.boards.base import BackendSpec, Board
    from harness.prepare.prepared import PreparedModel
    from harness.variants.artifact import Artifact


@dataclass(frozen=True, kw_only=True)
class StageFacts:
    """What one stage did to a model, or why it could not.

    Attributes:
        name: such as `vela`, `plan`, `file`, `held`.
        facts: JSON values, described where the stage is written (`compile_stage`, the boards' `adapt`).
    """

    name: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Adapted:
    """A prepared model in the form that travels to one board.

    Attributes:
        model: with what travels as its artifact; its outputs, reference and labels are as the board will answer.
        artifact: the model file that tables name: of a plan the .tflite it was made from, of a compiled model the compiled one.
        runs: False where nothing runs on the device and the stages' figures are all there is.
        stages: what was done, in order.
        form: what the board that made it wants back when it is announced; nobody else reads it.
        findings: what a reader should know of it.
    """

    model: PreparedModel
    artifact: Artifact
    runs: bool = True
    stages: tuple[StageFacts, ...] = ()
    form: object | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NotAdapted:
    """Why a board cannot be given a model: nothing is pushed.

    Attributes:
        outcome: `unsupported` for what the model has and the board cannot; `failed` where a part of the harness is missing.
        reason: a sentence or more, with what to do.
        stages: what is known all the same, such as memory, or a compiler's table of nodes.
    """

    outcome: Literal["unsupported", "failed"]
    reason: str
    stages: tuple[StageFacts, ...] = ()
    findings: tuple[Finding, ...] = ()


def adapt(
    board: Board, model: PreparedModel, backend: BackendSpec, *, say: Callable[[str], None] = lambda _text: None
) -> Adapted | NotAdapted:
    """The form in which a model travels to a board for one of its backends: the offline compiler first, then the board.

    Args:
        board: connected.
        model: one that was built.
        backend: one of the device's.
        say: told of long waits, such as a compiler that has to be installed.

    Raises:
        HarnessError: of this model alone, such as a file that cannot be read.
    """
    if backend.compiler is None:
        return board.adapt(model, backend, say=say)
    from harness.boards.offline import compile_stage

    compiled = compile_stage(model, backend.compiler, say=say)
    if isinstance(compiled, NotAdapted):
        return compiled
    own = board.adapt(compiled.model, backend, say=say)
    return replace(own, stages=(*compiled.stages, *own.stages), findings=(*compiled.findings, *own.findings))
