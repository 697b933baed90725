"""What an emulated board is to those who use it. Every test runs on a real QEMU."""

import contextlib
import dataclasses
import json
import os
import socket
import stat
import subprocess
import threading
import time
import warnings

import pytest

from harness.core.errors import StableDeviceError, TransientDeviceError
from harness.emulation.linux.aarch64 import start_image
from harness.emulation.linux.keys import new_key_pair
from harness.emulation.linux.login import run_on_board, wait_for_banner

pytestmark = pytest.mark.slow


def test_the_boards_python_has_numpy_and_the_runtime(emulated_board):
    code = "import numpy, tflite_runtime, json; print(json.dumps([numpy.__version__, tflite_runtime.__version__]))"
    answer = emulated_board.run(f"{emulated_board.python} -c '{code}'")
    assert json.loads(answer.stdout) == ["1.26.4", "2.14.0"]


def test_it_says_that_it_is_the_real_boards_model_with_the_real_boards_cpu(emulated_board, board_image):
    answer = emulated_board.run("cat /proc/device-tree/model /proc/cpuinfo; uname -m")
    assert answer.stdout.startswith(board_image.spec.model + "\0")
    assert "CPU part\t: 0xd03" in answer.stdout  # Cortex-A53, Arm DDI 0500, MIDR_EL1
    assert answer.stdout.endswith("aarch64\n")


def test_the_other_runtime_and_deterministic_time(counting_board_image):
    code = (
        "import time\n"
        "def once(): a = time.perf_counter_ns(); sum(range(2000)); return time.perf_counter_ns() - a\n"
        "print(sorted(once() for _ in range(201))[100])"
    )
    medians = []
    for _ in range(2):
        with start_image(counting_board_image) as board:
            medians.append(int(board.run(f"{board.python} -c '{code}'", timeout_s=120).stdout))
    # An image is only finished once its runtime has been imported on the board.
    assert counting_board_image.manifest["facts"]["numpy"] == "2.2.6"
    assert counting_board_image.spec.time_basis == "guest-instructions"
    assert medians[0] > 0 and abs(medians[0] - medians[1]) <= 0.001 * medians[0]


def test_exit_status_and_both_streams_come_back(emulated_board):
    answer = emulated_board.run("echo out; echo err >&2; exit 7")
    assert (answer.stdout, answer.stderr, answer.status) == ("out\n", "err\n", 7)


def test_its_clock_is_right_although_it_was_saved_earlier(emulated_board):
    seconds = int(emulated_board.run("date +%s").stdout)
    assert abs(seconds - time.time()) < 60


def test_home_and_temporary_folder_can_be_written(emulated_board):
    answer = emulated_board.run("mkdir -p ~/.cache && echo x > ~/.cache/f && echo y > /tmp/f && cat ~/.cache/f /tmp/f")
    assert answer.stdout == "x\ny\n"


def test_each_start_has_a_pristine_disk(board_image):
    with start_image(board_image) as board:
        board.run("echo changed > /root/file && echo broken > /etc/hostname && sync")
        first_port = board.port
        with start_image(board_image) as other:  # a second board of the same image, at the same time
            assert other.port != first_port
            answer = other.run("ls -A /root; cat /etc/hostname")
    assert answer.stdout == "emulated\n"


def test_another_host_key_is_refused(emulated_board):
    access = dataclasses.replace(emulated_board.access, host_key_line=new_key_pair().public_line)
    with pytest.raises(StableDeviceError, match="not the one that was built"):
        run_on_board(access, "true", 30)


def test_another_login_key_is_refused(emulated_board, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(new_key_pair().private)
    key.chmod(0o600)
    with pytest.raises(StableDeviceError):
        run_on_board(dataclasses.replace(emulated_board.access, key_file=key), "true", 30)


def test_the_login_key_is_for_its_owner_only(board_image):
    assert stat.S_IMODE(board_image.login_key.stat().st_mode) == 0o600
    assert stat.S_IMODE(board_image.path.stat().st_mode) == 0o700


def test_a_person_can_log_in_with_the_command_that_is_shown(emulated_board):
    import shlex

    command = [*shlex.split(emulated_board.login_command), "echo", "hello"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr


def test_its_port_is_open_on_loopback_only(emulated_board):
    wanted = f":{emulated_board.port:04X}"
    with open("/proc/net/tcp") as file:
        listening = [line.split()[1] for line in file if line.split()[1].endswith(wanted) and line.split()[3] == "0A"]
    assert listening == [f"0100007F{wanted}"]


def test_it_reaches_nothing_but_its_ssh_client(emulated_board):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # the board would see this machine's loopback as 10.0.2.2
        code = (
            f'import socket\ntry:\n socket.create_connection(("10.0.2.2", {port}), 3); print("reached")\n'
            'except OSError: print("not reached")'
        )
        answer = emulated_board.run(f"{emulated_board.python} -c '{code}'")
    assert answer.stdout == "not reached\n"


def test_it_survives_the_end_of_the_thread_that_started_it(board_image):
    boards = []
    thread = threading.Thread(target=lambda: boards.append(start_image(board_image)))
    thread.start()
    thread.join()
    with boards[0] as board:
        assert board.run("echo alive").stdout == "alive\n"


def test_a_damaged_state_is_an_error_with_a_remedy(board_image, tmp_path):
    for file in board_image.path.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "state.zst").unlink()
    (tmp_path / "state.zst").write_bytes(board_image.state.read_bytes()[:100_000])
    with pytest.raises(TransientDeviceError, match="emulator build --refresh"):
        start_image(dataclasses.replace(board_image, path=tmp_path))


def test_a_board_that_hangs_is_told_with_what_qemu_says_of_it(board_image):
    with start_image(board_image) as board:
        assert board.run("true").status == 0
        board._machine.qmp.command("stop")
        with pytest.raises(TransientDeviceError, match=r"127\.0\.0\.1.*QEMU: paused"):
            board.run("true", timeout_s=0.5)


@contextlib.contextmanager
def rebooting_board(image, before):
    """A board that has run `before` and reboots now, with what it printed.

    One in some thousand boards stops to answer for good (seen once, in a run of all tests). A run of cells resumes another
    board then, and so does this.
    """
    for last in (False, True):
        with start_image(image) as board:
            try:
                printed = board.run(before, timeout_s=30).stdout
                board.run("(usleep 300000; reboot -f) > /dev/null 2>&1 < /dev/null &", timeout_s=30)
            except TransientDeviceError as error:
                if last:
                    raise
                warnings.warn(f"another board is taken: {error}", stacklevel=2)
                continue
            yield board, printed
            return


def test_a_rebooted_board_comes_back_with_its_disk(board_image):
    boot = "cat /root/file; cat /proc/sys/kernel/random/boot_id"
    with rebooting_board(board_image, f"echo here > /root/file; sync; {boot}") as (board, before):
        time.sleep(1)
        after, deadline = before, time.monotonic() + 120
        while after == before and time.monotonic() < deadline:
            wait_for_banner(board.port, 90, lambda: board.alive)
            with contextlib.suppress(TransientDeviceError):  # the connection was open when it went down
                after = board.run(boot, timeout_s=20).stdout
    assert after != before and after.startswith("here\n")


def test_a_board_that_dies_is_noticed(board_image):
    with start_image(board_image) as board:
        os.kill(board.guard_pid, 15)
        deadline = time.monotonic() + 30
        while board.alive and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not board.alive
        with pytest.raises(TransientDeviceError):
            board.run("true", timeout_s=10)
