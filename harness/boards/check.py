"""`harness devices check`: every step from the profile to a right answer of each backend, with ok or why not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.boards.adapt import NotAdapted, adapt
from harness.boards.base import Board, EvalResult, LoadResult, PlacementResult, WorkerFailure, WorkerStats
from harness.boards.check_model import checked_model
from harness.boards.connect import backend_spec
from harness.boards.kind import CheckStep
from harness.boards.lease import lease
from harness.boards.registry import Kind, kind_of
from harness.core.errors import DeviceError, HarnessError, StableDeviceError

if TYPE_CHECKING:
    from harness.boards.profile.model import Profile
    from harness.envs.hostenv import TextProgress

#: the expected answers are worked out in double precision, and may round to the other side
_TOLERANCE_LSB = 1


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a backend said when it ran the tiny model and answered rightly."""

    loaded: LoadResult
    first_invoke_ns: int | None
    evaluated: EvalResult
    placement: PlacementResult
    stats: WorkerStats


def check_device(profile: Profile, *, progress: TextProgress | None = None) -> Iterator[CheckStep]:
    """Walks the steps; what can still be tried after a failure is tried, what cannot is left out.

    Args:
        profile: the device.
        progress: told of long waits, such as an environment being made.
    """
    yield from kind_of(profile).check(profile, progress=progress)


def check_leased(kind: Kind, profile: Profile, progress: TextProgress | None) -> Iterator[CheckStep]:
    """The steps of a board that one user drives at a time: environment, lease, and what its kind makes of the board."""
    name = "environment"
    try:
        board = kind.connect(profile, progress=progress)
        yield CheckStep(name=name, ok=True, detail=kind.environment_text(profile))
        name = "lease"
        with lease(profile, 0.0, progress):
            yield CheckStep(name=name, ok=True, detail=f"{profile.lock_name} is free")
            name = "board"
            try:
                yield from kind.check_board(profile, board)
            finally:
                board.close()
    except HarnessError as error:
        yield CheckStep(name=name, ok=False, detail=str(error))


def step(name: str, action: Callable[[], str]) -> CheckStep:
    """One step: what the action says, or why it failed."""
    try:
        return CheckStep(name=name, ok=True, detail=action())
    except WorkerFailure as failure:
        said = failure.board_log.strip().splitlines()[-1:]
        detail = f"{failure}{'; the board said: ' + said[0] if said else ''}"
        return CheckStep(name=name, ok=False, detail=detail)
    except HarnessError as error:
        return CheckStep(name=name, ok=False, detail=str(error))


def backend_steps(
    profile: Profile,
    board: Board,
    words: Callable[[str, Checked], str] = lambda backend, checked: "right answers",
    *,
    hint: str = "check the delegate and its options",
) -> Iterator[CheckStep]:
    """Runs the tiny model on each backend of a connected board; a lost link ends it.

    Args:
        words: what to say of a backend that answered rightly.
        hint: what to do about wrong answers.
    """
    for name in profile.backends:
        lost: list[DeviceError] = []

        def run(name: str = name, lost: list[DeviceError] = lost) -> str:
            try:
                return words(name, run_check_model(profile, board, name, hint=hint))
            except DeviceError as error:
                lost += [] if isinstance(error, StableDeviceError) else [error]
                raise

        yield step(f"backend {name}", run)
        if lost:
            return  # the next backend cannot be asked


def run_check_model(profile: Profile, board: Board, backend: str, *, hint: str) -> Checked:
    """Runs the tiny model on one backend.

    Raises:
        StableDeviceError: the board cannot be given the model, or its answers are wrong.
        WorkerFailure, DeviceError: it did not run.
    """
    spec = backend_spec(profile, backend)
    with tempfile.TemporaryDirectory(prefix="harness-check-") as folder:
        model, expected = checked_model(Path(folder))
        adapted = adapt(board, model, spec)
        if isinstance(adapted, NotAdapted):
            raise StableDeviceError(f"the check model cannot travel: {adapted.reason}", where=profile.name)
        samples = model.inputs[0]
        travels = adapted.model.artifact
        board.announce(adapted, samples=samples.count)
        board.ensure_file(travels.file, travels.file_sha256)
        board.ensure_file(samples.path, samples.sha256)
        worker = board.open_worker(spec, profile.deadlines_spec())
        try:
            loaded = worker.load(travels.file_sha256)
            first_ns = worker.first_invoke([samples.sha256])
            evaluated = worker.evaluate([samples.sha256], samples.count)
            checked = Checked(
                loaded=loaded,
                first_invoke_ns=first_ns,
                evaluated=evaluated,
                placement=worker.placement(),
                stats=worker.stats(),
            )
        finally:
            worker.close()
    off = int(np.abs(evaluated.outputs[0].astype(int) - expected.astype(int)).max())
    if off > _TOLERANCE_LSB:
        raise StableDeviceError(
            f"backend {backend} runs but its answers are wrong by up to {off} quantization steps",
            where=profile.name,
            hint=hint,
        )
    return checked
