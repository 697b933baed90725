"""What goes wrong on a board, on an emulated one over real SSH, through whole runs.

Each cell ends as the right outcome with its reason, the next one runs, every planned cell is in the store, and no
half-written file stays on the board.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.emulation.linux.aarch64 import RunningBoard, start_image
from harness.emulation.linux.keys import new_key_pair
from harness.emulation.linux.running import list_running
from harness.emulation.npu.build import compile_command
from harness.results.record import CellRecord
from harness.results.store import Store
from harness.run.jobs import Watcher
from harness.run.measured import measure_plan
from harness.run.options import RunOptions
from harness.session.session import RunResult, run_session
from tests.support import tiny_model
from tests.support.judged import assert_judged_the_same
from tests.support.places import SUPPORT

pytestmark = pytest.mark.slow

AGENT = "/root/faults-agent"
STANDIN, FOREIGN, MISBEHAVING = "/opt/libstandin.so", "/opt/libforeign.so", "/opt/libmisbehaving.so"
PROFILE = """
name: {name}
title: a board for this test
link: {{type: ssh, host: 127.0.0.1, port: {port}, user: root, key_files: [{key}], use_agent: false}}
runtime: {{module: tflite_runtime, python: {python}}}
agent: {{directory: {agent}, silence_timeout_s: {silence_s}}}
deadlines: {{first_invoke_s: 4}}
time_basis: host-emulated
backends:
{backends}
"""


def put(board: RunningBoard, source: Path, path: str) -> None:
    """Writes a file on the board, as a person would."""
    command = [*shlex.split(board.login_command), f"mkdir -p {Path(path).parent} && cat > {path}"]
    with open(source, "rb") as file:
        subprocess.run(command, stdin=file, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def bench(board_image):
    """A board of these tests' own: they fill its disk and reset it."""
    with start_image(board_image) as board:
        yield board


@pytest.fixture(scope="module")
def libraries(bench, aarch64_standin, tmp_path_factory) -> None:
    """The delegates' libraries on the board: the stand-in, one for another processor, one that misbehaves."""
    folder = tmp_path_factory.mktemp("libraries")
    foreign, misbehaving = folder / "foreign.so", folder / "misbehaving.so"
    content = bytearray(aarch64_standin.read_bytes())
    content[18:20] = (62).to_bytes(2, "little")  # e_machine of the ELF header: x86-64
    foreign.write_bytes(content)
    source = SUPPORT / "delegate_faults.c"
    subprocess.run(compile_command(["aarch64-linux-gnu-gcc"], [source], misbehaving), check=True)
    for file, path in ((aarch64_standin, STANDIN), (foreign, FOREIGN), (misbehaving, MISBEHAVING)):
        put(bench, file, path)


@pytest.fixture
def profile(bench, tmp_path, monkeypatch) -> Callable[..., str]:
    """profile(backends, host_key=..., silence_s=...): a device at the board's address, with a pinned host key; its name."""
    config = tmp_path / "config"
    config.mkdir()
    monkeypatch.setenv("HARNESS_CONFIG_DIR", str(config))
    (tmp_path / "devices").mkdir()

    def write(backends: dict[str, str], *, host_key: str | None = None, silence_s: int = 20) -> str:
        text = PROFILE.format(
            name="bench",
            port=bench.port,
            key=bench.key_file,
            python=bench.python,
            agent=AGENT,
            silence_s=silence_s,
            backends="\n".join(f"  {backend}: {{{settings}}}" for backend, settings in backends.items()),
        )
        (tmp_path / "devices" / "bench.yaml").write_text(text)
        (config / "known_hosts").write_text(f"[127.0.0.1]:{bench.port} {host_key or bench.host_key_line}\n")
        return "bench"

    return write


@pytest.fixture
def measure(tmp_path):
    """measure(device, model=..., watcher=..., ...) -> the result of a run in which every planned cell was stored."""

    def run(device: str, *, model: bytes | None = None, watcher: Watcher | None = None, **options) -> RunResult:
        path = tmp_path / "tiny.tflite"
        path.write_bytes(model or tiny_model.mnist_cnn())
        asked = RunOptions(
            workloads=(str(path),),
            recipes=(),
            devices=(device,),
            samples=64,
            budget_s=1.0,
            devices_dir=str(tmp_path / "devices") if (tmp_path / "devices").exists() else None,
            **options,
        )
        plan = measure_plan(asked, 64)
        result = run_session(asked, tmp_path / "results", plan=plan, watcher=watcher)
        with Store.open(tmp_path / "results", create=False) as store:
            assert_judged_the_same(store, "latest")
            records = store.cells(run=result.run)
            assert {r.key for r in records} == set(plan.keys)
            # What failed through no fault of the model is left for `--resume`.
            assert set(store.pending(result.run)) == {r.key for r in records if r.outcome == "failed"}
        assert result.export is not None and result.not_run == 0
        return result

    return run


def by_backend(result: RunResult) -> dict[str, CellRecord]:
    return {record.key.backend: record for record in result.records}


def fill_disk(board: RunningBoard) -> None:
    """Leaves no byte free: nearly all at once, the rest by writing until it fails."""
    code = (
        'import os; s = os.statvfs("/"); f = os.open("/root/filler", os.O_CREAT | os.O_WRONLY); '
        "os.posix_fallocate(f, 0, s.f_bavail * s.f_frsize - (4 << 20))"
    )
    assert board.run(f"{board.python} -c '{code}'").status == 0
    assert board.run("dd if=/dev/zero of=/root/rest bs=4k").status != 0  # no space left


def free_disk(board: RunningBoard) -> None:
    board.run("rm -f /root/filler /root/rest")


def half_written(board: RunningBoard) -> str:
    return board.run(f"find {AGENT} -name '.tmp-*'").stdout


def delegate(path: str, **options: str) -> str:
    settings = ", ".join(f"{key}: {value}" for key, value in options.items())
    return f"delegate: {{path: {path}, name: npu-standin, options: {{{settings}}}}}"


def test_delegates_that_fail_end_as_the_right_outcome_and_the_next_cell_runs(bench, libraries, profile, measure):
    device = profile(
        {
            "missing": delegate("/opt/libnone.so"),
            "foreign": delegate(FOREIGN),
            "no-device": delegate(MISBEHAVING, mode="no-device"),
            "crash": delegate(STANDIN, fault="crash"),
            "chatter": delegate(MISBEHAVING, mode="chatter", library=STANDIN),
            "hang": delegate(STANDIN, fault="hang"),
            "cpu": "threads: 1",
        }
    )
    result = measure(device)
    cells = by_backend(result)
    told = {name: (c.outcome, c.attempts, c.reason) for name, c in cells.items()}
    assert told["missing"] == ("failed", 1, "the delegate does not load: there is no /opt/libnone.so on the board")
    assert told["foreign"] == (
        "failed",
        1,
        "the delegate does not load: /opt/libforeign.so is for x86-64 (64 bits), the board's Python is for "
        "64-bit Arm (64 bits)",
    )
    assert told["no-device"][:2] == ("failed", 1)
    assert told["no-device"][2].startswith("the delegate does not load: ")
    assert "no NPU found: /dev/galcore" in told["no-device"][2]
    assert told["crash"][:2] == ("unsupported", 2)
    assert told["crash"][2].startswith("first_invoke: the runtime crashes with SIGSEGV each time")
    assert "npu-standin: fault invoke=1" in cells["crash"].board_log
    assert told["chatter"] == ("ok", 1, None)
    assert cells["chatter"].delegated_nodes == 3
    # A thread prints the chatter: lines of others may stand between.
    lines = cells["chatter"].board_log.splitlines()
    assert any(line.endswith("hello from the delegate, on standard output") for line in lines)
    assert any("chatter " in line for line in lines)
    outcome, tries, reason = told["hang"]
    assert (outcome, tries) == ("failed", 2) and reason.startswith("first_invoke: no end of first_invoke after 4 s (")
    assert told["cpu"] == ("ok", 1, None)
    assert result.exit_code == 2
    assert half_written(bench) == ""
    assert bench.run("ps | grep -c '[f]aults-agent'").stdout == "0\n"  # no worker outlived the run


def test_a_disk_that_fills_up_during_an_upload_fails_that_cell_alone(bench, profile, measure):
    def fill(key, done, total):
        if (
            total > 2 << 20 and not filled
        ):  # the large model is under way, and nothing but the board knows its free space
            filled.append(done)
            fill_disk(bench)

    def clean(record):
        if record.key.backend == "cpu-ref":
            states.append(half_written(bench))
            free_disk(bench)

    filled, states = [], []
    device = profile({"cpu-ref": "kernels: reference", "cpu": "threads: 1"})
    large = tiny_model.int8_dense(2048, 1536)
    result = measure(device, model=large, watcher=Watcher(progress=fill, cell_finished=clean))
    first, second = by_backend(result)["cpu-ref"], by_backend(result)["cpu"]
    assert filled and filled[0] < len(large)
    assert (first.outcome, first.attempts) == ("failed", 1)
    assert "No space left on device" in first.reason and "free space on the board" in first.reason
    assert states == [""]
    assert (second.outcome, second.reason) == ("ok", None)


def test_a_board_that_is_full_before_an_upload_is_told_with_the_figures(bench, profile, measure):
    bench.run(f"rm -rf {AGENT}/files/*")  # the agent would make room by removing what is not in use
    fill_disk(bench)
    try:
        result = measure(profile({"cpu": "threads: 1"}), model=tiny_model.int8_dense(2048, 1024))
    finally:
        free_disk(bench)
    (record,) = result.records
    assert record.outcome == "failed" and half_written(bench) == ""
    assert "bytes free, " in record.reason and "free space on the board" in record.reason


def test_a_board_that_reboots_in_a_cell_is_waited_for_and_the_cell_repeated(bench, profile, measure):
    boot_id = "cat /proc/sys/kernel/random/boot_id"
    before = bench.run(boot_id).stdout
    resets, notes = [], []

    def reset(key, text):
        if text == "timing" and not resets:
            resets.append(key)
            bench.run("sync")  # the disk has no journal: a reset must not find it half-written
            bench._machine.qmp.command("system_reset")

    result = measure(
        profile({"cpu-ref": "kernels: reference", "cpu": "threads: 1"}, silence_s=8),
        watcher=Watcher(stage=reset, note=notes.append),
    )
    told = {name: (c.outcome, c.attempts) for name, c in by_backend(result).items()}
    assert told == {"cpu-ref": ("ok", 2), "cpu": ("ok", 1)}
    assert any("connection lost: " in note and "connecting again" in note for note in notes)
    assert bench.run(boot_id).stdout != before
    assert half_written(bench) == ""


def test_an_emulated_board_whose_machine_dies_in_a_cell_is_started_afresh(measure):
    others = {info.id for info in list_running()}
    killed: list[str] = []

    def kill(key, text):
        if text == "timing" and not killed:
            (mine,) = [b for b in list_running() if b.id not in others and b.owner_pid == os.getpid()]
            killed.append(mine.id)
            os.kill(mine.guard_pid, signal.SIGKILL)

    result = measure("imx8mp@qemu", backends=("cpu", "npu"), watcher=Watcher(stage=kill))
    told = {name: (c.outcome, c.attempts) for name, c in by_backend(result).items()}
    assert told == {"cpu": ("ok", 2), "npu": ("ok", 1)}
    assert killed[0] not in {info.id for info in list_running()}


def test_a_changed_host_key_fails_every_cell_and_nothing_is_sent(bench, profile, measure):
    bench.run(f"rm -rf {AGENT}")
    device = profile({"cpu-ref": "kernels: reference", "cpu": "threads: 1"}, host_key=new_key_pair().public_line)
    result = measure(device)
    for record in result.records:
        assert record.outcome == "failed"
        assert "has changed: pinned is ssh-ed25519 SHA256:" in record.reason
        assert "harness devices enroll bench" in record.reason
    assert len(result.records) == 2 and result.exit_code == 2
    assert bench.run(f"ls {AGENT}").stdout == ""
