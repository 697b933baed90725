"""The per-op check: defective ops are found alone and by name, right ones never, within samples and time."""

from dataclasses import replace

import numpy as np
import pytest

from harness.boards.base import BackendSpec, WorkerFailure
from harness.core.errors import TransientDeviceError
from harness.core.files import sha256_bytes
from harness.measure.alone import Alone
from harness.measure.op_cases import MAX_SAMPLES, checkable, record_cases, uncheckable
from harness.measure.op_check import check_ops, judge_op
from harness.tflite.cut.tree import read_tree, write_tree
from harness.tflite.graph import read_graph
from tests.support import tiny_model
from tests.support.defect_cases import dense, summed
from tests.support.host_runtime import RuntimeRefused
from tests.support.small_nets import Net
from tests.support.small_quantizer import Style, calibrate, quantize

SAMPLES = np.random.default_rng(0).normal(size=(48, 12, 12, 2)).astype(np.float32)
PLENTY = lambda: 1e9  # noqa: E731


def mixed_net() -> bytes:
    net = Net((12, 12, 2))
    a = net.conv(net.inputs[0], 8, stride=2)
    b = net.conv(net.depthwise(a), 8, kernel=1, activation=None)
    left, right = net.split(net.add(a, b, activation="relu"), 2)
    gated = net.mul(left, net.unary("LOGISTIC", right))
    return net.model(net.softmax(net.dense(net.reduce(net.pool(net.concat(gated, left))), 10)))


@pytest.fixture(scope="module")
def run_float(litert):
    return lambda model, inputs: litert.run(model, inputs, kernels="default")


@pytest.fixture(scope="module")
def ranges(litert):
    return calibrate(mixed_net(), [SAMPLES], litert)


def stored(model, samples):
    graph = read_graph(model)
    tensor = graph.tensors[graph.inputs[0]]
    if not tensor.scales:
        return samples
    limits = np.iinfo(tensor.dtype)
    return np.clip(np.round(samples / tensor.scales[0]) + tensor.zero_points[0], limits.min, limits.max).astype(
        tensor.dtype
    )


def cases_of(model, run_float, samples=SAMPLES):
    return list(record_cases(model, [stored(model, samples)], run_float))


@pytest.fixture(scope="module")
def cases(ranges, run_float):
    return cases_of(quantize(mixed_net(), ranges), run_float)


def test_every_computing_node_has_a_case_with_a_few_samples(cases, ranges):
    graph = read_graph(quantize(mixed_net(), ranges))
    assert tuple(case.node for case in cases) == checkable(graph) == tuple(range(len(graph.nodes)))
    assert uncheckable(graph) == ()
    assert {len(case.inputs[0]) for case in cases} == {MAX_SAMPLES}
    conv = cases[0]
    assert (conv.op, conv.inputs[0].dtype, conv.outputs[0].dtype, conv.to_the_step) == (
        "CONV_2D",
        np.int8,
        "int8",
        True,
    )


@pytest.mark.parametrize("kernels", ["reference", "no-default-delegate", "default"])
@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
@pytest.mark.parametrize("style", [Style(), Style(per_channel=False), Style(activations="int16"), Style(float_io=True)])
def test_right_ops_are_right_on_every_runtime(request, ranges, run_float, style, runtime, kernels):
    runtime = request.getfixturevalue(runtime)
    cases = cases_of(quantize(mixed_net(), ranges, style), run_float)
    checked = check_ops(cases, lambda m, x: runtime.run(m, x, kernels=kernels), seconds_left=PLENTY)
    assert checked.verdict == "ok", checked.words
    assert checked.complete and checked.words == f"all {len(cases)} ops are right when each runs alone on the device"


def test_float_and_hybrid_ops_are_judged_by_the_rule_of_outputs(ranges, run_float, litert, tflite_runtime):
    cases = cases_of(quantize(mixed_net(), ranges, Style(activations="float32")), run_float)
    assert not any(case.to_the_step for case in cases)
    checked = check_ops(cases, litert.run, seconds_left=PLENTY)
    assert checked.wrong == ()
    hybrid = check_ops(cases, tflite_runtime.run, seconds_left=PLENTY)
    assert [verdict.op for verdict in hybrid.wrong] == ["FULLY_CONNECTED"]
    assert "alone on the device, node 10 FULLY_CONNECTED is wrong: " in hybrid.words


@pytest.mark.parametrize("case", [dense("int8", per_channel=True), summed("int8")], ids=lambda case: case.name)
def test_the_op_that_a_runtime_gets_wrong_is_named(case, run_float, tflite_runtime):
    (recorded,) = record_cases(case.model, case.feeds, run_float)
    checked = check_ops([recorded], tflite_runtime.run, seconds_left=PLENTY)
    assert checked.verdict == "wrong"
    assert (
        f"node 0 {recorded.op} is wrong" in checked.words and "of its outputs are more than 1 step off" in checked.words
    )
    assert checked.wrong[0].beyond > 0.5 and checked.wrong[0].worst_steps > 10


def changed(case, steps):
    """A runtime whose op is off by so many steps everywhere."""
    return [np.clip(right_outputs(case).astype(int) + steps, -128, 127).astype(np.int8)]


def right_outputs(case):
    tensor = case.outputs[0]
    limits = np.iinfo(tensor.dtype)
    steps = np.round(case.expected[0] / tensor.scales[0]) + tensor.zero_points[0]
    return np.clip(steps, limits.min, limits.max).astype(tensor.dtype)


def test_one_step_too_many_is_found_although_each_output_is_near(cases):
    conv = cases[0]
    assert judge_op(conv, [right_outputs(conv)]).verdict == "ok"
    assert judge_op(conv, changed(conv, 1)).verdict == "wrong"
    assert judge_op(conv, [right_outputs(conv)]).worst_steps <= 0.51


def test_wild_outputs_in_one_of_a_hundred_places_are_within_the_share(cases):
    conv = cases[0]
    outputs = right_outputs(conv)
    outputs.flat[::200] = 127
    verdict = judge_op(conv, [outputs])
    assert verdict.verdict == "ok" and 0 < verdict.beyond <= 0.01


def test_a_kernel_that_truncates_is_found(cases):
    conv = cases[0]
    tensor = conv.outputs[0]
    truncated = np.floor(conv.expected[0] / tensor.scales[0]) + tensor.zero_points[0] - 1
    assert judge_op(conv, [np.clip(truncated, -128, 127).astype(np.int8)]).verdict == "wrong"


def test_int16_softmax_is_allowed_what_its_table_costs(ranges, run_float):
    case = next(
        c for c in cases_of(quantize(mixed_net(), ranges, Style(activations="int16")), run_float) if c.op == "SOFTMAX"
    )
    outputs = right_outputs(case)
    assert judge_op(case, [(outputs.astype(int) + 12).clip(max=32767).astype(np.int16)]).verdict == "ok"
    assert judge_op(case, [(outputs.astype(int) + 20).clip(max=32767).astype(np.int16)]).verdict == "wrong"


def test_values_that_are_no_numbers_are_wrong(run_float):
    model = mixed_net()
    case = cases_of(model, run_float)[0]
    outputs = np.array(case.expected[0])
    outputs.flat[0] = np.nan
    assert judge_op(case, [outputs]).verdict == "wrong"


def test_a_defect_planted_in_one_op_is_found_at_its_place(cases, litert):
    """Every weight of the last layer negated: the device runs another model of that op."""

    def run(model, inputs):
        if read_graph(model).nodes[0].op != "FULLY_CONNECTED":
            return litert.run(model, inputs)
        tree = read_tree(model)
        tensors = tree.rows("subgraphs")[0].rows("tensors")
        weights = next(t for t in tensors if t.text("name").startswith("weights"))
        buffer = tree.rows("buffers")[weights.number("buffer")]
        buffer["data"] = (-np.frombuffer(buffer["data"], np.int8)).tobytes()
        return litert.run(write_tree(tree), inputs)

    checked = check_ops(cases, run, seconds_left=PLENTY)
    assert [verdict.op for verdict in checked.wrong] == ["FULLY_CONNECTED"]
    assert checked.complete


def test_an_op_that_the_device_does_not_run_alone_costs_that_op_only(cases):
    def run(model, inputs):
        graph = read_graph(model)
        if graph.nodes[0].op == "ADD":
            raise WorkerFailure("the worker was killed", kind="signal", phase="load", signal="SIGSEGV")
        return [right_outputs(case) for case in cases if case.model == model]

    checked = check_ops([c for c in cases if c.op != "SPLIT"], run, seconds_left=PLENTY)
    assert checked.verdict == "undecided" and not checked.complete
    (skipped,) = [verdict for verdict in checked.ops if verdict.verdict == "skipped"]
    assert skipped.op == "ADD" and "the worker was killed" in skipped.reason
    assert "not checked: the device does not run it alone" in checked.words


def test_a_lost_link_ends_the_check(cases):
    def run(model, inputs):
        raise TransientDeviceError("connection lost")

    with pytest.raises(TransientDeviceError):
        check_ops(cases, run, seconds_left=PLENTY)


def test_no_op_is_begun_that_would_not_end_in_time(cases):
    now = [0.0]

    def run(model, inputs):
        now[0] += 3.0
        return [right_outputs(case) for case in cases if case.model == model]

    whole = [c for c in cases if c.op != "SPLIT"]
    checked = check_ops(whole, run, seconds_left=lambda: 10.0 - now[0], clock=lambda: now[0])
    assert now[0] == 6.0  # after two ops of 3 s, 4 s are left: not twice the slowest
    assert [v.verdict for v in checked.ops] == ["ok", "ok"] + ["skipped"] * (len(whole) - 2)
    assert checked.verdict == "undecided" and "the cell's time is over" in checked.words


def test_one_wrong_op_is_enough_however_many_were_left_out(cases):
    checked = check_ops(cases[:1], lambda *_: changed(cases[0], 3), seconds_left=PLENTY, unchecked=[7, 8])
    assert checked.verdict == "wrong" and not checked.complete


def test_ops_that_the_check_cannot_speak_of_keep_it_from_saying_ok(cases):
    checked = check_ops(cases[:1], lambda *_: [right_outputs(cases[0])], seconds_left=PLENTY, unchecked=[7])
    assert checked.verdict == "undecided"
    assert checked.words == "1 of 2 ops are right when each runs alone; not checked: nodes 7"
    assert check_ops([], lambda *_: [], seconds_left=PLENTY).verdict == "undecided"


def test_recurrent_ops_are_judged_as_a_whole(litert, tflite_runtime, run_float):
    net = Net((6, 5))
    model = net.model(net.dense(net.reshape(net.lstm(net.inputs[0], 8), (1, 48)), 3))
    samples = np.random.default_rng(2).normal(size=(48, 6, 5)).astype(np.float32)
    integer = quantize(model, calibrate(model, [samples], litert))
    cases = cases_of(integer, run_float, samples)
    assert [case.to_the_step for case in cases] == [False, True, True]
    for runtime in (litert, tflite_runtime):
        assert check_ops(cases, runtime.run, seconds_left=PLENTY).verdict == "ok"
    stuck = replace(cases[0], inputs=(np.roll(cases[0].inputs[0], 1, axis=0),))
    assert judge_op(cases[0], litert.run(stuck.model, stuck.inputs)).verdict == "wrong"


def test_large_models_are_recorded_in_portions(ranges, run_float, cases, monkeypatch):
    monkeypatch.setattr("harness.measure.op_cases._HELD_BYTES", 200_000)
    runs = []

    def counted(model, inputs):
        runs.append(model)
        return run_float(model, inputs)

    again = cases_of(quantize(mixed_net(), ranges), counted)
    assert len(runs) > 3
    for one, other in zip(again, cases, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.expected, other.expected, strict=True))


def test_constants_alone_have_no_case(run_float):
    from tests.support.quantized_ops import make_case

    case = make_case("DEQUANTIZE", "float32", "int8", per_channel=True, version=2)
    found = list(record_cases(case.model, [np.zeros((4, *case.x.shape), np.float32)], run_float))
    assert [c.op for c in found] == ["ADD"]


def test_ops_run_alone_on_a_connected_board(make_board, cases, tmp_path):
    """The same through agent and worker, as a cell has them; a model that ends the worker costs that model only."""
    board = make_board()
    board.connect()
    with Alone(board, BackendSpec(name="cpu-ref", kernels="reference"), tmp_path) as alone:
        checked = check_ops(cases, alone, seconds_left=PLENTY)
        assert checked.verdict == "ok", checked.words
        with pytest.raises(WorkerFailure):
            alone(tiny_model.float_mlp(version=99), [np.zeros((2, 4), np.float32)])
        broken = dense("int8", per_channel=True)
        (outputs,) = alone(broken.model, broken.feeds)
        assert outputs.shape == (16, 6, 5)


def test_one_worker_runs_all_ops(make_board, cases, tmp_path, monkeypatch):
    board = make_board()
    board.connect()
    opened = []
    open_worker = board.open_worker
    monkeypatch.setattr(board, "open_worker", lambda *a: opened.append(a) or open_worker(*a))
    with Alone(board, BackendSpec(name="cpu-ref", kernels="reference"), tmp_path) as alone:
        check_ops(cases[:3], alone, seconds_left=PLENTY)
        assert len(opened) == 1
        with pytest.raises(WorkerFailure):
            alone(tiny_model.float_mlp(version=99), [np.zeros((2, 4), np.float32)])
        check_ops(cases[:3], alone, seconds_left=PLENTY)
        assert len(opened) == 2


def test_a_samples_file_is_used_as_it_is(make_board, board_files, tmp_path):
    board = make_board()
    board.connect()
    with Alone(board, BackendSpec(name="cpu-ref", kernels="reference"), tmp_path) as alone:
        (outputs,) = alone.on_files(board_files.dense.path.read_bytes(), [board_files.bytes.path], 20)
    assert outputs.shape == (20, 10)
    assert sha256_bytes(board_files.bytes.path.read_bytes()) == board_files.bytes.sha256


def test_refusals_of_the_test_runtime_are_not_hidden(cases):
    def run(model, inputs):
        raise RuntimeRefused("no")

    with pytest.raises(RuntimeRefused):
        check_ops(cases, run, seconds_left=PLENTY)
