"""The board seam on emulated microcontrollers: right outputs, exact counts, batches, and the ways in which a board can fail."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import numpy as np
import pytest

from harness.boards.base import BackendSpec, BenchPlan, Deadlines, WorkerFailure
from harness.boards.mcu import worker as mcu_worker
from harness.boards.mcu.board import McuBoard
from harness.boards.mcu.check import check_mcu
from harness.boards.mcu.clock import McuClock
from harness.boards.mcu.model import mcu_model
from harness.boards.mcu.worker import interleave
from harness.core.errors import StableDeviceError, TransientDeviceError
from harness.core.files import sha256_file
from harness.emulation.mcu.firmware import program_of_build
from harness.emulation.mcu.line import EmulatedLine
from harness.links.serial.line import PortLine
from harness.links.serial.messages import ProtocolError
from harness.links.serial.port import SerialSettings
from harness.tflite.graph import read_graph
from tests.support import tiny_model
from tests.support.fixtures_mcu_board import KilledLine, breakable_line, emulated_line, hang_next, mcu_profile

BACKEND = BackendSpec(name="cpu", threads=0)
COUNT = 20
SAMPLES = np.random.default_rng(5).integers(-128, 128, (COUNT, 28, 28, 1), dtype=np.int8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model of the size of the published MNIST network, and samples."""
    folder = tmp_path_factory.mktemp("mcu")
    model, samples = folder / "m.tflite", folder / "s.npy"
    model.write_bytes(tiny_model.mnist_cnn())
    np.save(samples, SAMPLES)
    return model, samples


@pytest.fixture(scope="module")
def board():
    """An emulated M4 for all tests that do it no harm."""
    profile = mcu_profile()
    board = McuBoard(profile, emulated_line(profile))
    board.connect()
    yield board
    board.close()


@pytest.fixture
def open_board():
    """Connects a board of the test's own."""
    boards = []

    def make(name="cortex-m4@qemu", line=None, **changes):
        profile = mcu_profile(name, **changes)
        board = McuBoard(profile, line or emulated_line(profile))
        boards.append(board)
        board.connect()
        return board

    yield make
    for board in boards:
        board.close()


def start(board, files, *, samples=COUNT, deadlines=None):
    """A worker with the model loaded."""
    model, path = files
    made = mcu_model(read_graph(model), model, board.facts)
    board.ensure_file(made.path, made.sha256)
    board.ensure_file(path, "s")
    board.expect(made, samples=samples)
    worker = board.open_worker(BACKEND, deadlines or Deadlines())
    worker.load(made.sha256)
    return worker


def test_the_fingerprint_is_what_the_board_says(board):
    fingerprint = board._fingerprint(board.hello)
    assert (fingerprint.runtime, fingerprint.cpu_model, fingerprint.board_model) == (
        "plan 1 (dsp)",
        "cortex-m4",
        "mps2-an386",
    )
    assert fingerprint.clock_hz == 25_000_000 and "arm-none-eabi-gcc" in fingerprint.firmware
    program = program_of_build(fingerprint.board_model, board.hello.firmware)
    assert program is not None and fingerprint.firmware_sha256 == sha256_file(program)
    assert board.time_basis == "guest-instructions" and board.facts.plans
    profile = board._profile
    assert board.facts.model_bytes == profile.limits.model_bytes
    assert 0.98 < board.facts.arena_bytes / profile.limits.arena_bytes < 1.02


def test_outputs_counts_and_memory_of_a_cell(board, files, open_board, monkeypatch):
    monkeypatch.setattr(mcu_worker, "RUN_COUNT", 8)
    worker = start(board, files)
    assert worker.first_invoke(["s"]) is None
    timed = worker.bench(BenchPlan())
    assert len(timed.samples_ns) == 0 and timed.counts.unit == "instructions" and len(set(timed.counts.values)) == 1
    progress = []
    result = worker.evaluate(["s"], COUNT, progress=lambda done, total: progress.append((done, total)))
    assert result.outputs[0].shape == (COUNT, 10) and result.outputs[0].dtype == np.int8 and len(result.invoke_ns) == 0
    assert result.counts.values[0] == timed.counts.values[0] and len(result.counts.values) == COUNT
    assert progress == [(8, COUNT), (16, COUNT), (COUNT, COUNT)]
    stats = worker.stats()
    assert stats.arena_bytes >= 26 * 26 * 12 and 0 < stats.stack_peak_bytes < 4096 and stats.code_bytes < 64 << 10
    assert {n.ran_on for n in worker.placement().nodes} == {"cpu"} and worker.close() == ""
    # any part of the samples gives the same rows, and the counts are the same on a board that was started anew
    assert np.array_equal(worker.evaluate(["s"], 5, start=10).outputs[0], result.outputs[0][10:15])
    again = start(open_board(), files, samples=4)
    again.first_invoke(["s"])
    repeated = again.evaluate(["s"], 4)
    assert np.array_equal(repeated.outputs[0], result.outputs[0][:4])
    assert np.array_equal(repeated.counts.values, result.counts.values[:4])


def test_samples_travel_once(board, files):
    start(board, files).first_invoke(["s"])
    good = board.session.stats().frames_good
    worker = start(board, files)
    worker.first_invoke(["s"])
    assert board.session.stats().frames_good - good < 12  # a model's and a sample set's BEGIN and COMMIT, RUN, READ


@pytest.mark.parametrize("room", [0, 784 + 20 + 16, 4 * 784 + 200])
def test_a_board_with_little_or_no_room_for_samples_gives_the_same(board, files, room, monkeypatch):
    full = start(board, files)
    full.first_invoke(["s"])
    expected = full.evaluate(["s"], 10)
    monkeypatch.setattr(board.session, "_hello", replace(board.hello, sample_bytes=room))
    small = start(board, files, samples=10)
    small.first_invoke(["s"])
    assert len(set(small.bench(BenchPlan()).counts.values)) == 1
    found = small.evaluate(["s"], 10)
    assert np.array_equal(found.outputs[0], expected.outputs[0])
    assert np.array_equal(found.counts.values, expected.counts.values)


def test_several_inputs_lie_one_after_the_other():
    a = np.arange(6, dtype=np.int8).reshape(2, 3)
    b = np.array([[1.0], [2.0]], np.float32)
    assert interleave([a, b]) == bytes([0, 1, 2]) + b[0].tobytes() + bytes([3, 4, 5]) + b[1].tobytes()


def test_the_check_model_is_right_on_the_smallest_core(open_board):
    board = open_board("cortex-m0@qemu")
    *_, model = check_mcu(board._profile, board)
    assert model.ok and "right answers in" in model.detail and "instructions" in model.detail


def test_what_ticks_mean():
    emulated = McuClock(tick_hz=25_000_000, tick_unit=1, icount_shift=7)
    assert (
        emulated.counts(np.array([3200, 3201])).values.tolist() == [1000, 1000] and len(emulated.ns(np.array([1]))) == 0
    )
    cycles = McuClock(tick_hz=168_000_000, tick_unit=2)
    assert (cycles.time_basis, cycles.counts(np.array([168])).values.tolist()) == ("device-cycles", [168])
    assert cycles.one_ns(168) == 1000
    timer = McuClock(tick_hz=1_000_000, tick_unit=1)
    assert (timer.time_basis, timer.counts(np.array([5])), timer.one_ns(5)) == ("device", None, 5000)


class TimedLine(EmulatedLine):
    """The emulated board taken for a real one: its ticks are those of a timer, and nobody counts instructions."""

    icount_shift = None


def test_a_real_board_is_warmed_up_until_it_has_settled(open_board, files, monkeypatch):
    worker = start(open_board(line=emulated_line(mcu_profile(), TimedLine)), files, samples=4)
    worker.first_invoke(["s"])
    plan = BenchPlan(min_samples=5, min_ns=1, max_ns=10**9)
    timed = worker.bench(plan)
    assert timed.warmup_stable and len(timed.warmup_ns) >= 3 and len(timed.samples_ns) == 5 and timed.counts is None
    assert timed.pace_ns > 0
    # one that becomes slower all the time is told, and not timed for ever
    repeat, calls = worker._repeat, []

    def slower(count):
        rows, ticks = repeat(count)
        calls.append(count)
        return rows, ticks * (10 + len(calls)) // 10

    monkeypatch.setattr(worker, "_repeat", slower)
    timed = worker.bench(replace(plan, warmup_max_ns=10**9))
    assert not timed.warmup_stable and 10**9 <= timed.warmup_ns.sum() < 3 * 10**9


def test_a_board_that_runs_fewer_inferences_than_asked_is_found_out(open_board, files, monkeypatch):
    board = open_board()
    worker = start(board, files)
    worker.first_invoke(["s"])
    run = board.session.run
    monkeypatch.setattr(board.session, "run", lambda **options: replace(run(**options), done=1))
    with pytest.raises(ProtocolError, match=f"RUN: done is 1, asked were {COUNT} inferences"):
        worker.evaluate(["s"], COUNT)


def test_ticks_of_a_result_beyond_any_clock(open_board, files, monkeypatch):
    board = open_board()
    worker = start(board, files)
    worker.first_invoke(["s"])
    read = board.session.read
    monkeypatch.setattr(board.session, "read", lambda *place: b"\xff" * 8 + read(*place)[8:])
    with pytest.raises(ProtocolError, match="RESULTS: the board counts 18446744073709551615 ticks"):
        worker.evaluate(["s"], 2)


# ------------------------------------------------------------------------------------------------------------ faults


def test_another_board_than_the_profile_means_is_refused(open_board):
    with pytest.raises(StableDeviceError, match="calls itself 'mps2-an386', the profile wants 'my-nucleo'"):
        open_board(board="my-nucleo")
    with pytest.raises(StableDeviceError, match="core is a cortex-m4, the profile says cortex-m7"):
        open_board(line=emulated_line(mcu_profile()), core="cortex-m7")


def test_a_port_that_does_not_exist(open_board):
    line = PortLine(SerialSettings(port="/dev/serial/by-id/usb-nobody", baud=115200))
    with pytest.raises(StableDeviceError, match="no such port"):
        open_board(line=line)


def test_a_port_on_which_something_else_speaks(open_board):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def chatter() -> None:
            peer, _ = server.accept()
            with peer:
                try:
                    while peer.recv(100):
                        peer.sendall(b"login: \r\n")
                except OSError:
                    return

        thread = threading.Thread(target=chatter)
        thread.start()
        with pytest.raises(StableDeviceError, match="something else speaks on the line"):
            open_board(line=PortLine(SerialSettings(port=f"socket://127.0.0.1:{server.getsockname()[1]}", baud=115200)))
        thread.join(10)


def test_a_hang_ends_by_the_boards_own_watchdog_and_the_board_is_there_again(open_board, files):
    board = open_board(line=breakable_line(mcu_profile()))
    worker = start(board, files, deadlines=Deadlines(first_invoke_s=0.1))
    hang_next(board)
    with pytest.raises(WorkerFailure, match="watchdog") as failure:
        worker.first_invoke(["s"])
    assert (failure.value.kind, failure.value.phase) == ("deadline", "first_invoke") and failure.value.board_log
    next_worker = start(board, files)
    next_worker.first_invoke(["s"])
    assert len(next_worker.evaluate(["s"], 3).counts.values) == 3


def test_a_board_that_works_is_not_taken_for_one_that_hangs(open_board, files):
    """0.8 million instructions are 0.1 s of the board's time: a dozen deadlines."""
    board = open_board()
    quick = start(board, files)
    quick.first_invoke(["s"])
    (count,) = set(quick.bench(BenchPlan()).counts.values)
    slow = start(board, files, deadlines=Deadlines(first_invoke_s=0.008, evaluate_s=0.008, bench_s=0.008))
    slow.first_invoke(["s"])
    outputs = slow.evaluate(["s"], 2).outputs[0]
    assert np.array_equal(outputs, quick.evaluate(["s"], 2).outputs[0])
    # What looking after it took is taken off, but for the way into the handler and out of it.
    assert 0 <= int(slow.bench(BenchPlan()).counts.values[0]) - count < 1_000


def test_a_corrupt_plan_is_refused_by_the_board_and_is_not_the_models_fault(open_board, files):
    board = open_board()
    made = mcu_model(read_graph(files[0]), files[0], board.facts)
    broken = bytearray(made.path.read_bytes())
    broken[100] ^= 0x40
    path = files[0].with_suffix(".plan")
    path.write_bytes(broken)
    board.expect(replace(made, path=path), samples=1)
    worker = board.open_worker(BACKEND, Deadlines())
    with pytest.raises(WorkerFailure, match="bad_model") as failure:
        worker.load(made.sha256)
    assert failure.value.kind == "exit"


def test_power_loss_in_the_middle_of_an_upload(open_board, files):
    profile = mcu_profile()
    line = emulated_line(profile, KilledLine)
    board = open_board(line=line)
    worker = start(board, files)
    original = board.session.upload
    board.session.upload = lambda target, data: original(target, data, progress=lambda done, total: line.strike())
    with pytest.raises(TransientDeviceError, match="emulated board ended"):
        worker.first_invoke(["s"])
    board.connect()
    worker = start(board, files)
    worker.first_invoke(["s"])
    assert line.started == 2


def test_an_interrupt_from_another_thread_ends_a_long_request(open_board, files):
    board = open_board()
    worker = start(board, files)
    timer = threading.Timer(0.05, board.interrupt)
    timer.start()
    with pytest.raises(TransientDeviceError):
        for _ in range(10_000):
            worker.evaluate(["s"], COUNT)
    timer.join()
