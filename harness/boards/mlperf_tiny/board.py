"""A board with MLPerf Tiny's reference firmware on a serial line, as the `Board` of `harness.boards.base`.

The firmware holds its model and answers text commands (docs/guides/mlperf-tiny.md). Not for use by two threads at once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness import __version__
from harness.boards.adapt import Adapted, NotAdapted
from harness.boards.base import BackendSpec, Board, Deadlines, Progress
from harness.boards.host_files import HostFiles
from harness.boards.mlperf_tiny.adapt import adapt_to_firmware
from harness.boards.mlperf_tiny.model import HeldModel
from harness.boards.mlperf_tiny.profile import MlperfTinyProfile
from harness.boards.mlperf_tiny.session import GREETING_S, SHORT_S, Identity, MlperfSession
from harness.boards.mlperf_tiny.worker import MlperfWorker
from harness.core.errors import StableDeviceError, TransientDeviceError
from harness.core.fingerprint import Fingerprint

if TYPE_CHECKING:
    from harness.links.serial.line import Line
    from harness.links.serial.port import SerialPort
    from harness.prepare.prepared import PreparedModel

#: the runtime's name in records
RUNTIME = "mlperf-tiny"


class MlperfTinyBoard(Board):
    """One board. `connect` may be called again after any error."""

    def __init__(
        self,
        profile: MlperfTinyProfile,
        line: Line,
        *,
        short_s: float = SHORT_S,
        greeting_s: float = GREETING_S,
    ) -> None:
        self.name = profile.name
        self._profile = profile
        self._line = line
        self._times = {"short_s": short_s, "greeting_s": greeting_s}
        self._port: SerialPort | None = None
        self._session: MlperfSession | None = None
        self._identity: Identity | None = None
        self._files: HostFiles[HeldModel] = HostFiles(profile.name)

    # ------------------------------------------------------------------------------------------------ the seam

    def connect(self) -> Fingerprint:
        """Opens the port, waits for the firmware, and asks what it is.

        Raises:
            StableDeviceError: no such port, another firmware, another board than the profile means.
            TransientDeviceError: the port is busy, or nothing answers in time.
        """
        from harness.links.serial.port import SerialPort

        self.close()
        try:
            port = self._port = SerialPort(self._line.open())
            port.open()
            self._session = MlperfSession(port, **self._times)
            self._identity = None
            identity = self.greet()
        except BaseException:
            self.close()
            raise
        return Fingerprint(
            runtime=f"{RUNTIME} {identity.model}",
            board_model=identity.vendor,
            firmware=identity.firmware,
            harness_version=__version__,
        )

    def adapt(self, model: PreparedModel, backend: BackendSpec, *, say: Callable[[str], None]) -> Adapted | NotAdapted:
        """The model as the firmware answers, when it is the one that the firmware holds."""
        return adapt_to_firmware(model, self._profile, self.identity.model)

    def announce(self, adapted: Adapted, *, samples: int) -> None:
        """Keeps the model by which the worker encodes samples and reads results."""
        assert isinstance(adapted.form, HeldModel)
        self._files.announce(adapted.form)

    def ensure_file(self, source: Path, sha256: str, *, progress: Progress | None = None) -> bool:
        """Notes where a file lies: models are in the firmware, samples travel one at a time.

        Raises:
            UserInputError: there is no such file.
        """
        self._files.note(source, sha256)
        return False

    def open_worker(self, backend: BackendSpec, deadlines: Deadlines) -> MlperfWorker:
        """A cell's part of the session. The board is asked again what it is: it may have been flashed since."""
        self.greet()
        return MlperfWorker(self, deadlines)

    def close(self) -> None:
        """Lets go of the line. Safe to call twice."""
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

    # ------------------------------------------------------------------------------------------------ for run and worker

    @property
    def identity(self) -> Identity:
        """What the connected board said of itself."""
        if self._identity is None:
            raise TransientDeviceError("not connected", where=self.name)
        return self._identity

    @property
    def connected(self) -> bool:
        """Whether there is an open session."""
        return self._session is not None

    @property
    def session(self) -> MlperfSession:
        """The open session."""
        if self._session is None:
            raise TransientDeviceError("not connected", where=self.name, hint="the connection was lost or closed")
        return self._session

    @property
    def baud(self) -> int:
        """Bits per second on the line."""
        if self._port is None:
            raise TransientDeviceError("not connected", where=self.name)
        return self._port.baud

    def greet(self) -> Identity:
        """Finds back to a board that answers, whatever it was at, and makes sure that it is the right one.

        Raises:
            StableDeviceError: another board, or another model than when it was connected.
            TransientDeviceError: nothing answers.
        """
        found, wanted = self.session.greet(), self._profile.board
        if wanted is not None and found.vendor != wanted:
            raise StableDeviceError(
                f"the firmware on {self._line.description} names the vendor '{found.vendor}', the profile wants '{wanted}'",
                where=self.name,
                hint="correct `link.port` or `board` in the profile",
            )
        if self._identity is not None and found != self._identity:
            raise StableDeviceError(
                f"the firmware is another one now: {_words(found)}, it was {_words(self._identity)}",
                where=self.name,
                hint="run again: cells of one run must meet one firmware",
            )
        self._identity = found
        return found

    def expected(self, sha256: str) -> HeldModel:
        """The model of that hash that was announced.

        Raises:
            UserInputError: it was not announced.
        """
        return self._files.expected(sha256)

    def samples(self, sha256: str) -> np.ndarray:
        """A file of samples, mapped: int8 [N, ...].

        Raises:
            UserInputError: it is no .npy file.
        """
        return self._files.samples(sha256)


def _words(identity: Identity) -> str:
    return f"{identity.model} of '{identity.vendor}' ({identity.firmware})"
