"""No emulated board outlives its owner, however that ends; boards are listed and stopped from elsewhere."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.emulation.linux.running import list_running, new_run_dir

pytestmark = pytest.mark.slow

_OWNER = """
import json, os, sys
from harness.emulation.linux.aarch64 import start_image
from harness.emulation.linux.image import list_images
image = next(i for i in list_images() if i.key == sys.argv[1])
board = start_image(image)
guard = board.guard_pid
qemu = int(open(f"/proc/{guard}/task/{guard}/children").read())
print(json.dumps({"id": board.id, "guard": guard, "qemu": qemu}), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owned_board(board_image):
    """A process that has started a board, and what it said of it."""
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, board_image.key], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield owner, json.loads(owner.stdout.readline())
    finally:
        owner.kill()
        owner.wait()
        owner.stdin.close()
        owner.stdout.close()


def _gone(pid: int) -> bool:
    """True when the process has ended within half a minute; a zombie has ended."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_the_board_ends_when_its_owner_is_killed(owned_board):
    owner, said = owned_board
    assert said["id"] in [info.id for info in list_running()]
    os.kill(owner.pid, signal.SIGKILL)
    assert _gone(said["qemu"]) and _gone(said["guard"])
    assert said["id"] not in [info.id for info in list_running()]


def test_the_board_ends_when_its_guard_is_killed(owned_board):
    _, said = owned_board
    os.kill(said["guard"], signal.SIGKILL)
    assert _gone(said["qemu"])
    assert said["id"] not in [info.id for info in list_running()]


def test_the_command_line_lists_and_stops_a_board_of_another_process(owned_board, harness_cli):
    _, said = owned_board
    listed = harness_cli("emulator", "list")
    assert said["id"] in listed.out and "ssh -p" in listed.out and "running Linux boards:" in listed.out
    stopped = harness_cli("emulator", "stop", said["id"])
    assert stopped.out == f"ended {said['id']}\n"
    assert _gone(said["qemu"])


def test_a_detached_board_runs_on_until_it_is_stopped(board_image, harness_cli):
    code = _OWNER.replace("start_image(image)", "start_image(image, detached=True)")
    done = subprocess.run(
        [sys.executable, "-c", code, board_image.key],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    try:
        info = next(info for info in list_running() if info.id == said["id"])
        assert info.owner_pid is None
        answer = subprocess.run(
            [*info.login.split(), "echo", "here"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert answer.stdout == "here\n", answer.stderr
    finally:
        harness_cli("emulator", "stop", said["id"])
    assert _gone(said["qemu"])


def test_stopping_an_unknown_board_says_so(harness_cli):
    done = harness_cli("emulator", "stop", "nosuch")
    assert done.code == 1
    assert "unknown running board 'nosuch'" in done.err


def test_folders_of_boards_whose_guard_was_killed_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    left = new_run_dir()
    os.close(left.lock_fd)  # what the kernel does when the guard dies
    kept = new_run_dir()
    assert not left.path.exists() and kept.path.exists()
    os.close(kept.lock_fd)
