"""`harness devices check` of a board with MLPerf Tiny's firmware: the line, what it says of itself, a load and an inference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.boards.kind import CheckStep
from harness.boards.mcu.profile import BACKEND
from harness.boards.mlperf_tiny.board import MlperfTinyBoard
from harness.boards.mlperf_tiny.model import PUBLISHED
from harness.core.errors import StableDeviceError

if TYPE_CHECKING:
    from harness.boards.base import Board
    from harness.boards.mlperf_tiny.profile import MlperfTinyProfile


def check_mlperf_tiny(profile: MlperfTinyProfile, board: Board) -> Iterator[CheckStep]:
    """The steps after the lease; any of them may raise a HarnessError, which the caller turns into a failed step."""
    assert isinstance(board, MlperfTinyBoard)
    board.connect()
    found = board.identity
    yield CheckStep(name="board", ok=True, detail=f"'{found.vendor}', {found.firmware}, at {board.baud} baud")
    yield CheckStep(name="model", ok=True, detail=_model_words(profile, found.model))
    yield CheckStep(name=f"backend {BACKEND}", ok=True, detail=_run(profile, board))


def _model_words(profile: MlperfTinyProfile, name: str) -> str:
    """Which of the host's models the firmware's is.

    Raises:
        StableDeviceError: none of the published ones.
    """
    if name not in PUBLISHED:
        raise StableDeviceError(
            f"the firmware holds '{name}', which is none of {', '.join(PUBLISHED)}",
            where=profile.name,
            hint="how its inputs and results look is not known; set TH_MODEL_VERSION in the firmware",
        )
    mine = [model for model, held in profile.runtime.models.items() if held == name]
    return f"{name}: {', '.join(mine)}" if mine else f"{name}; `runtime.models` names no model of the host for it yet"


def _run(profile: MlperfTinyProfile, board: MlperfTinyBoard) -> str:
    """A pattern into the board's buffer and back, and one inference of it, of the published model's sizes.

    Raises:
        StableDeviceError: what came back is something else.
    """
    size, results = PUBLISHED[board.identity.model]
    session = board.session
    # As float32 (ad01) these are small finite numbers, and as bytes each differs from its neighbours.
    data = bytes((position * 37) % 64 for position in range(size))
    reply = session.load(data)
    if reply.says("m-load-done") is None:
        raise StableDeviceError(
            f"{size} bytes of input were not taken: {reply.error or reply.wrong_size or reply.lines[-1:] or 'no answer'}",
            where=profile.name,
            hint=f"the published {board.identity.model} takes {size} bytes; is this firmware built from it?",
        )
    shown = session.ask("db print", profile.deadlines.load_s)
    verified = "not shown by this firmware"
    if shown.buffer():
        if shown.buffer() != data:
            raise StableDeviceError(
                "what lies in the board's buffer is not what was sent",
                where=profile.name,
                hint="the line spoils characters: check cable, ground and baud rate",
            )
        verified = "came back the same"
    reply = session.ask("infer 1 0", profile.deadlines.first_invoke_s, last="m-results-[")
    values = reply.results()
    if values is None or len(values) != results or reply.wrong_size or reply.gave_up:
        said = reply.error or reply.wrong_size or reply.gave_up or (reply.lines[-1] if reply.lines else "nothing")
        raise StableDeviceError(
            f"`infer 1 0` gave {len(values) if values else 'no'} results, the published model has {results}: {said}",
            where=profile.name,
            hint="is the firmware built from the published model?",
        )
    elapsed = reply.elapsed_us()
    took = "tells no times (built for measuring energy?)" if elapsed is None else f"about {elapsed:,} µs"
    return f"{size:,} bytes loaded, {verified}; {results} result{'s' * (results > 1)}, {took}; what is right only a cell can tell"
