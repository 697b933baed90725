"""A real PostgreSQL server on a loopback port, in a folder of its own; started once a process, stopped at its end.

It refuses to run as root: then the packaged user `postgres` runs it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest

PASSWORD = "s3cret/of the-lab"
_USER = "harness"
_numbers = count(1)


def _bin() -> Path:
    """Where the server's programs are."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    if on_path:
        return Path(on_path).parent
    raise RuntimeError("these tests need a PostgreSQL server: apt-get install postgresql")


def _as_user(*command: str | Path) -> list[str]:
    words = [str(word) for word in command]
    return ["runuser", "-u", "postgres", "--", *words] if os.geteuid() == 0 else words


@dataclass
class Server:
    """A server that tests may stop and start."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @staticmethod
    def make() -> Server:
        """A new one, started."""
        folder = Path(tempfile.mkdtemp(prefix="harness-pg-"))
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        secret = folder / "password"
        subprocess.run(_as_user("sh", "-c", 'umask 077; cat > "$0"', secret), input=PASSWORD.encode(), check=True)
        settings = ("-U", _USER, "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync", "-E", "UTF8", "--locale=C")
        made = subprocess.run(_as_user(_bin() / "initdb", *settings, folder / "data"), capture_output=True, cwd="/")
        assert made.returncode == 0, made.stderr.decode()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = Server(folder=folder, port=port)
        server.start()
        return server

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "shared_buffers": "16MB",
        }
        options = [f"-c{name}={value}" for name, value in settings.items()]
        log = (self.folder.parent / f"{self.folder.name}.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                _as_user(_bin() / "postgres", "-D", self.folder / "data", *options),
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None and time.monotonic() < deadline, "the server did not start"
                time.sleep(0.05)

    def stop(self) -> None:
        """Ends it at once, as a crash would: every connection breaks."""
        if self.process is not None:
            main = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
            os.kill(main, signal.SIGQUIT)
            self.process.wait(timeout=60)
            self.process = None

    def close(self) -> None:
        """Stops it for good and removes its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder.parent / f"{self.folder.name}.log").unlink(missing_ok=True)

    def url(self, database: str, *, password: str | None = PASSWORD) -> str:
        """The URL of a database, its password encoded as URLs want it."""
        from urllib.parse import quote

        secret = "" if password is None else f":{quote(password, safe='')}"
        return f"postgresql://{_USER}{secret}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of a new database with nothing in it."""
        name = f"d{next(_numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server that stays up."""
    made = Server.make()
    yield made
    made.close()


@pytest.fixture
def shared(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database that this test's store is in; gives its URL."""
    url = server.new_database()
    monkeypatch.setenv("HARNESS_STORE", url)
    return url


@pytest.fixture(scope="session")
def second_server() -> Iterator[Server]:
    """Another one, which tests stop and start."""
    made = Server.make()
    yield made
    made.close()


@pytest.fixture
def breakable(second_server: Server) -> Server:
    """A server that answers now, and may be stopped."""
    if second_server.process is None:
        second_server.start()
    return second_server
