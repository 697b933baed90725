"""The float twin means what the quantized model means: against numpy op by op, against runtimes model by model."""

import contextlib

import numpy as np
import pytest

from harness.core.errors import HarnessError, UnsupportedError, UserInputError
from harness.tflite.cut.cutter import Cutter
from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import Record, read_tree, write_tree
from harness.tflite.fakequant.twin import float_twin
from harness.tflite.graph import read_graph
from tests.support import tiny_model
from tests.support.defect_cases import dense, product
from tests.support.quantized_ops import make_case
from tests.support.small_nets import Net
from tests.support.small_quantizer import Style, calibrate, quantize

SAMPLES = np.random.default_rng(0).normal(size=(64, 12, 12, 2)).astype(np.float32)
STYLES = {
    "int8": Style(),
    "int8-per-tensor": Style(per_channel=False),
    "int8-float-io": Style(float_io=True),
    "int4-weights": Style(weight_bits=4),
    "int16": Style(activations="int16"),
    "hybrid": Style(activations="float32"),
}


def mixed_net() -> bytes:
    net = Net((12, 12, 2))
    a = net.conv(net.inputs[0], 8, stride=2)
    b = net.conv(net.depthwise(a), 8, kernel=1, activation=None)
    left, right = net.split(net.add(a, b, activation="relu"), 2)
    gated = net.mul(left, net.unary("LOGISTIC", right))
    return net.model(net.softmax(net.dense(net.reduce(net.pool(net.concat(gated, left))), 10)))


@pytest.fixture(scope="module")
def quantized(litert):
    ranges = calibrate(mixed_net(), [SAMPLES], litert)
    return {name: quantize(mixed_net(), ranges, style) for name, style in STYLES.items()}


def rms(values) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(values, np.float64)))))


def stored(samples, tensor):
    if tensor.dtype == "float32":
        return samples
    limits = np.iinfo(tensor.dtype)
    return np.clip(np.round(samples / tensor.scales[0]) + tensor.zero_points[0], limits.min, limits.max).astype(
        tensor.dtype
    )


def real(outputs, tensor):
    values = outputs.astype(np.float64)
    return (values - tensor.zero_points[0]) * tensor.scales[0] if tensor.scales else values


def run_all(runtime, model, kernels="default"):
    """The model's, the rounded twin's and the clamped twin's first output on SAMPLES, as real numbers."""
    graph = read_graph(model)
    feed = [stored(SAMPLES, graph.tensors[graph.inputs[0]])]
    device = real(runtime.run(model, feed, kernels=kernels)[0], graph.tensors[graph.outputs[0]])
    rounded, clamped = (runtime.run(float_twin(model, companion=way).model, feed)[0] for way in (False, True))
    return device, rounded.astype(np.float64), clamped.astype(np.float64)


@pytest.mark.parametrize("op", ["FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "BATCH_MATMUL"])
@pytest.mark.parametrize("activation", ["int8", "int16"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_one_op_is_numpys_answer_rounded_to_the_outputs_grid(litert, op, activation, per_channel):
    case = make_case(op, activation, "int8", per_channel=per_channel, zero_point=0, version=3)
    x = case.x.reshape(1, *case.x.shape[1:])
    (answer,) = litert.run(float_twin(case.model).model, [x])
    half_a_step = case.output_scale / 2
    limit = np.abs(case.want).max() * 1.0001
    assert np.abs(np.clip(case.want, -limit, limit) - answer.reshape(case.want.shape)).max() <= half_a_step * 1.02
    assert np.allclose(answer / case.output_scale, np.round(answer / case.output_scale), atol=0.02)
    (clamped,) = litert.run(float_twin(case.model, companion=True).model, [x])
    assert np.abs(case.want - clamped.reshape(case.want.shape)).max() <= np.abs(case.want).max() * 1e-4


@pytest.mark.parametrize("style", STYLES)
def test_a_right_runtime_is_as_far_from_the_twin_as_its_quantization_error(quantized, litert, style):
    device, rounded, clamped = run_all(litert, quantized[style])
    noise = max(rms(rounded - clamped), 0.005 * rms(rounded - rounded.mean(0)), 1 / 512 if style == "int8" else 0)
    assert 0 < rms(device - rounded) < 1.2 * noise or np.array_equal(device, rounded)


def test_the_twin_tells_a_runtime_that_errs(quantized, tflite_runtime, litert):
    """tflite-runtime 2.14 gets per-channel hybrid weights wrong; the twin's float kernels do not care."""
    graph = read_graph(quantized["hybrid"])
    feed = [SAMPLES]
    (wrong,) = tflite_runtime.run(quantized["hybrid"], feed)
    (twin,) = litert.run(float_twin(quantized["hybrid"]).model, feed)
    assert rms(wrong - twin) > rms(twin - twin.mean(0))
    assert {tensor.dtype for tensor in graph.tensors} >= {"int8", "float32"}


def test_both_kinds_of_kernels_agree_on_the_twin(quantized, litert):
    twin = float_twin(quantized["int8"]).model
    graph = read_graph(quantized["int8"])
    feed = [stored(SAMPLES, graph.tensors[graph.inputs[0]])]
    answers = [
        litert.run(twin, feed, kernels=kernels)[0] for kernels in ("reference", "default", "no-default-delegate")
    ]
    assert rms(answers[0] - answers[1]) < 1e-4 and rms(answers[0] - answers[2]) < 1e-4


def test_quantize_and_dequantize_at_the_edges_leave_the_same_network(quantized, litert):
    inner, outer = quantized["int8"], quantized["int8-float-io"]
    graph = read_graph(inner)
    (a,) = litert.run(float_twin(inner).model, [stored(SAMPLES, graph.tensors[graph.inputs[0]])])
    (b,) = litert.run(float_twin(outer).model, [SAMPLES])
    assert np.allclose(a, b, atol=1e-6)
    assert [n.op for n in read_graph(float_twin(outer).model).nodes].count("DEQUANTIZE") == 0


@pytest.mark.parametrize("style", STYLES)
def test_inputs_stay_as_they_are_and_nothing_integer_computes(quantized, style):
    model = quantized[style]
    before, after = read_graph(model), read_graph(float_twin(model).model)
    first, second = before.tensors[before.inputs[0]], after.tensors[after.inputs[0]]
    assert (first.name, first.dtype, first.shape, first.scales, first.zero_points) == (
        second.name, second.dtype, second.shape, second.scales, second.zero_points,
    )  # fmt: skip
    computing = [node for node in after.nodes if node.op != "DEQUANTIZE"]
    types = {t.dtype for node in computing for t in (*after.node_inputs(node), *after.node_outputs(node))}
    assert types <= {"float32", "int32"}
    assert all(after.tensors[t].dtype == "float32" for t in after.outputs)


def test_every_tensor_of_the_model_keeps_its_number(quantized, litert):
    model = quantized["int8"]
    twin, whole = float_twin(model), Cutter(model)
    cutter = Cutter(twin.model)
    conv = whole.operators[0].indices("outputs")[0]
    graph = read_graph(model)
    feed = [stored(SAMPLES, graph.tensors[graph.inputs[0]])]
    cut = cutter.between(cutter.subgraph.indices("inputs"), [conv])
    (mine,) = litert.run(cut.model, feed)
    (theirs,) = litert.run(whole.between(whole.subgraph.indices("inputs"), [conv]).model, feed)
    tensor = graph.tensors[conv]
    steps = np.round(mine / tensor.scales[0]) + tensor.zero_points[0]
    assert np.abs(steps - theirs).max() <= 1
    assert twin.activations[conv].dtype == "int8"


def test_float_models_come_out_as_they_went_in(litert):
    twin = float_twin(mixed_net())
    assert twin.activations == {} and twin.places == {}
    assert np.array_equal(litert.run(twin.model, [SAMPLES])[0], litert.run(mixed_net(), [SAMPLES])[0])


def test_the_twin_holds_no_integer_weights_any_more(quantized):
    model = quantized["int8"]
    assert len(float_twin(model).model) < 5 * len(model) + 20_000
    assert {t.dtype for t in read_graph(float_twin(model).model).tensors if t.is_constant} == {"float32", "int32"}


def test_a_bias_without_a_scale_has_that_of_input_times_weights(quantized, litert):
    tree = read_tree(quantized["int8"])
    tensors = tree.rows("subgraphs")[0].rows("tensors")
    biases = [t for t in tensors if "bias" in t.text("name")]
    assert biases
    for tensor in biases:
        tensor["quantization"] = None
    bare = write_tree(tree)
    graph = read_graph(bare)
    feed = [stored(SAMPLES, graph.tensors[graph.inputs[0]])]
    pair = [litert.run(float_twin(m).model, feed)[0] for m in (bare, quantized["int8"])]
    assert np.allclose(*pair, atol=1e-6)


def test_unsigned_models_of_old_converters_are_understood(litert):
    """uint8 activations and asymmetric uint8 weights: y = (q_w - 100) * .02 * (q_x - 128) * .1, then ReLU6 by its range."""
    rng = np.random.default_rng(1)
    weights, x = rng.integers(0, 256, (3, 8)).astype(np.uint8), rng.integers(0, 256, (16, 8)).astype(np.uint8)
    editor = Editor()
    source = editor.tensor("x", (1, 8), "uint8", scales=[0.1], zero_points=[128])
    kernel = editor.tensor("w", (3, 8), "uint8", data=weights, scales=[0.02], zero_points=[100])
    bias = editor.tensor("b", (3,), "int32", data=np.array([100, 0, -100], np.int32), scales=[0.002])
    result = editor.tensor("y", (1, 3), "uint8", scales=[6 / 255])
    editor.add("FULLY_CONNECTED", [source, kernel, bias], [result], options="FullyConnectedOptions", version=1)
    model = write_tree(editor.finish([source], [result]))
    want = (x - 128.0) * 0.1 @ ((weights - 100.0) * 0.02).T + np.array([0.2, 0, -0.2])
    (answer,) = litert.run(float_twin(model).model, [x])
    assert np.abs(answer - np.clip(want, 0, 6)).max() <= 3 / 255 * 1.01


def test_a_quantized_lstm_is_a_float_lstm_with_its_state_reset(litert, tflite_runtime):
    net = Net((6, 5))
    model = net.model(net.dense(net.reshape(net.lstm(net.inputs[0], 8), (1, 48)), 3))
    samples = np.random.default_rng(2).normal(size=(64, 6, 5)).astype(np.float32)
    integer = quantize(model, calibrate(model, [samples], litert))
    graph = read_graph(integer)
    feed = [stored(samples, graph.tensors[graph.inputs[0]])]
    rounded, clamped = (litert.run(float_twin(integer, companion=way).model, feed)[0] for way in (False, True))
    noise = max(rms(rounded - clamped), graph.tensors[graph.outputs[0]].scales[0] / 2)
    for runtime in (litert, tflite_runtime):
        device = real(runtime.run(integer, feed)[0], graph.tensors[graph.outputs[0]])
        assert rms(device - rounded) < 1.2 * noise


def with_hidden(model: bytes, *, steps: float, scale: float) -> bytes:
    """A quantized LSTM whose hidden state is stored by a quantization of its own, as converters calibrate it."""
    tree = read_tree(model)
    [subgraph] = tree.rows("subgraphs")
    for operator in subgraph.rows("operators"):
        if operator["intermediates"] is not None:
            made = subgraph.rows("tensors")[operator.indices("intermediates")[4]]["quantization"]
            made["scale"] = (made["scale"] * np.float32(scale)).astype(np.float32)
            made["zero_point"] = made["zero_point"] + int(steps)
    return write_tree(tree)


@pytest.mark.parametrize(("steps", "scale"), [(-1, 1.0), (2, 1.0), (0, 1.03), (-2, 0.98)])
def test_an_lstm_whose_hidden_state_has_a_quantization_of_its_own(litert, tflite_runtime, steps, scale):
    """Its kernels copy the hidden state's bytes to the state and to the output, whose scales and zero points are others."""
    net = Net((6, 4))
    float_model = net.model(net.lstm(net.inputs[0], 8))
    samples = np.random.default_rng(3).normal(size=(48, 6, 4)).astype(np.float32)
    model = with_hidden(
        quantize(float_model, calibrate(float_model, [samples], litert), Style()), steps=steps, scale=scale
    )
    graph = read_graph(model)
    feed = [stored(samples, graph.tensors[graph.inputs[0]])]
    output = graph.tensors[graph.outputs[0]]
    rounded = litert.run(float_twin(model).model, feed)[0]
    companion = litert.run(float_twin(model, companion=True).model, feed)[0]
    for runtime in (litert, tflite_runtime):
        off = real(runtime.run(model, feed)[0], output) - rounded
        assert rms(off) < 1.5 * max(rms(rounded - companion), output.scales[0])
        assert abs(off.mean()) < 0.5 * output.scales[0], "the zero points are told apart"


def test_what_the_converter_makes_has_a_twin(built, litert):
    samples = np.random.default_rng(3).random((32, 28, 28)).astype(np.float32)
    for recipe in ("ptq-int8-io", "ptq-uint8-io", "qat-int8-io", "ptq-int8-io-dynbatch", "qat-default", "ptq-wo8"):
        model = built[recipe].path.read_bytes()
        graph = read_graph(model)
        feed = [stored(samples, graph.tensors[graph.inputs[0]])]
        (answer,) = litert.run(float_twin(model).model, feed)
        device = real(litert.run(model, feed, kernels="default")[0], graph.tensors[graph.outputs[0]])
        assert rms(answer - device) < 0.01, recipe


def a_cast() -> bytes:
    editor = Editor()
    x = editor.tensor("x", (1, 4), "int8", scales=[0.1])
    y = editor.tensor("y", (1, 4), "int32")
    editor.add("CAST", [x], [y], options="CastOptions", fields={"in_data_type": 9, "out_data_type": 2})
    return write_tree(editor.finish([x], [y]))


def changed_dense(change) -> bytes:
    editor = Editor()
    x = editor.tensor("x", (1, 4), "int8", scales=[0.1])
    w = editor.tensor("w", (4, 4), "int8", data=np.ones((4, 4), np.int8), scales=[0.1])
    y = editor.tensor("y", (1, 4), "int8", scales=[0.1])
    editor.add("FULLY_CONNECTED", [x, w, -1], [y], options="FullyConnectedOptions")
    change(editor)
    return write_tree(editor.finish([x], [y]))


def blockwise(editor):
    details = Record("BlockwiseQuantization", scales=0, zero_points=-1, block_size=2)
    editor.tensors[1]["quantization"]["details_type"], editor.tensors[1]["quantization"]["details"] = 2, details


def sparse(editor):
    editor.tensors[1]["sparsity"] = Record("SparsityParameters", traversal_order=np.array([0, 1], np.int32))


def shuffled(editor):
    editor.subgraph.rows("operators")[0]["builtin_options"]["weights_format"] = 1


def channels_of_activations(editor):
    editor.tensors[2]["quantization"]["scale"] = np.full(4, 0.1, np.float32)
    editor.tensors[2]["quantization"]["quantized_dimension"] = 1


def wide_activations(editor):
    editor.tensors[2]["type"] = 2


def scales_that_do_not_fit(editor):
    editor.tensors[1]["quantization"]["scale"] = np.full(3, 0.1, np.float32)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (a_cast(), "CAST reads stored integers"),
        (changed_dense(blockwise), "'w' is quantized by BlockwiseQuantization"),
        (changed_dense(sparse), "'w' is stored sparse"),
        (changed_dense(shuffled), "shuffled weights"),
        (changed_dense(channels_of_activations), "one scale per channel"),
        (changed_dense(wide_activations), "'y' is an activation of type int32"),
        (changed_dense(scales_that_do_not_fit), "'w' has 3 scales"),
    ],
)
def test_what_has_no_meaning_in_floats_is_refused_by_name(model, says):
    with pytest.raises(UnsupportedError, match=says):
        float_twin(model)


def no_scale(editor):
    editor.tensors[0]["quantization"]["scale"] = np.array([np.nan], np.float32)


def test_a_scale_that_is_no_number_is_refused():
    with pytest.raises(UnsupportedError, match="'x' has a scale that is not a finite number"):
        float_twin(changed_dense(no_scale))


def test_damaged_models_are_errors_and_never_crashes():
    rng = np.random.default_rng(1)
    models = [tiny_model.mnist_cnn(), dense("int8", per_channel=True).model, product(3).model]
    made = 0
    for trial in range(300):
        damaged = np.frombuffer(models[trial % 3], np.uint8).copy()
        near_an_end = np.r_[0 : min(2000, len(damaged)), max(0, len(damaged) - 2000) : len(damaged)]
        damaged[rng.choice(near_an_end, rng.integers(1, 5))] = rng.integers(0, 256)
        for use in (float_twin, lambda m: float_twin(m, companion=True), lambda m: Cutter(m).one_op(0)):
            with contextlib.suppress(HarnessError):
                use(damaged.tobytes())
                made += 1
    assert 100 < made < 850


def test_a_damaged_model_is_an_error():
    with pytest.raises(UserInputError):
        float_twin(b"\x10\0\0\0TFL3" + bytes(30))
