"""The NPU stand-in on a board (local link, real runtimes): placement, faults, cache, options, and libraries that do not load."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.boards.base import BackendSpec, BenchPlan, Deadlines, WorkerFailure
from harness.core.files import sha256_bytes
from harness.emulation.npu.build import build_standin
from harness.judge.outcome import note_failure
from harness.predict.coverage import delegate_coverage
from harness.predict.partitions import count_partitions
from harness.results.record import CellKey, CellRecord
from harness.run.measurement import Failure
from harness.tflite.delegates.log import parse_delegate_log
from harness.tflite.graph import read_graph
from tests.support import tiny_model
from tests.support.fixtures_boards import File

QUICK = BenchPlan(min_samples=20, min_ns=1, max_ns=2_000_000_000, warmup_max_ns=1)
SAMPLES = 40


@pytest.fixture(scope="module")
def mnist(tmp_path_factory) -> tuple[File, File]:
    """The three-node integer MNIST network, and images for it."""
    folder = tmp_path_factory.mktemp("npu-files")
    (folder / "model.tflite").write_bytes(tiny_model.mnist_cnn())
    np.save(folder / "x.npy", np.random.default_rng(1).integers(-128, 128, (SAMPLES, 28, 28, 1), np.int8))
    files = [File(path=p, sha256=sha256_bytes(p.read_bytes())) for p in (folder / "model.tflite", folder / "x.npy")]
    return files[0], files[1]


@pytest.fixture(params=["tflite_runtime", "ai_edge_litert"])
def any_board(request, make_board, mnist):
    """A connected board of each runtime, with the files on it."""
    python = request.getfixturevalue(
        {"tflite_runtime": "tflite_python", "ai_edge_litert": "litert_python"}[request.param]
    )
    return connected(make_board(python=python, module=request.param), mnist)


@pytest.fixture
def board(make_board, mnist):
    return connected(make_board(), mnist)


def connected(board, files):
    board.connect()
    for file in files:
        board.ensure_file(file.path, file.sha256)
    return board


def npu(library: Path | str, **options: str | int) -> BackendSpec:
    return BackendSpec(
        name="npu",
        kernels="no-default-delegate",
        delegate_path=str(library),
        delegate_name="npu-standin",
        delegate_options={k: str(v) for k, v in options.items()},
    )


def outputs(board, backend, files) -> tuple[np.ndarray, str]:
    """All outputs on a backend, and the board log."""
    worker = board.open_worker(backend, Deadlines())
    worker.load(files[0].sha256)
    worker.first_invoke([files[1].sha256])
    result = worker.evaluate([files[1].sha256], SAMPLES).outputs[0]
    return result, worker.close()


def test_an_integer_model_runs_on_the_delegate_with_the_cpus_outputs(any_board, mnist, standin):
    expected, _ = outputs(any_board, BackendSpec(name="cpu-ref", kernels="reference"), mnist)
    result, log = outputs(any_board, npu(standin), mnist)
    assert np.array_equal(result, expected)
    assert parse_delegate_log(log).nodes == 3


@pytest.mark.parametrize(
    "refused, taken",
    [
        ("", {0, 1, 2}),
        ("MAX_POOL_2D", {0, 2}),
        ("CONV_2D,FULLY_CONNECTED", {1}),
        ("CONV_2D,MAX_POOL_2D,FULLY_CONNECTED", set()),
    ],
)
def test_placement_measured_is_placement_predicted(any_board, mnist, standin, refused, taken):
    backend = npu(standin, refuse=refused) if refused else npu(standin)
    worker = any_board.open_worker(backend, Deadlines())
    worker.load(mnist[0].sha256)
    placement = worker.placement()
    log = parse_delegate_log(worker.close())
    graph = read_graph(mnist[0].path)
    predicted = delegate_coverage("npu-standin", graph, options=backend.delegate_options)
    assert {n.node for n in placement.nodes if n.ran_on == "npu-standin"} == taken
    assert {n.node for n in predicted if n.taken} == taken == set(log.claimed)
    assert (placement.delegated_nodes, placement.partitions) == (len(taken), count_partitions(graph, taken))
    assert set(log.refused) == {0, 1, 2} - taken
    assert all("refuse" in reason for reason in log.refused.values())


def test_a_partly_delegated_model_has_the_same_outputs(any_board, mnist, standin):
    expected, _ = outputs(any_board, npu(standin), mnist)
    result, _ = outputs(any_board, npu(standin, refuse="MAX_POOL_2D"), mnist)
    assert np.array_equal(result, expected)


def test_float_and_hybrid_nodes_are_refused_each_with_its_reason(board, board_files, standin):
    board.ensure_file(board_files.mlp.path, board_files.mlp.sha256)
    worker = board.open_worker(npu(standin), Deadlines())
    worker.load(board_files.mlp.sha256)
    assert worker.placement().delegated_nodes == 0
    log = parse_delegate_log(worker.close())
    assert {node: "float32" in reason for node, reason in log.refused.items()} == {0: True, 1: True, 2: True}
    assert (log.nodes, log.total, log.partitions) == (0, 3, 0)


# -- faults


@pytest.mark.parametrize(
    "fault, kind, signal, outcome",
    [
        ("error", "exception", None, "unsupported"),
        ("crash", "signal", "SIGSEGV", "unsupported"),
        ("hang", "deadline", None, "failed"),
    ],
)
def test_a_fault_of_the_delegate_ends_the_cell_with_its_reason_and_the_next_one_runs(
    board, mnist, standin, fault, kind, signal, outcome
):
    worker = board.open_worker(npu(standin, fault=fault), Deadlines(first_invoke_s=1.0 if fault == "hang" else 30.0))
    worker.load(mnist[0].sha256)
    with pytest.raises(WorkerFailure) as caught:
        worker.first_invoke([mnist[1].sha256])
    failure = caught.value
    assert (failure.kind, failure.phase, failure.signal) == (kind, "first_invoke", signal)
    assert "npu-standin: fault invoke=1" in failure.board_log
    record = CellRecord(
        key=CellKey(workload="w", recipe="r", device="d", backend="npu", dataset="x", seed=0),
        run="run",
        outcome="failed",
    )
    facts = Failure.of_worker(failure)
    note_failure(record, facts, [facts])
    assert record.outcome == outcome
    if fault == "error":
        assert "injected error in invoke 1" in failure.what
    assert outputs(board, npu(standin), mnist)[0].shape == (SAMPLES, 10)


def test_a_fault_waits_for_its_invoke(board, mnist, standin):
    worker = board.open_worker(npu(standin, fault="error", fault_at=3), Deadlines())
    worker.load(mnist[0].sha256)
    worker.first_invoke([mnist[1].sha256])
    with pytest.raises(WorkerFailure, match="injected error in invoke 3") as caught:
        worker.evaluate([mnist[1].sha256], SAMPLES)
    assert caught.value.phase == "evaluate"


def test_an_npu_that_answers_zeros_gives_zeros(any_board, mnist, standin):
    result, _ = outputs(any_board, npu(standin, fault="zeros", fault_at=11), mnist)
    assert result[:9].any(axis=1).all() and not result[10:].any()


# -- compiling


def compilations(board, backend, files):
    worker = board.open_worker(backend, Deadlines())
    worker.load(files[0].sha256)
    first_ns = worker.first_invoke([files[1].sha256])
    worker.evaluate([files[1].sha256], 5)
    return parse_delegate_log(worker.close()).compilations, first_ns


def test_the_first_invoke_pays_for_compiling_and_only_once(board, mnist, standin):
    done, first_ns = compilations(board, npu(standin, compile_ms_per_node=20), mnist)
    assert [(c.nodes, c.cost_ms, c.cache) for c in done] == [(3, 60, "off")]
    assert first_ns > 60_000_000


def test_a_cached_graph_is_not_compiled_again(board, mnist, standin, tmp_path):
    backend = npu(standin, compile_ms_per_node=1, cache_dir=tmp_path / "graphs")
    cold, cached = compilations(board, backend, mnist)[0], compilations(board, backend, mnist)[0]
    assert [c.cache for c in cold] == ["stored"] and [c.cache for c in cached] == ["hit"]
    assert cold[0].graph == cached[0].graph
    assert [p.name for p in (tmp_path / "graphs").iterdir()] == [f"{cold[0].graph}.npu-standin"]


def test_another_graph_or_rounding_is_another_entry(board, mnist, standin, tmp_path):
    folder = tmp_path / "graphs"
    graphs = {
        compilations(board, npu(standin, cache_dir=folder, **options), mnist)[0][0].graph
        for options in ({}, {"rounding": "single"}, {"refuse": "CONV_2D"})
    }
    assert len(graphs) == 3 == len(list(folder.iterdir()))


def test_a_damaged_entry_is_compiled_anew(board, mnist, standin, tmp_path):
    backend = npu(standin, cache_dir=tmp_path / "graphs")
    compilations(board, backend, mnist)
    (entry,) = (tmp_path / "graphs").iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[:20])
    assert [c.cache for c in compilations(board, backend, mnist)[0]] == ["replaced"]
    assert entry.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_time_but_no_cell(board, mnist, standin, tmp_path):
    (tmp_path / "file").write_text("no folder")
    done, _ = compilations(board, npu(standin, cache_dir=tmp_path / "file" / "graphs"), mnist)
    assert [c.cache for c in done] == ["failed"]


def test_latency_per_node_is_added_to_every_invoke(board, mnist, standin):
    worker = board.open_worker(npu(standin, latency_us_per_node=2000), Deadlines())
    worker.load(mnist[0].sha256)
    worker.first_invoke([mnist[1].sha256])
    assert worker.bench(QUICK).samples_ns.min() >= 3 * 2_000_000
    worker.close()


# -- what does not load


@pytest.mark.parametrize(
    "options, words",
    [
        ({"speed": "fast"}, "unknown option 'speed'; known: rounding"),
        ({"rounding": "up"}, "double or single"),
        ({"fault": "fire"}, "none, zeros, error"),
        ({"fault_at": "0"}, "from 1"),
        ({"latency_us_per_node": "1.5"}, "whole number"),
        ({"refuse": "CONV"}, "CONV_2D"),
        ({"cache_dir": "here"}, "absolute path"),
        ({"compile_ms_per_node": "-1"}, "from 0"),
    ],
)
def test_a_wrong_option_is_refused_with_what_is_allowed(any_board, mnist, standin, options, words):
    worker = any_board.open_worker(npu(standin, **options), Deadlines())
    with pytest.raises(WorkerFailure, match=re.escape(words)) as caught:
        worker.load(mnist[0].sha256)
    assert (caught.value.kind, caught.value.phase) == ("exception", "delegate")
    assert "npu-standin" in caught.value.what
    worker.close()


def test_a_missing_library_is_told_as_one(any_board, mnist, tmp_path):
    worker = any_board.open_worker(npu(tmp_path / "libnone.so"), Deadlines())
    with pytest.raises(WorkerFailure, match="there is no .*libnone.so on the board") as caught:
        worker.load(mnist[0].sha256)
    assert caught.value.phase == "delegate"


@pytest.mark.parametrize(
    "library, words", [("libnone.so", "there is no"), ("libm.so.6", "tflite_plugin_create_delegate")]
)
def test_the_board_log_has_no_noise_of_a_delegate_that_never_was(any_board, mnist, tmp_path, library, words):
    found = next(Path("/").glob(f"lib/*-linux-gnu/{library}"), tmp_path / library)
    worker = any_board.open_worker(npu(found), Deadlines())
    with pytest.raises(WorkerFailure, match=words) as caught:
        worker.load(mnist[0].sha256)
    assert "__del__" not in (caught.value.board_log or "") + (worker.close() or "")


def test_a_library_for_another_processor_is_told_as_one(board, mnist, tmp_path, standin):
    foreign = tmp_path / "libnpu_standin.so"
    shutil.copy(standin, foreign)
    with open(foreign, "r+b") as file:  # e_machine of the ELF header: RISC-V, which these tests do not run on
        file.seek(18)
        file.write((243).to_bytes(2, "little"))
    worker = board.open_worker(npu(foreign), Deadlines())
    words = r"libnpu_standin.so is for RISC-V \(64 bits\), the board's Python is for .+ \(64 bits\)"
    with pytest.raises(WorkerFailure, match=words) as caught:
        worker.load(mnist[0].sha256)
    assert caught.value.phase == "delegate"


@pytest.mark.parametrize("content, words", [(b"no library at all", "is no shared library"), (None, "Is a directory")])
def test_what_is_no_library_is_told_as_such(board, mnist, tmp_path, content, words):
    path = tmp_path / "libnpu_standin.so"
    path.mkdir() if content is None else path.write_bytes(content)
    worker = board.open_worker(npu(path), Deadlines())
    with pytest.raises(WorkerFailure, match=words) as caught:
        worker.load(mnist[0].sha256)
    assert caught.value.phase == "delegate"


def test_the_cross_compiled_library_is_for_aarch64():
    header = build_standin("aarch64").read_bytes()[:20]
    assert header[:4] == b"\x7fELF" and int.from_bytes(header[18:20], "little") == 183  # EM_AARCH64
