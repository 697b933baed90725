"""One device through its cells: lease, connect, run, retry, store."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from harness.boards.adapt import Adapted, NotAdapted, adapt
from harness.boards.base import Board, Progress, WorkerFailure
from harness.boards.connect import backend_spec, connect
from harness.boards.lease import lease
from harness.boards.profile.model import Profile
from harness.boards.registry import kind_of
from harness.core.errors import DeviceError, HarnessError, TransientDeviceError
from harness.core.faults import environment_error
from harness.core.fingerprint import Fingerprint, TimeBasis
from harness.prepare.prepared import PreparedModel
from harness.results.record import CellKey, CellRecord
from harness.run.budget import Budget
from harness.run.cell import CellMeter, drive_cell, new_measurement, now_utc
from harness.run.checks import drive_checks
from harness.run.jobs import DeviceJob, Execution, PlannedCell, samples_per_cell
from harness.run.measurement import Adaptation, CellContext, Failure, Measurement
from harness.run.predicted import note_prediction

#: a cell whose link broke or whose worker died from outside is tried this often in all
ATTEMPTS = 2
#: between two tries to reach a board
_PAUSE_S = 2.0


@dataclass(kw_only=True)
class DeviceRunner:
    """Drives one device through its cells. `run` does all of it; `open`, `run_one`, `close` are its parts."""

    job: DeviceJob
    execution: Execution
    budget: Budget
    board: Board | None = None
    fingerprint: Fingerprint | None = None
    _lease: ExitStack = field(default_factory=ExitStack)

    def run(self) -> None:
        """Leases the device, runs its cells, and gives it back. A device that cannot be had fails all its cells; so does one
        over which the harness, or a package that drives it, falls: other devices go on.
        """
        try:
            self.open()
            for cell in self._ordered():
                if self.execution.stop.is_set():
                    return
                self.run_one(cell)
        except Exception as error:
            if not self.execution.stop.is_set():
                self._fail_rest(error)
        finally:
            self.close()

    def _ordered(self) -> list[PlannedCell]:
        """The cells in the order in which they run: on a board that holds one set of samples at a time, those with the same
        samples one after the other, so that they travel once.
        """
        cells = list(self.job.cells)
        if self.board is None or not self.board.one_dataset_at_a_time:
            return cells
        inputs = [tuple(file.sha256 for file in cell.model.inputs) for cell in cells]
        return [cells[i] for i in sorted(range(len(cells)), key=lambda i: inputs.index(inputs[i]))]

    def open(self) -> None:
        """Leases and connects. A board may still be starting, so that it is tried as long as its profile says
        (`connect.first_s`).

        Raises:
            HarnessError: when the device is held by somebody else for too long, or cannot be reached.
        """
        begun_s = self.budget.clock()
        self._lease.enter_context(
            lease(
                self.job.profile,
                self.execution.lease_wait_s,
                self.execution.watcher.note,
                run=self.execution.run,
                stop=self.execution.stop,
            )
        )
        if self.job.flash:
            self._flash()
        self._connect_within(self.job.profile.connect.first_s, "waiting for it to start")
        self.budget.waited(self.budget.clock() - begun_s)

    def _flash(self) -> None:
        """Brings the firmware onto a board that can be flashed.

        Raises:
            HarnessError: it could not be, or the board does not run it.
        """
        profile, note = self.job.profile, self.execution.watcher.note
        if kind_of(profile).can_flash(profile):
            note(kind_of(profile).flash(profile, build=True, say=note))

    def close(self) -> None:
        """Disconnects and ends the lease; may be called more than once."""
        try:
            self._disconnect()
        finally:
            self._lease.close()

    def _connect(self) -> None:
        self._disconnect()
        self.board = connect(self.job.profile, progress=self.execution.watcher.note)
        self.execution._boards[self.job.device] = self.board
        self.fingerprint = self.board.connect()

    def _connect_within(self, patience_s: float, meanwhile: str) -> None:
        """Connects, and tries again what may pass.

        Args:
            patience_s: how long.
            meanwhile: what is told of the wait, once.

        Raises:
            HarnessError: it cannot be reached, or it is of no use to try again.
        """
        ends_s = time.monotonic() + patience_s
        told = False
        while True:
            try:
                return self._connect()
            except TransientDeviceError as error:
                self._disconnect()
                if self.execution.stop.is_set() or time.monotonic() >= ends_s:
                    raise
                if not told:
                    self.execution.watcher.note(f"{error}; {meanwhile} ({patience_s:g} s)")
                    told = True
                if self.execution.stop.wait(min(_PAUSE_S, max(0.0, ends_s - time.monotonic()))):
                    raise

    def _disconnect(self) -> None:
        if self.board is not None:
            self.execution._boards.pop(self.job.device, None)
            board, self.board = self.board, None
            board.close()

    def _context(self, key: CellKey) -> CellContext:
        profile = self.job.profile
        spec = backend_spec(profile, key.backend)
        fingerprint = self.fingerprint or Fingerprint(runtime="not connected")
        return CellContext(
            key=key,
            run=self.execution.run,
            backend=spec,
            deadlines=profile.deadlines_spec().of_one_inference(self.job.inference_s),
            fingerprint=replace(fingerprint, delegate=self._delegate_text(spec.delegate_path)),
            time_basis=self._time_basis(),
            samples=samples_per_cell(self.job.profile, key.backend, self.job.samples),
            cool_down=profile.cool_down(),
        )

    def _time_basis(self) -> TimeBasis:
        """What the connected board says its figures are, else what the profile says."""
        said = self.board.time_basis if self.board is not None and self.fingerprint is not None else None
        return said or self.job.profile.time_basis

    def _delegate_text(self, path: str | None) -> str | None:
        """The delegate's path, with the library's hash where the board can tell."""
        if path is None or self.board is None:
            return path
        try:
            return self.board.delegate_text(path)
        except DeviceError:
            return path  # the link broke: the cell's own next request says so, and is tried again

    def run_one(self, cell: PlannedCell) -> CellRecord | None:
        """One cell with its retries; ends in a saved record, or None when the run was interrupted.

        Raises:
            DeviceError: when the device is gone for good; the cell's record is saved before.
        """
        self.execution.watcher.cell_started(cell.key)
        context = self._context(cell.key)
        measurement = new_measurement()
        record: CellRecord | None
        if cell.model.artifact.path is None:
            self.budget.cell_skipped()
            record = self._finish(measurement, cell.model, context)
        elif cell.model.endless is not None:
            self.budget.cell_skipped()
            measurement.failure = Failure(source="model", kind="deadline", what=cell.model.endless)
            record = self._finish(measurement, cell.model, context)
        else:
            record = self._run_adapted(measurement, cell.model, context)
        if record is not None:
            self.execution.save(record)
        return record

    def _run_adapted(self, measurement: Measurement, model: PreparedModel, context: CellContext) -> CellRecord | None:
        """Gives the model the form that travels, and runs it; what the board cannot be given ends here."""
        started_ns = time.perf_counter_ns()
        original = model
        watcher, devices_dir = self.execution.watcher, self.execution.devices_dir
        try:
            note_prediction(measurement, model, context, self.job.profile, self.board, devices_dir=devices_dir)
            adapted = adapt(self._connected(), model, context.backend, say=watcher.note)
        except Exception as error:
            measurement.failure = _failure_of(error)
        else:
            measurement.adaptation = Adaptation.of(adapted)
            known = model if isinstance(adapted, NotAdapted) else adapted.model
            model = replace(known, findings=(*known.findings, *adapted.findings))
            if isinstance(adapted, Adapted) and adapted.runs:
                return self._attempt_all(measurement, adapted, model, context, original)
        measurement.duration_ns = time.perf_counter_ns() - started_ns
        self.budget.cell_skipped()
        return self._finish(measurement, model, context)

    def _connected(self) -> Board:
        """The board.

        Raises:
            TransientDeviceError: it was lost, and is not there again.
        """
        if self.board is None:
            raise TransientDeviceError("not connected", where=self.job.device)
        return self.board

    def _attempt_all(
        self,
        begun: Measurement,
        adapted: Adapted,
        model: PreparedModel,
        context: CellContext,
        original: PreparedModel,
    ) -> CellRecord | None:
        """Tries a cell up to ATTEMPTS times; None when the run was interrupted.

        Args:
            begun: what is known before the first attempt.
            model: as the board will answer.
            original: before it took the board's form; its ops are cut out of it.
        """
        earlier: tuple[Failure, ...] = ()
        for attempt in range(1, ATTEMPTS + 1):
            measurement = replace(begun, started_utc=now_utc(), attempts=attempt, earlier=earlier)
            try:
                self._attempt(measurement, adapted, model, context)
                self._check(measurement, model, context, original)
                return self._finish(measurement, model, context)
            except WorkerFailure as error:
                measurement.failure = Failure.of_worker(error)
                if error.kind == "exception":
                    break
            except DeviceError as error:
                measurement.failure = Failure(source="device", what=str(error))
                if self.execution.stop.is_set():
                    return None
                last = not isinstance(error, TransientDeviceError) or attempt == ATTEMPTS
                if last:
                    self.budget.cell_skipped()
                else:
                    self.execution.watcher.note(f"{context.key.text_with_seed}: {error}; connecting again")
                record = self._finish(measurement, model, context)
                self._reconnect_or_give_up(record)
                if last:
                    return record
                context = self._context(context.key)
            except Exception as error:
                measurement.failure = _failure_of(error)
                break
            if self.execution.stop.is_set():
                return None
            earlier = (*earlier, measurement.failure)
        self.budget.cell_skipped()
        return self._finish(measurement, model, context)

    def _attempt(self, measurement: Measurement, adapted: Adapted, model: PreparedModel, context: CellContext) -> None:
        """One attempt. The board is told each time: after a lost connection it is another one, which knows nothing of it."""
        watcher, key, board = self.execution.watcher, context.key, self._connected()
        stage: Callable[[str], None] = lambda text: watcher.stage(key, text)  # noqa: E731
        progress: Progress = lambda done, total: watcher.progress(key, done, total)  # noqa: E731
        available = min((i.count for i in model.inputs), default=0)
        board.announce(adapted, samples=min(available, context.samples or available))
        drive_cell(
            board,
            context,
            model,
            self.budget,
            measurement,
            meter=self._meter(),
            mlperf=self.job.mlperf,
            stage=stage,
            progress=progress,
        )

    def _meter(self) -> CellMeter | None:
        """The instrument that the profile names; None where it names none, or where nothing is measured in time."""
        return cell_meter(self.job.profile) if self._time_basis() in ("device", "device-cycles") else None

    def _check(
        self, measurement: Measurement, model: PreparedModel, context: CellContext, original: PreparedModel
    ) -> None:
        """Asks the board what judging needs besides. A board that is lost here costs what was not asked yet, and no cell.

        Raises:
            DeviceError: the run was interrupted.
        """
        begun_ns = time.perf_counter_ns()
        took_s = (measurement.evaluated.elapsed_ns if measurement.evaluated else 0) / 1e9
        limit_s = min(context.deadlines.evaluate_s - took_s, self.budget.check_s())
        try:
            drive_checks(
                self._connected(),
                context,
                model,
                original,
                measurement,
                limit_s=limit_s,
                stage=lambda text: self.execution.watcher.stage(context.key, text),
            )
        except DeviceError as error:
            if self.execution.stop.is_set():
                raise
            self.execution.watcher.note(f"{context.key.text_with_seed}: {error}; connecting again")
            self._reconnect()
        measurement.duration_ns = (measurement.duration_ns or 0) + time.perf_counter_ns() - begun_ns

    def _reconnect(self) -> None:
        """A fresh connection, if there is one to be had: the next cell asks again."""
        try:
            self._connect()
        except HarnessError as error:
            self.execution.watcher.note(str(error))

    def _finish(self, measurement: Measurement, model: PreparedModel, context: CellContext) -> CellRecord:
        """The cell's record. What cannot be judged is told as the cell's failure, like everything else that only one cell
        suffers from.
        """
        try:
            return self.execution.finish(measurement, model, context)
        except Exception as error:
            if measurement.failure is not None:
                raise
            measurement.failure = _failure_of(error)
        return self.execution.finish(measurement, model, context)

    def _reconnect_or_give_up(self, record: CellRecord) -> None:
        """After a lost device: a fresh connection, or the cell's record is saved and the device is given up.

        A board that reboots is away for a while, so it is tried as long as its profile says (`connect.again_s`).

        Raises:
            HarnessError: it cannot be reached again.
        """
        try:
            self._connect_within(self.job.profile.connect.again_s, "waiting for it to come back")
        except Exception:
            if not self.execution.stop.is_set():  # else without a record: a resumed run has this cell to do
                self.execution.save(record)
            raise

    def fail(self, cell: PlannedCell, error: Exception) -> CellRecord:
        """Saves a cell that its device could not run, with the reason."""
        measurement = new_measurement()
        known = isinstance(error, HarnessError)
        measurement.failure = Failure(source="device", what=str(error)) if known else _failure_of(error)
        record = self._finish(measurement, cell.model, self._context(cell.key))
        self.budget.cell_skipped()
        self.execution.save(record)
        return record

    def _fail_rest(self, error: Exception) -> None:
        """Marks every cell of this device that has no record in this run as failed, with the reason."""
        with self.execution._store_lock:
            finished = {r.key for r in self.execution.store.cells(run=self.execution.run)}
        for cell in self.job.cells:
            if cell.key not in finished:
                self.fail(cell, error)


def _failure_of(error: Exception) -> Failure:
    """An error of this cell alone, such as a file that cannot be read: the device goes on with the next one.

    A defect of the harness must cost one cell, not the night's run; it is told in full.
    """
    if isinstance(error, OSError):  # a full disk, a name that is too long: nobody's defect
        error = environment_error(error) or error
    if isinstance(error, HarnessError):
        return Failure(source="cell", what=str(error))
    return Failure(
        source="defect", what=f"{type(error).__name__}: {error}", board_log="".join(traceback.format_exception(error))
    )


def cell_meter(profile: Profile) -> CellMeter | None:
    """The instrument beside a device; None where its profile names none."""
    block = profile.meter
    if block is None:
        return None
    return CellMeter(profile=block, make=lambda: block.make_meter(kind_of(profile).meter_place(profile)))
