"""Cuts of a model: chained they give its outputs bit for bit, and each stands alone on real runtimes."""

import numpy as np
import pytest

from harness.core.errors import UnsupportedError, UserInputError
from harness.tflite.cut.cutter import Cutter
from harness.tflite.cut.edit import Editor
from harness.tflite.cut.heads import before_class_map
from harness.tflite.cut.tree import Record, write_tree
from harness.tflite.graph import read_graph
from tests.support.looping_models import doubling
from tests.support.quantized_ops import make_case
from tests.support.small_nets import Net
from tests.support.small_quantizer import Style, calibrate, quantize

SAMPLES = np.random.default_rng(0).normal(size=(8, 12, 12, 2)).astype(np.float32)


def residual_net() -> bytes:
    """Branches, a SPLIT of two outputs, and a tensor that lives across many nodes."""
    net = Net((12, 12, 2))
    a = net.conv(net.inputs[0], 8, stride=2)
    b = net.conv(net.depthwise(a), 8, kernel=1, activation=None)
    left, right = net.split(net.add(a, b, activation="relu"), 2)
    mixed = net.concat(net.mul(left, right), left)
    scores = net.dense(net.reduce(net.pool(mixed)), 10)
    return net.model(net.softmax(scores), scores)


def lstm_net() -> bytes:
    net = Net((6, 5))
    return net.model(net.dense(net.lstm(net.inputs[0], 4), 3))


@pytest.fixture(scope="module")
def ranges(litert):
    return calibrate(residual_net(), [SAMPLES], litert)


@pytest.fixture(scope="module")
def int8_net(ranges):
    return quantize(residual_net(), ranges)


def feed(model: bytes, samples: np.ndarray) -> np.ndarray:
    """Samples in the dtype of the model's input."""
    graph = read_graph(model)
    tensor = graph.tensors[graph.inputs[0]]
    if tensor.dtype == "float32":
        return samples
    limits = np.iinfo(tensor.dtype)
    stored = np.round(samples / tensor.scales[0]) + tensor.zero_points[0]
    return np.clip(stored, limits.min, limits.max).astype(tensor.dtype)


def run_chain(runtime, model, samples, kernels, after):
    """The model's outputs, computed piece by piece."""
    cutter = Cutter(model)
    values = {cutter.subgraph.indices("inputs")[0]: samples}
    for cut in cutter.chain(after):
        outputs = runtime.run(cut.model, [values[t] for t in cut.inputs], kernels=kernels)
        values.update(zip(cut.outputs, outputs, strict=True))
    return [values[t] for t in cutter.subgraph.indices("outputs")]


@pytest.mark.parametrize("kernels", ["reference", "default"])
@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
@pytest.mark.parametrize(
    "style",
    [Style(), Style(activations="int16"), Style(activations="float32"), Style(float_io=True), Style(per_channel=False)],
    ids=lambda style: f"{style.activations}-{style.per_channel}-{style.float_io}",
)
def test_chained_cuts_give_the_whole_models_outputs(request, ranges, style, runtime, kernels):
    runtime = request.getfixturevalue(runtime)
    model = quantize(residual_net(), ranges, style)
    samples = feed(model, SAMPLES)
    whole = runtime.run(model, [samples], kernels=kernels)
    count = len(Cutter(model).operators)
    for after in ([2], [0, 3, 5], range(count)):
        pieces = run_chain(runtime, model, samples, kernels, after)
        assert all(np.array_equal(a, b) for a, b in zip(whole, pieces, strict=True))


def test_variables_start_from_their_initial_state(litert):
    model = lstm_net()
    samples = np.random.default_rng(1).normal(size=(5, 6, 5)).astype(np.float32)
    whole = litert.run(model, [samples])
    pieces = run_chain(litert, model, samples, "reference", [0])
    assert np.array_equal(whole[0], pieces[0])
    one = read_graph(Cutter(model).one_op(0).model)
    assert sum(tensor.is_variable for tensor in one.tensors) == 2


@pytest.mark.parametrize("recipe", ["ptq-int8-io", "qat-int8-io", "ptq-default"])
def test_what_the_converter_makes_is_cut_as_well(built, litert, recipe):
    model = built[recipe].path.read_bytes()
    samples = feed(model, np.random.default_rng(2).random((4, 28, 28)).astype(np.float32))
    whole = litert.run(model, [samples], kernels="default")
    pieces = run_chain(litert, model, samples, "default", range(len(Cutter(model).operators)))
    assert np.array_equal(whole[0], pieces[0])


def test_a_piece_holds_its_own_constants_and_nothing_else(int8_net):
    cutter = Cutter(int8_net)
    cut = cutter.one_op(0)
    graph = read_graph(cut.model)
    assert [node.op for node in graph.nodes] == ["CONV_2D"]
    assert len(graph.tensors) == 4 and len(cut.model) < len(int8_net) / 3
    whole = read_graph(int8_net)
    assert graph.nodes[0].options == whole.nodes[0].options
    assert graph.nodes[0].version == whole.nodes[0].version
    weights, original = graph.input_at(graph.nodes[0], 1), whole.input_at(whole.nodes[0], 1)
    assert weights.scales == original.scales and np.array_equal(weights.data(), original.data())
    assert cut.nodes == (0,) and cut.inputs == (whole.inputs[0],)


def test_any_tensor_may_be_input_or_output(int8_net, litert):
    cutter = Cutter(int8_net)
    mul = next(n for n, op in enumerate(cutter.operators) if op.indices("outputs") and n == 5)
    left, right = cutter.operators[mul].indices("inputs")
    cut = cutter.between([right, left], [cutter.operators[mul].indices("outputs")[0]])
    rng = np.random.default_rng(3)
    a, b = (rng.integers(-128, 128, (4, 6, 6, 4)).astype(np.int8) for _ in range(2))
    (swapped,) = litert.run(cut.model, [b, a])
    (straight,) = litert.run(cutter.one_op(mul).model, [a, b])
    assert np.array_equal(swapped, straight)


def test_one_output_of_a_split_may_be_given_from_outside(int8_net, litert):
    cutter = Cutter(int8_net)
    split = next(n for n, op in enumerate(cutter.operators) if len(op.indices("outputs")) == 2)
    left, right = cutter.operators[split].indices("outputs")
    source = cutter.operators[split].indices("inputs")[1]
    product = cutter.operators[split + 1].indices("outputs")[0]
    rng = np.random.default_rng(4)
    whole = rng.integers(-128, 128, (4, 6, 6, 8)).astype(np.int8)
    given = rng.integers(-128, 128, (4, 6, 6, 4)).astype(np.int8)
    (mixed,) = litert.run(cutter.between([source, left], [product]).model, [whole, given])
    (expected,) = litert.run(cutter.one_op(split + 1).model, [given, whole[..., 4:]])
    assert np.array_equal(mixed, expected)


def test_constants_that_are_computed_come_with_the_op_that_reads_them(litert):
    model = make_case("DEQUANTIZE", "float32", "int8", per_channel=True, version=2).model
    cutter = Cutter(model)
    assert cutter.varying.isdisjoint(cutter.operators[0].indices("outputs"))
    cut = cutter.one_op(1)
    assert [node.op for node in read_graph(cut.model).nodes] == ["DEQUANTIZE", "ADD"]
    samples = np.zeros((2, 8, 6), np.float32)
    assert np.array_equal(litert.run(cut.model, [samples])[0], litert.run(model, [samples])[0])
    with pytest.raises(UserInputError, match="constants alone"):
        cutter.one_op(0)


def test_subgraphs_that_a_node_calls_come_along(litert):
    model = doubling()
    samples = np.array([3.0, 50.0, 99.0], np.float32)
    cut = Cutter(model).one_op(0)
    assert read_graph(cut.model).subgraph_count == 3
    assert litert.run(cut.model, [samples])[0].ravel().tolist() == [192.0, 100.0, 198.0]
    rest = Cutter(model).one_op(1)
    assert read_graph(rest.model).subgraph_count == 1


def test_another_subgraph_can_be_cut(litert):
    cutter = Cutter(doubling(), subgraph=1)
    assert litert.run(cutter.one_op(0).model, [np.array([4.0], np.float32)])[0].ravel().tolist() == [8.0]
    with pytest.raises(UserInputError, match="no subgraph 7"):
        Cutter(doubling(), subgraph=7)


def test_custom_ops_keep_name_and_options():
    editor = Editor()
    x, y = (editor.tensor(name, (1, 4), "float32") for name in "xy")
    custom = editor.add("CUSTOM", [x], [y], custom="Mine", version=3)
    custom["custom_options"] = b"\x01\x02\x03"
    cut = Cutter(write_tree(editor.finish([x], [y]))).one_op(0)
    node = read_graph(cut.model).nodes[0]
    assert (node.op, node.custom_name, node.version) == ("CUSTOM", "Mine", 3)
    assert bytes(Cutter(cut.model).operators[0]["custom_options"]) == b"\x01\x02\x03"


def test_blockwise_scales_are_tensors_that_come_along():
    editor = Editor()
    editor.tensor("unused", (1,), "float32")
    x = editor.tensor("x", (1, 64), "float32")
    w = editor.tensor("w", (8, 64), "int4", data=np.ones((8, 64), np.int8))
    scales = editor.tensor("scales", (8, 2), "float32", data=np.ones((8, 2), np.float32))
    y = editor.tensor("y", (1, 8), "float32")
    details = Record("BlockwiseQuantization", scales=scales, zero_points=-1, block_size=32)
    editor.tensors[w]["quantization"] = Record("QuantizationParameters", details_type=2, details=details)
    editor.add("FULLY_CONNECTED", [x, w, -1], [y], options="FullyConnectedOptions")
    cut = Cutter(Cutter(write_tree(editor.finish([x], [y]))).one_op(0).model)
    details = next(t["quantization"]["details"] for t in cut.tensors if t.text("name") == "w")
    assert cut.tensors[details["scales"]].text("name") == "scales"
    assert details["zero_points"] == -1


def test_state_outside_of_tensors_is_refused():
    editor = Editor()
    handle = editor.tensor("handle", (1,), "resource")
    x, read, y = (editor.tensor(name, (1,), "float32") for name in ("x", "read", "y"))
    editor.add("VAR_HANDLE", [], [handle], options="VarHandleOptions", fields={"shared_name": b"v"})
    editor.add("READ_VARIABLE", [handle], [read], options="ReadVariableOptions")
    editor.add("ADD", [x, read], [y], options="AddOptions")
    cutter = Cutter(write_tree(editor.finish([x], [y])))
    with pytest.raises(UnsupportedError, match="VAR_HANDLE keeps state"):
        cutter.between([x], [y])
    assert read_graph(cutter.one_op(2).model).nodes[0].op == "ADD"  # its variable becomes an input


def test_outputs_that_need_more_than_is_given_say_what(int8_net):
    cutter = Cutter(int8_net)
    late = cutter.subgraph.indices("outputs")[0]
    early = cutter.operators[2].indices("outputs")[0]
    with pytest.raises(UserInputError, match=r"input_0.*not among the inputs"):
        cutter.between([early], [late])


@pytest.mark.parametrize(
    ("inputs", "outputs", "says"),
    [
        ([0], [999], "no tensor 999"),
        ([0], [], "at least one output"),
        ([1], [3], "is a constant"),
        ([0], [0], "both input and output"),
        ([], [0], "not computed by any node"),
    ],
)
def test_tensors_that_cannot_stand_in_their_place_are_errors(int8_net, inputs, outputs, says):
    with pytest.raises(UserInputError, match=says):
        Cutter(int8_net).between(inputs, outputs)


def test_the_scores_behind_a_class_map_are_found(litert):
    net = Net((6, 6, 2))
    scores = net.conv(net.inputs[0], 3, activation=None)
    model = net.model(net.arg_max(scores))
    cutter = Cutter(model)
    assert before_class_map(cutter) == (scores,)
    x = np.random.default_rng(5).normal(size=(3, 6, 6, 2)).astype(np.float32)
    (maps,) = litert.run(model, [x])
    (values,) = litert.run(cutter.between(cutter.subgraph.indices("inputs"), [scores]).model, [x])
    assert np.array_equal(values.argmax(-1), maps)
    assert before_class_map(Cutter(residual_net())) is None
