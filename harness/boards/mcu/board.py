"""A microcontroller on a serial line, as the `Board` of `harness.boards.base`: the firmware of devices/cortex_m, real or in QEMU.

The board says what it is (HELLO): nothing of a profile is believed that it contradicts. Not for use by two threads at once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from harness import __version__
from harness.boards.adapt import Adapted, NotAdapted
from harness.boards.base import BackendSpec, Board, Deadlines, Phase, Progress, WorkerFailure
from harness.boards.host_files import HostFiles
from harness.boards.mcu.adapt import adapt_for_mcu
from harness.boards.mcu.clock import McuClock
from harness.boards.mcu.model import PLAN_VERSION, McuFacts, McuModel
from harness.boards.mcu.profile import KERNEL_NAMES, McuProfile
from harness.boards.mcu.worker import McuWorker
from harness.core.errors import DeviceError, StableDeviceError, TransientDeviceError
from harness.core.files import sha256_file
from harness.core.fingerprint import Fingerprint, TimeBasis
from harness.tflite.plan.words_float import FIRST_FLOAT

if TYPE_CHECKING:
    from harness.links.serial.line import Line
    from harness.links.serial.messages import Hello
    from harness.links.serial.port import SerialPort
    from harness.links.serial.session import SerialSession
    from harness.prepare.prepared import PreparedModel

Result = TypeVar("Result")
#: `model_kind` of HELLO
_PLAN = 1
#: refusals that are the model's: too_large, unsupported_op, run_failed of docs/internals/serial-protocol.md
_OF_THE_MODEL = (6, 9, 10)


class McuBoard(Board):
    """One microcontroller. `connect` may be called again after any error: an emulated board is then a new one."""

    one_dataset_at_a_time = True

    def __init__(self, profile: McuProfile, line: Line) -> None:
        self.name = profile.name
        self._profile = profile
        self._line = line
        self._port: SerialPort | None = None
        self._session: SerialSession | None = None
        self._hello: Hello | None = None
        self._files: HostFiles[McuModel] = HostFiles(profile.name)
        #: how many samples the cell that runs now will be asked for
        self.samples_expected = 1
        self._log = ""

    # ------------------------------------------------------------------------------------------------ the seam

    def connect(self) -> Fingerprint:
        """Opens the line and asks the board what it is.

        Raises:
            StableDeviceError: no such port, another board, another protocol or plan version.
            TransientDeviceError: the port is busy, or nothing answers in time.
            MissingPartError: QEMU or a compiler for the emulated board is missing.
        """
        from harness.links.serial.port import SerialPort
        from harness.links.serial.session import SerialSession

        self.close()
        try:
            self._port = SerialPort(self._line.open())
            self._port.open()
            self._session = SerialSession(self._port)
            self._greet()
        except BaseException:
            self.close()
            raise
        return self._fingerprint(self.hello)

    def adapt(self, model: PreparedModel, backend: BackendSpec, *, say: Callable[[str], None]) -> Adapted | NotAdapted:
        """The model as a plan, or as it is for a board whose runtime reads a .tflite."""
        return adapt_for_mcu(model, self.facts)

    def announce(self, adapted: Adapted, *, samples: int) -> None:
        """Keeps the model that the worker will ask for, and for how many samples there should be room."""
        assert isinstance(adapted.form, McuModel)
        self.expect(adapted.form, samples=samples)

    def ensure_file(self, source: Path, sha256: str, *, progress: Progress | None = None) -> bool:
        """Notes where a file lies on this machine: a board has room for one model and one batch of samples, so that each
        travels when it is wanted.

        Raises:
            UserInputError: there is no such file.
        """
        self._files.note(source, sha256)
        return False

    def open_worker(self, backend: BackendSpec, deadlines: Deadlines) -> McuWorker:
        """A cell's part of the session, greeting the board again when the last cell ended with a fault and a reset."""
        from harness.links.serial.messages import BoardLost

        try:
            self._hello = self.session.board
        except BoardLost:
            self._greet()
        return McuWorker(self, deadlines)

    def close(self) -> None:
        """Lets go of the line, and ends the machine behind it. Safe to call twice."""
        port, self._port, self._session = self._port, None, None
        self._files.unmap()
        try:
            if port is not None:
                port.close()
        finally:
            self._line.close()

    def interrupt(self) -> None:
        """Ends, from another thread, what the board is asked for now; that request raises TransientDeviceError."""
        port = self._port
        if port is not None:
            port.interrupt()
        else:
            self._line.close()

    # ------------------------------------------------------------------------------------------------ for the run

    @property
    def hello(self) -> Hello:
        """What the connected board said of itself."""
        if self._hello is None:
            raise TransientDeviceError("not connected", where=self.name)
        return self._hello

    @property
    def session(self) -> SerialSession:
        """The open session."""
        if self._session is None:
            raise TransientDeviceError("not connected", where=self.name, hint="the connection was lost or closed")
        return self._session

    @property
    def clock(self) -> McuClock:
        """What its ticks mean."""
        return McuClock(
            tick_hz=self.hello.tick_hz, tick_unit=self.hello.tick_unit, icount_shift=self._line.icount_shift
        )

    @property
    def time_basis(self) -> TimeBasis:
        """What its figures are."""
        return self.clock.time_basis

    @property
    def facts(self) -> McuFacts:
        """What decides in which form it takes a model, and whether."""
        hello = self.hello
        plans = hello.model_kind == _PLAN
        return McuFacts(
            plans=plans,
            kernels=hello.kernels,
            arena_bytes=hello.arena_bytes,
            model_bytes=hello.model_bytes,
            plan_ops=frozenset(n for n in range(hello.ops.bit_length()) if hello.ops >> n & 1) if plans else None,
            floats=hello.ops >> FIRST_FLOAT != 0,
        )

    def facts_for_prediction(self) -> McuFacts:
        """Its memory, kernels and ops, by which a run decides too."""
        return self.facts

    def expect(self, model: McuModel, *, samples: int) -> None:
        """Tells what the next cell brings: its model, and how many samples it will be asked for."""
        self._files.announce(model)
        self.samples_expected = max(1, samples)

    # ------------------------------------------------------------------------------------------------ for the worker

    def expected(self, sha256: str) -> McuModel:
        """The model of that hash that `expect` announced.

        Raises:
            UserInputError: it was not announced.
        """
        return self._files.expected(sha256)

    def samples(self, sha256: str) -> np.ndarray:
        """A file of samples, mapped: [N, ...] in the input's dtype.

        Raises:
            UserInputError: it is no .npy file.
        """
        return self._files.samples(sha256)

    def ask(self, phase: Phase, request: Callable[[], Result]) -> Result:
        """Runs a request of the session, its errors in the words of a cell.

        Raises:
            WorkerFailure: the runtime refused the model, the inference hung or crashed; the board is there again after its reset.
            DeviceError: the line or the board is gone.
        """
        from harness.links.serial.messages import BoardFault, BoardRefused

        try:
            return request()
        except BoardFault as error:
            self._log = str(error.fault)
            hung = error.fault.is_watchdog
            raise WorkerFailure(
                error.what,
                kind="deadline" if hung else "signal",
                phase=phase,
                signal=None if hung else error.fault.name,
                board_log=self._log,
                where=self.name,
            ) from error
        except BoardRefused as error:
            of_model = error.code in _OF_THE_MODEL
            raise WorkerFailure(
                error.what, kind="exception" if of_model else "exit", phase=phase, board_log=self._log, where=self.name
            ) from error
        except DeviceError as error:
            if not self._line.alive():
                raise TransientDeviceError(
                    f"the emulated board ended: {error.what}", where=self.name, hint="it is started again"
                ) from error
            raise

    def take_log(self) -> str:
        """What was noteworthy since the last call, for the cell's board log; empty when nothing was."""
        log, self._log = self._log, ""
        return log

    # ------------------------------------------------------------------------------------------------ inside

    def _greet(self) -> None:
        """Opens a session with the board and makes sure that it is the right one."""
        self._hello = self.session.hello()
        self._require_expected(self._hello)

    def _require_expected(self, hello: Hello) -> None:
        """Refuses a board that is another one than the profile means, or whose plans are of another version."""
        wanted = self._profile.board
        if wanted is not None and hello.board != wanted:
            raise StableDeviceError(
                f"the board on {self._line.description} calls itself '{hello.board}', the profile wants '{wanted}'",
                where=self.name,
                hint="correct `link.port` or `board` in the profile",
            )
        if hello.core != self._profile.core:
            raise StableDeviceError(
                f"the board's core is a {hello.core}, the profile says {self._profile.core}",
                where=self.name,
                hint="correct `core` in the profile, or build the firmware for the board's core",
            )
        if hello.model_kind == _PLAN and hello.plan_version != PLAN_VERSION:
            raise StableDeviceError(
                f"the firmware runs plans of version {hello.plan_version}, this harness makes version {PLAN_VERSION}",
                where=self.name,
                hint="build and flash the firmware that belongs to this harness (docs/guides/adding-an-mcu-board.md)",
            )

    def _fingerprint(self, hello: Hello) -> Fingerprint:
        from harness.emulation.mcu.firmware import program_of_build

        kernels = KERNEL_NAMES.get(hello.kernels, f"kernels {hello.kernels}")
        program = program_of_build(hello.board, hello.firmware)
        return Fingerprint(
            runtime=f"{hello.runtime} ({kernels})" if hello.model_kind == _PLAN else hello.runtime,
            machine="arm",
            cpu_model=hello.core,
            cpu_count=1,
            board_model=hello.board,
            clock_hz=hello.clock_hz,
            firmware=", ".join(part for part in (hello.firmware, self._line.compiler) if part),
            firmware_sha256=None if program is None else sha256_file(program),
            harness_version=__version__,
        )
