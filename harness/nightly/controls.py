"""Control cells of a night: a session of each control model on each board, before and after it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any

from harness.boards.profile.model import Profile
from harness.core.cached import cached_file
from harness.core.errors import HarnessError
from harness.core.files import sha256_bytes
from harness.core.paths import cache_dir
from harness.nightly.control_model import CONTROLS, control_model, control_name
from harness.nightly.sessions import BoardSessions, SessionError
from harness.prepare.prepared import PreparedModel
from harness.prepare.samples import random_inputs
from harness.variants.artifact import AS_IS, Artifact
from harness.verdict.epoch import epoch_id
from harness.verdict.quantities import CLOCKED


@dataclass(frozen=True, kw_only=True)
class ControlTimes:
    """What a board's control cells gave: name -> median of one invoke in ns; empty where it gave none, with the reason."""

    backend: str
    medians_ns: dict[str, float]
    epoch: str | None
    problem: str | None = None


def takes_controls(profile: Profile) -> bool:
    """True for devices whose times are of a clock; a count needs no control."""
    return profile.time_basis in CLOCKED


def control_backend(profile: Profile) -> str:
    """The backend that control cells run on: the first without a delegate of its own and with the kernels that models are run
    by, so that they stand for the board.
    """
    from harness.boards.connect import backend_spec

    specs = [backend_spec(profile, name) for name in profile.backends]
    plain = [spec.name for spec in specs if spec.delegate_path is None]
    usual = [spec.name for spec in specs if spec.delegate_path is None and spec.kernels != "reference"]
    return (usual or plain or list(profile.backends))[0]


def time_controls(sessions: BoardSessions) -> ControlTimes:
    """One session of every control model. A board that cannot run one goes on without it.

    Raises:
        DeviceError: the board or the link failed.
    """
    backend = control_backend(sessions.profile)
    medians: dict[str, float] = {}
    problem = None
    for index in range(CONTROLS):
        try:
            medians[control_name(index)] = math.exp(sessions.time(prepared_control(index), backend))
        except SessionError as error:
            problem = str(error)
    return ControlTimes(backend=backend, medians_ns=medians, epoch=epoch_id(sessions.fingerprint), problem=problem)


@lru_cache(maxsize=CONTROLS)
def prepared_control(index: int) -> PreparedModel:
    """A control model as the boards take it, with one row of random input.

    Raises:
        HarnessError: the cache cannot be written.
    """
    from harness.variants.build.build import artifact_from_file

    data = control_model(index)
    path = cache_dir() / "controls" / f"{sha256_bytes(data)}.tflite"
    cached_file(path, lambda file: _write(file, data))
    artifact: Artifact = artifact_from_file(path)
    return PreparedModel(
        workload=control_name(index),
        metric=None,
        recipe=AS_IS,
        seed=0,
        artifact=artifact,
        dataset_name="random",
        dataset_note="one random input",
        dataset_digest="",
        inputs=random_inputs(artifact.inputs, 1, seed=index),
    )


def _write(file: IO[Any], data: bytes) -> None:
    file.write(data)


def before_the_night(profiles: list[Profile], note: Callable[[str], None], *, run: str) -> dict[str, ControlTimes]:
    """The control cells of every board that takes them, device by device. What a board's failure costs is its controls only:
    the night itself says that the board failed.
    """
    found = {}
    for profile in profiles:
        if not takes_controls(profile):
            continue
        try:
            with BoardSessions(profile=profile, run=run, note=note) as sessions:
                found[profile.name] = time_controls(sessions)
        except HarnessError as error:
            note(f"{profile.name}: no control cells before the night: {error}")
    return found
