"""The vendor's benchmark_model: its texts parsed, its run on a board, its figures beside ours."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from agent import facts
from click.testing import CliRunner

from harness.boards.base import BackendSpec
from harness.boards.resolve import get_profile
from harness.cli.main import cli
from harness.core.errors import UserInputError
from harness.measure.vendor_benchmark import VendorOutputError, parse_benchmark_output
from harness.reports.tables import ops_table
from harness.results.store import Store
from harness.run.vendor import vendor_arguments
from tests.support import tiny_model, vendor_outputs
from tests.support.fixtures_boards import direct_children, is_running, wait_until
from tests.support.judged import assert_judged_the_same

# -- its texts


def test_figures_of_a_plain_run_are_read_in_nanoseconds():
    found = parse_benchmark_output(vendor_outputs.PLAIN)
    assert (found.init_ns, found.first_invoke_ns, found.warmup_mean_ns) == (771_000, 1_512_391_000, 1_512_390_000)
    assert (found.mean_ns, found.count, found.min_ns, found.max_ns, found.std_ns) == (
        1_250_340_000,
        50,
        1_127_568_000,
        1_389_954_000,
        59_798_000,
    )
    assert (found.median_ns, found.ops) == (None, ())


def test_the_op_table_is_that_of_the_measured_runs_in_run_order():
    found = parse_benchmark_output(vendor_outputs.PROFILED)
    assert [(op.node, op.op, op.mean_ns, op.first_ns) for op in found.ops] == [
        (0, "CONV_2D", 861_000, 884_000),
        (1, "MAX_POOL_2D", 44_000, 47_000),
        (2, "FULLY_CONNECTED", 102_000, 109_000),
    ]
    assert found.ops[2].name == "[Identity]:2" and found.mean_ns == 1_014_360


def test_a_later_version_with_prefixes_percentiles_and_other_columns_is_read_too():
    found = parse_benchmark_output(vendor_outputs.DELEGATED.replace("\n", "\r\n"))
    assert (found.count, found.median_ns, found.mean_ns, found.first_invoke_ns) == (
        2254,
        436_000,
        443_311,
        4_130_882_000,
    )
    assert [(op.node, op.op, op.mean_ns) for op in found.ops] == [
        (3, "Vx Delegate", 331_000),
        (2, "FULLY_CONNECTED", 105_000),
    ]


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "no line `Inference timings in us`"),
        (vendor_outputs.PLAIN.split("Inference timings")[0], "no line `Inference timings in us`"),
        (re.sub("count=.*", "", vendor_outputs.PLAIN), "no line of statistics"),
        (vendor_outputs.PROFILED.replace("[avg ms]", "[avg us]"), "other columns than expected"),
        (vendor_outputs.PROFILED.replace("0.861\t 85.499", "n/a\t 85.499"), "has no times"),
    ],
)
def test_a_text_that_is_none_of_its_own_is_an_error_that_says_what_is_missing(text, words):
    with pytest.raises(VendorOutputError, match=words):
        parse_benchmark_output(text)


# -- its options


def test_options_say_what_the_backend_says():
    backend = BackendSpec(
        name="npu",
        kernels="no-default-delegate",
        threads=4,
        delegate_path="/usr/lib/libvx_delegate.so",
        delegate_options={"device_id": "0", "cache_file_path": "{cache_dir}/g"},
    )
    arguments = vendor_arguments(backend, profiling=False)
    assert {"--num_threads=4", "--use_xnnpack=false", "--external_delegate_path=/usr/lib/libvx_delegate.so"} <= set(
        arguments
    )
    assert "--external_delegate_options=device_id:0;cache_file_path:{cache_dir}/g" in arguments
    assert "--enable_op_profiling=true" in vendor_arguments(backend, profiling=True)


def test_what_it_cannot_do_is_not_asked_of_it():
    assert vendor_arguments(BackendSpec(name="cpu-ref", kernels="reference"), profiling=False) is None
    odd = BackendSpec(name="npu", delegate_path="/usr/lib/x.so", delegate_options={"refuse": "A;B"})
    assert vendor_arguments(odd, profiling=False) is None


# -- on a board (a real program that prints captured texts; no emulated board has the real one)

PROFILE = """
name: bench
title: this machine with a vendor's benchmark
link: {{type: local}}
runtime: {{module: tflite_runtime, package: tflite-runtime==2.14.0}}
agent: {{directory: {folder}/agent}}
exclusive: vendor-test
vendor_benchmark: {program}
backends:
  cpu-ref: {{kernels: reference}}
  cpu: {{affinity: [{cpu}], env: {{SEEN: "yes; $(no shell)"}}}}
"""

SCRIPT = """#!/bin/sh
{{ for word in "$@"; do echo "$word"; done; echo "SEEN=$SEEN"; grep Cpus_allowed_list /proc/self/status; }} >> {folder}/calls
model=${{1#--graph=}}
head -c 8 "$model" | tail -c 4 | grep -q TFL3 || {{ echo "no model: $1"; exit 9; }}
case "$*" in *--enable_op_profiling=true*) cat {folder}/profiled;; *) {plain};; esac
"""


@pytest.fixture
def bench(tmp_path, runtime_cache):
    """run(what the program does) -> the cells by backend."""

    def run(plain: str = f"cat {tmp_path}/plain", program: Path | None = None):
        script = tmp_path / "benchmark_model"
        script.write_text(SCRIPT.format(folder=tmp_path, plain=plain))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        (tmp_path / "plain").write_text(vendor_outputs.PLAIN)
        (tmp_path / "profiled").write_text(vendor_outputs.PROFILED)
        cpu = min(os.sched_getaffinity(0))
        (tmp_path / "bench.yaml").write_text(PROFILE.format(folder=tmp_path, program=program or script, cpu=cpu))
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
        assert result.exit_code == 0, result.output
        with Store.open(tmp_path / "results", create=False) as store:
            assert_judged_the_same(store, "latest")
            return {c.key.backend: c for c in store.cells(run="latest")}

    return run


def test_its_figures_stand_beside_ours(bench, tmp_path):
    cells = bench()
    cell = cells["cpu"]
    assert (cell.vendor_latency_ns, cell.vendor_first_invoke_ns) == (1_250_340_000, 1_512_391_000)
    assert (
        cell.vendor_benchmark["program"] == str(tmp_path / "benchmark_model") and cell.vendor_benchmark["count"] == 50
    )
    assert [op["vendor_ns"] for op in cell.ops] == [861_000, 44_000, 102_000]
    assert ops_table([cell])["vendor_ns"].tolist() == [861_000, 44_000, 102_000]
    (finding,) = [f for f in cell.findings if f.code.startswith("vendor")]
    assert (finding.code, finding.severity) == (
        "vendor-benchmark-differs",
        "warning",
    ) and "mean of 1250340.0 µs" in finding.what
    assert cells["cpu-ref"].vendor_benchmark is None and not [
        f for f in cells["cpu-ref"].findings if "vendor" in f.code
    ]


def test_it_runs_without_a_shell_with_the_backends_cpus_and_environment(bench, tmp_path):
    bench()
    calls = (tmp_path / "calls").read_text()
    assert calls.count("--graph=") == 2 and calls.count("--num_threads=1") == 2
    assert "SEEN=yes; $(no shell)" in calls
    assert f"Cpus_allowed_list:\t{min(os.sched_getaffinity(0))}\n" in calls


@pytest.mark.parametrize(
    "does, words",
    [
        ("echo cannot open /dev/galcore; exit 3", "exit status 3: cannot open /dev/galcore"),
        ("kill -SEGV $$", "signal 11"),
        ("echo hello", "no line `Inference timings in us`"),
    ],
)
def test_what_goes_wrong_with_it_is_a_finding_and_no_outcome(bench, does, words):
    cell = bench(does)["cpu"]
    (finding,) = [f for f in cell.findings if f.code == "vendor-benchmark-failed"]
    assert words in finding.what and (cell.outcome, cell.vendor_latency_ns) == ("ok", None)


def test_a_program_that_is_not_there_is_a_finding(bench, tmp_path):
    (finding,) = [f for f in bench(program=tmp_path / "none")["cpu"].findings if "vendor" in f.code]
    assert f"{tmp_path}/none cannot be run: No such file" in finding.what


def test_one_that_hangs_is_ended_with_all_it_started(make_board, board_files, tmp_path):
    script = tmp_path / "benchmark_model"
    script.write_text("#!/bin/sh\necho started\nsleep 600 &\necho $! > " + f"{tmp_path}/child\nwait\n")
    script.chmod(0o700)
    before = set(direct_children(os.getpid()))
    board = make_board(vendor_benchmark=str(script))
    board.connect()
    board.ensure_file(board_files.mlp.path, board_files.mlp.sha256)
    assert board.vendor_benchmark == str(script) and len(set(direct_children(os.getpid())) - before) == 1
    done = board.run_vendor_benchmark(board_files.mlp.sha256, BackendSpec(name="cpu"), ["--num_threads=1"], 1.0)
    assert (done.code, done.output) == (None, "started\n")
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not is_running(child))


def test_the_newest_of_those_that_vendors_ship_is_found(monkeypatch, tmp_path):
    monkeypatch.setattr(facts, "VENDOR_BENCHMARKS", f"{tmp_path}{facts.VENDOR_BENCHMARKS}")
    assert facts.vendor_benchmark() is None
    for version, mode in (("2.9.1", 0o755), ("2.16.2", 0o755), ("2.17.0", 0o644)):
        program = tmp_path / f"usr/bin/tensorflow-lite-{version}/examples/benchmark_model"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(mode)
    # 2.17.0 cannot be executed by anybody, and numbers are compared as numbers.
    assert facts.vendor_benchmark() == f"{tmp_path}/usr/bin/tensorflow-lite-2.16.2/examples/benchmark_model"


def test_the_profile_can_switch_it_off_or_name_it(make_board, tmp_path):
    board = make_board(vendor_benchmark="none")
    board.connect()
    assert board.vendor_benchmark is None
    (tmp_path / "bench.yaml").write_text(PROFILE.format(folder=tmp_path, program="../benchmark_model", cpu=0))
    with pytest.raises(UserInputError, match="vendor_benchmark.*allowed: `none`, or an absolute path"):
        get_profile("bench", tmp_path)
