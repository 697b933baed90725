"""Outputs of real runtimes against the model's float twin, from stored values to a verdict."""

import dataclasses

import numpy as np
import pytest

from harness.boards.base import BackendSpec
from harness.core.errors import UnsupportedError
from harness.measure.alone import Alone
from harness.measure.rule import top_class
from harness.measure.twins import judge_outputs, real_values, scores_model, twin_answers
from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import write_tree
from harness.tflite.graph import read_graph
from tests.support.defect_cases import summed
from tests.support.small_nets import Net
from tests.support.small_quantizer import Style, calibrate, quantize

SAMPLES = np.random.default_rng(0).normal(size=(96, 8, 8, 3)).astype(np.float32)


def small_net() -> bytes:
    net = Net((8, 8, 3))
    return net.model(net.softmax(net.dense(net.pool(net.conv(net.conv(net.inputs[0], 8), 8)), 6)))


@pytest.fixture(scope="module")
def models(litert):
    ranges = calibrate(small_net(), [SAMPLES], litert)
    styles = {
        "int8": Style(),
        "float-io": Style(float_io=True),
        "int16": Style(activations="int16"),
        "hybrid": Style(activations="float32"),
    }
    return {name: quantize(small_net(), ranges, style) for name, style in styles.items()} | {"float": small_net()}


def stored(model):
    graph = read_graph(model)
    tensor = graph.tensors[graph.inputs[0]]
    if not tensor.scales:
        return SAMPLES
    limits = np.iinfo(tensor.dtype)
    return np.clip(np.round(SAMPLES / tensor.scales[0]) + tensor.zero_points[0], limits.min, limits.max).astype(
        tensor.dtype
    )


def verdict_on(model, runtime, litert, kernels="default", **more):
    feeds = [stored(model)]
    answers = twin_answers(model, feeds, lambda m, x: litert.run(m, x, kernels="default"))
    outputs = runtime.run(model, feeds, kernels=kernels)
    return judge_outputs(read_graph(model), outputs, answers, classes=[top_class], **more)


@pytest.mark.parametrize("kernels", ["reference", "no-default-delegate", "default"])
@pytest.mark.parametrize("name", ["int8", "float-io", "int16", "hybrid", "float"])
def test_a_right_runtime_is_ok(models, litert, name, kernels):
    judged = verdict_on(models[name], litert, litert, kernels)
    assert judged.verdict == "ok" and judged.samples == 96, judged
    assert judged.outputs[0].step == {"int8": 1 / 256, "float-io": 1 / 256, "int16": 1 / 32768}.get(name)


def test_a_runtime_that_errs_is_wrong_and_the_reason_has_its_size(models, litert, tflite_runtime):
    assert verdict_on(models["int8"], tflite_runtime, litert).verdict == "ok"
    judged = verdict_on(models["hybrid"], tflite_runtime, litert)
    assert judged.verdict == "wrong"
    assert judged.outputs[0].error > 10 * judged.outputs[0].noise


def test_a_reference_kernel_is_no_reference(litert):
    """BUILTIN_REF errs in SUM on every runtime; the twin says so of the runtime that judges itself."""
    case = summed("int8")
    answers = twin_answers(case.model, case.feeds * 1, lambda m, x: litert.run(m, x, kernels="default"))
    graph = read_graph(case.model)
    assert judge_outputs(graph, litert.run(case.model, case.feeds), answers, classes=[None]).verdict == "wrong"
    right = litert.run(case.model, case.feeds, kernels="default")
    assert judge_outputs(graph, right, answers, classes=[None]).verdict == "ok"


def test_fewer_outputs_than_answers_are_the_first(models, litert):
    model = models["int8"]
    feeds = [stored(model)]
    answers = twin_answers(model, feeds, lambda m, x: litert.run(m, x, kernels="default"))
    few = [values[:16] for values in litert.run(model, feeds)]
    assert judge_outputs(read_graph(model), few, answers, classes=[top_class]).samples == 16


def test_real_values_leave_class_numbers_alone():
    net = Net((4, 4, 2))
    graph = read_graph(net.model(net.arg_max(net.conv(net.inputs[0], 3)), net.inputs[0]))
    maps, floats = np.array([[1, 2]]), np.array([[0.5]])
    assert [v.tolist() for v in real_values(graph, [maps, floats])] == [[[1, 2]], [[0.5]]]
    quantized = read_graph(summed("int8").model)
    assert real_values(quantized, [np.array([[-5, -4]], np.int8)])[0] == pytest.approx(np.array([[0.0, 0.36]]))


def test_a_float_model_needs_no_second_run(models, litert):
    runs = []

    def counted(model, inputs):
        runs.append(model)
        return litert.run(model, inputs)

    answers = twin_answers(models["float"], [SAMPLES], counted)
    assert len(runs) == 1 and answers.companion is answers.rounded


def test_class_maps_are_judged_by_the_scores_behind_them(litert, tflite_runtime):
    net = Net((8, 8, 3))
    scores = net.conv(net.conv(net.inputs[0], 8), 4, activation=None)
    model = quantize(net.model(net.arg_max(scores)), calibrate(net.model(net.arg_max(scores)), [SAMPLES], litert))
    behind = scores_model(model)
    graph = read_graph(behind)
    assert graph.tensors[graph.outputs[0]].dtype == "int8"
    feeds = [stored(model)]
    answers = twin_answers(behind, feeds, lambda m, x: litert.run(m, x, kernels="default"))
    judged = judge_outputs(graph, tflite_runtime.run(behind, feeds), answers, classes=[top_class])
    assert judged.verdict == "ok" and judged.outputs[0].disagreement < 0.05
    assert scores_model(small_net()) is None


def test_the_twin_runs_on_the_hosts_own_board(models, make_board, litert, litert_python, tmp_path):
    board = make_board(python=litert_python, module="ai_edge_litert")
    board.connect()
    feeds = [stored(models["int8"])]
    with Alone(board, BackendSpec(name="float"), tmp_path) as alone:
        answers = twin_answers(models["int8"], feeds, alone)
    again = twin_answers(models["int8"], feeds, lambda m, x: litert.run(m, x, kernels="default"))
    assert all(np.array_equal(a, b) for a, b in zip(answers.rounded, again.rounded, strict=True))
    assert dataclasses.asdict(answers)["companion"][0].shape == (96, 6)


def test_a_model_without_a_twin_says_why():
    editor = Editor()
    x, y = editor.tensor("x", (1, 4), "int8", scales=[0.1]), editor.tensor("y", (1, 4), "int32")
    editor.add("CAST", [x], [y], options="CastOptions", fields={"in_data_type": 9, "out_data_type": 2})
    with pytest.raises(UnsupportedError, match="CAST reads stored integers"):
        twin_answers(write_tree(editor.finish([x], [y])), [np.zeros((4, 4), np.int8)], lambda *_: [])
