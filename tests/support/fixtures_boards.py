"""Boards for tests: runtime environments, a real sshd on a loopback port, and boards over both links."""

from __future__ import annotations

import contextlib
import getpass
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from harness.boards.linux.board import AgentOptions, LinuxBoard
from harness.core.files import sha256_bytes
from harness.envs.hostenv import ensure_runtime_env
from harness.links.base import LinkSettings, LocalLink, SshLink, make_link
from tests.support import tiny_model

TFLITE_PACKAGE = "tflite-runtime==2.14.0"
LITERT_PACKAGE = "ai-edge-litert==2.3.0"


@pytest.fixture(scope="session")
def tflite_python() -> str:
    """The interpreter of an environment with tflite-runtime 2.14.0."""
    return str(ensure_runtime_env(TFLITE_PACKAGE).python)


@pytest.fixture(scope="session")
def litert_python() -> str:
    """The interpreter of an environment with LiteRT 2.3.0."""
    return str(ensure_runtime_env(LITERT_PACKAGE).python)


@dataclass(frozen=True, kw_only=True)
class File:
    """A file to send to a board."""

    path: Path
    sha256: str


@dataclass(frozen=True, kw_only=True)
class BoardFiles:
    """Models and samples: `mlp` and `two` take `floats` [4000, 4], `dense` takes `bytes` [500, 16]."""

    mlp: File
    dense: File
    two: File
    floats: File
    bytes: File
    float_samples: np.ndarray
    byte_samples: np.ndarray


@pytest.fixture(scope="session")
def board_files(tmp_path_factory: pytest.TempPathFactory) -> BoardFiles:
    """Small models and samples as files."""
    folder = tmp_path_factory.mktemp("board-files")
    rng = np.random.default_rng(0)
    floats = rng.standard_normal((4000, 4), np.float32)
    integers = rng.integers(-128, 128, (500, 16), dtype=np.int8)

    def write(name: str, data: bytes) -> File:
        (folder / name).write_bytes(data)
        return File(path=folder / name, sha256=sha256_bytes(data))

    def write_array(name: str, samples: np.ndarray) -> File:
        np.save(folder / name, samples)
        return File(path=folder / name, sha256=sha256_bytes((folder / name).read_bytes()))

    return BoardFiles(
        mlp=write("mlp.tflite", tiny_model.float_mlp()),
        dense=write("dense.tflite", tiny_model.int8_dense()),
        two=write("two.tflite", tiny_model.sum_and_softmax()),
        floats=write_array("floats.npy", floats),
        bytes=write_array("bytes.npy", integers),
        float_samples=floats,
        byte_samples=integers,
    )


@pytest.fixture
def make_board(tflite_python: str, tmp_path: Path) -> Iterator[Callable[..., LinuxBoard]]:
    """Makes boards with an agent folder of the test's own; they are closed after it. Local unless told otherwise."""
    boards: list[LinuxBoard] = []

    def make(
        link: LinkSettings | None = None,
        *,
        python: str | None = None,
        module: str = "tflite_runtime",
        directory: Path | None = None,
        **options: float,
    ) -> LinuxBoard:
        board = LinuxBoard(
            name="testboard",
            link=make_link(link or LocalLink()),
            runtime_module=module,
            python=python or tflite_python,
            options=AgentOptions(directory=str(directory or tmp_path / "agent"), **options),  # type: ignore[arg-type]
        )
        boards.append(board)
        return board

    yield make
    for board in boards:
        board.close()


# ------------------------------------------------------------------------------------------------------------- sshd


def sshd_program() -> str:
    """The sshd of this machine. It is required: `./bench test` installs it."""
    found = shutil.which("sshd") or next(
        (p for p in ("/usr/sbin/sshd", "/usr/local/sbin/sshd") if os.access(p, os.X_OK)), None
    )
    if found is None:
        pytest.fail("there is no sshd: install the package openssh-server")
    return found


def new_key(path: Path) -> Path:
    """Writes a new Ed25519 key pair: `path` and `path.pub`."""
    from cryptography.hazmat.primitives import serialization as ser
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.OpenSSH, ser.NoEncryption()))
    path.with_suffix(".pub").write_bytes(
        key.public_key().public_bytes(ser.Encoding.OpenSSH, ser.PublicFormat.OpenSSH) + b"\n"
    )
    return path


def _free_ports() -> Iterator[int]:
    """Ports that nobody listens on, below those that the kernel hands out: a server that stops finds its own free again.

    Each process starts at another one, so that tests of several processes do not take the same.
    """
    first, count = 10_000, 20_000
    for step in itertools.count(os.getpid() * 97):
        port = first + step % count
        with socket.socket() as probe:
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        if not taken:
            yield port


_ports = _free_ports()


@dataclass(kw_only=True)
class SshServer:
    """A real sshd of the test's own, on a loopback port."""

    folder: Path
    client_key: Path
    extra: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    frozen: list[int] = field(default_factory=list)

    @property
    def host_key(self) -> Path:
        return self.folder / "host_key"

    @property
    def known_hosts_line(self) -> str:
        kind, key = self.host_key.with_suffix(".pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {kind} {key}\n"

    def start(self) -> SshServer:
        """Starts it and waits until it accepts connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.host_key.exists():
            new_key(self.host_key)
        self.port = self.port or next(_ports)
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # where a root sshd confines its first process
        (self.folder / "authorized_keys").write_bytes(self.client_key.with_suffix(".pub").read_bytes())
        config = self.folder / "sshd_config"
        settings = (
            f"ListenAddress 127.0.0.1:{self.port}",
            f"HostKey {self.host_key}",
            "PidFile none",
            "UsePAM no",
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}",
            "StrictModes no",
            "PasswordAuthentication no",
            "PermitRootLogin prohibit-password",
            *self.extra,
        )
        config.write_text("".join(f"{line}\n" for line in settings))
        with open(self.folder / "log", "ab") as log:
            command = [sshd_program(), "-D", "-e", "-f", str(config)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait()
        return self

    def _wait(self) -> None:
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if self.process is None or self.process.poll() is not None:
                break
            time.sleep(0.01)
        pytest.fail(f"sshd does not start: {(self.folder / 'log').read_text()}")

    def link(self, **settings: object) -> SshLink:
        """Settings that reach this server with its key."""
        values = {"key_files": (str(self.client_key),), "use_agent": False, "user": getpass.getuser(), **settings}
        return SshLink(host="127.0.0.1", port=self.port, **values)  # type: ignore[arg-type]

    def pin(self, config_dir: Path) -> None:
        """Adds its host key to the known_hosts of a harness configuration folder."""
        config_dir.mkdir(parents=True, exist_ok=True)
        with open(config_dir / "known_hosts", "a") as file:
            file.write(self.known_hosts_line)

    def change_host_key(self) -> None:
        """A reinstalled board: the same address with another key."""
        self.stop()
        self.host_key.unlink()
        self.start()

    def sessions(self) -> list[int]:
        """The processes that serve connections, and everything below them."""
        assert self.process
        return descendants(self.process.pid)

    def kill_sessions(self) -> None:
        """Drops every connection at once, as a board that loses power does."""
        for pid in direct_children(self.process.pid if self.process else 0):
            for below in [pid, *(p for p in descendants(pid) if process_name(p).startswith("sshd"))]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(below, signal.SIGKILL)

    def freeze(self) -> None:
        """Stops listener and sessions: connections stay open and say nothing more."""
        assert self.process
        self.frozen = [
            p for p in [self.process.pid, *descendants(self.process.pid)] if process_name(p).startswith("sshd")
        ]
        for pid in self.frozen:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self.frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.frozen = []

    def stop(self) -> None:
        self.thaw()
        if self.process is not None:
            self.kill_sessions()
            self.process.terminate()
            self.process.wait(10)
            self.process = None


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def process_name(pid: int) -> str:
    """What `ps` calls it; the agent's processes are `agent-worker` and `agent-forks`."""
    return _status(pid).get("Name", "")


def workers_below(pid: int) -> list[int]:
    """The agents' workers among a process's descendants, forked or fresh."""
    return [p for p in descendants(pid) if process_name(p) == "agent-worker"]


def is_running(pid: int) -> bool:
    """True when the process exists and is no zombie."""
    state = _status(pid).get("State", "Z")
    return not state.startswith(("Z", "X"))


def direct_children(pid: int) -> list[int]:
    """The running children of a process."""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [p for p in pids if _status(p).get("PPid") == str(pid) and is_running(p)]


def descendants(pid: int) -> list[int]:
    """Children, their children, and so on."""
    found = []
    for child in direct_children(pid):
        found += [child, *descendants(child)]
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Waits for something that another process does; False when it never came."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


@pytest.fixture(scope="session")
def ssh_client_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key pair that the test servers accept."""
    return new_key(tmp_path_factory.mktemp("ssh-client") / "id_test")


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory, ssh_client_key: Path) -> Iterator[SshServer]:
    """A server shared by all tests that do it no harm."""
    server = SshServer(folder=tmp_path_factory.mktemp("sshd"), client_key=ssh_client_key).start()
    yield server
    server.stop()


@pytest.fixture
def make_sshd(tmp_path: Path, ssh_client_key: Path) -> Iterator[Callable[..., SshServer]]:
    """Starts servers of the test's own; arguments are further lines of sshd_config."""
    servers: list[SshServer] = []

    def make(*extra: str) -> SshServer:
        folder = tmp_path / f"sshd-{len(servers)}"
        server = SshServer(folder=folder, client_key=ssh_client_key, extra=extra)
        servers.append(server)
        return server.start()

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def ssh_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder and a home of the test's own, without any pinned host key."""
    folder = tmp_path / "harness-config"
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HARNESS_CONFIG_DIR", str(folder))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


@pytest.fixture
def pinned_sshd(sshd: SshServer, ssh_config: Path) -> SshServer:
    """The shared server, its host key pinned for this test."""
    sshd.pin(ssh_config)
    return sshd
