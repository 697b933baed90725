"""The audit of .tflite files: types, promises, recomputed scales, findings, and the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from harness.cli.audit import command
from harness.core.errors import UserInputError
from harness.results.record import SCHEMA_VERSION
from harness.tflite.graph import read_graph
from harness.variants.affine import asymmetric, symmetric, ulp_distance
from harness.variants.audit.audit import audit_artifact, audit_file, audit_tflite
from harness.variants.audit.tflite import audit_graph
from harness.variants.recipe import parse_recipe
from tests.support.quantized_ops import make_case


def audit(models, workload, recipe, *, training=None):
    summary = models.summary(workload, training) if training else None
    return audit_tflite(models.path(workload, recipe), parse_recipe(recipe), summary)


def codes(report) -> list[str]:
    return [finding.code for finding in report.findings]


def finding(report, code):
    return next(f for f in report.findings if f.code == code)


# --- the affine equations -------------------------------------------------------------------------------------------


def test_activations_follow_equation_1():
    found = asymmetric(-1.0, 3.0, "int8")
    assert found.scale[0] == pytest.approx(4 / 255)
    assert found.zero_point[0] == round(-128 + 1 / (4 / 255))


@given(low=st.floats(-1e6, 0), high=st.floats(1e-3, 1e6))
def test_zero_is_always_an_integer_inside_the_range(low, high):
    found = asymmetric(low, high, "int8")
    assert -128 <= found.zero_point[0] <= 127
    # Both ends come back to within one step: the zero point was rounded.
    ends = found.scale[0] * (np.array([-128, 127]) - found.zero_point[0])
    assert ends == pytest.approx([low, high], abs=found.scale[0])


def test_ranges_are_widened_to_hold_zero():
    assert asymmetric(2.0, 4.0, "uint8").scale[0] == pytest.approx(4 / 255)
    assert asymmetric(2.0, 4.0, "uint8").zero_point[0] == 0


def test_weights_are_symmetric_and_narrow():
    found = symmetric(np.array([-2.0, -0.5]), np.array([1.0, 0.25]), bits=8)
    assert found.scale.tolist() == [2 / 127, 0.5 / 127]
    assert found.zero_point.tolist() == [0, 0]
    assert symmetric(-7.0, 7.0, bits=4).scale[0] == 1.0


def test_int16_activations_are_symmetric():
    assert asymmetric(-1.0, 0.5, "int16").scale[0] == pytest.approx(1 / 32767)


def test_a_correctly_rounded_scale_is_at_most_half_an_ulp_off():
    assert ulp_distance(np.float32(0.1), 0.1) <= 0.5
    assert ulp_distance(np.nextafter(np.float32(0.1), np.float32(1)), float(np.float32(0.1))) == 1.0


# --- recomputed scales ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workload", "recipe", "training"),
    [
        ("mnist-cnn", "qat-default", "qat"),
        ("sensor-cnn", "qat-default", "qat"),
        ("mnist-cnn", "qat-dense-int8-io", "qat-dense"),
    ],
)
def test_learned_ranges_give_the_stored_scales_to_rounding(audit_models, workload, recipe, training):
    rows = audit(audit_models, workload, recipe, training=training).theory
    learned = [row for row in rows if "min/max" in row.source or "kernel" in row.source]
    assert len(learned) >= 3
    for row in learned:
        # 0.5 is correct rounding; a fake-quantized kernel was itself computed in float32.
        assert row.ulp is not None and row.ulp <= (2 if "fake-quantized" in row.source else 0.55), row
        assert row.computed_zero_point == row.stored_zero_point, row


def test_every_activation_of_a_qat_model_is_explained(audit_models):
    rows = audit(audit_models, "sensor-cnn", "qat-default", training="qat").theory
    assert {row.source for row in rows if row.computed_scale is None} == set()
    assert len(rows) == 20
    logistic = next(row for row in rows if "LOGISTIC" in row.source)
    assert (logistic.stored_scale, logistic.stored_zero_point, logistic.ulp) == (1 / 256, -128, 0.0)


def test_weights_of_the_separate_activation_trap_come_from_the_float_kernel(audit_models):
    rows = audit(audit_models, "sensor-cnn", "qat-default", training="qat").theory
    sources = [row.source for row in rows if row.role == "weights"]
    assert [s.split(": ")[1] for s in sources] == ["float kernel"] * 4 + ["kernel_min/max"]


def test_asymmetric_weights_follow_the_narrow_range(audit_models):
    rows = audit(
        audit_models, "cifar-conv", "qat-q[allvalues,asymmetric]-default", training="qat-q[allvalues,asymmetric]"
    ).theory
    dense = next(row for row in rows if "quant_dense" in row.source and row.role == "weights")
    assert dense.ulp is not None and dense.ulp <= 0.55
    assert dense.computed_zero_point == dense.stored_zero_point


@pytest.mark.parametrize("recipe", ["ptq-int8-io", "ptq-int16x8", "qat-default"])
def test_bias_scales_are_the_product_of_their_factors(audit_models, recipe):
    rows = [row for row in audit(audit_models, "mnist-cnn", recipe).theory if row.role == "bias"]
    assert len(rows) == 2
    assert all(row.ulp is not None and row.ulp <= 2 and row.stored_zero_point == 0 for row in rows)


def test_ops_that_move_values_carry_their_scale(audit_models):
    rows = [row for row in audit(audit_models, "mnist-cnn", "ptq-int8-io").theory if "carried" in row.source]
    assert len(rows) == 3
    assert all(row.ulp == 0 for row in rows)


def test_without_a_training_only_what_the_file_proves_is_computed(audit_models):
    rows = audit(audit_models, "mnist-cnn", "ptq-int8-io").theory
    source = rows[0]
    assert (source.role, source.source, source.computed_scale) == ("input", "not recorded", None)
    assert (source.range_min, source.range_max) == (pytest.approx(0), pytest.approx(1, abs=0.01))


def test_a_scale_that_does_not_follow_is_a_finding(audit_models):
    summary = audit_models.summary("mnist-cnn", "qat")
    for layer in summary["layers"]:
        for variable in layer["variables"]:
            if variable["name"].endswith("kernel_max"):
                variable["value"] = np.multiply(variable["value"], 2).tolist()
    report = audit_tflite(audit_models.path("mnist-cnn", "qat-default"), parse_recipe("qat-default"), summary)
    assert "theory-disagrees" in codes(report)


# --- tables ---------------------------------------------------------------------------------------------------------


def test_tensor_rows_tell_type_bits_and_granularity(audit_models):
    report = audit(audit_models, "mnist-cnn", "ptq-aeq-dyn4")
    weights = [row for row in report.tensors if row.role == "weights"]
    assert [(row.dtype, row.bits, row.granularity) for row in weights] == [
        ("int4", 4, "per-channel (12)"),
        ("int4", 4, "per-channel (10)"),
    ]
    assert weights[1].size_bytes == 10 * 2028 // 2


def test_op_rows_tell_version_and_arithmetic(audit_models):
    rows = {row.op: row for row in audit(audit_models, "mnist-cnn", "ptq-default").ops}
    assert (rows["FULLY_CONNECTED"].version, rows["FULLY_CONNECTED"].arithmetic) == (12, "hybrid")
    assert rows["FULLY_CONNECTED"].inputs == "float32 int8 float32"


def test_facts_tell_promise_and_types(audit_models):
    facts = audit(audit_models, "mnist-cnn", "ptq-int8-io").facts
    assert (facts["promised"], facts["arithmetic"], facts["integer_model"]) == ("integer", "integer", True)
    assert (facts["inputs"], facts["outputs"]) == (["int8[1, 28, 28]"], ["int8[1, 10]"])


# --- findings -------------------------------------------------------------------------------------------------------


def test_a_plain_integer_model_has_no_findings(audit_models):
    assert codes(audit(audit_models, "mnist-cnn", "ptq-int8-io")) == []


def test_the_dense_only_trap_is_an_error_with_its_cause(audit_models):
    report = audit(audit_models, "mnist-cnn", "qat-dense-default", training="qat-dense")
    found = finding(report, "float-ops")
    assert (found.severity, found.where) == ("error", "CONV_2D (node 1), FULLY_CONNECTED (node 4)")
    assert "a Dense layer's input carries no quantizer" in found.what
    assert "representative dataset" in found.fix


def test_the_dense_only_model_becomes_integer_with_representative_data(audit_models):
    report = audit(audit_models, "mnist-cnn", "qat-dense-int8-io", training="qat-dense")
    assert report.facts["integer_model"]
    assert "float-ops" not in codes(report)


def test_silently_wrong_models_are_errors_for_that_runtime(audit_models):
    found = finding(audit(audit_models, "mnist-cnn", "ptq-aeq-dyn8"), "runtime-wrong")
    assert (found.severity, found.where) == ("error", "tflite-runtime 2.14.0")


def test_models_that_a_runtime_refuses_are_warnings_with_the_version(audit_models):
    found = finding(audit(audit_models, "mnist-cnn", "ptq-default"), "runtime-refuses")
    assert "FULLY_CONNECTED version 12: this runtime's optimized kernels have versions 1 to 10" in found.what


def test_small_weights_that_stay_float_are_told(audit_models):
    assert "108 elements" in finding(audit(audit_models, "mnist-cnn", "ptq-default"), "float-weights").what


def test_a_dynamic_batch_is_told_with_the_ops_it_costs(audit_models):
    found = finding(audit(audit_models, "mnist-cnn", "ptq-int8-io-dynbatch"), "dynamic-shapes")
    assert "SHAPE (node 0), STRIDED_SLICE (node 1), PACK (node 2)" in found.what
    assert "[-1, 28, 28]" in found.where


def test_ranges_that_never_left_their_start_are_told(audit_models):
    assert (
        "50% of the integers"
        in finding(audit(audit_models, "mnist-cnn", "qat-default"), "activation-range-unsettled").what
    )


def test_asymmetric_weights_are_told_with_their_zero_points(audit_models):
    recipe = "qat-q[allvalues,asymmetric]-default"
    report = audit(audit_models, "cifar-conv", recipe)
    assert {"asymmetric-weights", "asymmetric-weights-by-luck"} & set(codes(report))


def test_asymmetric_convolution_weights_are_an_error():
    report = audit_graph(
        read_graph(make_case("CONV_2D", "int8", "int8", per_channel=False, zero_point=20).model), "model"
    )
    assert finding(report, "asymmetric-weights").severity == "error"
    assert {f.where for f in report.findings if f.code == "runtime-refuses"} == {
        "ai-edge-litert 2.3.0",
        "tflite-runtime 2.14.0",
    }


def test_four_bit_training_that_is_stored_in_eight_is_told(audit_models):
    report = audit_tflite(audit_models.path("mnist-cnn", "qat-default"), parse_recipe("qat-q[last,w4]-default"))
    found = finding(report, "weight-bits")
    assert "4-bit weights" in found.what and "stored as int8" in found.what
    assert "weight-bits" not in codes(audit(audit_models, "mnist-cnn", "qat-default"))


def test_an_input_type_other_than_asked_is_an_error(audit_models):
    report = audit_tflite(audit_models.path("mnist-cnn", "ptq-float32"), parse_recipe("ptq-int8-io"))
    assert [f.code for f in report.findings if f.severity == "error"] == ["float-ops", "io-type", "io-type"]


def test_unused_resolution_is_told():
    case = make_case("FULLY_CONNECTED", "int8", "int8", per_channel=False)
    weights = read_graph(case.model).tensors[1]
    start = case.model.index(weights.data().tobytes())
    for divisor, bits, severity in ((4, 2, "info"), (32, 5, "warning")):
        small = (weights.data() / divisor).astype(np.int8).tobytes()
        report = audit_graph(read_graph(case.model[:start] + small + case.model[start + len(small) :]), "model")
        found = finding(report, "unused-levels")
        assert f"up to {bits} of 8 bits" in found.what
        assert found.severity == severity


def test_findings_come_gravest_first(audit_models):
    report = audit_tflite(audit_models.path("mnist-cnn", "ptq-default"), parse_recipe("ptq-int8-io"))
    order = [f.severity for f in report.findings]
    assert order == sorted(order, key=["error", "warning", "info"].index)


# --- stored with the artifact, and the command ----------------------------------------------------------------------


def test_what_a_build_stores_is_json_with_findings_of_training_and_file(audit_models):
    stored = audit_artifact(
        audit_models.path("sensor-cnn", "qat-default"),
        parse_recipe("qat-default"),
        audit_models.summary("sensor-cnn", "qat"),
    )
    again = json.loads(json.dumps(stored, allow_nan=False))
    assert {f["code"] for f in again["findings"]} == {"no-weight-quantizer", "activation-range-unsettled"}
    assert again["tflite"]["theory"] and again["training"]["layers"]


def test_a_plain_float_training_is_no_finding(audit_models):
    stored = audit_artifact(
        audit_models.path("mnist-cnn", "ptq-int8-io"),
        parse_recipe("ptq-int8-io"),
        audit_models.summary("mnist-cnn", "ptq"),
    )
    assert stored["findings"] == []


def test_the_command_prints_tables_within_the_columns_of_a_pipe(audit_models):
    path = str(audit_models.path("mnist-cnn", "qat-dense-default"))
    result = CliRunner().invoke(command, [path, "--recipe", "qat-dense-default"], catch_exceptions=False)
    assert result.exit_code == 0
    for part in ("Ops", "Tensors", "Theory", "error float-ops", "FULLY_CONNECTED"):
        assert part in result.output
    assert max(len(line) for line in result.output.splitlines() if path not in line) <= 160


def test_the_command_writes_the_published_json(audit_models, tmp_path):
    target = tmp_path / "audit.json"
    path = audit_models.path("mnist-cnn", "ptq-int8-io")
    result = CliRunner().invoke(command, [str(path), "--findings-only", "--json", str(target)], catch_exceptions=False)
    assert "Tensors" not in result.output
    document = json.loads(target.read_text())
    (cell,) = document["cells"]
    assert (document["schema"], cell["size_bytes"], cell["input_dtype"]) == (
        SCHEMA_VERSION,
        path.stat().st_size,
        "int8",
    )
    assert cell["audit"][0]["facts"]["integer_model"] is True


def test_json_on_stdout_stands_alone(audit_models):
    path = str(audit_models.path("mnist-cnn", "ptq-int8-io"))
    result = CliRunner().invoke(command, [path, "--json", "-"], catch_exceptions=False)
    assert json.loads(result.stdout)["cells"][0]["total_nodes"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.tflite"], "no such file"),
        (["nonsense"], "neither WORKLOAD:RECIPE nor a model file"),
        (["mnist-cnn"], "names a workload without a recipe"),
        (["mnist-cn:ptq-int8"], "unknown workload"),
        (["mnist-cnn:ptq-int9"], "unknown recipe"),
        (["mnist-cnn:ptq-int8", "--recipe", "ptq-intt8"], "unknown recipe"),
    ],
)
def test_wrong_targets_are_refused_before_anything_is_built(arguments, message):
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, UserInputError)
    assert message in str(result.exception)


def test_damaged_files_are_named(tmp_path, audit_models):
    whole = audit_models.path("mnist-cnn", "ptq-int8-io").read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserInputError, match="truncated or corrupt") as caught:
        audit_file(path)
    assert caught.value.where == str(path)
