"""`explain` of what was trained with quantization: float is those weights in the float graph, and no other model."""

from __future__ import annotations

import pytest

from harness.core.files import sha256_file
from harness.explaining import ExplainOptions, explain_cell
from harness.explaining.target import cell_target
from harness.results.store import Store
from harness.run.options import RunOptions
from harness.session.session import run_session

HERE = ExplainOptions(samples=32, loss_samples=64, on_device=False)
CELL = "mnist-cnn/{}/host-litert/cpu"


@pytest.fixture
def results(in_build_cache, tmp_path):
    options = RunOptions(
        workloads=("mnist-cnn",), recipes=("qat-int8-io", "ptq-int8-io"), devices=("host-litert",), backends=("cpu",),
        samples=64, budget_s=2.0,
    )  # fmt: skip
    run_session(options, tmp_path / "results", command=["test"])
    return tmp_path / "results"


def test_a_cell_of_qat_is_held_against_its_own_weights_in_float(results, tmp_path):
    e = explain_cell(results, CELL.format("qat-int8-io"), options=HERE)
    assert e.compared_with == (
        "the float model qat-mixed[float]: the weights that the training of qat-int8-io gave, in float32 and without fake "
        "quantizers"
    )
    assert any(e.compared_with in line for line in e.got)
    weighted = {layer.op: layer for layer in e.layers if layer.op in ("CONV_2D", "FULLY_CONNECTED")}
    assert len(weighted) == 2
    for layer in weighted.values():
        assert layer.error.weight_db > 30 and layer.error.sqnr_db is not None and layer.loss is not None
    # The range of the last layer is still that of the first step of training, which cuts off half of its outputs.
    last = weighted["FULLY_CONNECTED"]
    assert last.error.saturated > 0.2 and last.loss.error_left < 0.1 and last.cause.startswith("saturation")
    other = explain_cell(results, CELL.format("ptq-int8-io"), options=HERE)
    assert other.compared_with == "the float model ptq-float32" and other.float_score is not None

    notes: list[str] = []
    with Store.open(results, create=False) as store:
        target = cell_target(
            store, CELL.format("qat-int8-io"), tmp_path, run=None, devices_dir=None, plain=None, note=notes.append
        )
        record = next(r for r in store.cells() if r.key.recipe == "qat-int8-io")
    assert target.plain is not None and target.record == record
    assert sha256_file(target.model.artifact.file) == record.artifact_sha256


def test_weights_of_another_training_are_not_taken_for_its_own(results, monkeypatch):
    """What is built here from the recipe is another file than the run had, so its weights are others too."""
    from harness.explaining import floatmodel as module

    monkeypatch.setattr(module, "source_sha256", lambda record: "0" * 64)
    with Store.open(results, create=False) as store:
        record = next(r for r in store.cells() if r.key.recipe == "qat-int8-io")
        options = store.run(record.run).environment["options"]
        found, why = module.float_of(module.History(store), record, results, options, lambda text: None)
    assert found is None and "what is built here is of another training" in why
