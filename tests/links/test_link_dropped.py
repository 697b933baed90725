"""A server that drops connections before the login: tried again, boundedly, and never taken for a refusal of the key."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import replace

import pytest

from harness.core.errors import TransientDeviceError
from harness.links.ssh import link as ssh
from harness.links.ssh.link import SshConnection


class DroppingDoor:
    """A port before a real server that closes the first connections: at once, or after so many bytes of the server's."""

    def __init__(self, port: int, drops: int, after_bytes: int) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port, self.accepted = self.server.getsockname()[1], 0
        self._target, self._drops, self._after_bytes = port, drops, after_bytes
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.server.accept()
                self.accepted += 1
                limit = self._after_bytes if self.accepted <= self._drops else None
                target = socket.create_connection(("127.0.0.1", self._target))
                for source, sink, most in ((client, target, None), (target, client, limit)):
                    threading.Thread(target=self._copy, args=(source, sink, most), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket, most: int | None) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while most is None or passed < most:
                data = source.recv(1 << 16 if most is None else most - passed)
                if not data:
                    break
                sink.sendall(data)
                passed += len(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def door(sshd, ssh_config):
    """door(drops, after_bytes) -> (settings of a link through it, the door); its address is pinned to the server's key."""
    doors = []

    def make(drops, after_bytes):
        one = DroppingDoor(sshd.port, drops, after_bytes)
        doors.append(one)
        ssh_config.mkdir(exist_ok=True)
        (ssh_config / "known_hosts").write_text(sshd.known_hosts_line.replace(str(sshd.port), str(one.port), 1))
        return replace(sshd.link(), port=one.port), one

    yield make
    for one in doors:
        one.server.close()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(ssh, "_DROPPED_PAUSES_S", (0.0, 0.0))


@pytest.mark.parametrize("after_bytes", [0, 500])
def test_a_connection_dropped_before_the_login_is_tried_again(door, after_bytes):
    settings, one = door(2, after_bytes)
    connection = SshConnection(settings)
    connection.open()
    assert one.accepted == 3
    connection.start(["true"]).close()


def test_a_server_that_always_drops_is_given_up_and_never_taken_for_one_that_refuses_the_key(door):
    ends = []
    # Before the banner, in the key exchange, in the login, after it: OpenSSH has sent about 2,000 bytes when a key is taken.
    for after_bytes in (0, *range(200, 3000, 100)):
        settings, one = door(1 << 30, after_bytes)
        connection = SshConnection(settings)
        try:
            connection.open()
            ends.append("logged in")
        except TransientDeviceError as error:
            assert one.accepted == 3
            ends.append(error.what.split(":")[0].split(" to ")[0])
        finally:
            connection.close()
    assert ends[0] == "no SSH connection" and ends[-1] == "logged in"
    assert {"the connection was lost during the login", "the login was cut off"} & set(ends)


def test_who_closes_the_link_while_it_connects_ends_the_tries(door):
    settings, one = door(1 << 30, 0)
    connection = SshConnection(settings)
    real = connection._handshake

    def closed_meanwhile(*arguments):
        connection.close()
        return real(*arguments)

    connection._handshake = closed_meanwhile
    with pytest.raises(TransientDeviceError):
        connection.open()
    assert one.accepted == 1
