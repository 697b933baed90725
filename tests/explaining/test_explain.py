"""`explain` as a user meets it: real runtimes, an NPU stand-in with a fault in one layer, a stored cell with its tables."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.api.explaining import Explained
from harness.cli.explain import command
from harness.core.errors import UserInputError
from harness.explain.document import Explanation
from harness.explaining import ExplainOptions, explain_cell, explain_model
from harness.results.store import Store
from harness.run.measured import measure_plan
from harness.run.options import RunOptions
from harness.session.session import run_session
from tests.run.test_checks import STANDIN, small_net
from tests.support.defect_cases import dense
from tests.support.odd_models import ODD
from tests.support.small_quantizer import Style, calibrate, quantize

FEW = ExplainOptions(samples=32, loss_samples=64)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tflite_python, litert_python):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(Path(tflite_python).parents[3]))


@pytest.fixture(scope="module")
def integer_net(litert) -> bytes:
    samples = np.random.default_rng(0).normal(size=(64, 12, 12, 2)).astype(np.float32)
    return quantize(small_net(), calibrate(small_net(), [samples], litert), Style())


def explained(tmp_path, model, device, backend, devices_dir=None) -> Explanation:
    path = tmp_path / "net.tflite"
    path.write_bytes(model)
    options = RunOptions(devices=(device,), recipes=(), backends=(backend,), devices_dir=devices_dir)
    return explain_model(
        path, run_options=options, backend=backend, options=dataclasses.replace(FEW, save=tmp_path / "proof")
    )


def test_a_model_that_does_not_run_there_is_said_so_first(tmp_path):
    e = explained(tmp_path, ODD["custom"](), "host-litert", "cpu")
    assert e.answer.startswith("the model does not run on host-litert, backend cpu: ") and "MyOwnOp" in e.answer
    assert "`harness check` says" in e.answer


def test_a_kernel_that_takes_one_scale_for_all_channels_is_named(tmp_path):
    e = explained(tmp_path, dense("float32", per_channel=True, keep_dims=False).model, "host-tflite", "cpu")
    assert e.first_wrong == 0 and "node 0 FULLY_CONNECTED is the first op at which host-tflite, backend cpu" in e.answer
    assert sorted(p.name for p in (tmp_path / "proof").iterdir()) == [
        "README.txt", "device.npz", "inputs.npz", "node_0_FULLY_CONNECTED.tflite", "right.npz",
    ]  # fmt: skip
    with np.load(tmp_path / "proof" / "right.npz") as right, np.load(tmp_path / "proof" / "device.npz") as given:
        assert right["output_0"].shape == given["output_0"].shape and not np.allclose(
            right["output_0"], given["output_0"]
        )
    assert (
        "it gives its bias and nothing else" in e.answer
        and "a scale per channel" in e.answer
        and "alone as well as inside the model" in e.answer
    )
    tried = [advice.what for advice in e.advice]
    assert any(what.startswith("runtime ai-edge-litert") for what in tried)


def test_a_fault_in_one_layer_of_an_npu_is_found_there(tmp_path, standin, integer_net):
    folder = tmp_path / "devices"
    folder.mkdir()
    options = "fault: shift, fault_ops: AVERAGE_POOL_2D"
    (folder / "npu-board.yaml").write_text(STANDIN.format(name="npu-board", library=standin, options=options))
    e = explained(tmp_path, integer_net, "npu-board", "npu", devices_dir=str(folder))
    layer = next(layer for layer in e.layers if layer.node == e.first_wrong)
    assert layer.op == "AVERAGE_POOL_2D" and layer.ran_on == "npu-standin"
    assert "4 steps too high" in layer.alone.pattern and layer.inside.is_wrong
    others = [other for other in e.layers if other is not layer]
    assert not any(d.is_wrong for other in others for d in (other.alone, other.inside) if d is not None)
    assert e.advice[0].what.startswith("leave AVERAGE_POOL_2D to the CPU")
    assert e.cost_unit == "ns" and layer.cost.value > 0
    assert [piece.nodes for piece in e.pieces] == [(0, len(e.layers) - 1)] and e.pieces[0].verdict is not None


def test_a_stored_cell_keeps_its_explanation_and_shows_it(tmp_path, integer_net):
    path, results = tmp_path / "net.tflite", tmp_path / "results"
    path.write_bytes(integer_net)
    options = RunOptions(
        workloads=(str(path),), recipes=(), devices=("host-litert",), backends=("cpu-ref",), samples=64, budget_s=3.0
    )
    run = run_session(options, results, command=["test"], plan=measure_plan(options, 64))
    e = explain_cell(results, "net/as-is/host-litert/cpu-ref", options=FEW)
    assert e.run == run.run and e.first_wrong is None and "the device computes what the model says" in e.answer
    with Store.open(results) as store:
        (record,) = store.cells(run=run.run)
        assert Explanation.from_json(store.objects.get_json(record.explanation_object)) == e
    frame = Explained(e).to_frame()
    assert list(frame["op"]) == [layer.op for layer in e.layers] and frame["cost"].notna().any()
    page = (run.export / "index.html").read_text()
    assert json.dumps(e.answer)[1:30] in page and "explainParts" in page
    import openpyxl

    sheet = openpyxl.load_workbook(run.export / "comparison.xlsx")["Explain"]
    values = [[cell.value for cell in row] for row in sheet.iter_rows()]
    head = next(row for row in values if "own_db" in row)
    rows = values[values.index(head) + 1 :]
    assert [row[head.index("op")] for row in rows] == [layer.op for layer in e.layers]
    assert (run.export / "explain.csv").is_file()


def test_what_there_was_no_time_for_is_left_out_by_name(tmp_path, integer_net):
    path = tmp_path / "net.tflite"
    path.write_bytes(integer_net)
    options = RunOptions(devices=("host-litert",), recipes=(), backends=("cpu",))
    e = explain_model(path, run_options=options, backend="cpu", options=dataclasses.replace(FEW, limit_s=0.0))
    assert all(layer.alone.kind is None for layer in e.layers if layer.alone is not None)
    assert any("node 0 CONV_2D and " in line and "the time that was given was over" in line for line in e.got)
    assert e.first_wrong is None and "none is wrong" not in e.answer


def told(*arguments: str) -> UserInputError:
    with pytest.raises(UserInputError) as caught:
        CliRunner().invoke(command, [*arguments], standalone_mode=False, catch_exceptions=False)
    return caught.value


def test_what_cannot_be_explained_is_said_with_what_to_do(tmp_path, integer_net):
    path = tmp_path / "net.tflite"
    path.write_bytes(integer_net)
    assert "explained on a device" in told(str(path)).what
    assert "--run is for cells" in told(str(path), "--run", "x").what
    assert "is quantized itself" in told(str(path), "--device", "host-litert", "--float", str(path)).what
    with Store.open(tmp_path / "results"):
        pass
    error = told("a/b/c/d", "--results", str(tmp_path / "results"), "--device", "host-litert")
    assert "--device is for model files" in error.what
    assert "unknown cell" in told("a/b/c/d", "--results", str(tmp_path / "results")).what
