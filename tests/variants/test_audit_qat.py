"""The audit of trained Keras models: what quantization added, line by line, and the traps."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from harness.cli.audit import command
from harness.core.errors import UserInputError
from harness.variants.artifact import Artifact
from harness.variants.audit.audit import audit_built, audit_file, audit_qat
from harness.variants.recipe import parse_recipe

#: as published: parameters per layer of the quantized 56x56x1 network
SENSOR_COUNTS = [3, 301, 3, 1, 4337, 3, 1, 2321, 3, 3, 137, 3, 14, 1]


def audit(models, workload, training, conversion="int8-io"):
    return audit_qat(models.summary(workload, training), parse_recipe(f"{training}-{conversion}"))


def by_code(report, code):
    return [f for f in report.findings if f.code == code]


def test_the_published_counts_come_out_line_by_line(audit_models):
    report = audit(audit_models, "sensor-cnn", "qat")
    assert [row.params for row in report.layers] == SENSOR_COUNTS
    assert report.layers[-1].running_params == report.facts["params"] == 7131
    assert (report.facts["float_params"], report.facts["added_params"]) == (7101, 30)


def test_the_totals_are_explained_by_what_was_added(audit_models):
    report = audit(audit_models, "sensor-cnn", "qat")
    assert report.facts["explanation"] == (
        "7,101 float + 14 optimizer_step + 10 output_min/max + 2 kernel_min/max + 2 post_activation_min/max + "
        "2 quantize_layer_min/max = 7,131 parameters"
    )
    assert sum(v["count"] for row in report.layers for v in row.added) == 30


def test_every_added_parameter_has_a_purpose(audit_models):
    for workload, training in (("sensor-cnn", "qat"), ("mnist-cnn", "qat"), ("mnist-cnn", "qat-dense")):
        for row in audit(audit_models, workload, training).layers:
            assert all(len(v["purpose"]) > 20 for v in row.added), row


def test_the_separate_activation_trap_is_found_on_every_layer_but_the_last(audit_models):
    (found,) = by_code(audit(audit_models, "sensor-cnn", "qat"), "no-weight-quantizer")
    assert found.severity == "error"
    assert found.where.split(", ") == ["quant_conv2d", "quant_conv2d_1", "quant_conv2d_2", "quant_dense"]
    assert "NoOpQuantizeConfig" in found.what
    assert "activation='relu'" in found.fix


def test_activations_inside_the_layer_avoid_the_trap(audit_models):
    report = audit(audit_models, "mnist-cnn", "qat")
    assert by_code(report, "no-weight-quantizer") == []
    assert [row.got for row in report.layers if row.got] == [
        "per-channel, kernel_min [12], symmetric, 8 bits",
        "per-tensor, kernel_min [], symmetric, 8 bits",
    ]


def test_dense_only_training_leaves_the_dense_input_without_a_range(audit_models):
    report = audit(audit_models, "mnist-cnn", "qat-dense")
    (found,) = by_code(report, "input-without-range")
    assert found.where == "quant_dense"
    assert by_code(report, "layer-not-annotated")[0].where == "conv2d"
    assert by_code(audit(audit_models, "mnist-cnn", "qat"), "input-without-range") == []


def test_per_axis_that_is_ignored_is_an_error(audit_models):
    report = audit(audit_models, "cifar-conv", "qat-q[allvalues,per-channel]")
    found = by_code(report, "per-axis-ignored")
    assert found and found[0].where == "quant_conv2d"
    assert "kernel_min has shape []" in found[0].what
    row = next(row for row in report.layers if row.name == "quant_conv2d")
    assert (row.asked, row.got) == ("per-channel, symmetric, 8 bits", "per-tensor, kernel_min [], symmetric, 8 bits")


def test_asymmetric_weights_that_were_asked_for_are_told(audit_models):
    report = audit(audit_models, "cifar-conv", "qat-q[allvalues,asymmetric]")
    assert by_code(report, "asymmetric-weights-asked")
    assert "asymmetric" in next(row.got for row in report.layers if row.name == "quant_conv2d")


def test_four_bit_training_is_told(audit_models):
    report = audit(audit_models, "cifar-conv", "qat-q[last,w4]")
    assert "4-bit" in by_code(report, "fewer-bits")[0].what
    assert next(row.asked for row in report.layers if row.name == "quant_conv2d") == "per-tensor, symmetric, 4 bits"


def test_a_symmetric_range_that_is_not_symmetric_is_an_error(audit_models):
    summary = audit_models.summary("mnist-cnn", "qat")
    for layer in summary["layers"]:
        for variable in layer["variables"]:
            if variable["name"] == "quant_dense/kernel_max":
                variable["value"] *= 1.5
    (found,) = by_code(audit_qat(summary), "asymmetric-range")
    assert (found.severity, found.where) == ("error", "quant_dense")


def test_ranges_that_still_carry_their_start_are_told_once(audit_models):
    (found,) = by_code(audit(audit_models, "sensor-cnn", "qat"), "activation-range-unsettled")
    assert found.where.split(", ") == [f"quant_activation{suffix}" for suffix in ("", "_1", "_2", "_3")]


def test_a_diverged_training_is_an_error(audit_models):
    summary = audit_models.summary("mnist-cnn", "qat")
    for layer in summary["layers"]:
        for variable in layer["variables"]:
            if variable["name"] == "quant_dense/post_activation_max":
                variable["value"] = None
    (found,) = by_code(audit_qat(summary), "range-not-a-number")
    assert found.where == "quant_dense"


def test_a_plain_model_is_told_as_such(audit_models):
    summary = audit_models.summary("mnist-cnn", "ptq")
    (found,) = audit_qat(summary).findings
    assert (found.code, found.severity) == ("not-quantization-aware", "info")
    (found,) = audit_qat(summary, parse_recipe("qat-int8")).findings
    assert found.severity == "error"


def test_an_h5_file_is_audited_with_its_ranges(audit_models):
    result = CliRunner().invoke(command, [str(audit_models.folder / "sensor.h5")], catch_exceptions=False)
    assert result.exit_code == 0
    assert "= 7,131 parameters" in " ".join(result.output.split())
    assert "What the added parameters are for" in result.output
    assert "error no-weight-quantizer" in result.output


def test_a_keras_file_that_tfmot_cannot_load_back_is_audited_without_ranges(audit_models):
    report = audit_file(audit_models.folder / "sensor.keras")
    assert [row.params for row in report.layers] == SENSOR_COUNTS
    assert by_code(report, "no-recorded-values")
    assert by_code(report, "no-weight-quantizer")
    assert all(row.output_range == "" for row in report.layers)


def test_a_damaged_keras_file_is_an_error_that_names_it(audit_models, tmp_path):
    path = tmp_path / "cut.h5"
    path.write_bytes((audit_models.folder / "sensor.h5").read_bytes()[:3000])
    with pytest.raises(UserInputError) as caught:
        audit_file(path)
    assert caught.value.where == str(path)


def test_a_folder_that_is_no_saved_model_is_refused(tmp_path):
    with pytest.raises(UserInputError, match="no SavedModel"):
        audit_file(tmp_path)


def test_a_refused_artifact_is_explained_by_its_training(audit_models):
    artifact = Artifact(
        key="k",
        workload="mnist-cnn",
        recipe="qat-int16x8",
        seed=0,
        path=None,
        refused="16x8-bit not yet supported",
        manifest={"training_summary": audit_models.summary("mnist-cnn", "qat")},
    )
    (report,) = audit_built(artifact)
    assert report.kind == "keras"
    assert audit_built(Artifact(key="k", workload="w", recipe="ptq-int8", seed=0, path=None, refused="no")) == []


def test_the_report_is_json(audit_models):
    document = json.loads(json.dumps(audit(audit_models, "sensor-cnn", "qat").to_json(), allow_nan=False))
    assert document["layers"][1]["added"][0]["variable"] == "optimizer_step"


def test_something_else_than_a_summary_is_refused():
    with pytest.raises(UserInputError, match="no summary of a trained model"):
        audit_qat({"layers": 3})
