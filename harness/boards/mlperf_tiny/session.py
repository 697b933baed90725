"""A conversation with MLPerf Tiny's firmware over a serial port: commands, their replies, and finding back after trouble.

The protocol has neither checksums nor numbers: a reply that is late is told from the one that is waited for by `name`, whose
answer nothing else gives.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.boards.mlperf_tiny.lines import READY, LineSplitter, Reply, is_boot, load_commands
from harness.core.errors import HarnessError, StableDeviceError, TransientDeviceError
from harness.core.printable import one_line
from harness.links.serial.port import BytePort

#: how long a board may take for a command that computes nothing
SHORT_S = 2.0
#: how long a board may take to start and to answer `name`
GREETING_S = 10.0
#: nothing more comes when it was silent for so long
_QUIET_S = 0.15
#: a longer reply is noise
_MAX_LINES = 20_000


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a board says of itself.

    Attributes:
        vendor: in the brackets of `m-name-dut-[...]`.
        model: such as `ic01`.
        firmware: in the brackets of `m-profile-[...]`.
    """

    vendor: str
    model: str
    firmware: str


class MlperfSession:
    """One thread's talk with one board; another thread may interrupt the port. `log` has what was noteworthy."""

    def __init__(self, port: BytePort, *, short_s: float = SHORT_S, greeting_s: float = GREETING_S) -> None:
        self._port = port
        self._short_s, self._greeting_s = short_s, greeting_s
        self._splitter = LineSplitter()
        #: lines after the last `m-ready` that were read with it
        self._ahead: list[str] = []
        self.log: list[str] = []

    def greet(self) -> Identity:
        """Waits until the board answers `name` and nothing else comes, then asks what it is.

        May be called at any time, in whatever state the board is: half a command in its buffer, late lines of an inference.

        Raises:
            TransientDeviceError: nothing answers.
            StableDeviceError: something else speaks on the line.
        """
        ends = self._port.now() + self._greeting_s
        heard: list[str] = []
        while True:
            reply = self.ask("name", self._short_s)
            heard += reply.lines
            vendor = _vendor(reply)
            if vendor is not None and reply.ready:
                self._drain()
                profile = self.ask("profile", self._short_s)
                model, firmware = profile.in_brackets("m-model-"), profile.in_brackets("m-profile-")
                if model is not None and firmware is not None:
                    vendor, model, firmware = (one_line(text, 200) for text in (vendor, model, firmware))
                    return Identity(vendor=vendor, model=model, firmware=firmware)
                heard += profile.lines
            if self._port.now() >= ends:
                raise self._nobody(heard)
            self._drain()

    def ask(self, command: str, deadline_s: float, *, last: str | None = None) -> Reply:
        """Sends a command and reads to its `m-ready`, at most `deadline_s` seconds.

        Args:
            command: without its `%`.
            deadline_s: seconds for the whole reply.
            last: how the line before `m-ready` starts: the rest comes at once, and is not waited for longer.

        Raises:
            ChannelClosed, ChannelTimeout: the port is gone, or takes nothing.
        """
        self._port.write(f"{command}%".encode("ascii"), self._short_s)
        ends = self._port.now() + deadline_s
        lines: list[str] = []
        booted = False
        while len(lines) < _MAX_LINES:
            if not self._ahead and not self._read(ends - self._port.now()):
                return Reply(lines=tuple(lines), ready=False, booted=booted)
            while self._ahead:
                line = self._ahead.pop(0)
                if line == READY:
                    return Reply(lines=tuple(lines), booted=booted)
                booted = booted or is_boot(line)
                if last is not None and line.startswith(last):
                    ends = min(ends, self._port.now() + self._short_s)
                lines.append(line)
        return Reply(lines=tuple(lines[-100:]), ready=False, booted=booted)

    def load(self, data: bytes) -> Reply:
        """Carries one input to the board's buffer: the reply to the last chunk, or the one that ended it early.

        The reply is good when it `says("m-load-done")`: fewer bytes came than were sent otherwise. A board that is done
        before the last chunk had understood another length; its words are taken for none.
        """
        reply = Reply()
        commands = list(load_commands(data))
        for number, command in enumerate(commands, 1):
            reply = self.ask(command, self._short_s)
            if not reply.ready or reply.booted or reply.error or reply.wrong_size:
                break
            if number < len(commands) and reply.says("m-load-done") is not None:
                return Reply(lines=("the board had enough before the last chunk",))
        return reply

    def note(self, text: str) -> None:
        """Adds a line to what `take_log` gives."""
        self.log.append(text)

    def take_log(self) -> str:
        """What was noteworthy since the last call."""
        log, self.log = self.log, []
        return "\n".join(log)

    def _read(self, seconds: float) -> bool:
        """Reads more lines; False when the time is over."""
        ends = self._port.now() + max(seconds, 0.0)
        while not self._ahead:
            data = self._port.read_some(max(ends - self._port.now(), 0.0))
            self._ahead += self._splitter.feed(data)
            if not data:
                return False
        return True

    def _drain(self) -> None:
        """Reads what still comes, such as replies to commands that were given up."""
        ends = self._port.now() + self._short_s
        while self._port.now() < ends and self._port.read_some(_QUIET_S):
            pass
        self._ahead.clear()
        self._splitter.clear()

    def _nobody(self, heard: list[str]) -> HarnessError:
        where, seconds = self._port.description, f"{self._greeting_s:g} s"
        if not heard:
            baud = self._port.baud
            hint = f"is the board on, is this its port, is {baud} its baud rate? Published firmwares use 115200, 76800, 921600"
            return TransientDeviceError(f"no answer to `name` within {seconds}", where=where, hint=hint)
        said = next((line for line in reversed(heard) if line), "")[:60]
        if any(line.startswith(("m-", "e-")) for line in heard):
            what = (
                f"the firmware gave no whole answer to `name` and `profile` within {seconds}; its last line: {said!r}"
            )
            return TransientDeviceError(what, where=where, hint="check cable and baud rate, then reset the board")
        what = f"something else than MLPerf Tiny's firmware speaks on the line: {said!r}"
        return StableDeviceError(
            what, where=where, hint=f"flash it, or correct `link.baud` ({self._port.baud}) or `runtime`"
        )


def _vendor(reply: Reply) -> str | None:
    """The vendor of `m-name-dut-[VENDOR]`; the word before the brackets says what the firmware is for."""
    rest = reply.says("m-name-")
    if rest is None or "[" not in rest or not rest.endswith("]"):
        return None
    return rest[rest.index("[") + 1 : -1]
