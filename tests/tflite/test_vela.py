"""Vela compiles real models once each; what it says is read back to the nodes of the model, and its refusals are reasons."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.core.errors import MissingPartError, TransientDeviceError, UnsupportedError, UserInputError
from harness.core.files import sha256_file
from harness.envs.hostenv import parse_tool
from harness.tflite.graph import model_io, read_graph
from harness.tflite.vela import compiler as vela
from harness.tflite.vela.compiler import NothingOnNpu, compile_model
from harness.tflite.vela.output import VelaOutputError, parse_layers, parse_log, parse_summary, shorten
from tests.support.fixtures_vela import U65

SHARED = os.environ.get("HARNESS_SHARED")


def places(compiled) -> list[tuple[str, str]]:
    return [(node.op, node.place) for node in compiled.nodes]


def test_an_integer_model_becomes_one_operator_with_the_same_inputs_and_outputs(vela_shared: Path, vela_model):
    compiled = compile_model(vela_model("mnist_cnn"), U65)
    graph = read_graph(compiled.path)
    assert [node.custom_name for node in graph.nodes] == ["ethos-u"]
    assert model_io(graph) == model_io(read_graph(vela_model("mnist_cnn")))
    assert places(compiled) == [("CONV_2D", "npu"), ("MAX_POOL_2D", "npu"), ("FULLY_CONNECTED", "npu")]


def test_the_result_names_the_compiled_file_and_the_model_it_came_from(vela_shared: Path, vela_model):
    source = vela_model("mnist_cnn")
    compiled = compile_model(source, U65)
    assert compiled.sha256 == sha256_file(compiled.path) != compiled.source_sha256 == sha256_file(source)
    assert (compiled.size_bytes, compiled.source_size_bytes) == (compiled.path.stat().st_size, source.stat().st_size)
    assert compiled.options.compiler == "ethos-u-vela 5.2.0"


@pytest.mark.parametrize("name", ["mnist_cnn", "softmax", "float_io", "split_by_float"])
def test_the_cycles_of_the_nodes_add_up_to_velas_total(vela_shared: Path, vela_model, name: str):
    compiled = compile_model(vela_model(name), U65)
    assert sum(node.cycles or 0 for node in compiled.nodes) == compiled.summary.cycles_total > 0
    assert compiled.summary.inference_ns == pytest.approx(
        compiled.summary.cycles_total * 1e9 / compiled.summary.core_clock_hz, abs=1
    )


def test_ops_left_on_the_cpu_have_velas_reason_and_no_estimate(vela_shared: Path, vela_model):
    compiled = compile_model(vela_model("float_io"), U65)
    assert places(compiled) == [("QUANTIZE", "cpu"), ("FULLY_CONNECTED", "npu"), ("DEQUANTIZE", "cpu")]
    quantize, _, dequantize = compiled.nodes
    assert quantize.reason.startswith("unsupported DataType Float32; Feature-map dataTypes must be one of")
    assert dequantize.reason == "Unsupported opType"
    assert [compiled.node_ns(n) for n in (quantize, dequantize)] == [None, None]


def test_ops_between_two_integer_parts_make_two_operators(vela_shared: Path, vela_model):
    compiled = compile_model(vela_model("split_by_float"), U65)
    assert compiled.partitions == 2 and [n.place for n in compiled.nodes] == ["npu", "cpu", "cpu", "cpu", "npu"]
    first, last = compiled.nodes[0], compiled.nodes[-1]
    operators = [n.index for n in read_graph(compiled.path).nodes if n.custom_name == "ethos-u"]
    assert [first.compiled_node, last.compiled_node] == operators


def test_what_vela_splits_a_softmax_into_is_counted_to_the_one_node(vela_shared: Path, vela_model):
    compiled = compile_model(vela_model("softmax"), U65)
    assert compiled.npu_operators > 20 and len(compiled.nodes) == 1
    assert compiled.nodes[0].cycles == compiled.summary.cycles_total


def test_a_float_model_is_unsupported_with_the_reason_first_and_one_for_each_node(vela_shared: Path, vela_model):
    with pytest.raises(NothingOnNpu, match=r"^no op for the NPU: unsupported DataType Float32") as caught:
        compile_model(vela_model("float_mlp"), U65)
    assert "FULLY_CONNECTED, SOFTMAX" in str(caught.value)
    assert [n.place for n in caught.value.nodes] == ["cpu"] * 3 and all(n.reason for n in caught.value.nodes)
    assert isinstance(caught.value, UnsupportedError)


def test_the_same_model_and_options_are_compiled_once(vela_cache: Path, vela_model, monkeypatch: pytest.MonkeyPatch):
    first = compile_model(vela_model("int8_dense"), U65)
    monkeypatch.setattr(vela, "_run", lambda *_: pytest.fail("compiled again"))
    again = compile_model(vela_model("int8_dense"), U65)
    assert again == first


def test_other_options_are_another_result(vela_cache: Path, vela_model):
    fast = compile_model(vela_model("mnist_cnn"), U65)
    small = compile_model(vela_model("mnist_cnn"), replace(U65, optimise="size"))
    other = compile_model(vela_model("mnist_cnn"), replace(U65, accelerator="ethos-u65-512"))
    assert len({fast.path, small.path, other.path}) == 3
    assert other.summary.cycles_npu < fast.summary.cycles_npu


@pytest.mark.parametrize("victim", ["compiled.tflite", "layers.csv"])
def test_a_damaged_result_is_made_anew(vela_cache: Path, vela_model, victim: str):
    first = compile_model(vela_model("int8_dense"), U65)
    damaged = first.path.with_name(victim)
    damaged.unlink() if victim == "layers.csv" else damaged.write_bytes(b"not what it was")
    assert compile_model(vela_model("int8_dense"), U65) == first


def test_two_that_want_the_same_compile_it_once(vela_cache: Path, vela_model, monkeypatch: pytest.MonkeyPatch):
    runs, results, real = [], [], vela._run
    monkeypatch.setattr(vela, "_run", lambda *a: (runs.append(1), real(*a)))
    work = [
        threading.Thread(target=lambda: results.append(compile_model(vela_model("int8_dense"), U65))) for _ in range(2)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len(runs) == 1 and results[0] == results[1]


def test_a_corrupt_model_is_refused_before_the_compiler_sees_it(vela_cache: Path, vela_model, tmp_path: Path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(vela_model("mnist_cnn").read_bytes()[:3000])
    with pytest.raises(UserInputError, match="truncated or corrupt"):
        compile_model(broken, U65)
    assert not vela_cache.exists()


def test_options_that_vela_does_not_know_are_the_users_to_correct(vela_cache: Path, vela_model):
    with pytest.raises(UserInputError, match="System_Config.Nowhere not found.*correct the `compile:` block"):
        compile_model(vela_model("int8_dense"), replace(U65, system_config="Nowhere"))
    assert [p for p in vela_cache.iterdir() if not p.name.endswith(".lock")] == []


def fake_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Puts a script in the compiler's place: faults that a real one shows too rarely."""
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    monkeypatch.setattr(vela, "ensure_runtime_env", lambda package, progress: SimpleNamespace(python=script))


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("kill -KILL $$", TransientDeviceError, "was killed.*SIGKILL"),
        ("echo 'bad buffer'; kill -SEGV $$", UnsupportedError, "crashes on this model with SIGSEGV: bad buffer"),
        (
            "echo 'RuntimeError: Compilation failed: no such op'; exit 1",
            UnsupportedError,
            "refuses the model: no such op",
        ),
        ("exit 3", UnsupportedError, "refuses the model: no message"),
    ],
)
def test_how_the_compiler_ends_decides_whose_fault_it_is_and_nothing_is_left(
    vela_cache: Path, vela_model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script, error, words
):
    fake_compiler(tmp_path, monkeypatch, script)
    with pytest.raises(error, match=words):
        compile_model(vela_model("int8_dense"), U65)
    assert [p for p in vela_cache.iterdir() if not p.name.endswith(".lock")] == []


def test_a_compiler_that_never_ends_is_stopped(vela_cache, vela_model, tmp_path, monkeypatch: pytest.MonkeyPatch):
    fake_compiler(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(vela, "_DEADLINE_S", 0.3)
    with pytest.raises(TransientDeviceError, match="did not end"):
        compile_model(vela_model("int8_dense"), U65)


def test_without_vela_the_error_says_how_to_get_it(vela_cache: Path, vela_model, monkeypatch: pytest.MonkeyPatch):
    def missing(package, progress):
        raise MissingPartError("no wheel for this machine")

    monkeypatch.setattr(vela, "ensure_runtime_env", missing)
    with pytest.raises(MissingPartError, match="no wheel"):
        compile_model(vela_model("int8_dense"), U65)


def test_a_models_own_name_never_reaches_the_compiler(vela_cache: Path, vela_model, tmp_path: Path):
    odd = tmp_path / "--help; $(id) _vela.tflite"
    odd.write_bytes(vela_model("int8_dense").read_bytes())
    assert compile_model(odd, U65).path.name == "compiled.tflite"


def test_an_unknown_tool_gets_the_nearest_name():
    with pytest.raises(UserInputError, match="unknown tool package 'ethos-u-vala'.*did you mean ethos-u-vela"):
        parse_tool("ethos-u-vala==5.2.0")


def test_a_reason_loses_the_tensors_name_with_all_its_brackets():
    said = ["Reason: Operation has tensor with unsupported DataType Float32 (a(b)/c;d)", 'One of {"INT8", "UINT8"}']
    assert shorten(said) == "unsupported DataType Float32; One of {INT8, UINT8}"
    assert shorten([]) == "Vela gives no reason"


def test_refusals_are_read_with_quotes_and_brackets_in_names():
    text = (
        "Warning (supported operators) operator: ADD, ofm: 'it's (odd)'\nReason: Unsupported opType\n\n"
        "CPU operators = 1 (50.0%)\nNPU operators = 1 (50.0%)\n"
    )
    log = parse_log(text)
    assert (log.npu_operators, log.cpu_operators) == (1, 1)
    assert [(r.op, r.tensor, r.reason) for r in log.refusals] == [("ADD", "it's (odd)", "Unsupported opType")]


def test_output_of_another_version_is_an_error_and_not_a_zero(vela_shared: Path, vela_model):
    folder = compile_model(vela_model("int8_dense"), U65).path.parent
    summary, layers = (folder / "summary.csv").read_text(), (folder / "layers.csv").read_text()
    with pytest.raises(VelaOutputError, match="no number in 'cycles_total'"):
        parse_summary(summary.replace("cycles_total", "cycles_altogether"))
    with pytest.raises(VelaOutputError, match="other columns"):
        parse_layers(layers.replace("Op Cycles", "Cycles"))
    with pytest.raises(VelaOutputError, match="no operator counts"):
        parse_log("done")


def test_commas_in_a_tensors_name_stay_in_it(vela_shared: Path, vela_model):
    layers = (compile_model(vela_model("int8_dense"), U65).path.parent / "layers.csv").read_text()
    head, row = layers.splitlines()[:2]
    assert parse_layers(f"{head}\n{row},more,of it\n")[0].tensor == "out,more,of it"


if SHARED:

    @pytest.mark.parametrize(("name", "nodes"), [("ad01_int8", 10), ("mobilenet_v1_0.25_128_quant", 31)])
    def test_public_integer_models_go_to_the_npu_as_a_whole(vela_shared: Path, name: str, nodes: int):
        compiled = compile_model(Path(SHARED) / "models" / f"{name}.tflite", U65)
        assert [n.place for n in compiled.nodes] == ["npu"] * nodes
        assert sum(n.cycles for n in compiled.nodes) == compiled.summary.cycles_total

    def test_the_public_float_model_does_not(vela_shared: Path):
        with pytest.raises(NothingOnNpu, match="Float32"):
            compile_model(Path(SHARED) / "models" / "ad01_fp32.tflite", U65)
