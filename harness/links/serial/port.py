"""Serial ports: devices such as /dev/serial/by-id/..., ptys, and pyserial's socket:// and rfc2217://.

Every read and write has a deadline, and another thread can end them. What can go wrong when a port is opened is told
in words that say what to do.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import socket
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from harness.core.errors import DeviceError, StableDeviceError, TransientDeviceError, UserInputError
from harness.links.base import Buffer, ChannelClosed, ChannelTimeout

if TYPE_CHECKING:
    import serial

_READ_BYTES = 1 << 16
#: how often a port without a file descriptor (rfc2217) looks whether it was interrupted
_SLICE_S = 0.05
#: a board that resets its USB vanishes and comes back, its permissions a little later; a server may just be starting
_MAY_COME = (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EACCES, errno.EIO, errno.ECONNREFUSED)


@dataclass(frozen=True, kw_only=True)
class SerialSettings:
    """How to open a serial port.

    Attributes:
        port: a device's path, or a URL: `socket://host:port`, `rfc2217://host:port`.
        baud: bits per second; 10 of them carry a byte. `socket://` has no rate of its own and takes this for its deadlines.
        dtr, rts: the levels of the control lines while the port is open. An operating system raises both when it opens a port, so
            True changes nothing; boards whose reset hangs on one of them say which level lets them run.
        open_timeout_s: how long a missing port (a board that is just coming back) or a network address is waited for.
    """

    port: str
    baud: int = 115_200
    dtr: bool = True
    rts: bool = True
    open_timeout_s: float = 3.0


class BytePort(Protocol):
    """What a session needs of a port."""

    #: what stands in errors
    description: str
    baud: int

    def read_some(self, deadline_s: float) -> bytes: ...
    def write(self, data: Buffer, deadline_s: float) -> None: ...
    def now(self) -> float: ...


class SerialPort:
    """A serial port. One thread reads and writes; `interrupt` and `close` may be called from others."""

    def __init__(self, settings: SerialSettings) -> None:
        if settings.baud <= 0:
            raise UserInputError(
                f"a baud rate of {settings.baud}", where=settings.port, hint="give bits per second: 115200"
            )
        self._settings = settings
        self._serial: serial.SerialBase | None = None
        self._fd: int | None = None
        self._interrupted = False
        #: a byte in this pipe ends a wait
        self._wake: tuple[int, int] | None = None
        #: held while the pipe is made, written to or closed: its number may be another file's a moment later
        self._wake_lock = threading.Lock()
        self.description = f"serial {settings.port}"
        self.baud = settings.baud

    def open(self) -> None:
        """Opens the port anew and drops what it had received. May be called again, after a cable was pulled and put back.

        Raises:
            UserInputError: the port's URL or baud rate cannot be used.
            StableDeviceError: no such port, or not allowed, or no serial port.
            TransientDeviceError: the port is in use, or the network address does not answer.
        """
        self.close()
        ends = time.monotonic() + self._settings.open_timeout_s
        while True:
            try:
                self._open_once()
                break
            except OSError as error:  # pyserial's SerialException is one
                left = ends - time.monotonic()
                if left <= 0 or _cause(error).errno not in _MAY_COME:
                    raise self._explain(error) from error
                time.sleep(min(0.1, left))
            except ValueError as error:
                hint = (
                    "a device's path, socket://host:port or rfc2217://host:port, and a baud rate that the port can do"
                )
                raise UserInputError(f"the port cannot be used: {error}", where=self.description, hint=hint) from error
        with self._wake_lock:
            self._interrupted = False
            self._wake = os.pipe()

    def read_some(self, deadline_s: float) -> bytes:
        """What has come, at least one byte; b"" when nothing came within `deadline_s`.

        Raises:
            ChannelClosed: the port is gone (cable pulled, other side closed), not open, or was interrupted.
        """
        try:
            if self._fd is None:
                return self._read_slices(deadline_s)
            if not self._wait(self._fd, None, deadline_s):
                return b""
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""
        except (OSError, ValueError, TypeError) as error:
            raise self._lost(error) from error
        if not data:  # readable without data: hung up
            raise self._lost(None)
        return data

    def write(self, data: Buffer, deadline_s: float) -> None:
        """Hands all bytes to the system.

        Raises:
            ChannelClosed: as for `read_some`.
            ChannelTimeout: the port took no data in time, for example because flow control holds it.
        """
        ends = time.monotonic() + deadline_s
        view = memoryview(data).cast("B")
        try:
            if self._fd is None:
                self._write_network(bytes(view), deadline_s)
                return
            while view:
                if not self._wait(None, self._fd, max(ends - time.monotonic(), 0.0)):
                    raise ChannelTimeout(f"the port took no data for {deadline_s:.3g} s", where=self.description)
                with contextlib.suppress(BlockingIOError):
                    view = view[os.write(self._fd, view) :]
        except (OSError, ValueError, TypeError) as error:
            raise self._lost(error) from error

    def now(self) -> float:
        """The clock of this port's deadlines, seconds."""
        return time.monotonic()

    def interrupt(self) -> None:
        """From another thread: what waits in `read_some` or `write`, now or later, raises ChannelClosed until `open`."""
        with self._wake_lock:
            self._interrupted = True
            if self._wake is not None:
                os.write(self._wake[1], b"!")

    def close(self) -> None:
        """Gives the port back. Safe to call twice."""
        port, self._serial, self._fd = self._serial, None, None
        if port is not None:
            with contextlib.suppress(Exception):  # a port whose cable was pulled
                port.close()
        with self._wake_lock:
            wake, self._wake = self._wake, None
            for fd in wake or ():
                os.close(fd)

    def __enter__(self) -> SerialPort:
        self.open()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _open_once(self) -> None:
        import serial

        settings = self._settings
        _check_address(settings.port)
        options: dict[str, Any] = {"baudrate": settings.baud, "timeout": _SLICE_S, "do_not_open": True}
        port = serial.serial_for_url(settings.port, **options)
        native = hasattr(port, "set_low_latency_mode")
        if native:
            port.exclusive = True
        if settings.port.startswith("socket://"):
            # One port's method and not the class's: other users of pyserial in this process keep theirs.
            port.reset_input_buffer = partial(_drain, port)  # type: ignore[method-assign]
        port.dtr, port.rts = settings.dtr, settings.rts
        try:
            port.open()
            if native:
                _keep_lines(port)
            port.reset_input_buffer()
        except Exception:
            with contextlib.suppress(Exception):
                port.close()
            raise
        self._serial = port
        try:
            self._fd = port.fileno()
        except (AttributeError, OSError):  # rfc2217: a thread of pyserial's reads the socket
            self._fd = None

    def _read_slices(self, deadline_s: float) -> bytes:
        ends = time.monotonic() + deadline_s
        while True:
            port = self._check_open()
            waiting = port.in_waiting
            if waiting:
                return port.read(waiting)
            if time.monotonic() >= ends:
                return b""
            # The limit stays as the port was opened with: rfc2217 settles every change with the other side.
            data = port.read(1)
            if data:
                return data + port.read(port.in_waiting)

    def _write_network(self, data: bytes, deadline_s: float) -> None:
        port = self._check_open()
        stream = getattr(port, "_socket", None)  # pyserial gives rfc2217 no limit of writing but the socket's
        if stream is not None:
            stream.settimeout(max(deadline_s, _SLICE_S))
        try:
            port.write(data)
        except OSError as error:
            if isinstance(_cause(error), TimeoutError):
                raise ChannelTimeout(f"the port took no data for {deadline_s:.3g} s", where=self.description) from error
            raise

    def _wait(self, readable: int | None, writable: int | None, seconds: float) -> bool:
        """True when the descriptor is ready, False when the time is over."""
        self._check_open()
        wake = self._wake
        if wake is None:
            raise ChannelClosed("the port was closed from outside", where=self.description)
        # Not select(), which refuses descriptors from 1024 on: a run with many boards and files open has them.
        poll = select.poll()
        poll.register(wake[0], select.POLLIN)
        if readable is not None:
            poll.register(readable, select.POLLIN)
        if writable is not None:
            poll.register(writable, select.POLLOUT)
        ready = [fd for fd, _ in poll.poll(math.ceil(max(seconds, 0.0) * 1000))]
        self._check_open()
        return readable in ready or writable in ready

    def _check_open(self) -> Any:
        if self._interrupted:
            raise ChannelClosed("the port was closed from outside", where=self.description)
        if self._serial is None:
            raise ChannelClosed("the port is not open", where=self.description)
        return self._serial

    def _lost(self, error: Exception | None) -> ChannelClosed:
        if self._interrupted or self._serial is None:
            return ChannelClosed("the port was closed from outside", where=self.description)
        why = "the other side has closed it" if error is None else str(getattr(error, "strerror", None) or error)
        return ChannelClosed(
            f"the port is gone: {why}", where=self.description, hint="check the cable and the board's power"
        )

    def _explain(self, error: OSError) -> DeviceError:
        """The error of `open` in words a user can act on."""
        path, where, cause = self._settings.port, self.description, _cause(error)
        number = cause.errno
        if "://" in path:
            if isinstance(cause, socket.gaierror):
                what, hint = f"the address cannot be resolved: {cause.strerror}", "check the port of the device"
            else:
                said = "no answer in time" if isinstance(cause, TimeoutError) else cause.strerror or str(cause)
                what, hint = (
                    f"the address cannot be reached: {said}",
                    "is the board on, and does something listen there?",
                )
                if "waiting for option" in said:
                    hint = "the server does not confirm all settings: try the address with ?ign_set_control at its end"
            return TransientDeviceError(what, where=where, hint=hint)
        if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            return StableDeviceError(
                "there is no such port", where=where, hint=f"is the board plugged in? {known_ports()}"
            )
        if number in (errno.EACCES, errno.EPERM):
            return StableDeviceError("this user may not open the port", where=where, hint=_how_to_be_allowed(path))
        if number in (errno.EBUSY, errno.EAGAIN):
            return TransientDeviceError("the port is in use by another program", where=where, hint=_users_of(path))
        if number in (errno.ENOTTY, errno.EINVAL, errno.EISDIR):
            return StableDeviceError(
                "this is no serial port, or it cannot be set up as one", where=where, hint=known_ports()
            )
        return TransientDeviceError(f"the port cannot be opened: {cause.strerror or cause}", where=where)


def _check_address(port: str) -> None:
    """Raises ValueError where a network address lacks its host or port, which pyserial would tell as a failed connection."""
    if port.startswith(("socket://", "rfc2217://")):
        parts = urlsplit(port)
        if not parts.hostname or not parts.port:
            raise ValueError("the address lacks its host or its port number")


def _drain(port: Any) -> None:
    """Drops what a socket has received; pyserial's own way asks select(), which refuses descriptors from 1024 on."""
    poll = select.poll()
    poll.register(port.fileno(), select.POLLIN)
    with contextlib.suppress(BlockingIOError):
        while poll.poll(0) and os.read(port.fileno(), _READ_BYTES):
            pass


def _keep_lines(port: Any) -> None:
    """Nobody else may open the port, closing it leaves DTR as it is (a board may reset by it), and answers come at once.

    A pty or a driver that can do none of it works all the same.
    """
    import fcntl
    import termios

    with contextlib.suppress(OSError):
        fcntl.ioctl(port.fileno(), termios.TIOCEXCL)
    with contextlib.suppress(termios.error):
        modes = termios.tcgetattr(port.fileno())
        modes[2] &= ~termios.HUPCL
        termios.tcsetattr(port.fileno(), termios.TCSANOW, modes)
    with contextlib.suppress(OSError, ValueError):
        port.set_low_latency_mode(True)  # USB adapters hold received bytes back for 16 ms otherwise


def _cause(error: BaseException) -> OSError:
    """The system's own error behind pyserial's, which keeps its number only sometimes."""
    import termios

    import serial

    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and not isinstance(link, serial.SerialException):
            return link
        if isinstance(link, termios.error):
            return OSError(*link.args)
        link = link.__cause__ or link.__context__
    assert isinstance(error, OSError)
    return error


def known_ports() -> str:
    """The USB serial ports that are plugged in, in words."""
    folder = "/dev/serial/by-id"
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return (
        "ports here: " + ", ".join(f"{folder}/{name}" for name in names)
        if names
        else "no USB serial port is plugged in here"
    )


def _how_to_be_allowed(path: str) -> str:
    import grp

    try:
        group = grp.getgrgid(os.stat(path).st_gid).gr_name
    except (OSError, KeyError):
        return "its owner must allow it"
    return f"join its group: sudo usermod -aG {group} $USER, then log in again"


def _users_of(path: str) -> str:
    """Which programs of this user have the port open, as far as the system tells."""
    found = []
    with contextlib.suppress(OSError):
        target = os.path.realpath(path)
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                folder = f"/proc/{pid}/fd"
                if any(os.path.realpath(f"{folder}/{fd}") == target for fd in os.listdir(folder)):
                    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                        found.append(f"{file.read().strip()} (process {pid})")
    return f"close {', '.join(found)}" if found else "close the terminal program or run that uses it"
