"""Ports as users have them: a pty by a by-id path, socket://, rfc2217://; what goes wrong with them; a cable that is pulled."""

from __future__ import annotations

import contextlib
import errno
import os
import pty
import random
import resource
import socket
import subprocess
import sys
import threading
import time
import tty

import pytest
import serial
import serial.rfc2217

from harness.core.errors import StableDeviceError, TransientDeviceError, UserInputError
from harness.links.base import ChannelClosed, ChannelTimeout
from harness.links.serial.messages import BoardLost, Target
from harness.links.serial.port import SerialPort, SerialSettings
from harness.links.serial.profile import is_port
from harness.links.serial.session import SerialSession
from tests.links.test_serial_session import whole_cell
from tests.support.serial_host import pty_board, socket_board

DATA = random.Random(1).randbytes(20_000)


def settings(port: str, **options) -> SerialSettings:
    return SerialSettings(port=port, **{"baud": 921_600, "open_timeout_s": 0.2, **options})


def test_a_cell_over_a_pty_by_its_link(serial_board, tmp_path):
    with pty_board(serial_board, tmp_path / "usb-Board_0001") as path, SerialPort(settings(path)) as port:
        whole_cell(SerialSession(port), b"model" + DATA, DATA[:1600])


def test_a_cell_over_a_socket(serial_board):
    with socket_board(serial_board) as url, SerialPort(settings(url)) as port:
        whole_cell(SerialSession(port), b"model" + DATA, DATA[:1600])


class PtyWithLines(serial.Serial):
    """A pty has no modem lines, which the server half asks for."""

    cts = dsr = cd = True
    ri = False

    def _update_dtr_state(self) -> None: ...
    def _update_rts_state(self) -> None: ...


class Rfc2217Server:
    """A terminal server for one connection: pyserial's own server half between a TCP socket and a port."""

    def __init__(self, path: str) -> None:
        self.port = PtyWithLines(path, timeout=0.02)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def write(self, data: bytes) -> None:  # PortManager's way to the client
        self._client.sendall(data)

    def _serve(self) -> None:
        try:
            self._client, _ = self._listener.accept()
        except OSError:
            return
        self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        manager = serial.rfc2217.PortManager(self.port, self)
        self._threads.append(threading.Thread(target=self._upwards, args=(manager,), daemon=True))
        self._threads[-1].start()
        while not self._ended.is_set() and (data := self._client.recv(1024)):
            self.port.write(b"".join(manager.filter(data)))

    def _upwards(self, manager: serial.rfc2217.PortManager) -> None:
        while not self._ended.is_set():
            data = self.port.read(self.port.in_waiting or 1)
            if data:
                with contextlib.suppress(OSError):  # the client has gone
                    self._client.sendall(b"".join(manager.escape(data)))

    def close(self) -> None:
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._client.close()
        self.port.close()


def test_a_cell_over_rfc2217(serial_board):
    with pty_board(serial_board) as path:
        server = Rfc2217Server(path)
        try:
            with SerialPort(settings(server.url)) as port:
                whole_cell(SerialSession(port), b"model" + DATA, DATA[:1600])
                assert server.port.baudrate == 921_600  # the rate reached the port at the other end
        finally:
            server.close()


def test_every_byte_passes_both_ways_unchanged():
    everything = bytes(range(256)) * 4
    master, slave = pty.openpty()
    with SerialPort(settings(os.ttyname(slave))) as port:
        port.write(everything, 5)
        assert os.read(master, 4096) == everything
        os.write(master, everything)
        received = b""
        while len(received) < len(everything):
            received += port.read_some(5)
        assert received == everything
        assert port.read_some(0.01) == b""
    os.close(master)
    os.close(slave)


def test_a_port_that_takes_nothing_is_a_timeout():
    master, slave = pty.openpty()
    with SerialPort(settings(os.ttyname(slave))) as port, pytest.raises(ChannelTimeout, match="took no data for 0.1 s"):
        port.write(bytes(1 << 20), 0.1)
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("port", "kind", "words"),
    [
        ("{tmp}/usb-None", StableDeviceError, "there is no such port .*plugged in"),
        ("{tmp}/file", StableDeviceError, "no serial port"),
        ("{tmp}", StableDeviceError, "no serial port"),
        ("socket://127.0.0.1:1", TransientDeviceError, "cannot be reached: Connection refused"),
        ("rfc2217://127.0.0.1:1", TransientDeviceError, "cannot be reached: Connection refused"),
        ("socket://board.invalid:1", TransientDeviceError, "cannot be resolved"),
        ("socket://board", UserInputError, "lacks its host or its port"),
        ("rfc2217://board:x", UserInputError, "cannot be used"),
        ("socket://board:0", UserInputError, "lacks its host or its port"),
        ("socket://board:65536", UserInputError, "cannot be used: .*range"),
        ("telnet://board:1", UserInputError, "telnet"),
    ],
)
def test_ports_that_cannot_be_opened(tmp_path, port, kind, words):
    (tmp_path / "file").write_text("text")
    with pytest.raises(kind, match=words):
        SerialPort(settings(port.format(tmp=tmp_path))).open()


def test_a_baud_rate_of_nothing():
    with pytest.raises(UserInputError, match="baud rate of 0"):
        SerialPort(settings("/dev/ttyUSB0", baud=0))


def test_a_port_in_use_names_its_user(serial_board):
    with pty_board(serial_board) as path:
        script = (
            "import serial, sys; p = serial.Serial(sys.argv[1], exclusive=True); print(flush=True); sys.stdin.read()"
        )
        other = subprocess.Popen([sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert other.stdout.readline() == b"\n"
        with pytest.raises(TransientDeviceError, match=f"in use by another program .*process {other.pid}"):
            SerialPort(settings(path)).open()
        other.communicate()
        with SerialPort(settings(path)) as port:
            SerialSession(port).hello()
            with pytest.raises(TransientDeviceError, match="in use"):
                SerialPort(settings(path)).open()


def test_a_port_that_this_user_may_not_open(tmp_path, monkeypatch):
    """The tests may run as root, whom nothing is denied: the system's answer is injected."""
    path = tmp_path / "ttyACM0"
    path.touch()

    def refuse(*_args, **_options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("serial.serialposix.os.open", refuse)
    with pytest.raises(StableDeviceError, match=r"may not open the port \(join its group: sudo usermod -aG \w+ \$USER"):
        SerialPort(settings(str(path))).open()


def test_a_cable_that_is_pulled_and_put_back(serial_board, tmp_path):
    link = tmp_path / "usb-Board_0001"
    port = SerialPort(settings(str(link), open_timeout_s=5))
    session = SerialSession(port)
    with pty_board(serial_board, link):
        port.open()
        session.hello()
        session.upload(Target.SAMPLES, DATA)
    with pytest.raises(ChannelClosed, match="the port is gone"):
        session.upload(Target.MODEL, b"model")
    with pytest.raises(BoardLost, match="no session"):
        session.stats()
    back = threading.Event()

    def put_back() -> None:
        with pty_board(serial_board, link):
            back.wait()

    thread = threading.Thread(target=put_back, daemon=True)
    thread.start()
    port.open()  # waits until the port is there again
    session.hello()
    # The board kept its power, and what it had.
    assert session.upload(Target.SAMPLES, DATA).skipped
    whole_cell(session, b"model", DATA[:80])
    port.close()
    back.set()
    thread.join(10)


@pytest.mark.parametrize("way", ["pty", "rfc2217"])
def test_another_thread_can_end_a_wait(serial_board, way):
    with pty_board(serial_board) as path:
        server = Rfc2217Server(path) if way == "rfc2217" else None
        port = SerialPort(settings(server.url if server else path))
        port.open()
        session = SerialSession(port)
        session.hello()
        session.upload(Target.MODEL, b"Hang")
        interrupter = threading.Thread(target=lambda: (time.sleep(0.1), port.interrupt()))
        interrupter.start()
        with pytest.raises(ChannelClosed, match="closed from outside"):
            session.run(direct=True, deadline_s=600)
        interrupter.join()
        with pytest.raises(ChannelClosed):
            port.read_some(0)
        port.close()
        if server is not None:
            server.close()


def test_an_interrupt_never_writes_to_a_pipe_that_was_closed(monkeypatch):
    """Its number may be another file's by then. The thread that interrupts is held between looking at the pipe and writing."""
    master, slave = pty.openpty()
    port = SerialPort(settings(os.ttyname(slave)))
    port.open()
    inside, go_on, write = threading.Event(), threading.Event(), os.write

    def held(fd: int, data: bytes) -> int:
        inside.set()
        go_on.wait(10)
        return write(fd, data)

    monkeypatch.setattr("harness.links.serial.port.os.write", held)
    failed: list[BaseException] = []

    def interrupt() -> None:
        try:
            port.interrupt()
        except BaseException as error:
            failed.append(error)

    interrupter, closer = threading.Thread(target=interrupt), threading.Thread(target=port.close)
    interrupter.start()
    assert inside.wait(10)
    pipe = port._wake[1]
    closer.start()
    closer.join(0.2)
    assert closer.is_alive() and os.fstat(pipe)  # it waits
    go_on.set()
    interrupter.join(10)
    closer.join(10)
    monkeypatch.undo()
    assert not failed
    port.interrupt()  # after the close it touches nothing
    os.close(master)
    os.close(slave)


@pytest.fixture
def many_files():
    """A process with more files open than select() can tell apart."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2048, hard), hard))
    files: list[int] = []

    def fill() -> None:
        while not files or files[-1] < 1100:
            files.append(os.dup(0))

    yield fill
    for fd in files:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_port_works_behind_a_thousand_open_files(many_files):
    master, slave = pty.openpty()
    tty.setraw(slave)
    with socket.create_server(("127.0.0.1", 0)) as server:
        many_files()
        with SerialPort(settings(os.ttyname(slave))) as port:
            assert port._fd > 1024
            port.write(b"there", 5)
            assert os.read(master, 10) == b"there"
            os.write(master, b"back")
            assert port.read_some(5) == b"back" and port.read_some(0.01) == b""
        with SerialPort(settings(f"socket://127.0.0.1:{server.getsockname()[1]}")) as port:
            client, _ = server.accept()
            with client:
                port.write(b"there", 5)
                assert client.recv(10) == b"there"
                client.sendall(b"back")
                assert port.read_some(5) == b"back"
    os.close(master)
    os.close(slave)


def test_a_server_that_does_not_confirm_the_control_lines(serial_board):
    """What the hint of the error advises can be followed, in a profile and in the environment alike."""
    with pty_board(serial_board) as path:
        server = Rfc2217Server(path)
        try:
            address = f"{server.url}?ign_set_control"
            assert is_port(address)
            with SerialPort(settings(address)) as port:
                SerialSession(port).hello()
        finally:
            server.close()


def test_a_closed_port_says_so():
    with pytest.raises(ChannelClosed, match="not open|closed"):
        SerialPort(settings("/dev/ttyUSB0")).read_some(0)


def test_opening_and_closing_leave_the_control_lines_alone():
    """A board may reset by DTR: closing must not drop it (HUPCL), and opening must not change what the system does anyway."""
    import termios

    master, slave = pty.openpty()
    with SerialPort(settings(os.ttyname(slave))) as port:
        assert not termios.tcgetattr(slave)[2] & termios.HUPCL
        assert port._serial.dtr and port._serial.rts
    with SerialPort(settings(os.ttyname(slave), dtr=False, rts=False)) as port:
        assert not port._serial.dtr and not port._serial.rts
    os.close(master)
    os.close(slave)
