"""`wrong` as a user meets it: real runtimes of this machine, models measured from options to records, ops asked on the board."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import TransientDeviceError
from harness.measure.alone import Alone
from harness.results.record import CellRecord
from harness.results.store import Store
from harness.run import checks
from harness.run.measured import measure_plan
from harness.run.options import RunOptions
from harness.session.session import run_session
from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import write_tree
from tests.support import stateful_models
from tests.support.defect_cases import dense, summed
from tests.support.judged import assert_judged_the_same
from tests.support.small_nets import Net
from tests.support.small_quantizer import Style, calibrate, quantize

STANDIN = """
name: {name}
title: this machine with the stand-in for an NPU
kind: linux
link: {{type: local}}
runtime: {{module: tflite_runtime, package: tflite-runtime==2.14.0}}
backends:
  npu:
    kernels: no-default-delegate
    delegate: {{path: {library}, name: npu-standin, options: {{{options}}}}}
samples: all
"""


@pytest.fixture
def measure(tmp_path, tflite_python, litert_python, monkeypatch):
    """`measure(model, devices, backends, samples=, devices_dir=)`: records of a run, by device and backend; judged twice."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(Path(tflite_python).parents[3]))

    def run(
        model: bytes, *devices: str, backends: tuple[str, ...] = (), samples: int = 128, devices_dir: str | None = None
    ) -> dict[str, CellRecord]:
        path = tmp_path / "net.tflite"
        path.write_bytes(model)
        options = RunOptions(
            workloads=(str(path),), recipes=(), devices=devices, backends=backends, samples=samples, budget_s=6.0,
            devices_dir=devices_dir,
        )  # fmt: skip
        result = run_session(options, tmp_path / "results", command=["test"], plan=measure_plan(options, samples))
        with Store.open(tmp_path / "results") as store:
            assert_judged_the_same(store, result.run)
        return {f"{record.key.device} {record.key.backend}": record for record in result.records}

    return run


@pytest.fixture
def board_with(tmp_path, standin):
    """`board_with("rounding: single")`: a folder with the profile of a board whose NPU is the stand-in with these options."""

    def make(options: str) -> str:
        (tmp_path / "devices").mkdir(exist_ok=True)
        text = STANDIN.format(name="npu-board", library=standin, options=options)
        (tmp_path / "devices" / "npu-board.yaml").write_text(text)
        return str(tmp_path / "devices")

    return make


def small_net() -> bytes:
    net = Net((12, 12, 2))
    x = net.conv(net.conv(net.inputs[0], 8, stride=2), 8)
    return net.model(net.softmax(net.dense(net.pool(net.conv(x, 8), kind="average"), 10)))


@pytest.fixture(scope="module")
def integer_net(litert) -> bytes:
    samples = np.random.default_rng(0).normal(size=(64, 12, 12, 2)).astype(np.float32)
    return quantize(small_net(), calibrate(small_net(), [samples], litert), Style())


@pytest.mark.parametrize(
    ("case", "op"),
    [(dense("int8", per_channel=True), "FULLY_CONNECTED"), (summed("int8"), "SUM")],
    ids=lambda c: str(c)[:20],
)
def test_reference_kernels_that_err_are_wrong_and_the_op_is_named(measure, case, op):
    """They were the reference once: then the right kernels were called wrong."""
    records = measure(case.model, "host-tflite")
    wrong, right = records["host-tflite cpu-ref"], records["host-tflite cpu"]
    assert right.outcome == "ok" and right.reference == "float twin on ai-edge-litert 2.3.0", right.reason
    assert wrong.outcome == "wrong" and f"alone on the device, node 0 {op} is wrong: " in wrong.reason
    assert wrong.op_check["verdict"] == "wrong" and [o["op"] for o in wrong.op_check["wrong"]] == [op]
    assert [f.code for f in wrong.findings if f.severity == "error"] == ["op-wrong"]
    assert wrong.prediction["right"] is False and right.prediction["right"] is True
    assert right.exact_reference is None and right.max_lsb_diff is None  # kernels that err are no exact reference
    (figures,) = wrong.reference_figures
    assert figures["error"] > 2 * figures["noise"] >= figures["step"]


def test_a_right_net_has_its_figures_and_its_ops_are_not_asked(measure, integer_net):
    for record in measure(integer_net, "host-tflite", "host-litert").values():
        assert (record.outcome, record.reason, record.op_check) == ("ok", None, None), record.key.text
        assert record.exact_reference == "tflite-runtime 2.14.0 BUILTIN_REF" and record.max_lsb_diff <= 3
        (figures,) = record.reference_figures
        assert figures["error"] < figures["noise"] and figures["noise_is"]
        assert "RMS difference <= 2 N" in record.reference_rule and record.nrmse < 0.1


def test_a_delegate_that_rounds_once_is_right(measure, integer_net, board_with):
    records = measure(integer_net, "npu-board", devices_dir=board_with("rounding: single"))
    record = records["npu-board npu"]
    assert record.outcome == "ok" and record.delegated_nodes == record.total_nodes, record.reason


def test_a_delegate_with_a_defect_is_wrong_and_its_op_is_named(measure, integer_net, board_with):
    devices = board_with("fault: shift, fault_ops: AVERAGE_POOL_2D")
    record = measure(integer_net, "npu-board", devices_dir=devices)["npu-board npu"]
    assert record.outcome == "wrong", record.reference_figures
    assert [op["op"] for op in record.op_check["wrong"]] == ["AVERAGE_POOL_2D"]
    assert record.op_check["right"] == record.total_nodes - 1 and "AVERAGE_POOL_2D is wrong" in record.reason


def test_a_delegates_uint8_outputs_are_judged_as_integers(measure, board_with):
    editor = Editor()
    x, y = (
        editor.tensor(name, shape, "uint8", scales=[0.02], zero_points=[128])
        for name, shape in (("x", (1, 8, 8, 3)), ("y", (1, 4, 4, 3)))
    )
    fields = {"padding": 1, "stride_w": 2, "stride_h": 2, "filter_width": 2, "filter_height": 2}
    editor.add("AVERAGE_POOL_2D", [x], [y], options="Pool2DOptions", fields=fields)
    record = measure(write_tree(editor.finish([x], [y])), "npu-board", devices_dir=board_with("rounding: single"))[
        "npu-board npu"
    ]
    assert (record.outcome, record.output_dtype, record.delegated_nodes) == ("ok", "uint8", 1), record.reason
    (figures,) = record.reference_figures
    assert figures["step"] == pytest.approx(0.02, rel=1e-6) and 0.009 < figures["noise"] < 0.02


def test_outputs_that_cannot_tell_are_decided_by_the_ops(measure, board_with, litert):
    """Outputs that hardly vary: S is below 4 steps, and a defect hides."""
    net = Net((8, 8, 2))
    x = net.dense(
        net.pool(net.conv(net.inputs[0], 8), kind="average"), 4, weights=np.full((4, 128), 1e-4), bias=np.zeros(4)
    )
    samples = np.random.default_rng(0).normal(size=(64, 8, 8, 2)).astype(np.float32)
    wide = calibrate(net.model(x), [samples * 300], litert)
    model = quantize(net.model(x), wide, Style())
    right = measure(model, "npu-board", devices_dir=board_with("rounding: single"))["npu-board npu"]
    assert right.outcome == "ok" and right.op_check["verdict"] == "ok", right.reason
    assert "decided-by-ops" in {f.code for f in right.findings}
    devices = board_with("fault: shift, fault_ops: CONV_2D")
    wrong = measure(model, "npu-board", devices_dir=devices)["npu-board npu"]
    assert wrong.outcome == "wrong" and wrong.reason.startswith("alone on the device, node 0 CONV_2D is wrong")


def test_ops_that_cannot_be_asked_are_told(measure, monkeypatch):
    monkeypatch.setattr(checks, "record_cases", _no_twin)
    record = measure(summed("int8").model, "host-tflite", backends=("cpu-ref",))["host-tflite cpu-ref"]
    assert record.outcome == "wrong" and record.op_check is None
    assert "could not be checked one by one: the inputs of its ops cannot be recorded on this machine" in record.reason


def _no_twin(*_):
    raise TransientDeviceError("no LiteRT here")


def test_a_board_that_is_lost_while_its_ops_are_asked_costs_no_cell(measure, monkeypatch):
    call, calls = Alone.__call__, []

    def lost(self, model, inputs):
        if self._backend.kernels == "reference":
            calls.append(model)
            raise TransientDeviceError("unplugged")
        return call(self, model, inputs)

    monkeypatch.setattr(Alone, "__call__", lost)
    records = measure(summed("int8").model, "host-tflite")
    assert len(calls) == 1
    assert records["host-tflite cpu-ref"].outcome == "wrong" and records["host-tflite cpu-ref"].attempts == 1
    assert "the board was lost" in records["host-tflite cpu-ref"].reason
    assert records["host-tflite cpu"].outcome == "ok"


def test_no_op_is_begun_when_the_cells_time_is_over(measure, monkeypatch):
    monkeypatch.setattr("harness.run.budget.MIN_CHECK_S", 0.0)
    monkeypatch.setattr("harness.run.budget.Budget.sampling_s", lambda self: 0.0)
    record = measure(summed("int8").model, "host-tflite", backends=("cpu-ref",))["host-tflite cpu-ref"]
    assert record.outcome == "wrong" and "the cell's time is over" in record.reason


def test_a_choice_is_judged_by_the_scores_behind_it(measure, litert):
    net = Net((8, 8, 3))
    choice = net.model(net.arg_max(net.conv(net.conv(net.inputs[0], 8), 4, activation=None)))
    samples = np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype(np.float32)
    records = measure(quantize(choice, calibrate(choice, [samples], litert)), "host-tflite")
    for record in records.values():
        assert record.outcome == "ok", record.reason
        scores, map_of_classes = record.reference_figures
        assert scores["error"] > 0 and "error" not in map_of_classes and map_of_classes["disagreement"] < 0.1
        assert record.reference_rule.startswith("of the scores before ARG_MAX: RMS difference")


def test_a_model_that_remembers_starts_anew_with_every_sample_in_twin_and_board(measure):
    for model in (stateful_models.lstm(), stateful_models.running_sum()):
        for record in measure(model, "host-tflite", "host-litert").values():
            assert record.outcome == "ok", record.reason
