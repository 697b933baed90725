"""Boards with MLPerf Tiny's firmware: whole cells over a real pty against a simulator that speaks the published protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from harness.boards.connect import backend_spec
from harness.boards.mlperf_tiny.board import MlperfTinyBoard
from harness.boards.mlperf_tiny.profile import MlperfTinyProfile
from harness.boards.resolve import get_profile
from harness.core.errors import StableDeviceError, TransientDeviceError
from harness.reports.tables import is_mcu
from harness.reports.values import placement_text
from harness.results.objects import ObjectStore
from harness.workloads.metrics.registry import get_metric
from tests.support import tiny_model
from tests.support.mlperf_simulator import Fault, MlperfSimulator

PROFILE = """\
name: tiny-board
title: a board with the published firmware
kind: mcu
link: {type: serial, port: PORT}
runtime: {module: mlperf-tiny, models: {w: ic01, as-is: MODEL}}
"""
#: short enough for faults, long enough for a busy machine
QUICK = {"short_s": 1.0, "greeting_s": 5.0}


@pytest.fixture
def make_profile(devices_dir: Path, write_profile) -> Callable[..., MlperfTinyProfile]:
    """`make(port, model=, **changes)`: a profile read from a file."""

    def make(port: str, model: str = "ic01", **changes: object) -> MlperfTinyProfile:
        write_profile("tiny-board", PROFILE.replace("PORT", port).replace("MODEL", model))
        profile = get_profile("tiny-board", devices_dir)
        assert isinstance(profile, MlperfTinyProfile)
        return profile.model_copy(update=changes)

    return make


@pytest.fixture
def make_board(plan_library: Path, tmp_path: Path) -> Callable[..., MlperfSimulator]:
    """`make(data, **options)`: a simulated board that holds the model."""

    def make(data: bytes | None = None, **options: object) -> MlperfSimulator:
        path = tmp_path / "held.tflite"
        path.write_bytes(tiny_model.mnist_cnn() if data is None else data)
        return MlperfSimulator(tflite=path, library=plan_library, **options)

    return make


def _quick(profile: MlperfTinyProfile) -> MlperfTinyBoard:
    return MlperfTinyBoard(profile, profile.link.make_line(profile.place()), **QUICK)


@pytest.fixture
def run_on(mcu_run, make_profile) -> Callable[..., list]:
    """`run(board, *models, model=)`: records of cells on a simulated board."""

    def run(simulated: MlperfSimulator, *models, model: str = "ic01", **changes: object) -> list:
        return mcu_run(*models, profiles=(make_profile(simulated.port, model, **changes),), make=_quick)

    return run


# ------------------------------------------------------------------------------------------------------- good cells


@pytest.mark.parametrize(
    ("model", "options"),
    [("ic01", {}), ("vww01", {"trailing_comma": True}), ("kws01", {"truncate": True})],
)
def test_a_cell_gets_the_outputs_of_the_model_to_the_bit(run_on, prepare_mcu, make_board, model: str, options: dict):
    prepared = prepare_mcu(tiny_model.mnist_cnn(), samples=6, reference=True)
    with make_board(model=model, **options) as board:
        (record,) = run_on(board, prepared, model=model)
    assert (record.outcome, record.attempts, record.samples) == ("ok", 1, 6), record.reason
    assert record.max_lsb_diff == 0 and record.reference_samples == 6
    assert record.fingerprint.runtime == f"mlperf-tiny {model}" and record.fingerprint.board_model == "simulated"
    assert record.fingerprint.firmware.startswith("ULPMark") and record.time_basis == "device"
    # what the firmware does not tell is not made up
    assert record.load_ns is None and record.first_invoke_ns is None and record.ops == []
    assert placement_text(record) == "placement not told" and not is_mcu(record)
    assert record.arena_bytes is None and record.threads is None and record.board_log is None
    assert record.delegated_nodes is None and record.input_dtype == record.output_dtype == "int8"
    assert not [f for f in record.findings if f.severity != "info"], record.findings


def test_results_are_taken_from_single_inferences_and_times_from_long_batches(
    run_on, prepare_mcu, make_board, tmp_path
):
    prepared = prepare_mcu(tiny_model.mnist_cnn(), samples=3, reference=True)
    with make_board(infer_us=2_000) as board:
        (record,) = run_on(board, prepared)
        infers = [command for command in board.commands if command.startswith("infer")]
    assert record.outcome == "ok", record.reason
    # one to begin with and one for each sample
    assert infers.count("infer 1 0") >= 4 and infers[-3:] == ["infer 1 0"] * 3
    (batch,) = {command for command in infers if command.endswith(" 1")}
    inferences = int(batch.split()[1])
    raw = ObjectStore(tmp_path / "results").get_array(record.latency_object)
    assert len(raw) == infers.count(batch) == record.latency_samples >= 30
    # the line of the first lap is in each interval: 1.82 ms of it, spread over the batch
    assert inferences * 2_000 >= 100 * 1_800
    assert 2_000_000 < record.latency_median_ns <= 2_000_000 * 1.011
    (finding,) = [f for f in record.findings if f.code == "latency-of-batches"]
    assert f"mean of {inferences} inferences" in finding.what and finding.severity == "info"


def test_a_timer_that_wraps_is_no_negative_latency(run_on, prepare_mcu, make_board):
    prepared = prepare_mcu(tiny_model.mnist_cnn(), samples=1)
    with make_board(infer_us=2_000, start_us=(1 << 32) - 2_500_000) as board:
        (record,) = run_on(board, prepared)
    assert record.outcome == "ok" and 2_000_000 < record.latency_p99_ns < 2_100_000


def test_the_anomaly_score_is_compared_with_the_references_score(run_on, prepare_mcu, make_board, tmp_path):
    autoencoder = tiny_model.int8_dense(inputs=40, outputs=40)
    prepared = prepare_mcu(autoencoder, samples=5, reference=True)
    with make_board(autoencoder, model="ad01") as board:
        (record,) = run_on(board, prepared, model="ad01")
        (size,) = {command for command in board.commands if command.startswith("db load")}
    assert record.outcome == "ok", record.reason
    assert size == "db load 160"  # float32
    assert record.nrmse < 1e-4 and record.accuracy is None and "score-only" in {f.code for f in record.findings}
    (scores,) = ObjectStore(tmp_path / "results").get_arrays(record.outputs_object).values()
    assert scores.shape == (5, 1) and scores.dtype == np.float32 and (scores > 0).all()


def test_the_anomaly_score_is_judged_by_its_auc_where_there_are_labels(run_on, prepare_mcu, make_board, tmp_path):
    autoencoder = tiny_model.int8_dense(inputs=40, outputs=40)
    prepared = prepare_mcu(autoencoder, samples=6, reference=True)
    anomaly = np.array([0, 1, 0, 1, 1, 0], np.float32)
    labels = np.concatenate([anomaly[:, None], np.zeros((6, 40), np.float32)], axis=1)
    prepared = replace(prepared, metric=get_metric("autoencoder_auc"), labels=labels)
    with make_board(autoencoder, model="ad01") as board:
        (record,) = run_on(board, prepared, model="ad01")
    (scores,) = ObjectStore(tmp_path / "results").get_arrays(record.outputs_object).values()
    assert (record.metric, record.accuracy) == ("autoencoder_auc", None)
    assert record.score == pytest.approx(roc_auc_score(anomaly, scores[:, 0]))


def test_another_model_of_the_same_name_is_wrong(run_on, prepare_mcu, make_board):
    prepared = prepare_mcu(tiny_model.int8_dense(inputs=16, outputs=10), samples=8, reference=True)
    other = _other_dense()
    with make_board(other) as board:
        (record,) = run_on(board, prepared)
    assert record.outcome == "wrong" and "differs from the model's definition" in record.reason


# ------------------------------------------------------------------------------------------------------- refusals


def test_a_model_that_the_firmware_does_not_hold_runs_nothing(run_on, prepare_mcu, make_board):
    prepared = prepare_mcu(tiny_model.mnist_cnn(), samples=2)
    unnamed = prepare_mcu(tiny_model.mnist_cnn(), "ptq-int8-io", samples=2)
    floats = prepare_mcu(tiny_model.float_mlp(), samples=2)
    with make_board(model="ic01") as board:
        other, nobody = run_on(board, prepared, unnamed, model="kws01")
        (typed,) = run_on(board, floats)
        assert not [command for command in board.commands if command.startswith(("db", "infer"))]
    assert (other.outcome, nobody.outcome, typed.outcome) == ("unsupported",) * 3
    assert "the firmware holds ic01, and as-is is kws01" in other.reason
    assert "models: {w/ptq-int8-io: ic01}" in nobody.reason
    assert "its input is float32" in typed.reason


def test_an_input_of_another_size_is_the_models_fault_and_told_in_the_firmwares_words(run_on, prepare_mcu, make_board):
    small = prepare_mcu(tiny_model.int8_dense(inputs=16), samples=2)
    with make_board() as board:
        (record,) = run_on(board, small)
    assert (record.outcome, record.attempts) == ("unsupported", 1)
    assert "Input db has 16 elemented, expected 784" in record.reason


def test_another_number_of_results_is_another_model(run_on, prepare_mcu, make_board):
    prepared = prepare_mcu(tiny_model.int8_dense(inputs=16, outputs=4), samples=2)
    with make_board(tiny_model.int8_dense(inputs=16, outputs=10)) as board:
        (record,) = run_on(board, prepared)
    assert record.outcome == "unsupported" and "has 10 results, ic01 here has 4" in record.reason


def test_a_board_of_another_vendor_is_left_alone(run_on, prepare_mcu, make_board):
    with make_board(vendor="other") as board:
        (record,) = run_on(board, prepare_mcu(tiny_model.mnist_cnn(), samples=2), board="mine")
    assert record.outcome == "failed" and "names the vendor 'other', the profile wants 'mine'" in record.reason


# ------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    "fault",
    [
        Fault(on="infer 1 0", action="garble", skip=1),
        Fault(on="infer 1 0", action="garble-ready", skip=1),
        Fault(on="infer 1 0", action="error", skip=1),
        Fault(on="db ", action="silent", skip=5),
        Fault(on="db ", action="error", skip=40),
        Fault(on="db load", action="garble-ready"),
        Fault(on="infer", action="garble", skip=4, times=2),
        Fault(on="name", action="garble"),
        Fault(on="profile", action="silent"),
        Fault(on="name", action="slow", delay_s=1.5),
        Fault(on="infer", action="slow"),
        Fault(on="infer 1 0", action="misheard", skip=2),
        Fault(on="db ", action="misheard", skip=9),
        Fault(on="db load", action="misheard", skip=1),
    ],
    ids=lambda fault: f"{fault.on.strip()}-{fault.action}",
)
def test_a_spoilt_line_is_asked_again_and_changes_nothing(run_on, prepare_mcu, make_board, fault: Fault):
    prepared = prepare_mcu(tiny_model.mnist_cnn(), samples=3, reference=True)
    with make_board(faults=[fault]) as board:
        (record,) = run_on(board, prepared)
    assert fault.times == 0, "the fault did not happen"
    assert (record.outcome, record.attempts, record.max_lsb_diff) == ("ok", 1, 0), record.reason


def test_errors_that_do_not_end_are_a_failure_of_the_board_and_the_next_cell_runs(run_on, prepare_mcu, make_board):
    prepared = [prepare_mcu(tiny_model.mnist_cnn(), samples=samples) for samples in (2, 3)]
    # three tries in each of two attempts
    with make_board(faults=[Fault(on="infer", action="error", times=6)]) as board:
        first, second = _two_cells(run_on, board, prepared)
    assert (first.outcome, first.attempts) == ("failed", 2)
    assert (
        "the firmware answered e-[Unknown command: infer#] (3 times)" in first.reason
        and "try 1 of 3" in first.board_log
    )
    assert second.outcome == "ok", second.reason


def test_a_board_that_starts_anew_is_noticed_and_the_cell_runs_again(run_on, prepare_mcu, make_board):
    prepared = prepare_mcu(tiny_model.mnist_cnn(), samples=3, reference=True)
    for fault in (Fault(on="infer 1 0", action="reboot", skip=2), Fault(on="db ", action="reboot", skip=30)):
        with make_board(faults=[fault]) as board:
            (record,) = run_on(board, prepared)
        assert (record.outcome, record.attempts, record.max_lsb_diff) == ("ok", 2, 0), record.reason


def test_a_board_that_always_starts_anew_fails_and_says_so(run_on, prepare_mcu, make_board):
    prepared = [prepare_mcu(tiny_model.mnist_cnn(), samples=samples) for samples in (2, 3)]
    with make_board(faults=[Fault(on="infer", action="reboot", times=2)]) as board:
        first, second = _two_cells(run_on, board, prepared)
    assert (
        first.outcome == "failed" and "started anew in the middle" in first.reason and "m-init-done" in first.board_log
    )
    assert second.outcome == "ok", second.reason


def test_an_inference_that_does_not_end_is_a_failure_with_its_time(run_on, prepare_mcu, make_board, make_profile):
    prepared = [prepare_mcu(tiny_model.mnist_cnn(), samples=samples) for samples in (2, 3)]
    with make_board(faults=[Fault(on="infer", action="silent", times=2)]) as board:
        profile = make_profile(board.port)
        deadlines = profile.deadlines.model_copy(update={"first_invoke_s": 0.5})
        first, second = _two_cells(run_on, board, prepared, deadlines=deadlines)
    assert first.outcome == "failed" and "no `m-ready` within 0.5 s of `infer 1 0`" in first.reason
    assert second.outcome == "ok", second.reason


def test_what_tflite_micro_refuses_is_unsupported(run_on, prepare_mcu, make_board):
    with make_board(faults=[Fault(on="infer", action="invoke-failed")]) as board:
        (record,) = run_on(board, prepare_mcu(tiny_model.mnist_cnn(), samples=2))
    assert record.outcome == "unsupported" and "Invoke failed" in record.reason


def test_firmware_for_energy_tells_no_times_and_the_reason_says_how_to_build_it(run_on, prepare_mcu, make_board):
    with make_board(laps=False) as board:
        (record,) = run_on(board, prepare_mcu(tiny_model.mnist_cnn(), samples=2))
    assert record.outcome == "failed" and "EE_CFG_ENERGY_MODE=0" in record.reason


def test_an_unplugged_board_is_a_transient_error(make_board, make_profile):
    with make_board() as simulated:
        board = _quick(make_profile(simulated.port))
        assert board.connect().runtime == "mlperf-tiny ic01"
    with pytest.raises(TransientDeviceError):
        board.open_worker(backend_spec(make_profile("/dev/null-board"), "cpu"), make_profile("/dev/x").deadlines_spec())
    board.close()


def test_a_board_flashed_with_another_model_in_the_middle_of_a_run_is_noticed(make_board, make_profile):
    with make_board() as simulated:
        profile = make_profile(simulated.port)
        board = _quick(profile)
        board.connect()
        simulated.model = "kws01"
        with pytest.raises(StableDeviceError, match=r"another one now: kws01 .* it was ic01"):
            board.open_worker(backend_spec(profile, "cpu"), profile.deadlines_spec())
        board.close()


# ------------------------------------------------------------------------------------------------------- command line


def test_measure_and_check_from_the_command_line(
    mcu_cache, make_board, make_profile, devices_dir: Path, tmp_path: Path, harness_cli
):
    with make_board(_published_ic_shape()) as board:
        make_profile(board.port)
        text = (devices_dir / "tiny-board.yaml").read_text().replace("as-is: ic01", "held: ic01")
        (devices_dir / "tiny-board.yaml").write_text(text)
        options = ("--devices-dir", devices_dir)
        checked = harness_cli("devices", "check", "tiny-board", *options)
        assert checked.code == 0, checked.out + checked.err
        assert "ic01: w, held" in checked.out and "came back the same" in checked.out and "10 results" in checked.out
        listed = harness_cli("devices", "list", *options)
        assert f"serial {board.port} at 115200 baud" in listed.out
        measured = harness_cli(
            "measure",
            tmp_path / "held.tflite",
            "--device",
            "tiny-board",
            "--samples",
            "4",
            "--json",
            tmp_path / "out.json",
            "--results",
            tmp_path / "runs",
            *options,
        )
    assert measured.code == 0, measured.out + measured.err
    (cell,) = json.loads((tmp_path / "out.json").read_text())["cells"]
    assert (cell["outcome"], cell["samples"], cell["max_lsb_diff"]) == ("ok", 4, 0)


def test_check_says_what_is_wrong(make_board, make_profile, devices_dir: Path, harness_cli):
    with make_board(model="kws01") as board:  # 784 bytes in, and the published one has 490
        make_profile(board.port)
        checked = harness_cli("devices", "check", "tiny-board", "--devices-dir", devices_dir)
        assert checked.code != 0 and "Input db has 490 elemented, expected 784" in checked.out + checked.err
        board.model = "strww01"
        checked = harness_cli("devices", "check", "tiny-board", "--devices-dir", devices_dir)
    assert checked.code != 0 and "holds 'strww01', which is none of ic01" in checked.out + checked.err


def _two_cells(run_on, board: MlperfSimulator, models: list, **changes: object) -> list:
    """The same model under two recipes, the second after the first: both are the firmware's."""
    from dataclasses import replace

    first, second = models
    return run_on(board, first, replace(second, seed=0, workload="w", dataset_digest="e" * 64), **changes)


def _other_dense() -> bytes:
    """As `int8_dense`, with other weights: the layout is the same, the outputs are not."""
    data = bytearray(tiny_model.int8_dense(inputs=16, outputs=10))
    weights = np.random.default_rng(2).integers(-127, 128, (10, 16), dtype=np.int8).tobytes()
    at = bytes(data).index(weights)
    data[at : at + len(weights)] = weights[::-1]
    return bytes(data)


def _published_ic_shape() -> bytes:
    return tiny_model.int8_dense(inputs=3072, outputs=10)


# ------------------------------------------------------------------------------------------------------- --mlperf


def test_five_loops_of_ten_seconds_as_the_rules_say(mcu_run, prepare_mcu, make_board, make_profile):
    """The simulated board's clock runs ahead of the wall's: ten of its seconds take none of ours."""
    prepared = prepare_mcu(tiny_model.mnist_cnn(), samples=7, reference=True)
    labels = np.argmax(prepared.reference.outputs[0].reshape(7, -1), axis=1).astype(np.int64)
    with make_board(infer_us=20_000) as board:
        profile = make_profile(board.port)
        (record,) = mcu_run(replace(prepared, labels=labels), profiles=(profile,), make=_quick, mlperf=True)
        loops = [c for c in board.commands if c.startswith("infer") and int(c.split()[1]) >= 400]
    assert record.outcome == "ok", record.reason
    found = record.mlperf
    assert (found["model"], found["task"], len(found["loops"])) == ("ic01", "image_classification", 5)
    assert all(loop["elapsed_ns"] >= 10_000_000_000 and loop["inferences"] >= 500 for loop in found["loops"])
    assert found["latency_ns"] == pytest.approx(20_000_000, rel=0.01) and len(loops) >= 5
    assert found["inferences_per_s"] == pytest.approx(50, rel=0.01)
    assert found["top1"] == 1.0 and (found["auc"] is None or found["auc"] > 0.5)


def test_the_streaming_task_is_refused_by_its_name(run_on, prepare_mcu, make_board):
    prepared = prepare_mcu(tiny_model.mnist_cnn(), samples=2)
    with make_board(model="sww01") as board:
        (record,) = run_on(board, prepared)
    assert record.outcome == "unsupported" and "streaming_wakeword" in record.reason
