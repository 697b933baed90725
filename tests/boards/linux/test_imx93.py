"""The i.MX 93: its profile, compiled files on a board, and cells made of estimates where there is no board."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from harness.boards.connect import availability, backend_spec, require_address
from harness.boards.resolve import get_profile
from harness.cli.progress import describe
from harness.core.errors import MissingPartError, StableDeviceError, UserInputError
from harness.core.files import sha256_file
from harness.judge.stored import finisher
from harness.prepare.prepared import PreparedModel, random_inputs, with_graph_facts
from harness.reports import tables
from harness.reports.jsonout import document, schema
from harness.reports.values import latency_text
from harness.results.objects import ObjectStore
from harness.results.record import CellRecord, RunInfo
from harness.results.store import Store
from harness.run.execute import execute
from harness.run.jobs import DeviceJob, Execution, PlannedCell
from harness.run.matrix import key_of
from harness.tflite.vela import compiler as vela
from harness.variants.build.build import artifact_from_file
from harness.workloads.metrics.registry import get_metric
from tests.support.judged import assert_judged_the_same

COMPILE = """\
    compile:
      tool: vela
      accelerator: ethos-u65-256
      system_config: Ethos_U65_High_End
      memory_mode: Dedicated_Sram_384KB
"""
LOCAL = """\
name: {name}
title: LiteRT on this machine with a delegate that takes ethos-u operators
link: {{type: local}}
runtime: {{module: ai_edge_litert, package: ai-edge-litert==2.3.0}}
backends:
  cpu:
    threads: 1
  npu:
    threads: 1
{delegate}{compile}"""


def prepared(path: Path) -> PreparedModel:
    """A finished model with random inputs, without reference or labels."""
    artifact = artifact_from_file(path)
    inputs = random_inputs(artifact.inputs, 64, 0)
    return with_graph_facts(
        PreparedModel(
            workload=path.stem,
            metric=get_metric("top1"),
            recipe="as-is",
            seed=0,
            artifact=artifact,
            dataset_name="random",
            dataset_note="random inputs",
            dataset_digest="d" * 64,
            inputs=inputs,
            sample_ids=np.arange(64),
        )
    )


@pytest.fixture
def run_cells(tmp_path: Path, vela_shared: Path):
    """run_cells(profile, *model files, backends=None) -> the stored records, in order."""

    def run(profile, *files: Path, backends: tuple[str, ...] = ("npu",)) -> list[CellRecord]:
        cells = [
            PlannedCell(key=key_of(model, profile.name, backend), model=model)
            for model in map(prepared, files)
            for backend in backends
        ]
        keys = [cell.key for cell in cells]
        with Store.open(tmp_path / "results") as store:
            store.begin_run(RunInfo(run="r1", started_utc="2026-01-01T00:00:00+00:00", command=["test"], planned=keys))
            execution = Execution(run="r1", store=store, finish=finisher(ObjectStore(tmp_path / "results")))
            execute(
                [DeviceJob(profile=profile, device=profile.name, cells=tuple(cells), samples=32)],
                execution,
                budget_s=2.0,
            )
            assert_judged_the_same(store, "r1")
            by_key = {record.key: record for record in store.cells(run="r1")}
        return [by_key[key] for key in keys]

    return run


@pytest.fixture
def local_npu(devices_dir: Path, write_profile, ethosu_stub: Path):
    """local_npu(delegate=True): the profile of this machine with a compiled `npu` backend."""

    def make(delegate: bool = True):
        lines = f"    delegate: {{path: {ethosu_stub}, name: ethosu}}\n" if delegate else ""
        write_profile("local-npu", LOCAL.format(name="local-npu", delegate=lines, compile=COMPILE))
        return get_profile("local-npu", devices_dir)

    return make


# ---- the profile


def test_the_profile_has_the_three_backends_and_compiles_for_the_npu(devices_dir: Path):
    profile = get_profile("imx93", devices_dir)
    assert list(profile.backends) == ["cpu-ref", "cpu", "npu"]
    assert [b.compile is not None for b in profile.backends.values()] == [False, False, True]
    assert backend_spec(profile, "npu").delegate_path == "/usr/lib/libethosu_delegate.so"
    options = profile.backends["npu"].compile.vela_options()
    assert (options.accelerator, options.compiler) == ("ethos-u65-256", "ethos-u-vela 5.2.0")


def test_without_an_address_the_error_names_the_variable_and_the_line_to_write(devices_dir: Path, monkeypatch):
    monkeypatch.delenv("HARNESS_IMX93_HOST", raising=False)
    with pytest.raises(UserInputError, match=r"HARNESS_IMX93_HOST is not set.*imx93: \{link: \{host: 192\.0\.2\.7\}\}"):
        require_address(get_profile("imx93", devices_dir))
    monkeypatch.setenv("HARNESS_IMX93_HOST", "192.0.2.93")
    profile = get_profile("imx93", devices_dir)
    assert profile.link.ssh(profile.place()).host == "192.0.2.93"


@pytest.mark.parametrize(
    ("wrong", "right", "words"),
    [
        (
            "ethos-u65-256",
            "ethos-u65-999",
            'backends.npu.compile.accelerator: found "ethos-u65-999"; allowed: .*ethos-u65-512',
        ),
        ("Ethos_U65_High_End", "Ethos_U55_Deep_Embedded", "describes another NPU than ethos-u65-256"),
        ("Ethos_U65_High_End", "Ethos_U65_Embedded", "needs DRAM, and system_config Ethos_U65_Embedded has flash"),
        ("Dedicated_Sram_384KB", "Dedicated_Sram_1MB", "memory_mode: found"),
        ("tool: vela", "tool: magic", "tool: found \"magic\"; allowed: 'vela'"),
        ("tool: vela", "tool: vela\n      package: ethos-u-vela", "not a pinned tool"),
        ("tool: vela", "tool: vela\n      packge: x", "unknown field.*did you mean package"),
        ("tool: vela", "tool: vela\n      optimise: Performance", "allowed: 'performance' or 'size'"),
    ],
)
def test_a_fault_in_the_compile_block_is_named_with_its_line(devices_dir: Path, write_profile, wrong, right, words):
    text = LOCAL.format(name="board", delegate="", compile=COMPILE).replace(wrong, right)
    write_profile("board", text)
    with pytest.raises(UserInputError, match=words) as caught:
        get_profile("board", devices_dir)
    assert "board.yaml:" in str(caught.value)


def test_estimates_need_a_compiler_to_come_from(devices_dir: Path, write_profile):
    write_profile("board", LOCAL.format(name="board", delegate="", compile=COMPILE) + "time_basis: estimate\n")
    with pytest.raises(UserInputError, match="`time_basis: estimate` needs a `compile:` block in every backend"):
        get_profile("board", devices_dir)


# ---- the twin


def test_the_twin_has_the_compiled_backends_and_needs_no_address(devices_dir: Path, vela_env: Path):
    twin = get_profile("imx93@vela", devices_dir)
    assert (twin.name, list(twin.backends), twin.time_basis) == ("imx93@vela", ["npu"], "estimate")
    assert availability(twin).ok
    assert get_profile("imx93", devices_dir, emulated=True) == twin


def test_a_twin_of_the_other_kind_is_an_unknown_device(devices_dir: Path):
    with pytest.raises(UserInputError, match="unknown device 'imx93@qemu'.*its twin is called imx93@vela"):
        get_profile("imx93@qemu", devices_dir)


@pytest.mark.parametrize(
    ("compiled", "extra", "words"),
    [
        (COMPILE, ", cpu: x", "emulation: cpu means nothing to an estimate"),
        ("", "", "no backend with a `compile:` block"),
    ],
)
def test_a_block_that_cannot_give_estimates_says_why(devices_dir: Path, write_profile, compiled, extra, words):
    text = LOCAL.format(name="board", delegate="", compile=compiled)
    write_profile("board", f"{text}emulation: {{machine: vela-estimate{extra}}}\n")
    with pytest.raises(UserInputError, match=words):
        get_profile("board@vela", devices_dir)


def test_an_estimated_cell_has_a_time_of_its_own_basis_and_no_accuracy(devices_dir: Path, run_cells, vela_model):
    source = vela_model("mnist_cnn")
    (record,) = run_cells(get_profile("imx93@vela", devices_dir), source)
    facts = record.compiled
    assert (record.outcome, record.time_basis, record.accuracy, record.samples) == ("estimated", "estimate", None, None)
    assert record.latency_median_ns == facts["inference_ns"] > 0 and record.latency_samples is None
    assert (record.delegate_name, record.delegated_nodes, record.total_nodes, record.partitions) == ("ethosu", 3, 3, 1)
    assert facts["source_sha256"] == sha256_file(source) != record.artifact_sha256
    assert facts["source_size_bytes"] == source.stat().st_size != record.size_bytes
    assert facts["sram_used_bytes"] > 0 and facts["compiler"] == "ethos-u-vela 5.2.0"
    assert [(op["op"], op["ran_on"], op["partition"]) for op in record.ops] == [
        ("CONV_2D", "ethosu", 0),
        ("MAX_POOL_2D", "ethosu", 0),
        ("FULLY_CONNECTED", "ethosu", 0),
    ]
    assert sum(op["cycles"] for op in record.ops) == facts["cycles_total"]
    assert "(estimate), ethosu 3/3 nodes" in latency_text(record) and "(estimate)" in describe(record)
    assert record.threads is None


def test_the_npus_part_is_no_latency_when_ops_stay_on_the_cpu(devices_dir: Path, run_cells, vela_model):
    (record,) = run_cells(get_profile("imx93@vela", devices_dir), vela_model("float_io"))
    assert (record.outcome, record.latency_median_ns) == ("estimated", None)
    assert [(f.node, f.op) for f in record.fallback] == [(0, "QUANTIZE"), (2, "DEQUANTIZE")]
    (finding,) = [f for f in record.findings if f.code == "estimate-npu-part-only"]
    assert "2 of 3 nodes stay on the CPU (QUANTIZE, DEQUANTIZE)" in finding.what
    assert latency_text(record).startswith("NPU part ")


def test_a_float_model_is_unsupported_with_a_reason_for_each_op(devices_dir: Path, run_cells, vela_model):
    (record,) = run_cells(get_profile("imx93@vela", devices_dir), vela_model("float_mlp"))
    assert record.outcome == "unsupported"
    assert record.reason.startswith("compile: no op for the NPU: unsupported DataType Float32")
    assert (record.delegated_nodes, len(record.fallback)) == (0, 3) and all(f.reason for f in record.fallback)


def test_a_compiler_that_cannot_be_had_fails_the_cell_and_the_next_one_runs(
    devices_dir: Path, run_cells, vela_model, monkeypatch: pytest.MonkeyPatch
):
    real = vela.ensure_runtime_env
    answers = [MissingPartError("no wheel for this machine", hint="install python3.11")]

    def once(package, *, progress=None):
        if answers:
            raise answers.pop()
        return real(package, progress=progress)

    monkeypatch.setattr(vela, "ensure_runtime_env", once)
    monkeypatch.setattr(vela, "_is_whole", lambda folder: False)
    first, second = run_cells(get_profile("imx93@vela", devices_dir), vela_model("mnist_cnn"), vela_model("softmax"))
    assert (first.outcome, second.outcome) == ("failed", "estimated")
    assert "no wheel for this machine" in first.reason


def test_records_and_tables_of_compiled_models_fit_the_published_schema(devices_dir: Path, run_cells, vela_model):
    files = [vela_model(name) for name in ("mnist_cnn", "float_io", "float_mlp")]
    records = run_cells(get_profile("imx93@vela", devices_dir), *files)
    jsonschema.validate(json.loads(json.dumps(document("r1", records))), schema())
    compiled = tables.compiled_table(records)
    assert compiled["placement"].tolist() == ["ethosu 3/3 nodes in 1 part", "ethosu 1/3 nodes in 1 part"]
    ops = tables.ops_table(records)
    assert ops["estimate_ns"].isna().tolist() == [False, False, False, True, False, True]
    assert tables.fallback_table(records)["reason"].notna().sum() == 5


def test_nothing_can_be_run_on_the_twin(devices_dir: Path, vela_model):
    from harness.boards.connect import connect

    board = connect(get_profile("imx93@vela", devices_dir))
    assert board.connect().runtime == "none (estimates of ethos-u-vela 5.2.0)"
    with pytest.raises(StableDeviceError, match="nothing runs on a compiler's estimates"):
        board.ensure_file(vela_model("mnist_cnn"), "0" * 64)


def test_harness_measure_answers_without_the_board(
    devices_dir: Path, harness_cli, vela_shared, vela_model, tmp_path: Path
):
    arguments = ["--device", "imx93", "--emulated", "--results", tmp_path / "results", "--json", tmp_path / "out.json"]
    done = harness_cli("measure", vela_model("mnist_cnn"), *arguments)
    assert done.code == 0, done.err
    (cell,) = json.loads((tmp_path / "out.json").read_text())["cells"]
    assert (cell["device"], cell["time_basis"], cell["outcome"]) == ("imx93@vela", "estimate", "estimated")
    assert "computed by a tool, never run" in done.out
    assert (tmp_path / "results" / "latest" / "compiled.csv").is_file()


def test_devices_check_compiles_the_check_model(devices_dir: Path, harness_cli, vela_env: Path):
    done = harness_cli("devices", "check", "imx93@vela")
    assert done.code == 0 and "ethos-u-vela 5.2.0 compiles the check model" in done.out


# ---- a board (this machine, with a delegate that takes ethos-u operators)


def test_the_compiled_file_travels_and_the_ops_are_those_of_the_original(local_npu, run_cells, vela_model):
    source = vela_model("split_by_float")
    cpu, npu = run_cells(local_npu(), source, backends=("cpu", "npu"))
    assert cpu.compiled is None and cpu.artifact_sha256 == sha256_file(source)
    assert (npu.outcome, npu.time_basis) == ("ok", "device") and npu.latency_samples >= 30
    assert npu.artifact_sha256 != cpu.artifact_sha256 == npu.compiled["source_sha256"]
    assert (npu.delegate_name, npu.delegated_nodes, npu.total_nodes, npu.partitions) == ("ethosu", 2, 5, 2)
    assert [(op["op"], op["ran_on"] == "ethosu") for op in npu.ops] == [
        ("FULLY_CONNECTED", True),
        ("DEQUANTIZE", False),
        ("FLOOR", False),
        ("QUANTIZE", False),
        ("FULLY_CONNECTED", True),
    ]
    assert [op["partition"] for op in npu.ops if op["ran_on"] == "ethosu"] == [0, 1]
    assert [(f.node, f.reason is None) for f in npu.fallback] == [(1, False), (2, False), (3, False)]


def test_a_board_whose_delegate_takes_no_compiled_file_is_unsupported_and_says_what_was_pushed(
    local_npu, run_cells, vela_model
):
    (record,) = run_cells(local_npu(delegate=False), vela_model("mnist_cnn"))
    assert record.outcome == "unsupported" and "ethos-u" in record.reason
    assert record.compiled["source_sha256"] == sha256_file(vela_model("mnist_cnn"))
    assert record.ops == [] and record.delegated_nodes is None


def test_devices_check_runs_the_compiled_check_model_on_a_board(local_npu, devices_dir: Path, harness_cli, vela_shared):
    local_npu()
    done = harness_cli("devices", "check", "local-npu", "--devices-dir", devices_dir)
    # The stub computes nothing, so its answers are wrong; that they came means that the compiled file ran.
    assert done.code == 2 and "backend npu: " in done.out and "backend npu runs but its answers are wrong" in done.out


def test_estimates_and_measurements_never_share_a_column(local_npu, devices_dir: Path, run_cells, vela_model):
    from harness.reports.summary import summaries

    (measured,) = run_cells(local_npu(), vela_model("mnist_cnn"))
    estimated = replace(measured, time_basis="estimate", key=replace(measured.key, recipe="other"))
    (summary,) = summaries([measured, estimated], ())
    assert len(summary.columns) == 2
    assert any("must not be compared" in note for note in summary.notes)
