"""What goes wrong on boards and links: each fault is told as what it is, leaves nothing behind, and the next cell runs.

Faults of the runtime are injected into the real one, in the worker only, by a `sitecustomize.py` on the PYTHONPATH that the
backend sets; faults of the link are made on a real sshd.
"""

from __future__ import annotations

import os
import re
import signal
import venv
from pathlib import Path

import numpy as np
import pytest

from harness.boards.base import BackendSpec, BenchPlan, Deadlines, WorkerFailure
from harness.core.errors import StableDeviceError, TransientDeviceError
from harness.core.files import sha256_bytes
from harness.links.base import LocalLink
from tests.support.fixtures_boards import File, descendants, is_running, process_name, wait_until, workers_below

FAULTS = """
import ctypes, os, subprocess, sys, time
from tflite_runtime import interpreter as runtime
real_invoke, fault = runtime.Interpreter.invoke, os.environ["FAULT"]

def invoke(self):
    if fault == "crash": ctypes.string_at(1)
    if fault == "hang": time.sleep(3600)
    if fault == "exit": os._exit(7)
    if fault == "killed": os.kill(os.getpid(), 9)
    if fault == "close": os.closerange(3, 64); time.sleep(3600)
    if fault == "garbage": os.write(3, b"x" * 4096); time.sleep(3600)
    if fault == "raise": raise RuntimeError("Node number 3 (CONV_2D) failed to invoke.")
    if fault == "memory": raise MemoryError("no room for 1 GB")
    if fault == "slow": time.sleep(0.005)
    if fault == "print":
        print("from python"); os.write(1, b"from a descriptor\\n"); ctypes.CDLL(None).puts(b"from C")
    if fault == "chatter": sys.stderr.write("x" * 99 + "\\n")
    if fault == "child":
        child = subprocess.Popen(["sleep", "3600"])
        sys.stderr.write("child %d\\n" % child.pid); sys.stderr.flush(); time.sleep(3600)
    return real_invoke(self)

runtime.Interpreter.invoke = invoke
"""
SLOW = 400  # samples of 5 ms each: long enough to break something in the middle


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """Makes a backend whose invoke has a fault."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "sitecustomize.py").write_text(FAULTS)
    return lambda fault: BackendSpec(name="cpu", env={"PYTHONPATH": str(folder), "FAULT": fault})


@pytest.fixture
def board(make_board, board_files):
    """A connected local board with the model and its samples."""
    return prepared(make_board(), board_files)


@pytest.fixture
def ssh_server(make_sshd, ssh_config):
    """A pinned server that a test may break."""
    server = make_sshd()
    server.pin(ssh_config)
    return server


def prepared(board, files):
    board.connect()
    for file in (files.mlp, files.floats):
        board.ensure_file(file.path, file.sha256)
    return board


def ready(board, backend, files, deadlines=Deadlines()):  # noqa: B008 - frozen
    worker = board.open_worker(backend, deadlines)
    worker.load(files.mlp.sha256)
    return worker


def assert_next_cell_runs(board, files):
    worker = ready(board, BackendSpec(name="cpu"), files)
    assert worker.first_invoke([files.floats.sha256]) > 0
    worker.close()


def own_processes() -> list[int]:
    """The agents and workers that this test started."""
    return [
        p for p in descendants(os.getpid()) if re.search(b"CONFIG|/agents/", Path(f"/proc/{p}/cmdline").read_bytes())
    ]


# -- the worker


@pytest.mark.parametrize(
    "fault, kind, signal_name, words",
    [
        ("crash", "signal", "SIGSEGV", "ended by SIGSEGV in first_invoke"),
        ("killed", "signal", "SIGKILL", "out of memory"),
        ("exit", "exit", None, "exit status 7"),
        ("hang", "deadline", None, "no end of first_invoke after 0.3 s"),
        ("close", "exit", None, "closed its channel"),
        ("garbage", "exit", None, "no frame"),
        ("raise", "exception", None, "CONV_2D"),
        ("memory", "exception", None, "MemoryError: no room"),
    ],
)
def test_a_worker_that_ends_badly_is_told_and_the_next_cell_runs(
    board, board_files, faults, fault, kind, signal_name, words
):
    limit_s = 0.3 if fault == "hang" else 10.0
    worker = ready(board, faults(fault), board_files, Deadlines(first_invoke_s=limit_s))
    with pytest.raises(WorkerFailure, match=words) as caught:
        worker.first_invoke([board_files.floats.sha256])
    failure = caught.value
    assert (failure.kind, failure.phase, failure.signal) == (kind, "first_invoke", signal_name)
    assert worker.close() == failure.board_log or kind == "exception"
    assert_next_cell_runs(board, board_files)


def test_a_crash_leaves_the_python_line_in_the_board_log(board, board_files, faults):
    worker = ready(board, faults("crash"), board_files)
    with pytest.raises(WorkerFailure) as caught:
        worker.first_invoke([board_files.floats.sha256])
    assert "Segmentation fault" in caught.value.board_log
    assert "timed_invoke" in caught.value.board_log


@pytest.mark.parametrize("phase", ["evaluate", "bench"])
def test_each_request_has_its_own_deadline(board, board_files, faults, phase):
    worker = ready(board, faults("slow"), board_files, Deadlines(evaluate_s=0.3, bench_s=0.3))
    worker.first_invoke([board_files.floats.sha256])
    with pytest.raises(WorkerFailure, match=f"no end of {phase}") as caught:
        if phase == "evaluate":
            worker.evaluate([board_files.floats.sha256], SLOW)
        else:
            worker.bench(BenchPlan(min_ns=60_000_000_000))
    assert (caught.value.kind, caught.value.phase) == ("deadline", phase)


def test_a_worker_killed_from_outside_in_the_middle_of_a_cell_is_told(board, board_files, faults):
    worker = ready(board, faults("slow"), board_files)

    def kill(done, total):
        # Further signs of progress may be on their way when the first one ends the worker.
        for pid in workers_below(os.getpid()):
            os.kill(pid, signal.SIGTERM)

    with pytest.raises(WorkerFailure) as caught:
        worker.evaluate([board_files.floats.sha256], SLOW, progress=kill)
    assert (caught.value.kind, caught.value.signal, caught.value.phase) == ("signal", "SIGTERM", "evaluate")
    assert_next_cell_runs(board, board_files)


def test_what_a_delegate_prints_never_mixes_with_the_frames(board, board_files, faults):
    worker = ready(board, faults("print"), board_files)
    worker.first_invoke([board_files.floats.sha256])
    assert worker.evaluate([board_files.floats.sha256], 50).outputs[0].shape == (50, 3)
    log = worker.close()
    assert "from python" in log and "from a descriptor" in log and "from C" in log


def test_a_talkative_worker_fills_neither_memory_nor_pipes(board, board_files, faults):
    worker = ready(board, faults("chatter"), board_files)
    worker.evaluate([board_files.floats.sha256], 3000)
    log = worker.close()
    assert re.match(r"\[\d{6} bytes dropped\]\n", log)
    assert len(log) < 66_000


def test_what_a_worker_started_dies_with_it(board, board_files, faults):
    worker = ready(board, faults("child"), board_files, Deadlines(first_invoke_s=3.0))
    with pytest.raises(WorkerFailure) as caught:
        worker.first_invoke([board_files.floats.sha256])
    child = int(re.search(r"child (\d+)", caught.value.board_log)[1])
    assert wait_until(lambda: not is_running(child))


def test_a_crash_while_the_runtime_is_imported_is_a_failure_of_the_start(board, board_files, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import os; os.abort()")
    with pytest.raises(WorkerFailure) as caught:
        board.open_worker(BackendSpec(name="cpu", env={"PYTHONPATH": str(tmp_path)}), Deadlines())
    assert (caught.value.kind, caught.value.phase, caught.value.signal) == ("signal", "start", "SIGABRT")
    assert_next_cell_runs(board, board_files)


def test_a_runtime_that_does_not_import_is_the_boards_fault(board, tmp_path):
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime" / "__init__.py").write_text("raise ImportError('libstdc++.so.6 is too old')")
    with pytest.raises(StableDeviceError, match="does not import.*libstdc"):
        board.open_worker(BackendSpec(name="cpu", env={"PYTHONPATH": str(tmp_path)}), Deadlines())


def test_an_interrupt_in_the_middle_leaves_no_process_and_no_stale_answer(board, board_files, faults):
    worker = ready(board, faults("slow"), board_files)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.evaluate([board_files.floats.sha256], SLOW, progress=interrupt)
    assert wait_until(lambda: not own_processes())
    board.connect()
    assert_next_cell_runs(board, board_files)


# -- the board's disk, Python and packages


def test_no_space_is_told_before_anything_is_sent(make_board, tmp_path):
    board = make_board(cache_limit_bytes=1 << 60)
    board.connect()
    huge = tmp_path / "huge"
    free = os.statvfs(tmp_path)
    with open(huge, "wb") as file:
        file.truncate(free.f_bavail * free.f_frsize + (1 << 30))
    with pytest.raises(StableDeviceError, match=r"bytes free, \d+ are needed.*free space on the board"):
        board.ensure_file(huge, "0" * 64, progress=lambda *_: pytest.fail("something was sent"))
    assert list((tmp_path / "agent" / "files").iterdir()) == []


def test_a_disk_that_fills_up_during_the_upload_is_told_and_cleaned(make_board, tflite_python, board_files, tmp_path):
    limited = tmp_path / "limited"
    limited.write_text(f'#!/bin/sh\nulimit -f 1024\nexec {tflite_python} "$@"\n')
    limited.chmod(0o755)
    data = os.urandom(3 << 20)
    (tmp_path / "big").write_bytes(data)
    board = prepared(make_board(python=str(limited)), board_files)
    with pytest.raises(StableDeviceError, match="could not be written.*File too large"):
        board.ensure_file(tmp_path / "big", sha256_bytes(data))
    left = sorted(p.name for p in (tmp_path / "agent" / "files").iterdir())
    assert left == sorted([board_files.mlp.sha256, board_files.floats.sha256])
    assert_next_cell_runs(board, board_files)


def test_a_board_without_numpy_is_told_what_to_install(make_board, tmp_path):
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    with pytest.raises(StableDeviceError, match=r"numpy is not installed.*bare/bin/python -m pip install numpy"):
        make_board(python=str(tmp_path / "bare" / "bin" / "python")).connect()


def test_a_board_without_the_runtime_is_told_what_to_install(make_board, litert_python):
    with pytest.raises(StableDeviceError, match="tflite-runtime is not installed.*pip install tflite-runtime"):
        make_board(python=litert_python).connect()


# -- the link


def test_a_connection_dropped_during_an_upload_leaves_nothing_half_written(make_board, ssh_server, tmp_path):
    data = os.urandom(40 << 20)
    (tmp_path / "big").write_bytes(data)
    file = File(path=tmp_path / "big", sha256=sha256_bytes(data))
    board = make_board(ssh_server.link())
    board.connect()

    def drop(done, total):
        if done == 5 << 20:
            ssh_server.kill_sessions()

    with pytest.raises(TransientDeviceError, match="connection lost"):
        board.ensure_file(file.path, file.sha256, progress=drop)
    files = tmp_path / "agent" / "files"
    assert wait_until(lambda: list(files.iterdir()) == [])
    board.connect()
    assert board.ensure_file(file.path, file.sha256) is True
    assert [p.name for p in files.iterdir()] == [file.sha256]


def test_a_connection_dropped_during_an_evaluation_is_transient_and_leaves_no_process(
    make_board, ssh_server, board_files, faults
):
    board = prepared(make_board(ssh_server.link()), board_files)
    worker = ready(board, faults("slow"), board_files)
    running: list[int] = []

    def drop(done, total):
        running.extend(p for p in ssh_server.sessions() if b"python" in Path(f"/proc/{p}/cmdline").read_bytes())
        ssh_server.kill_sessions()

    with pytest.raises(TransientDeviceError, match="connection lost"):
        worker.evaluate([board_files.floats.sha256], SLOW, progress=drop)
    assert len(running) >= 2
    assert wait_until(lambda: not any(is_running(p) for p in running))
    board.connect()
    assert board.ensure_file(board_files.floats.path, board_files.floats.sha256) is False
    assert_next_cell_runs(board, board_files)


@pytest.mark.parametrize("when", ["evaluation", "upload"])
def test_a_board_that_falls_silent_is_given_up_in_time(make_board, ssh_server, board_files, faults, tmp_path, when):
    board = prepared(
        make_board(ssh_server.link(), silence_timeout_s=1.0, operation_timeout_s=3.0 if when == "upload" else 30.0),
        board_files,
    )
    worker = ready(board, faults("slow"), board_files)

    def freeze(done, total):
        if not ssh_server.frozen:
            ssh_server.freeze()

    with pytest.raises(TransientDeviceError, match=r"no answer|took no data"):
        if when == "evaluation":
            worker.evaluate([board_files.floats.sha256], SLOW, progress=freeze)
        else:
            (tmp_path / "big").write_bytes(bytes(60 << 20))
            board.ensure_file(tmp_path / "big", "0" * 64, progress=freeze)
    ssh_server.thaw()
    board.connect()
    assert_next_cell_runs(board, board_files)


def test_a_frozen_server_is_given_up_in_time(make_board, ssh_server):
    ssh_server.freeze()
    with pytest.raises(TransientDeviceError, match="no SSH connection"):
        make_board(ssh_server.link(connect_timeout_s=0.5)).connect()


def test_a_long_request_is_kept_alive_by_signs_of_life(make_board, board_files, faults):
    board = prepared(make_board(silence_timeout_s=1.0), board_files)
    worker = ready(board, faults("slow"), board_files)
    plan = BenchPlan(min_samples=1, min_ns=2_500_000_000, max_ns=2_500_000_000, warmup_max_ns=100_000_000)
    worker.first_invoke([board_files.floats.sha256])
    assert np.median(worker.bench(plan).samples_ns) > 4_000_000


def test_an_agent_killed_on_the_board_takes_its_workers_along(make_board, board_files, faults):
    board = prepared(make_board(LocalLink()), board_files)
    worker = ready(board, faults("slow"), board_files)
    mine = own_processes()
    assert len(mine) == 3

    def kill(done, total):
        (agent,) = (p for p in mine if not process_name(p).startswith("agent-"))
        os.kill(agent, signal.SIGKILL)

    with pytest.raises(TransientDeviceError, match="connection lost"):
        worker.evaluate([board_files.floats.sha256], SLOW, progress=kill)
    assert wait_until(lambda: not any(is_running(p) for p in mine))
