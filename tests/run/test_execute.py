"""How the runner turns what happens to workers, links and boards into outcomes, retries and stored cells."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from harness.boards.base import BenchResult, WorkerFailure
from harness.boards.resolve import packaged_profile
from harness.core.errors import StableDeviceError, TransientDeviceError
from harness.judge.rules import RULES_VERSION
from harness.judge.stored import finisher
from harness.results.objects import ObjectStore
from harness.results.record import CellKey, RunInfo
from harness.results.store import Store
from harness.run import device as device_module
from harness.run.execute import execute
from harness.run.jobs import DeviceJob, Execution, PlannedCell
from tests.support.cells import OUTPUTS, model, run_cells
from tests.support.fake_board import FakeBoard


@pytest.fixture
def rig(tmp_path, monkeypatch):
    """run(board, *models, samples=None) -> the stored records, in order (tests.support.cells.run_cells)."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))

    def run(board, *models, **options):
        return run_cells(tmp_path, monkeypatch, board, models, **options)

    return run


def failure(kind, phase="evaluate", signal=None):
    return WorkerFailure("it ended", kind=kind, phase=phase, signal=signal, board_log="last words")


def test_a_good_cell_is_ok_with_its_figures(rig, tmp_path):
    (record,) = rig(FakeBoard("b", OUTPUTS), model(tmp_path))
    assert (record.outcome, record.attempts, record.samples, record.accuracy) == ("ok", 1, 300, 1.0)
    assert (record.accuracy_delta, record.reference, record.board_log) == (0.0, "oracle 1.0", "worker log")
    assert record.latency_median_ns == 1000 and record.latency_samples >= 200
    assert record.first_invoke_ns == 5_000_000 and record.load_ns == 1_000_000
    assert record.total_nodes == 3 and record.delegated_nodes == 0


def test_outputs_and_sample_ids_are_stored_so_that_cells_can_be_compared_later(rig, tmp_path):
    (record,) = rig(FakeBoard("b", OUTPUTS), model(tmp_path), samples=100)
    objects = ObjectStore(tmp_path / "results")
    assert objects.get_array(record.sample_ids_object).tolist() == list(range(100))
    assert np.array_equal(objects.get_arrays(record.outputs_object)["output_0"], OUTPUTS[:100])


def test_a_record_says_which_model_and_which_rules(rig, tmp_path):
    (record,) = rig(FakeBoard("b", OUTPUTS), replace(model(tmp_path), model_sha256="a" * 64))
    assert (record.model_sha256, record.rules_version, record.revision) == ("a" * 64, RULES_VERSION, 0)


def test_outputs_that_are_not_the_references_are_wrong(rig, tmp_path):
    (record,) = rig(FakeBoard("b", np.roll(OUTPUTS, 1, axis=1)), model(tmp_path))
    assert record.outcome == "wrong"
    assert "oracle 1.0" in record.reason and record.accuracy == 0.0


def test_a_refused_build_is_unsupported_without_touching_the_board(rig, tmp_path):
    board = FakeBoard("b", OUTPUTS)
    (record,) = rig(board, model(tmp_path, refused="16x8-bit not yet supported"))
    assert record.outcome == "unsupported" and "16x8-bit not yet supported" in record.reason
    assert board.opened == 0


def test_what_the_runtime_refuses_is_unsupported_at_once_and_the_next_cell_runs(rig, tmp_path):
    board = FakeBoard("b", OUTPUTS, faults=[{"load": failure("exception", "load")}])
    first, second = rig(board, model(tmp_path), model(tmp_path, recipe="ptq-float16"))
    assert (first.outcome, first.attempts, first.board_log) == ("unsupported", 1, "last words")
    assert first.reason.startswith("load:")
    assert second.outcome == "ok"


def test_a_crash_each_time_is_unsupported_with_the_signal(rig, tmp_path):
    crash = {"evaluate": failure("signal", signal="SIGSEGV")}
    (record,) = rig(FakeBoard("b", OUTPUTS, faults=[crash, crash]), model(tmp_path))
    assert record.outcome == "unsupported" and "SIGSEGV each time" in record.reason
    assert record.attempts == 2


def test_a_crash_once_is_tried_again(rig, tmp_path):
    board = FakeBoard("b", OUTPUTS, faults=[{"evaluate": failure("signal", signal="SIGSEGV")}])
    (record,) = rig(board, model(tmp_path))
    assert (record.outcome, record.attempts) == ("ok", 2)


@pytest.mark.parametrize("kind, signal", [("signal", "SIGKILL"), ("deadline", None)])
def test_killed_or_hung_is_never_held_against_the_model(rig, tmp_path, kind, signal):
    fault = {"first_invoke": failure(kind, "first_invoke", signal)}
    (record,) = rig(FakeBoard("b", OUTPUTS, faults=[fault, fault]), model(tmp_path))
    assert (record.outcome, record.attempts) == ("failed", 2)


def test_a_lost_connection_is_made_again_and_the_cell_repeated(rig, tmp_path):
    board = FakeBoard("b", OUTPUTS, faults=[{"evaluate": TransientDeviceError("connection lost")}])
    (record,) = rig(board, model(tmp_path))
    assert (record.outcome, record.attempts, board.connected) == ("ok", 2, 2)


def test_a_board_that_is_gone_fails_all_its_cells_with_the_reason(rig, tmp_path):
    gone = TransientDeviceError("no route to host")
    board = FakeBoard("b", OUTPUTS, connects=[gone])
    records = rig(board, model(tmp_path), model(tmp_path, recipe="ptq-float16"))
    assert [r.outcome for r in records] == ["failed", "failed"]
    assert all("no route to host" in r.reason for r in records)


def test_a_board_that_boots_slowly_is_waited_for(rig, tmp_path):
    starting = TransientDeviceError("192.0.2.7 cannot be reached: Connection refused")
    board = FakeBoard("b", OUTPUTS, connects=[starting, starting, starting, None])
    (record,) = rig(board, model(tmp_path), first_s=60.0)
    assert (record.outcome, record.attempts, board.connected) == ("ok", 1, 4)


@pytest.mark.parametrize("why", ["the login of root was refused", "the host key of board has changed"])
def test_a_board_that_refuses_is_not_waited_for(rig, tmp_path, why):
    board = FakeBoard("b", OUTPUTS, connects=[StableDeviceError(why)])
    (record,) = rig(board, model(tmp_path), first_s=60.0)
    assert (record.outcome, board.connected) == ("failed", 1) and why in record.reason


def test_a_board_over_which_the_harness_falls_fails_its_cells_and_no_others(rig, tmp_path):
    board = FakeBoard("b", OUTPUTS, connects=[TypeError("unexpected keyword 'cpu'")])
    first, second = rig(board, model(tmp_path), model(tmp_path, recipe="ptq-float16"))
    assert (first.outcome, second.outcome) == ("failed", "failed")
    assert "internal error: TypeError" in first.reason and "Traceback" in first.board_log


def test_a_board_that_is_away_for_a_while_is_waited_for(rig, tmp_path):
    lost = TransientDeviceError("connection lost")
    board = FakeBoard("b", OUTPUTS, faults=[{"load": lost}], connects=[None, lost, lost, lost, None])
    records = rig(board, model(tmp_path), model(tmp_path, recipe="ptq-float16"))
    assert [(r.outcome, r.attempts) for r in records] == [("ok", 2), ("ok", 1)]


def test_a_board_that_comes_back_as_another_is_not_waited_for(rig, tmp_path):
    changed = StableDeviceError("the host key of board has changed")
    board = FakeBoard(
        "b", OUTPUTS, faults=[{"load": TransientDeviceError("connection lost")}], connects=[None, changed, changed]
    )
    first, second = rig(board, model(tmp_path), model(tmp_path, recipe="ptq-float16"))
    assert (first.outcome, second.outcome, board.connected) == ("failed", "failed", 2)
    assert "connection lost" in first.reason and "has changed" in second.reason


def test_a_board_lost_for_good_keeps_what_was_finished(rig, tmp_path):
    lost = TransientDeviceError("connection lost")
    board = FakeBoard("b", OUTPUTS, faults=[{}, {"load": lost}], connects=[None, lost, lost])
    models = (model(tmp_path, recipe=recipe) for recipe in ("ptq-float32", "ptq-float16", "ptq-int8"))
    records = rig(board, *models, again_s=0.0)
    assert [r.outcome for r in records] == ["ok", "failed", "failed"]


def test_no_space_is_not_tried_again(rig, tmp_path):
    board = FakeBoard("b", OUTPUTS)

    def full():
        raise StableDeviceError("no space left on the board")

    board.upload = full
    (record,) = rig(board, model(tmp_path))
    assert (record.outcome, record.attempts) == ("failed", 1)
    assert "no space left" in record.reason


def test_a_smaller_sample_is_said_in_the_record(rig, tmp_path):
    (record,) = rig(FakeBoard("b", OUTPUTS), model(tmp_path), samples=64)
    assert (record.samples, record.reference_samples) == (64, 64)


def test_without_a_reference_nothing_is_called_wrong(rig, tmp_path):
    unreferenced = replace(model(tmp_path), reference=None)
    (record,) = rig(FakeBoard("b", np.roll(OUTPUTS, 1, axis=1)), unreferenced)
    assert (record.outcome, record.reference, record.max_lsb_diff) == ("ok", None, None)


def test_ctrl_c_ends_the_cell_under_way_and_keeps_the_finished_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    board = FakeBoard("b", OUTPUTS)
    monkeypatch.setattr(device_module, "connect", lambda profile, progress: board)
    models = [model(tmp_path), model(tmp_path, recipe="ptq-float16")]
    cells = []
    for m in models:
        key = CellKey(
            workload="w", recipe=m.recipe, device="host-litert", backend="cpu", dataset=m.dataset_digest, seed=0
        )
        cells.append(PlannedCell(key=key, model=m))

    def block_second_cell():
        if board.opened == 1:
            os.kill(os.getpid(), signal.SIGINT)
            assert board.interrupted.wait(30), "the board was not interrupted"
            raise TransientDeviceError("the channel is closed")

    board.upload = block_second_cell
    with Store.open(tmp_path / "results") as store:
        keys = [c.key for c in cells]
        store.begin_run(RunInfo(run="r1", started_utc="2026-01-01T00:00:00+00:00", command=["test"], planned=keys))
        execution = Execution(run="r1", store=store, finish=finisher(ObjectStore(tmp_path / "results")))
        job = DeviceJob(profile=packaged_profile("host-litert"), device="host-litert", cells=tuple(cells), samples=None)
        # Tests that were started in the background inherit that SIGINT is ignored.
        inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                execute([job], execution)
        finally:
            signal.signal(signal.SIGINT, inherited)
        assert [r.key.recipe for r in store.cells(run="r1")] == ["ptq-float32"]
        assert store.pending("r1") == [keys[1]]
    assert board.closed >= 1


def test_a_defect_of_the_harness_costs_one_cell_and_is_told(rig, tmp_path):
    board = FakeBoard("b", OUTPUTS, faults=[{"bench": ZeroDivisionError("oh")}])
    first, second = rig(board, model(tmp_path), model(tmp_path, recipe="ptq-float16"))
    assert first.outcome == "failed" and "internal error: ZeroDivisionError" in first.reason
    assert "Traceback" in first.board_log
    assert second.outcome == "ok"


def test_facts_that_cannot_be_judged_cost_one_cell_and_are_told(rig, tmp_path):
    board = FakeBoard("b", OUTPUTS)
    open_worker = board.open_worker

    def once_with_a_clock_that_runs_backwards(backend, deadlines):
        worker = open_worker(backend, deadlines)
        if board.opened == 1:
            samples = np.array([5, -1], np.int64)
            worker.bench = lambda plan: BenchResult(samples_ns=samples, warmup_ns=samples, warmup_stable=True)
        return worker

    board.open_worker = once_with_a_clock_that_runs_backwards
    first, second = rig(board, model(tmp_path), model(tmp_path, recipe="ptq-float16"))
    assert first.outcome == "failed" and "clock ran backwards" in first.reason and "Traceback" in first.board_log
    assert second.outcome == "ok"


def test_a_delegate_that_does_not_load_is_the_boards_lack_not_the_models(rig, tmp_path):
    what = "there is no /usr/lib/libvx_delegate.so on the board"
    fault = WorkerFailure(what, kind="exception", phase="delegate")
    (record,) = rig(FakeBoard("b", OUTPUTS, faults=[{"load": fault}]), model(tmp_path))
    assert (record.outcome, record.reason, record.attempts) == ("failed", f"the delegate does not load: {what}", 1)


def test_a_wrong_output_shape_is_wrong(rig, tmp_path):
    odd = np.zeros((300, 7), dtype=np.float32)
    (record,) = rig(FakeBoard("b", odd), model(tmp_path))
    assert record.outcome == "wrong" and "shape" in record.reason
