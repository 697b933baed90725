"""A Linux board over the local link: right numbers from real runtimes, and clear words for wrong input."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from harness.boards.base import BackendSpec, BenchPlan, Deadlines, WorkerFailure
from harness.boards.linux.board import AgentOptions, LinuxBoard
from harness.core.errors import StableDeviceError, TransientDeviceError, UserInputError
from harness.core.files import sha256_bytes
from harness.links.base import LocalLink, make_link
from tests.support.fixtures_boards import workers_below
from tests.support.tiny_model import float_mlp, float_mlp_reference, int8_dense

QUICK = BenchPlan(min_samples=50, min_ns=1_000_000, max_ns=2_000_000_000, warmup_max_ns=500_000_000)
CPU = BackendSpec(name="cpu")


@pytest.fixture(scope="module", params=["tflite_runtime", "ai_edge_litert"])
def board(request, tmp_path_factory, board_files):
    """A connected local board of each runtime, with every file on it."""
    python = request.getfixturevalue(
        {"tflite_runtime": "tflite_python", "ai_edge_litert": "litert_python"}[request.param]
    )
    options = AgentOptions(directory=str(tmp_path_factory.mktemp("board") / "agent"))
    board = LinuxBoard(
        name="local", link=make_link(LocalLink()), runtime_module=request.param, python=python, options=options
    )
    board.fingerprint = board.connect()
    for file in (board_files.mlp, board_files.dense, board_files.two, board_files.floats, board_files.bytes):
        board.ensure_file(file.path, file.sha256)
    yield board
    board.close()


@pytest.fixture
def worker(board):
    worker = board.open_worker(CPU, Deadlines())
    yield worker
    worker.close()


def loaded(worker, model, *samples):
    worker.load(model.sha256)
    worker.first_invoke([s.sha256 for s in samples])
    return worker


def test_the_fingerprint_names_runtime_and_machine(board):
    assert board.fingerprint.runtime in ("tflite-runtime 2.14.0", "ai-edge-litert 2.3.0")
    assert board.fingerprint.machine == os.uname().machine
    assert len(board.fingerprint.agent_sha256) == 64


def test_load_tells_the_models_inputs_and_outputs(worker, board_files):
    result = worker.load(board_files.dense.sha256)
    assert result.load_ns > 0
    assert [(t.dtype, t.shape, t.scale, t.zero_point) for t in result.inputs] == [("int8", (1, 16), 0.5, -1)]
    assert [(t.name, t.dtype, t.shape, t.zero_point) for t in result.outputs] == [("out", "int8", (1, 10), 3)]


def test_float_outputs_are_those_of_the_model(worker, board_files):
    result = loaded(worker, board_files.mlp, board_files.floats).evaluate([board_files.floats.sha256], 4000)
    assert result.outputs[0].dtype == np.float32
    np.testing.assert_allclose(result.outputs[0], float_mlp_reference(board_files.float_samples), atol=2e-6)
    assert result.invoke_ns.shape == (4000,) and (result.invoke_ns > 0).all()
    assert result.elapsed_ns > result.invoke_ns.sum()


def test_integer_outputs_are_those_of_the_affine_equations(worker, board_files):
    weights = np.random.default_rng(2).integers(-127, 128, (10, 16), dtype=np.int8).astype(np.int64)
    sums = (board_files.byte_samples.astype(np.int64) + 1) @ weights.T
    expected = np.clip(np.round(sums * (0.5 * 0.01 / 0.25)) + 3, -128, 127)
    result = loaded(worker, board_files.dense, board_files.bytes).evaluate([board_files.bytes.sha256], 500)
    assert result.outputs[0].dtype == np.int8
    assert np.abs(result.outputs[0] - expected).max() <= 1


def test_part_of_the_samples_can_be_asked_for(worker, board_files):
    result = loaded(worker, board_files.mlp, board_files.floats).evaluate([board_files.floats.sha256], 7, start=100)
    np.testing.assert_allclose(result.outputs[0], float_mlp_reference(board_files.float_samples[100:107]), atol=2e-6)


def test_several_inputs_and_outputs_keep_their_order(worker, board_files):
    floats = board_files.floats.sha256
    result = loaded(worker, board_files.two, board_files.floats, board_files.floats).evaluate([floats, floats], 20)
    np.testing.assert_allclose(result.outputs[0], 2 * board_files.float_samples[:20], rtol=1e-6)
    np.testing.assert_allclose(result.outputs[1].sum(axis=1), 1, rtol=1e-5)


def test_outputs_larger_than_a_block_arrive_whole(board, worker, tmp_path):
    model, samples = int8_dense(8, 60_000), np.random.default_rng(4).integers(-128, 128, (40, 8), dtype=np.int8)
    (tmp_path / "wide.tflite").write_bytes(model)
    np.save(tmp_path / "x.npy", samples)
    sha256s = [sha256_bytes((tmp_path / name).read_bytes()) for name in ("wide.tflite", "x.npy")]
    for name, sha256 in zip(("wide.tflite", "x.npy"), sha256s, strict=True):
        board.ensure_file(tmp_path / name, sha256)
    worker.load(sha256s[0])
    whole = worker.evaluate([sha256s[1]], 40).outputs[0]
    assert whole.shape == (40, 60_000)
    for row in (0, 17, 39):
        assert np.array_equal(worker.evaluate([sha256s[1]], 1, start=row).outputs[0][0], whole[row])


def test_progress_ends_with_the_whole_count(worker, board_files):
    seen = []
    loaded(worker, board_files.mlp, board_files.floats).evaluate(
        [board_files.floats.sha256], 4000, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (4000, 4000)


def test_bench_gives_raw_samples_with_the_warm_up_apart(worker, board_files):
    result = loaded(worker, board_files.mlp, board_files.floats).bench(QUICK)
    assert len(result.samples_ns) >= 50 and (result.samples_ns > 0).all()
    assert len(result.warmup_ns) >= 10
    assert isinstance(result.warmup_stable, bool)


def test_bench_stops_at_its_limit(worker, board_files):
    plan = BenchPlan(min_samples=10**9, min_ns=10**12, max_ns=20_000_000, warmup_max_ns=1_000_000)
    result = loaded(worker, board_files.mlp, board_files.floats).bench(plan)
    assert 1 <= len(result.samples_ns) < 10**6


@pytest.mark.parametrize("kernels, xnnpack", [("default", 3), ("reference", 0), ("no-default-delegate", 0)])
def test_placement_tells_xnnpacks_nodes_from_the_cpus(board, board_files, kernels, xnnpack):
    worker = board.open_worker(BackendSpec(name="x", kernels=kernels), Deadlines())
    worker.load(board_files.mlp.sha256)
    placement = worker.placement()
    worker.close()
    assert [n.op for n in placement.nodes] == ["FULLY_CONNECTED", "FULLY_CONNECTED", "SOFTMAX"]
    assert (placement.xnnpack_nodes, placement.delegated_nodes, placement.partitions) == (xnnpack, 0, 0)
    assert {n.ran_on for n in placement.nodes} == {"xnnpack" if xnnpack else "cpu"}
    assert placement.nodes[0].outputs == placement.nodes[1].inputs[:1]


def test_memory_is_what_the_model_takes_however_its_worker_was_started(board, make_board, tmp_path):
    columns, rows = 4000, 2000
    (tmp_path / "wide.tflite").write_bytes(int8_dense(columns, rows))
    np.save(tmp_path / "x.npy", np.zeros((4, columns), np.int8))
    model, samples = (sha256_bytes((tmp_path / name).read_bytes()) for name in ("wide.tflite", "x.npy"))

    def stats(fork_server):
        again = make_board(python=board._python, module=board._module, fork_server=fork_server)
        again.connect()
        again.ensure_file(tmp_path / "wide.tflite", model)
        again.ensure_file(tmp_path / "x.npy", samples)
        worker = again.open_worker(BackendSpec(name="ref", kernels="reference"), Deadlines())
        worker.load(model)
        worker.first_invoke([samples])
        assert worker.started == ("forked" if fork_server else "fresh")
        return worker.stats()

    forked, fresh = stats(True), stats(False)
    # The weights are mapped and read; these kernels make no copy of them.
    assert columns * rows < forked.memory_peak_bytes < columns * rows + 2_000_000
    assert abs(forked.memory_peak_bytes - fresh.memory_peak_bytes) < 500_000
    assert 10_000_000 < forked.memory_baseline_bytes < 1_000_000_000
    assert abs(forked.memory_baseline_bytes - fresh.memory_baseline_bytes) < 5_000_000


def test_samples_already_run_do_not_count_as_memory(board, worker, tmp_path):
    (tmp_path / "model").write_bytes(int8_dense(100_000, 1))
    np.save(tmp_path / "samples.npy", np.zeros((300, 100_000), np.int8))
    model, samples = (sha256_bytes((tmp_path / name).read_bytes()) for name in ("model", "samples.npy"))
    board.ensure_file(tmp_path / "model", model)
    board.ensure_file(tmp_path / "samples.npy", samples)
    worker.load(model)
    worker.first_invoke([samples])
    before = worker.stats().memory_peak_bytes
    worker.evaluate([samples], 300)
    assert worker.stats().memory_peak_bytes - before < 15_000_000


def test_affinity_binds_the_worker(board):
    cpu = min(os.sched_getaffinity(0))
    worker = board.open_worker(BackendSpec(name="x", affinity=(cpu,)), Deadlines())
    try:
        assert any(os.sched_getaffinity(p) == {cpu} for p in workers_below(os.getpid()))
    finally:
        worker.close()


def test_an_affinity_that_the_board_lacks_is_a_setting(board):
    with pytest.raises(StableDeviceError, match="affinity names CPU 1000"):
        board.open_worker(BackendSpec(name="x", affinity=(1000,)), Deadlines())


def test_what_the_runtime_prints_is_the_board_log(board, board_files):
    worker = board.open_worker(CPU, Deadlines())
    worker.load(board_files.mlp.sha256)
    assert "XNNPACK delegate" in worker.close()


# -- wrong input


@pytest.mark.parametrize(
    "model, samples, words",
    [
        ("dense", ["floats"], r"wants samples of int8 \['N', 16\], the file holds float32 \[4000, 4\]"),
        ("two", ["floats"], "the model has 2 inputs, 1 sample files were given"),
        ("two", ["floats", "bytes"], "input 1"),
        ("mlp", ["mlp"], "no usable .npy file"),
    ],
)
def test_samples_that_do_not_fit_the_model_are_told(worker, board_files, model, samples, words):
    worker.load(getattr(board_files, model).sha256)
    with pytest.raises(WorkerFailure, match=words) as caught:
        worker.first_invoke([getattr(board_files, s).sha256 for s in samples])
    assert (caught.value.kind, caught.value.phase) == ("exception", "first_invoke")


def test_more_samples_than_the_file_holds_are_refused(worker, board_files):
    with pytest.raises(WorkerFailure, match="samples 3990 to 4001 were asked for, the file holds 4000"):
        loaded(worker, board_files.mlp, board_files.floats).evaluate([board_files.floats.sha256], 11, start=3990)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda m: b"", "no TensorFlow Lite model"),
        (lambda m: b"PK\x03\x04 not a model", "no TensorFlow Lite model"),
        (lambda m: float_mlp(version=99), "(?s)FULLY_CONNECTED.*version '?99"),
    ],
)
def test_a_model_that_the_runtime_refuses_is_its_exception(board, worker, tmp_path, change, words):
    data = change(float_mlp())
    (tmp_path / "bad.tflite").write_bytes(data)
    board.ensure_file(tmp_path / "bad.tflite", sha256_bytes(data))
    with pytest.raises(WorkerFailure, match=words) as caught:
        worker.load(sha256_bytes(data))
    assert (caught.value.kind, caught.value.phase) == ("exception", "load")


def test_a_corrupt_model_ends_its_worker_at_most(board, board_files, tmp_path):
    data = b"\xff\xff\xff\x7f" + float_mlp()[4:200]
    (tmp_path / "bad.tflite").write_bytes(data)
    board.ensure_file(tmp_path / "bad.tflite", sha256_bytes(data))
    worker = board.open_worker(CPU, Deadlines())
    with pytest.raises(WorkerFailure) as caught:
        worker.load(sha256_bytes(data))
    worker.close()
    assert caught.value.kind in ("exception", "signal")
    assert board.open_worker(CPU, Deadlines()).load(board_files.mlp.sha256).load_ns > 0


def test_a_delegate_that_is_not_there_is_an_exception_of_load(board, board_files):
    worker = board.open_worker(BackendSpec(name="npu", delegate_path="/no/libvx_delegate.so"), Deadlines())
    with pytest.raises(WorkerFailure, match="libvx_delegate"):
        worker.load(board_files.mlp.sha256)
    worker.close()


def test_bench_before_any_sample_is_refused(worker, board_files):
    worker.load(board_files.mlp.sha256)
    with pytest.raises(StableDeviceError, match="first_invoke"):
        worker.bench(QUICK)


def test_a_pickled_samples_file_is_not_opened(board, worker, board_files, tmp_path):
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    sha256 = sha256_bytes((tmp_path / "evil.npy").read_bytes())
    board.ensure_file(tmp_path / "evil.npy", sha256)
    worker.load(board_files.mlp.sha256)
    with pytest.raises(WorkerFailure, match="no usable .npy"):
        worker.first_invoke([sha256])


# -- sessions


def test_unchanged_files_travel_once_even_over_sessions(make_board, board_files):
    file = board_files.floats
    first = make_board()
    first.connect()
    assert first.ensure_file(file.path, file.sha256) is True
    assert first.ensure_file(file.path, file.sha256) is False
    first.connect()
    assert first.ensure_file(file.path, file.sha256) is False


def test_a_file_that_is_not_there_is_the_users_error(make_board, tmp_path):
    board = make_board()
    board.connect()
    with pytest.raises(UserInputError, match="cannot be read"):
        board.ensure_file(tmp_path / "none", "0" * 64)


def test_a_file_that_is_not_its_hash_is_refused(make_board, board_files):
    board = make_board()
    board.connect()
    with pytest.raises(TransientDeviceError, match="arrived damaged"):
        board.ensure_file(board_files.mlp.path, "0" * 64)


def test_requests_before_connect_say_so(make_board):
    with pytest.raises(TransientDeviceError, match="not connected"):
        make_board().open_worker(CPU, Deadlines())


def test_an_unknown_runtime_is_the_users_error():
    with pytest.raises(UserInputError, match="unknown runtime module"):
        LinuxBoard(name="x", link=make_link(LocalLink()), runtime_module="onnxruntime")


def test_results_are_plain_numbers(worker, board_files):
    result = worker.load(board_files.mlp.sha256)
    assert json.dumps([result.load_ns, [t.shape for t in result.inputs]])
