"""The NPU stand-in where it belongs: cross-compiled, on an emulated aarch64 board over real SSH."""

from __future__ import annotations

import numpy as np
import pytest

from harness.boards.base import BackendSpec, Deadlines
from harness.boards.linux.board import AgentOptions, LinuxBoard
from harness.core.files import sha256_bytes, sha256_file
from harness.links.base import SshLink
from harness.tflite.delegates.log import parse_delegate_log
from tests.support import tiny_model

AGENT_DIR = "/tmp/npu-agent"
pytestmark = pytest.mark.slow


@pytest.fixture
def connected(aarch64_standin, emulated_board, ssh_config):
    """The running board, connected, with the delegate's library among its files; and where that is."""
    ssh_config.mkdir(parents=True, exist_ok=True)
    pin = f"[{emulated_board.host}]:{emulated_board.port} {emulated_board.host_key_line}\n"
    (ssh_config / "known_hosts").write_text(pin)
    link = SshLink(
        host=emulated_board.host,
        port=emulated_board.port,
        user=emulated_board.user,
        key_files=(str(emulated_board.key_file),),
        use_agent=False,
    )
    board = LinuxBoard(
        name="emulated",
        link=link.link(),
        runtime_module=emulated_board.runtime_module,
        python=emulated_board.python,
        options=AgentOptions(directory=AGENT_DIR),
    )
    board.connect()
    sha256 = sha256_file(aarch64_standin)
    board.ensure_file(aarch64_standin, sha256)
    yield board, f"{AGENT_DIR}/files/{sha256}"
    board.close()


def test_the_cross_compiled_delegate_gives_the_boards_cpu_outputs_bit_for_bit(connected, tmp_path):
    board, library = connected
    (tmp_path / "model.tflite").write_bytes(tiny_model.mnist_cnn())
    np.save(tmp_path / "x.npy", np.random.default_rng(1).integers(-128, 128, (30, 28, 28, 1), np.int8))
    hashes = [sha256_bytes((tmp_path / name).read_bytes()) for name in ("model.tflite", "x.npy")]
    for name, sha256 in zip(("model.tflite", "x.npy"), hashes, strict=True):
        board.ensure_file(tmp_path / name, sha256)
    npu = BackendSpec(
        name="npu",
        delegate_path=library,
        delegate_name="npu-standin",
        delegate_options={"cache_dir": "/tmp/npu-graphs", "compile_ms_per_node": "1"},
    )
    results, logs = {}, {}
    for name, backend in (("cpu", BackendSpec(name="cpu-ref", kernels="reference")), ("cold", npu), ("cached", npu)):
        worker = board.open_worker(backend, Deadlines())
        worker.load(hashes[0])
        worker.first_invoke(hashes[1:])
        results[name] = worker.evaluate(hashes[1:], 30).outputs[0]
        assert worker.placement().delegated_nodes == (0 if name == "cpu" else 3)
        logs[name] = parse_delegate_log(worker.close())
    assert np.array_equal(results["cold"], results["cpu"]) and np.array_equal(results["cached"], results["cpu"])
    assert [c.cache for c in logs["cold"].compilations] == ["stored"]
    assert [c.cache for c in logs["cached"].compilations] == ["hit"]
