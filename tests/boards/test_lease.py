"""One user of a board at a time; whoever waits is told who holds it; a dead holder frees it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.boards.lease import holder_of, lease
from harness.boards.linux.profile import LinuxProfile
from harness.core.errors import TransientDeviceError, UserInputError
from harness.core.located_errors import validate
from harness.core.located_yaml import parse_yaml
from tests.support.fixtures_devices import MINIMAL

#: another process that leases the device, says so, and holds it until its stdin ends
_HOLDER = """
import sys
from pathlib import Path
from harness.boards.lease import lease
from harness.boards.linux.profile import LinuxProfile
from harness.core.located_errors import validate
from harness.core.located_yaml import parse_yaml
with lease(validate(LinuxProfile, parse_yaml(sys.argv[1], Path("p"))), run="run-of-another"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


def profile(name: str = "board", exclusive: str | None = None) -> LinuxProfile:
    text = MINIMAL.replace("name: board", f"name: {name}") + (f"exclusive: {exclusive}\n" if exclusive else "")
    return validate(LinuxProfile, parse_yaml(text, Path("p")))


@pytest.fixture
def other_holder():
    """A real second process that holds the device `board`."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, MINIMAL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_device_in_use_by_another_process_is_refused_with_who_holds_it(other_holder):
    with pytest.raises(TransientDeviceError, match=f"board is in use by process {other_holder.pid} .run-of-another."):
        with lease(profile()):
            pass


def test_waiting_tells_who_holds_it_once_and_ends_when_the_holder_is_done(other_holder):
    told: list[str] = []

    def note(text: str) -> None:
        told.append(text)
        other_holder.stdin.close()  # the holder ends: the wait must end as well

    with lease(profile(), 30.0, note):
        holder = holder_of(profile())
    assert len(told) == 1
    assert f"process {other_holder.pid}" in told[0]
    assert holder is not None


def test_a_holder_that_is_killed_frees_the_device(other_holder):
    other_holder.send_signal(signal.SIGKILL)
    other_holder.wait()
    with lease(profile()):
        assert holder_of(profile()) is not None


def test_a_wait_that_is_too_short_says_how_long_it_was(other_holder):
    with pytest.raises(TransientDeviceError, match="in use by process .* after waiting 0.2 s"):
        with lease(profile(), 0.2):
            pass


def test_devices_that_share_a_machine_share_one_lease():
    with lease(profile("one", "host-cpu")):
        with pytest.raises(TransientDeviceError, match="host-cpu is in use by .* on one since"):
            with lease(profile("two", "host-cpu")):
                pass


def test_devices_on_machines_of_their_own_do_not_wait_for_each_other():
    with lease(profile("one")), lease(profile("two")):
        assert holder_of(profile("one")) is not None
        assert holder_of(profile("two")) is not None


def test_a_block_that_fails_gives_the_device_back():
    with pytest.raises(ZeroDivisionError):
        with lease(profile()):
            1 / 0  # noqa: B018
    assert holder_of(profile()) is None
    with lease(profile()):
        pass


def test_a_wait_can_be_ended_from_another_thread():
    stop = threading.Event()
    with lease(profile()):
        with pytest.raises(TransientDeviceError, match="interrupted while waiting"):
            with lease(profile(), 60.0, lambda _text: stop.set(), stop=stop):
                pass


def test_a_cache_folder_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(blocked))
    with pytest.raises(UserInputError, match="point HARNESS_CACHE_DIR at a folder"):
        with lease(profile()):
            pass
