"""The graph caches that the agent owns: filled in, private, limited, cleaned; and the cached start that is timed with them."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.boards.base import BackendSpec, Deadlines, GraphCacheUse, WorkerFailure
from harness.boards.resolve import get_profile
from harness.cli.main import cli
from harness.core.errors import UserInputError
from harness.core.files import sha256_bytes
from harness.core.fingerprint import Fingerprint
from harness.judge.starts import note_cached
from harness.prepare.prepared import InputFile
from harness.results.record import CellKey, CellRecord
from harness.results.store import Store
from harness.run.cached import drive_cached
from harness.run.measurement import CellContext, Measurement
from harness.tflite.delegates.log import parse_delegate_log
from tests.support import tiny_model
from tests.support.fake_board import FakeBoard
from tests.support.fixtures_boards import File, direct_children, wait_until
from tests.support.judged import assert_judged_the_same


@pytest.fixture(scope="module")
def mnist(tmp_path_factory) -> tuple[File, File]:
    """The three-node integer MNIST network, and images for it."""
    folder = tmp_path_factory.mktemp("cache-files")
    (folder / "model.tflite").write_bytes(tiny_model.mnist_cnn())
    np.save(folder / "x.npy", np.random.default_rng(1).integers(-128, 128, (8, 28, 28, 1), np.int8))
    files = [File(path=p, sha256=sha256_bytes(p.read_bytes())) for p in (folder / "model.tflite", folder / "x.npy")]
    return files[0], files[1]


def npu(library: Path, cache="empty", **more) -> BackendSpec:
    return BackendSpec(
        name="npu",
        kernels="no-default-delegate",
        delegate_path=str(library),
        delegate_name="npu-standin",
        cache=cache,
        delegate_options={"cache_dir": "{cache_dir}", "compile_ms_per_node": "5"},
        **more,
    )


def connected(board, files):
    board.connect()
    for file in files:
        board.ensure_file(file.path, file.sha256)
    return board


def compiled(board, backend, files) -> tuple[str, GraphCacheUse]:
    """How the graph became ready in a worker's first invoke, and what the worker left."""
    worker = board.open_worker(backend, Deadlines())
    worker.load(files[0].sha256)
    worker.first_invoke([files[1].sha256])
    (done,) = parse_delegate_log(worker.close()).compilations
    return done.cache, worker.cache_use


def test_a_worker_starts_cold_unless_it_asks_for_what_the_last_one_left(make_board, mnist, standin):
    board = connected(make_board(), mnist)
    first, use = compiled(board, npu(standin), mnist)
    assert (first, use.files, use.problem) == ("stored", 1, None) and use.size_bytes > 0
    assert compiled(board, npu(standin, "kept"), mnist)[0] == "hit"
    assert compiled(board, npu(standin), mnist)[0] == "stored"


def test_the_folder_is_private_lies_in_the_agents_own_and_goes_with_the_session(make_board, mnist, standin, tmp_path):
    board = connected(make_board(), mnist)
    compiled(board, npu(standin), mnist)
    (session,) = (tmp_path / "agent" / "graphs").iterdir()
    (cache,) = session.iterdir()
    assert [p.stat().st_mode & 0o777 for p in (session, cache)] == [0o700, 0o700]
    assert [p.suffix for p in cache.iterdir()] == [".npu-standin"]
    board.close()
    assert list((tmp_path / "agent" / "graphs").iterdir()) == []


def test_only_one_cells_graphs_are_kept_at_a_time(make_board, mnist, standin, tmp_path):
    board = connected(make_board(), mnist)
    for _ in range(3):
        compiled(board, npu(standin), mnist)
    (session,) = (tmp_path / "agent" / "graphs").iterdir()
    assert len(list(session.iterdir())) == 1


def test_a_worker_that_still_runs_keeps_its_folder(make_board, mnist, standin, tmp_path):
    board = connected(make_board(), mnist)
    older = board.open_worker(npu(standin), Deadlines())
    compiled(board, npu(standin), mnist)
    older.load(mnist[0].sha256)
    older.first_invoke([mnist[1].sha256])
    assert [c.cache for c in parse_delegate_log(older.close()).compilations] == ["stored"]


TELLS = """
import ctypes, os
from tflite_runtime import interpreter as runtime
real = runtime.Interpreter.allocate_tensors

def allocate_tensors(self):
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_char_p
    print("VIV_DIR", os.environ["VIV_DIR"], libc.getenv(b"VIV_DIR").decode(), libc.getenv(b"PLAIN").decode())
    return real(self)

runtime.Interpreter.allocate_tensors = allocate_tensors
"""


@pytest.mark.parametrize("fork_server", [True, False])
def test_environment_variables_get_the_folder_too(make_board, mnist, tmp_path, fork_server):
    (tmp_path / "sitecustomize.py").write_text(TELLS)
    board = connected(make_board(fork_server=fork_server), mnist)
    env = {"VIV_DIR": "{cache_dir}/x", "PLAIN": '{"a":1}', "PYTHONPATH": str(tmp_path)}
    worker = board.open_worker(BackendSpec(name="npu", env=env), Deadlines())
    worker.load(mnist[0].sha256)
    _, python, library, plain = re.search("VIV_DIR.*", worker.close()).group().split()
    assert python == library and Path(library).parent.is_relative_to(tmp_path / "agent" / "graphs")
    assert Path(library).parent.is_dir() and plain == '{"a":1}'


def test_what_a_killed_agent_left_is_removed_by_the_next_and_what_a_living_one_uses_is_not(
    make_board, mnist, standin, tmp_path
):
    before = set(direct_children(os.getpid()))
    killed = connected(make_board(), mnist)
    compiled(killed, npu(standin), mnist)
    (agent,) = set(direct_children(os.getpid())) - before
    (left,) = (tmp_path / "agent" / "graphs").iterdir()
    living = connected(make_board(), mnist)
    compiled(living, npu(standin), mnist)
    (used,) = set((tmp_path / "agent" / "graphs").iterdir()) - {left}
    os.kill(agent, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{agent}/fd").is_dir() or not os.listdir(f"/proc/{agent}/fd"))
    make_board().connect()
    assert list((tmp_path / "agent" / "graphs").iterdir()) == [used]


def test_a_cache_over_its_limit_ends_the_cell_with_the_field_to_change(make_board, mnist, standin, tmp_path):
    board = connected(make_board(graph_cache_limit_bytes=8), mnist)
    worker = board.open_worker(npu(standin), Deadlines())
    worker.load(mnist[0].sha256)
    with pytest.raises(WorkerFailure, match="limits.graph_cache_bytes of the profile allows 8") as caught:
        worker.first_invoke([mnist[1].sha256])
    assert (caught.value.kind, caught.value.phase) == ("exit", "first_invoke")
    (session,) = (tmp_path / "agent" / "graphs").iterdir()
    assert [list(cache.iterdir()) for cache in session.iterdir()] == [[]]
    assert compiled(board, BackendSpec(**{**vars(npu(standin)), "delegate_options": {}}), mnist)[0] == "off"


def test_a_kept_cache_without_an_earlier_worker_is_a_defect_that_is_told(make_board, standin):
    board = make_board()
    board.connect()
    with pytest.raises(Exception, match="no graph cache to keep"):
        board.open_worker(npu(standin, "kept"), Deadlines())


def test_a_delegates_identity_holds_the_hash_of_its_library(make_board, standin, tmp_path):
    (tmp_path / "libnpu.so").symlink_to(standin)
    board = make_board()
    board.connect()
    start = hashlib.sha256(standin.read_bytes()).hexdigest()[:12]
    assert board.delegate_text(str(standin)) == f"{standin} (sha256 {start})"
    assert (
        board.delegate_text(str(tmp_path / "libnpu.so"))
        == f"{tmp_path}/libnpu.so (sha256 {start}, file {standin.name})"
    )
    assert board.delegate_text("/no/such.so") == "/no/such.so"


# -- profiles

PROFILE = """
name: bench
title: this machine with the stand-in
link: {{type: local}}
runtime: {{module: tflite_runtime, package: tflite-runtime==2.14.0}}
agent: {{directory: {folder}/agent}}
exclusive: cache-test
backends:
  cpu: {{}}
  npu:
    env: {{UNUSED: "{{cache_dir}}"}}
    delegate:
      path: {library}
      name: npu-standin
      options: {{{options}}}
"""


def profile(tmp_path, library, options):
    (tmp_path / "bench.yaml").write_text(PROFILE.format(folder=tmp_path, library=library, options=options))


def test_an_unknown_placeholder_is_an_error_with_its_place(tmp_path):
    profile(tmp_path, "/usr/lib/x.so", 'cache_dir: "{cachedir}/x"')
    with pytest.raises(UserInputError, match=r"no placeholder but \{cache_dir\}.*; \{cachedir\} is unknown") as caught:
        get_profile("bench", tmp_path)
    assert "bench.yaml:15:28: backends.npu.delegate.options.cache_dir" in f"{caught.value.where}: {caught.value.what}"


def test_the_boards_profile_names_no_shared_folder():
    for device in ("imx8mp", "imx8mp@qemu"):
        backend = get_profile(device).backends["npu"]
        values = [*backend.env.values(), *backend.delegate.options.values()]
        assert "{cache_dir}" in values and not any(v.startswith("/") for v in values)


# -- cells


def run_cells(tmp_path, standin, options):
    profile(tmp_path, standin, options)
    (tmp_path / "tiny.tflite").write_bytes(tiny_model.mnist_cnn())
    arguments = [
        "measure",
        str(tmp_path / "tiny.tflite"),
        "--device",
        "bench",
        "--devices-dir",
        str(tmp_path),
        "--budget",
        "2s",
        "--samples",
        "16",
        "--results",
        str(tmp_path / "results"),
    ]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    with Store.open(tmp_path / "results", create=False) as store:
        assert_judged_the_same(store, "latest")
        return {c.key.backend: c for c in store.cells(run="latest")}, result.output


def test_cold_cached_and_steady_stand_in_the_record_of_a_cell(runtime_cache, tmp_path, standin):
    cells, output = run_cells(tmp_path, standin, 'cache_dir: "{cache_dir}", compile_ms_per_node: 100')
    npu_cell, cpu_cell = cells["npu"], cells["cpu"]
    assert npu_cell.outcome == "ok", output
    # The cost that the stand-in was told to have: 3 nodes at 100 ms, in the cold start alone.
    assert npu_cell.first_invoke_ns > 300_000_000 and npu_cell.first_invoke_cached_ns > 0
    assert npu_cell.load_cached_ns > 0 and npu_cell.latency_median_ns > 0
    assert f"{standin} (sha256 " in npu_cell.fingerprint.delegate
    assert (cpu_cell.load_cached_ns, cpu_cell.first_invoke_cached_ns, cpu_cell.fingerprint.delegate) == (
        None,
        None,
        None,
    )
    assert not [f for f in npu_cell.findings if "cache" in f.code and f.code != "graph-cache-no-gain"]


def test_a_delegate_that_leaves_nothing_in_its_cache_is_found_out(runtime_cache, tmp_path, standin):
    cells, _ = run_cells(tmp_path, standin, "compile_ms_per_node: 1")
    assert cells["npu"].outcome == "ok" and cells["npu"].first_invoke_cached_ns is None
    assert [f.code for f in cells["npu"].findings if "cache" in f.code] == ["graph-cache-unused"]


BAD_ENTRY = WorkerFailure("bad entry", kind="exception", phase="first_invoke")


@pytest.mark.parametrize(
    "use, faults, code",
    [
        (GraphCacheUse(files=1, size_bytes=9), {"first_invoke": BAD_ENTRY}, "cached-start-failed"),
        (GraphCacheUse(files=1, size_bytes=9, problem="too large"), {}, "graph-cache-emptied"),
        (GraphCacheUse(files=1, size_bytes=9), {}, "graph-cache-no-gain"),
        (None, {}, None),
    ],
)
def test_why_there_is_no_cached_figure_is_a_finding(use, faults, code, tmp_path):
    from tests.run.test_execute import model

    record = CellRecord(
        key=CellKey(workload="w", recipe="r", device="d", backend="npu", dataset="x", seed=0),
        run="run",
        outcome="ok",
        first_invoke_ns=5_000_000,
        latency_median_ns=1000,
        delegated_nodes=3,
    )
    prepared = model(tmp_path)
    assert isinstance(prepared.inputs[0], InputFile)
    board = FakeBoard("b", np.zeros((8, 1)), faults=[faults])
    context = CellContext(
        key=record.key,
        run="run",
        backend=npu(Path("/x.so")),
        deadlines=Deadlines(),
        fingerprint=Fingerprint(runtime="fake 1.0"),
        time_basis="device",
        samples=None,
    )
    measurement = Measurement(started_utc="2026-01-01T00:00:00+00:00", first_invoke_ns=5_000_000, cache_use=use)
    measurement.cached = drive_cached(board, context, prepared, measurement)
    note_cached(record, measurement)
    assert [f.code for f in record.findings] == ([code] if code else [])
    assert (record.first_invoke_cached_ns is None) == (code != "graph-cache-no-gain")
    assert record.outcome == "ok"


def test_cold_cached_and_steady_are_columns_of_a_table_of_every_cell_with_a_time():
    from harness.reports.starts import starts_table

    def cell(backend, **more):
        return CellRecord(
            key=CellKey(workload="w", recipe="r", device="d", backend=backend, dataset="x", seed=0),
            run="run",
            outcome="ok",
            time_basis="device",
            **more,
        )

    frame = starts_table(
        [
            cell("cpu", load_ns=1, first_invoke_ns=2, latency_median_ns=3, latency_samples=200),
            cell(
                "npu",
                load_ns=4,
                first_invoke_ns=900,
                load_cached_ns=5,
                first_invoke_cached_ns=6,
                latency_median_ns=7,
                latency_samples=200,
            ),
            cell("mcu"),
        ]
    )
    assert frame["backend"].tolist() == ["cpu", "npu"]
    npu_row = frame.iloc[1]
    assert [npu_row[n] for n in ("first_invoke_ns", "first_invoke_cached_ns", "latency_median_ns")] == [900, 6, 7]
    assert frame["first_invoke_cached_ns"].isna().tolist() == [True, False]
