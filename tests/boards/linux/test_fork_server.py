"""Workers are copies of a process that has imported the runtime, wherever a copy is as good as a fresh interpreter.

Runtimes that cannot be forked are made of the real one by a `sitecustomize.py` on the PYTHONPATH that the backend sets: it
runs in the fork server, in its copies and in fresh workers.
"""

from __future__ import annotations

import os
import re
import signal

import numpy as np
import pytest

from harness.boards.base import BackendSpec, Deadlines, WorkerFailure
from harness.core.errors import StableDeviceError
from tests.support.fixtures_boards import (
    descendants,
    direct_children,
    is_running,
    process_name,
    wait_until,
    workers_below,
)

CPU = BackendSpec(name="cpu")
#: `forked` says whether this process is a copy of one that was there when the interpreter started
COPIED = """
import ctypes, os, sys, threading, time
forked = False

def copied():
    global forked
    forked = True
    at_fork()

def at_fork(): pass

os.register_at_fork(after_in_child=copied)
"""
RUNTIME = """
from tflite_runtime import interpreter as runtime
real_init, real_invoke = runtime.Interpreter.__init__, runtime.Interpreter.invoke

def init(self, *args, **kwargs):
    on_load()
    real_init(self, *args, **kwargs)

def invoke(self):
    on_invoke()
    real_invoke(self)

def on_load(): pass
def on_invoke(): pass

runtime.Interpreter.__init__, runtime.Interpreter.invoke = init, invoke
"""


@pytest.fixture
def board(make_board, board_files):
    """A connected local board with a model and its samples."""
    return prepared(make_board(), board_files)


@pytest.fixture
def odd(tmp_path):
    """Makes a backend whose interpreter runs some text at its start."""

    def make(text: str, **env: str) -> BackendSpec:
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / "sitecustomize.py").write_text(text)
        return BackendSpec(name="cpu", env={"PYTHONPATH": str(tmp_path / "site"), **env})

    return make


def prepared(board, files):
    board.connect()
    for file in (files.mlp, files.floats):
        board.ensure_file(file.path, file.sha256)
    return board


def run(board, backend, files, deadlines=Deadlines()):  # noqa: B008 - frozen
    """A cell's worker from its start to its end."""
    worker = board.open_worker(backend, deadlines)
    worker.load(files.mlp.sha256)
    worker.first_invoke([files.floats.sha256])
    worker.log = worker.close()
    return worker


def fork_servers() -> list[int]:
    return [p for p in descendants(os.getpid()) if process_name(p) == "agent-forks"]


# -- the usual


def test_workers_are_copies_of_one_process_that_imported_the_runtime_once(board, board_files, odd, tmp_path):
    backend = odd(f"open({str(tmp_path / 'starts')!r}, 'a').write('started\\n')")
    seen = set()
    for _ in range(3):
        worker = run(board, backend, board_files)
        assert (worker.started, worker.started_why) == ("forked", None)
        seen.update(fork_servers())
    assert (tmp_path / "starts").read_text() == "started\n"
    assert len(seen) == 1


@pytest.mark.parametrize("module, python", [("tflite_runtime", "tflite_python"), ("ai_edge_litert", "litert_python")])
def test_a_copy_computes_what_a_fresh_worker_does(make_board, board_files, request, module, python):
    outputs = []
    for fork_server, started in ((True, "forked"), (False, "fresh")):
        board = make_board(module=module, python=request.getfixturevalue(python), fork_server=fork_server)
        prepared(board, board_files)
        for threads in (1, 2):
            worker = board.open_worker(BackendSpec(name="cpu", threads=threads), Deadlines())
            worker.load(board_files.mlp.sha256)
            outputs.append(worker.evaluate([board_files.floats.sha256], 500).outputs[0])
            assert worker.started == started
            assert (worker.started_why is None) == fork_server
            worker.close()
    assert all(np.array_equal(outputs[0], other) for other in outputs[1:])


def test_a_copy_is_the_agents_own_child_in_a_session_of_its_own(board):
    worker = board.open_worker(CPU, Deadlines())
    (pid,) = workers_below(os.getpid())
    (server,) = fork_servers()
    assert os.getpgid(pid) == os.getsid(pid) == pid
    assert pid in direct_children(os.getpid()) or pid not in descendants(server)
    worker.close()
    assert wait_until(lambda: not is_running(pid))
    assert is_running(server)


def test_a_copy_has_random_numbers_of_its_own(board, board_files, odd):
    numbers = "import numpy, random\ndef on_invoke(): print('numbers', numpy.random.random(), random.random())\n"
    backend = odd(RUNTIME + numbers)
    logs = [run(board, backend, board_files).log for _ in range(2)]
    (one, other) = (re.search(r"numbers (\S+) (\S+)", log).groups() for log in logs)
    assert one[0] != other[0] and one[1] != other[1]


def test_what_the_import_prints_is_in_the_log_of_every_cell(board, board_files, odd):
    backend = odd("import os; os.write(2, b'old glibc\\n')")
    assert [run(board, backend, board_files).log.startswith("old glibc\n") for _ in range(2)] == [True, True]


def test_it_can_be_switched_off(make_board, board_files):
    worker = run(prepared(make_board(fork_server=False), board_files), CPU, board_files)
    assert worker.started == "fresh" and "agent.fork_server of the profile" in worker.started_why
    assert fork_servers() == []


# -- environments


def test_backends_with_other_variables_have_another_fork_server_that_saw_them_at_import(board, board_files, odd):
    text = "import os; os.write(2, ('X=%s\\n' % os.environ.get('X')).encode())"
    for value in ("1", "2", "1"):
        worker = run(board, odd(text, X=value), board_files)
        assert worker.started == "forked" and worker.log.startswith(f"X={value}\n")
    assert len(fork_servers()) == 2


def test_no_more_than_three_are_kept(board, board_files):
    for value in "abcde":
        assert run(board, BackendSpec(name="cpu", env={"X": value}), board_files).started == "forked"
    assert len(fork_servers()) == 3


def test_the_cells_own_folder_makes_no_fork_server_of_its_own(board, board_files):
    for _ in range(2):
        worker = run(board, BackendSpec(name="cpu", env={"VIV_DIR": "{cache_dir}"}), board_files)
        assert worker.started == "forked"
    assert len(fork_servers()) == 1


def test_a_folder_of_the_cells_that_the_linker_reads_is_there_before_the_start(board, board_files):
    worker = run(board, BackendSpec(name="cpu", env={"LD_LIBRARY_PATH": "{cache_dir}"}), board_files)
    assert (worker.started, worker.started_why) == ("fresh", "LD_LIBRARY_PATH names the cell's own cache folder")


# -- its end


def test_one_that_died_between_cells_is_started_again(board, board_files):
    run(board, CPU, board_files)
    (server,) = fork_servers()
    os.kill(server, signal.SIGKILL)
    assert run(board, CPU, board_files).started == "forked"
    assert fork_servers() != [server]


def test_a_cell_does_not_notice_its_end(board, board_files):
    worker = board.open_worker(CPU, Deadlines())
    (server,) = fork_servers()
    os.kill(server, signal.SIGKILL)
    worker.load(board_files.mlp.sha256)
    assert worker.evaluate([board_files.floats.sha256], 100).outputs[0].shape == (100, 3)


def test_what_workers_leave_behind_is_reaped(board, board_files, odd):
    # A process that ends after its parent: the agent, which adopts orphans, is its parent then.
    text = RUNTIME + "import subprocess\ndef on_invoke(): subprocess.call(['sh', '-c', 'sleep 0.01 & exec true'])\n"

    def only_the_fork_server_is_left():
        run(board, odd(text), board_files)
        # This process may have other children, of other tests.
        below = [[process_name(pid) for pid in all_children(child)] for child in direct_children(os.getpid())]
        agents = [names for names in below if "agent-forks" in names]
        return agents != [] and all(names == ["agent-forks"] for names in agents)

    assert wait_until(only_the_fork_server_is_left)


def all_children(pid: int) -> list[int]:
    """Children of a process, zombies too."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(entry))
    return found


# -- runtimes that cannot be forked


def assert_stays_fresh(board, backend, files, why):
    for _ in range(2):
        worker = run(board, backend, files)
        assert worker.started == "fresh" and why in worker.started_why


@pytest.mark.parametrize(
    "text, why",
    [
        ("threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", "started 1 threads"),
        (
            "libc = ctypes.CDLL(None)\n"
            "libc.__register_atfork(None, None, ctypes.cast(libc.abort, ctypes.c_void_p), None)",
            "a copy of it was ended by signal 6 at once",
        ),
        ("def at_fork(): os.abort()", "a forked one failed: the worker was ended by SIGABRT in start"),
        ("def at_fork(): time.sleep(60)", "a forked one failed: no end of start"),
    ],
)
def test_one_that_cannot_be_forked_is_started_afresh(board, board_files, odd, text, why):
    backend = odd(COPIED + text)
    deadlines = Deadlines(load_s=8.0 if "sleep" in text else 60.0)
    assert run(board, backend, board_files, deadlines).started == "fresh"
    assert_stays_fresh(board, backend, board_files, why)
    # Other environments have nothing to do with it.
    assert run(board, CPU, board_files).started == "forked"


@pytest.mark.parametrize(
    "fault, words", [("raise RuntimeError('no context')", "no context"), ("os.abort()", "SIGABRT")]
)
def test_a_load_that_fails_only_in_a_copy_is_done_by_a_fresh_worker(board, board_files, odd, fault, words):
    backend = odd(f"{COPIED}{RUNTIME}\ndef on_load():\n    if forked: {fault}\n")
    worker = run(board, backend, board_files)
    assert worker.started == "fresh"
    assert worker.started_why.startswith("a forked one failed: ") and words in worker.started_why
    assert_stays_fresh(board, backend, board_files, words)


def test_a_model_that_no_worker_loads_says_nothing_about_forking(board, board_files, odd, tmp_path):
    (tmp_path / "switch").touch()
    fault = f"def on_load():\n    if os.path.exists({str(tmp_path / 'switch')!r}): raise ValueError('op version 99')\n"
    backend = odd(COPIED + RUNTIME + fault)
    for _ in range(2):
        worker = board.open_worker(backend, Deadlines())
        with pytest.raises(WorkerFailure, match="op version 99"):
            worker.load(board_files.mlp.sha256)
        worker.close()
    (tmp_path / "switch").unlink()
    assert run(board, backend, board_files).started == "forked"


@pytest.mark.parametrize(
    "fault, kind", [("os.abort()", "signal"), ("time.sleep(60)", "deadline"), ("os._exit(3)", "exit")]
)
def test_after_a_bad_end_the_next_worker_is_fresh_and_settles_it(board, board_files, odd, fault, kind):
    backend = odd(f"{COPIED}{RUNTIME}\ndef on_invoke():\n    if forked: {fault}\n")
    with pytest.raises(WorkerFailure) as caught:
        run(board, backend, board_files, Deadlines(first_invoke_s=2.0))
    assert (caught.value.kind, caught.value.phase) == (kind, "first_invoke")
    assert_stays_fresh(board, backend, board_files, f"a forked one failed: {caught.value.what}")


def test_a_model_that_brings_every_worker_down_says_nothing_about_forking(board, board_files, odd, tmp_path):
    (tmp_path / "switch").touch()
    fault = f"def on_invoke():\n    if os.path.exists({str(tmp_path / 'switch')!r}): os.abort()\n"
    backend = odd(COPIED + RUNTIME + fault)
    started = []
    for _ in range(2):
        worker = board.open_worker(backend, Deadlines())
        started.append(worker.started)
        worker.load(board_files.mlp.sha256)
        with pytest.raises(WorkerFailure, match="SIGABRT"):
            worker.first_invoke([board_files.floats.sha256])
    # A crash counts against a model only when a fresh worker has crashed as well.
    assert started == ["forked", "fresh"]
    (tmp_path / "switch").unlink()
    assert run(board, backend, board_files).started == "forked"


def test_a_worker_killed_from_outside_says_nothing_about_forking(board, board_files):
    run(board, CPU, board_files)
    worker = board.open_worker(CPU, Deadlines())
    (pid,) = workers_below(os.getpid())
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerFailure, match="SIGKILL"):
        worker.load(board_files.mlp.sha256)
    assert run(board, CPU, board_files).started == "forked"


def test_an_import_that_fails_is_told_as_a_fresh_worker_tells_it(board, odd):
    backend = odd("import sys; sys.modules['tflite_runtime'] = None")
    with pytest.raises(StableDeviceError, match="tflite_runtime does not import"):
        board.open_worker(backend, Deadlines())


def test_an_import_that_hangs_uses_up_the_time_of_the_start(board, odd):
    backend = odd("import time; time.sleep(60)")
    for _ in range(2):
        with pytest.raises(WorkerFailure, match="no end of start after 1 s") as caught:
            board.open_worker(backend, Deadlines(load_s=1.0))
        assert (caught.value.kind, caught.value.phase) == ("deadline", "start")
