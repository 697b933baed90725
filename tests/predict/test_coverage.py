"""Delegates as data: what the tables say of a model's nodes, held against the real stand-in, and faulty tables."""

from __future__ import annotations

import csv
import os
import re
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.boards.linux.probe import KNOWN_DELEGATES
from harness.cli.coverage import condition
from harness.core.errors import UserInputError
from harness.predict.coverage import delegate_coverage, known_delegates, load_delegate_table, schema_op_name
from harness.predict.partitions import count_partitions
from harness.predict.prediction import Target, predict
from harness.tflite.graph import read_graph
from tests.support import tiny_model
from tests.support.fixtures_devices import MINIMAL
from tests.support.fixtures_npu import NpuCase
from tests.support.op_models import Op, Tensor, build_model
from tests.support.places import ROOT
from tests.support.quantized_ops import make_case

#: real models of every kind of arithmetic
RECIPES = (
    "ptq-float32",
    "ptq-float16",
    "ptq-wo8",
    "ptq-default",
    "ptq-default-pt",
    "ptq-aeq-dyn8",
    "ptq-aeq-dyn4",
    "ptq-int8-io",
    "ptq-int16x8",
    "ptq-int8-io-dynbatch",
    "qat-default",
    "qat-dense-default",
    "qat-dense-int8-io",
)


def reasons(delegate: str, model: bytes) -> list[str | None]:
    return [node.reason for node in delegate_coverage(delegate, read_graph(model))]


@pytest.mark.parametrize(
    "written, op",
    [
        ("FullyConnected", "FULLY_CONNECTED"),
        ("Conv2d", "CONV_2D"),
        ("ReluN1To1", "RELU_N1_TO_1"),
        ("TopkV2", "TOPK_V2"),
        ("SpaceToBatchNd", "SPACE_TO_BATCH_ND"),
        ("Padv2", "PADV2"),
        ("CONV_2D", "CONV_2D"),
        ("Convolution", None),
    ],
)
def test_operator_names_of_tables_become_those_of_the_schema(written, op):
    assert schema_op_name(written) == op


@pytest.mark.parametrize("op", ["FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"])
def test_hybrid_nodes_stay_on_the_cpu(op):
    model = make_case(op, "float32", "int8", per_channel=True).model
    for delegate in ("vx", "npu-standin"):
        assert reasons(delegate, model) == ["hybrid: input is float32, weights are int8"]


def test_the_vx_delegate_takes_float_nodes_and_the_stand_in_does_not():
    model = tiny_model.float_mlp()
    assert reasons("vx", model) == [None, None, None]
    assert reasons("npu-standin", model) == ["input is float32: only int8 and uint8 run here"] * 3


def _shape_model(constant: bool) -> bytes:
    shape = Tensor(shape=(2,), dtype="int32", data=np.array([1, 6], np.int32) if constant else None)
    source = Tensor(shape=(2, 3), dtype="int8", scales=(0.1,), zero_points=(0,))
    return build_model(
        Op(name="RESHAPE", options_table="ReshapeOptions"),
        [source, shape],
        Tensor(shape=(1, 6), dtype="int8", scales=(0.1,), zero_points=(0,)),
    )


def test_a_shape_known_only_at_run_time_is_refused():
    assert reasons("vx", _shape_model(constant=True)) == [None]
    assert reasons("vx", _shape_model(constant=False)) == ["the new shape is not constant"]


@pytest.mark.parametrize("mask, why", [("EllipsisMask", "ellipsis mask"), ("NewAxisMask", "new-axis mask")])
def test_slices_that_change_the_rank_are_refused(mask, why):
    bounds = [Tensor(shape=(2,), dtype="int32", data=np.array(v, np.int32)) for v in ([0, 0], [1, 2], [1, 1])]
    op = Op(name="STRIDED_SLICE", options_table="StridedSliceOptions", options={mask: 1})
    one = Tensor(shape=(1, 2), dtype="int8", scales=(0.1,), zero_points=(0,))
    assert reasons("vx", build_model(op, [one, *bounds], one)) == [why]


def test_integers_that_are_no_quantized_values_are_refused():
    plain = Tensor(shape=(1, 4), dtype="int32")
    assert reasons("vx", build_model(Op(name="ADD", options_table="AddOptions"), [plain, plain], plain)) == [
        "input is int32"
    ]


def test_shuffled_weights_are_refused():
    source = Tensor(shape=(1, 4), dtype="uint8", scales=(0.1,), zero_points=(0,))
    weights = Tensor(shape=(2, 4), dtype="uint8", scales=(0.1,), zero_points=(0,), data=np.zeros((2, 4), np.uint8))
    result = Tensor(shape=(1, 2), dtype="uint8", scales=(0.1,), zero_points=(0,))
    op = Op(name="FULLY_CONNECTED", options_table="FullyConnectedOptions", options={"WeightsFormat": 1})
    assert reasons("vx", build_model(op, [source, weights], result)) == ["weights are shuffled"]


def test_an_operator_that_is_listed_as_missing_is_told_from_one_that_is_not_listed():
    source = Tensor(shape=(1, 4), dtype="int8", scales=(0.1,), zero_points=(0,))
    refused, unlisted = (reasons("vx", build_model(Op(name=op), [source], source))[0] for op in ("LOG_SOFTMAX", "GELU"))
    assert refused == "VX delegate lists it as not supported"
    assert unlisted == "VX delegate does not have this operator"


def test_the_vx_table_is_the_published_list():
    shared = os.environ.get("HARNESS_SHARED")
    path = Path(shared or "") / "reference" / "vx_delegate_ops.csv"
    table = load_delegate_table("vx")
    assert not set(table.taken) & set(table.refused)
    assert len(table.taken) == len(set(table.taken)) == 90
    if shared and path.is_file():
        rows = {schema_op_name(row["op"]): row["vx_delegate"] for row in csv.DictReader(path.open())}
        assert set(table.taken) == {op for op, taken in rows.items() if taken == "yes"}
        assert set(table.refused) == {op for op, taken in rows.items() if taken == "no"}


@pytest.mark.slow
@pytest.mark.parametrize("module", ["tflite_runtime", "ai_edge_litert"])
def test_the_stand_in_does_with_real_models_what_its_table_says(module, audit_models, run_npu):
    """Placement per node and the number of partitions, for every kind of arithmetic; a runtime that refuses says nothing."""
    models = {recipe: audit_models.path("mnist-cnn", recipe) for recipe in RECIPES}
    graphs = {recipe: read_graph(path) for recipe, path in models.items() if path.is_file()}
    cases = [NpuCase(model=models[recipe].read_bytes(), inputs=_inputs(graph)) for recipe, graph in graphs.items()]
    seen = 0
    for (recipe, graph), result in zip(graphs.items(), run_npu(cases, module=module), strict=True):
        if result.error is not None:
            assert "version" in result.error, result.error  # the runtime's own refusal, before any delegate
            continue
        covered = delegate_coverage("npu-standin", graph)
        taken = {node.node for node in covered if node.taken}
        assert (taken, {n.node for n in covered} - taken) == (set(result.log.claimed), set(result.log.refused)), recipe
        assert count_partitions(graph, taken) == result.log.partitions, recipe
        assert result.identical or module == "ai_edge_litert", recipe
        seen += 1
    assert seen >= 9


def _inputs(graph) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    tensors = [graph.tensors[i] for i in graph.inputs]
    return tuple((rng.normal(size=t.shape) * (1 if t.dtype == "float32" else 60)).astype(t.dtype) for t in tensors)


@pytest.mark.parametrize(
    "model, taken",
    [(tiny_model.mnist_cnn(), True), (tiny_model.float_mlp(), False), (_shape_model(constant=False), False)],
)
def test_the_ethos_u_takes_integers_of_constant_shape(model, taken):
    assert all((reason is None) == taken for reason in reasons("ethosu", model))


def test_the_ethos_u_delegate_takes_what_its_compiler_made():
    graph = read_graph(tiny_model.int8_dense())
    compiled = replace(graph, nodes=(replace(graph.nodes[0], op="CUSTOM", custom_name="ethos-u"),))
    assert delegate_coverage("ethosu", compiled)[0].taken
    assert not delegate_coverage("vx", compiled)[0].taken


# -- tables of the user's own


def write_table(folder: Path, text: str, name: str = "mine") -> Path:
    (folder / "delegates").mkdir(parents=True, exist_ok=True)
    path = folder / "delegates" / f"{name}.yaml"
    path.write_text(text)
    return path


MINE = """\
name: mine
title: my delegate
source: the bench
taken: [FULLY_CONNECTED]
rules:
  - {ops: [FULLY_CONNECTED], inputs: [0], input_dtype_not: [int8], why: "input is {offender}"}
"""


def test_a_new_delegate_is_a_data_file(tmp_path):
    write_table(tmp_path, MINE)
    assert "mine" in known_delegates(tmp_path)
    found = delegate_coverage("mine", read_graph(tiny_model.float_mlp()), devices_option=tmp_path)
    assert [node.reason for node in found] == ["input is float32"] * 2 + ["my delegate does not have this operator"]
    assert all(n.taken for n in delegate_coverage("mine", read_graph(tiny_model.int8_dense()), devices_option=tmp_path))


def test_the_guides_files_work_as_printed(tmp_path, harness_cli):
    guide = (ROOT / "docs" / "guides" / "adding-a-delegate.md").read_text()
    blocks = [textwrap.dedent(block) for block in re.findall(r"\n\n((?:    .*\n)+)", guide)]
    write_table(tmp_path, next(b for b in blocks if b.startswith("name: mynpu")), "mynpu")
    profile = MINIMAL[: MINIMAL.index("backends:")] + next(b for b in blocks if b.startswith("backends:"))
    (tmp_path / "board.yaml").write_text(profile)
    result = harness_cli("devices", "coverage", "board", "--devices-dir", tmp_path)
    assert result.code == 0 and "npu: my NPU's delegate (mynpu)" in result.out


@pytest.mark.parametrize(
    "change, words",
    [
        (("taken: [FULLY", "takes: [FULLY"), "unknown field 'takes'"),
        (("[FULLY_CONNECTED]\nrules", "[FULLY_CONECTED]\nrules"), "an operator of the .tflite schema"),
        (("[int8]", "[itn8]"), ':6:61: rules.0.input_dtype_not.0: found "itn8"; allowed: a tensor type'),
        (("[int8]", "[itn8]"), "did you mean int8?"),
        (
            ("inputs: [0]", "option: {stryde_h: [2]}"),
            ':6:39: rules.0.option.stryde_h: found "stryde_h"; allowed: an option',
        ),
        (("inputs: [0]", "option_set: [stryde_h]"), "did you mean stride_h?"),
        (("{offender}", "{offended}"), "placeholders are among"),
        (("taken: [FULLY_CONNECTED]", "taken: [FulyConnected]"), "did you mean FULLY_CONNECTED?"),
        (("inputs: [0]", "qqq: [0]"), "unknown field 'rules.0.qqq'; allowed here: batch_differs, "),
        (("inputs: [0]", "imputs: [0]"), "unknown field 'rules.0.imputs'; did you mean inputs?"),
        (("name: mine", "name: yours"), "file and table have one name"),
        (("name: mine", "name: yours"), "mine.yaml:1:7: name: found 'yours'; allowed: 'mine'"),
        (("source: the bench", "source: the bench\nbase: mine"), "cannot be a base of itself"),
        (("source: the bench", "source: the bench\nbase: none"), "unknown delegate table 'none'"),
        (("taken: [FULLY_CONNECTED]", "base: vx\ntaken: [UNIQUE]"), "which the base vx does not take"),
    ],
)
def test_a_faulty_table_is_told_with_file_and_reason(tmp_path, change, words):
    assert change[0] in MINE
    path = write_table(tmp_path, MINE.replace(*change))
    with pytest.raises(UserInputError) as caught:
        load_delegate_table("mine", tmp_path)
    assert words in str(caught.value)
    assert path.name in str(caught.value) or "none" in words


def test_an_unknown_delegate_names_those_that_are_known():
    with pytest.raises(UserInputError, match="npu-standin"):
        load_delegate_table("npu-standing")


def test_harness_devices_coverage_prints_the_table(harness_cli):
    result = harness_cli("devices", "coverage", "imx8mp")
    assert result.code == 0
    row = next(line for line in result.out.splitlines() if line.startswith("DEPTHWISE_CONV_2D"))
    assert "yes" in row and "hybrid" in row
    assert any(line.split()[:2] == ["LSTM", "no"] for line in result.out.splitlines())


@pytest.mark.parametrize("delegate", ["vx", "npu-standin", "ethosu"])
def test_rules_without_a_node_name_no_type_that_nobody_knows(delegate):
    for rule in load_delegate_table(delegate).rules:
        text = condition(rule)
        assert (
            "{" not in text and "one type" not in text and "another type and" not in text and "is any type" not in text
        )


def test_rules_without_a_node_are_sentences(harness_cli):
    result = harness_cli("devices", "coverage", "imx8mp@qemu")
    assert result.code == 0
    words = " ".join(result.out.split())
    texts = {condition(rule) for rule in load_delegate_table("npu-standin").rules}
    assert {
        "its first and second input are of different types",
        "hybrid: its first and second input are of different types",
        "it converts anything but float32, int8 or uint8 to any type",
        "it converts any type to anything but int8 or uint8",
        "its output is of another type than its first input (not SPLIT, QUANTIZE, DEQUANTIZE)",
        "input is without quantization (not SPLIT, QUANTIZE, DEQUANTIZE)",
        "output is int16 or int64",
    } <= texts
    assert "any operator that is not listed is refused too" in words


def test_a_delegate_without_a_table_is_no_success(tmp_path, harness_cli):
    profile = MINIMAL[: MINIMAL.index("backends:")]
    delegate = "{path: /usr/lib/libvy_delegate.so, name: vy}"
    (tmp_path / "board.yaml").write_text(
        f"{profile}backends:\n  npu:\n    kernels: default\n    delegate: {delegate}\n"
    )
    result = harness_cli("devices", "coverage", "board", "--devices-dir", tmp_path)
    assert result.code == 1 and "there is no table of the delegate vy" in result.out
    assert "did the profile mean vx?" in result.out


def test_a_device_without_delegate_has_no_coverage(harness_cli):
    result = harness_cli("devices", "coverage", "host-litert")
    assert result.code == 1 and "no backend of host-litert has a delegate" in result.err


def test_a_board_that_is_added_gets_the_names_of_the_tables():
    """Only Neutron has no table: nobody has published what it takes."""
    assert {delegate.name for delegate in KNOWN_DELEGATES} - set(known_delegates()) == {"neutron"}


def test_a_delegate_without_a_table_names_the_nearest_one():
    target = Target(device="board", backend="npu", runtime=None, delegate_path="/usr/lib/x.so", delegate_name="ethos-u")
    graph = read_graph(tiny_model.float_mlp())
    assert "did the profile mean ethosu?" in predict(graph, graph.size_bytes, target).reasons[0]
