"""Fresh sessions on a board: a worker of its own, the model copied afresh, a tenth of a second of invokes after warm-up.

Fresh starts of one model differ five times as much as the samples of one start let expect, and the same bytes at another place on
disk by 2 to 3 % for good (docs/internals/verdict.md). So a session is the unit that verdicts count, and each gets a copy of
its own: the model with some bytes behind its end, which no runtime reads.
"""

from __future__ import annotations

import math
import secrets
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from harness.boards.adapt import Adapted, NotAdapted, adapt
from harness.boards.base import BackendSpec, BenchPlan, Board, Worker, WorkerFailure
from harness.boards.connect import backend_spec, connect
from harness.boards.lease import lease
from harness.boards.profile.model import Profile
from harness.core.errors import HarnessError
from harness.core.files import sha256_bytes
from harness.core.fingerprint import Fingerprint
from harness.measure.energy import gross_nj
from harness.prepare.prepared import PreparedModel
from harness.run.cell import new_measurement
from harness.run.cooling import wait_until_cool
from harness.run.device import cell_meter
from harness.run.energy import drive_energy
from harness.run.measurement import Measurement

T = TypeVar("T")

#: how a session is timed
PLAN = BenchPlan(min_samples=8, min_ns=100_000_000, max_ns=2_000_000_000, warmup_max_ns=100_000_000)
#: models beyond this are not copied for every session: they would take the board's room and the link's time
_COPIED_BYTES = 8 << 20
_SALT_BYTES = 16


class SessionError(HarnessError):
    """A session gave no time: the worker ended badly, or the board takes no such model."""


@dataclass(kw_only=True)
class BoardSessions:
    """One board, leased and connected for as long as the block lasts.

    Attributes:
        profile: the device's.
        run: shown to whoever waits for the board.
        note: told of long waits.
        wait_s: for another user of the board.
        leased: False where the caller holds the board's lease already, by a device that shares its machine.
    """

    profile: Profile
    run: str
    note: Callable[[str], None] = lambda text: None
    wait_s: float = 3600.0
    leased: bool = True
    board: Board | None = None
    fingerprint: Fingerprint | None = None
    _open: ExitStack = field(default_factory=ExitStack)
    _adapted: dict[tuple[str, str], Adapted] = field(default_factory=dict)
    #: how long its sessions have waited for a cool board; together they have the time that a cell has
    _waits: Measurement = field(default_factory=new_measurement)

    def __enter__(self) -> BoardSessions:
        try:
            if self.leased:
                self._open.enter_context(lease(self.profile, self.wait_s, self.note, run=self.run))
            self.board = connect(self.profile, progress=self.note)
            self._open.callback(self.board.close)
            self.fingerprint = self.board.connect()
            self._folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="harness-session-")))
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._open.close()

    def time(self, model: PreparedModel, backend: str) -> float:
        """ln of the median of one invoke in ns, in a session of its own. Arguments and errors as of `samples_ns`."""
        return math.log(float(np.median(self.samples_ns(model, backend))))

    def samples_ns(self, model: PreparedModel, backend: str) -> np.ndarray:
        """The times of single invokes in a session of its own, float64 [n] ns, in their order, n at least 1.

        Args:
            model: with at least one row of inputs.

        Raises:
            SessionError: this model gives no time here.
            DeviceError: the board or the link failed.
        """
        samples = self._session(model, backend, lambda worker: np.asarray(worker.bench(PLAN).samples_ns, float))
        samples = samples[np.isfinite(samples) & (samples > 0)]
        if not len(samples):
            raise SessionError("the board tells no time: no sample is a number above 0")
        return samples

    def _session(self, model: PreparedModel, backend: str, use: Callable[[Worker], T]) -> T:
        """What `use` makes of a worker of its own, with a fresh copy of the model that has run once."""
        assert self.board is not None
        spec = backend_spec(self.profile, backend)
        copied = self._copy(self._form(model, spec))
        wait_until_cool(self.board, self.profile.cool_down(), self._waits, lambda _: None)
        try:
            return self._used(copied, spec, use)
        except WorkerFailure as error:
            raise SessionError(f"{error.phase}: {error.what}") from error

    def energy(self, model: PreparedModel, backend: str) -> float:
        """ln of the energy of one inference in nJ, in a session of its own under the instrument; what rest takes is in it.

        Raises:
            SessionError: the device has no instrument, it gave nothing, or this model runs nowhere here.
            DeviceError: the board or the link failed.
        """
        meter = cell_meter(self.profile)
        if meter is None:
            raise SessionError("the device's profile names no instrument")
        measured = new_measurement()
        self._session(
            model, backend, lambda worker: drive_energy(worker, meter.profile, meter.make, measured, lambda _: None)
        )
        if measured.energy is None:
            raise SessionError(f"no energy: {measured.energy_failed or 'the instrument gave nothing'}")
        middle_nj = gross_nj(measured.energy).median
        if not (math.isfinite(middle_nj) and middle_nj > 0):
            raise SessionError("the instrument's figures are no energy above 0")
        return math.log(middle_nj)

    def artifact_sha256(self, model: PreparedModel, backend: str) -> str | None:
        """The hash that a record of this model names: that of the compiled file where the backend has an offline compiler."""
        return self._form(model, backend_spec(self.profile, backend)).artifact.sha256

    def _form(self, model: PreparedModel, spec: BackendSpec) -> Adapted:
        assert self.board is not None
        name = (str(model.artifact.sha256), spec.name)
        if name not in self._adapted:
            form = adapt(self.board, model, spec, say=self.note)
            if isinstance(form, NotAdapted):
                raise SessionError(form.reason)
            if not form.runs:
                raise SessionError("nothing runs on this device")
            self._adapted[name] = form
        return self._adapted[name]

    def _copy(self, adapted: Adapted) -> Adapted:
        """The same model as a file that the board has never seen; a form that is no file of its own stays as it is."""
        artifact = adapted.model.artifact
        if adapted.form is not None or artifact.path is None or (artifact.size_bytes or 0) > _COPIED_BYTES:
            return adapted
        data = artifact.path.read_bytes() + secrets.token_bytes(_SALT_BYTES)
        sha256 = sha256_bytes(data)
        path = self._folder / f"{sha256[:16]}.tflite"
        path.write_bytes(data)
        copy = replace(artifact, path=path, sha256=sha256, size_bytes=len(data))
        return replace(adapted, model=replace(adapted.model, artifact=copy))

    def _used(self, adapted: Adapted, spec: BackendSpec, use: Callable[[Worker], T]) -> T:
        board, model = self.board, adapted.model
        assert board is not None
        artifact = model.artifact
        board.announce(adapted, samples=1)
        board.ensure_file(artifact.file, artifact.file_sha256)
        for file in model.inputs:
            board.ensure_file(file.path, file.sha256)
        if adapted.model.artifact.path is not None and adapted.model.artifact.path.parent == self._folder:
            artifact.file.unlink(missing_ok=True)
        worker = board.open_worker(spec, self.profile.deadlines_spec())
        try:
            worker.load(artifact.file_sha256)
            worker.first_invoke([file.sha256 for file in model.inputs])
            return use(worker)
        finally:
            worker.close()
