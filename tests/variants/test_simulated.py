"""`sim[...]`: rounding is that of kernels and of other libraries; training by it regains what rounding lost."""

import dataclasses

import numpy as np
import pytest

from harness.core.errors import UnsupportedError
from harness.tflite.cut.tree import op_name, read_tree
from harness.tflite.graph import read_graph
from harness.tflite.unpack import unpack_elements
from harness.variants.convert.simulate import WEIGHTS, rounded, simulate
from harness.variants.recipe import CONVERSIONS
from harness.variants.scheme import Scheme, parse_scheme
from tests.support.small_models import random_data, small_workload

SAMPLES = random_data(count=48)


@pytest.fixture(scope="module")
def net():
    """Conv, depthwise and pointwise convolution, each with batch normalization and ReLU6, and Dense; not trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_USE_LEGACY_KERAS", "1")
        yield separable()


def separable():
    from harness.variants.qat.training import seed_everything
    from harness.workloads.keras.env import import_tf

    seed_everything(0)
    keras = import_tf().keras
    layers = keras.layers
    stack = [layers.InputLayer((8, 8, 3))]
    for layer in (
        layers.Conv2D(6, 3, padding="same", use_bias=False),
        layers.DepthwiseConv2D(3, use_bias=False),
        layers.Conv2D(8, 1),
    ):
        stack += [layer, layers.BatchNormalization(), layers.ReLU(6.0)]
    model = keras.Sequential([*stack, layers.GlobalAveragePooling2D(), layers.Dense(10)])
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            # Channels of very different scale, as training leaves them.
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights(
                [rng.uniform(0.5, 2, gamma.shape), rng.normal(0, 0.3, beta.shape), rng.normal(0, 0.1, mean.shape),
                 10 ** rng.uniform(-2, 1, variance.shape)]
            )  # fmt: skip
    return model


@pytest.fixture(scope="module")
def plain(net):
    from harness.variants.convert.ptq import convert_float

    return convert_float(net)


def run(model, samples=SAMPLES.x_test):
    import tensorflow as tf

    made = tf.lite.Interpreter(
        model_content=model, experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF
    )
    made.allocate_tensors()
    found = []
    for sample in samples:
        made.set_tensor(made.get_input_details()[0]["index"], sample[None])
        made.invoke()
        found.append(made.get_tensor(made.get_output_details()[0]["index"])[0])
    return np.array(found)


def real_weights(model):
    """(op, the real numbers that its weights stand for), in the order of the model."""
    graph = read_graph(model)
    found = []
    for node in graph.nodes:
        if node.op not in WEIGHTS:
            continue
        tensor = graph.tensors[node.inputs[WEIGHTS[node.op][0]]]
        stored = unpack_elements(tensor.raw, tensor.dtype, int(np.prod(tensor.shape))).reshape(tensor.shape)
        if tensor.is_quantized:
            spread = [1] * len(tensor.shape)
            if tensor.per_channel:
                spread[tensor.quantized_dimension] = -1
            stored = stored * np.array(tensor.scales).reshape(spread)
        found.append((node.op, stored.astype(np.float64)))
    return found


@pytest.mark.parametrize("scheme, conversion", [("w8", "int8"), ("w8,per-tensor", "int8-pt-io")])
def test_weights_of_eight_bits_are_those_that_the_converter_stores(net, plain, scheme, conversion):
    from harness.variants.convert.ptq import convert

    kernels = real_weights(convert(net, CONVERSIONS[conversion], representative=SAMPLES.x_train))
    simulated = real_weights(simulate(plain, parse_scheme(scheme), None))
    assert [op for op, _ in kernels] == [op for op, _ in simulated] and len(kernels) == 4
    for (_, stored), (_, made) in zip(kernels, simulated, strict=True):
        assert np.allclose(stored, made, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("bits", [4, 8])
def test_asymmetric_rounding_is_that_of_tensorflow(bits):
    import tensorflow as tf

    values = np.random.default_rng(2).normal(0.3, 1, (50, 7)).astype(np.float32)
    theirs = tf.quantization.fake_quant_with_min_max_vars(values, values.min(), values.max(), num_bits=bits).numpy()
    ours = rounded(values, Scheme(weight_bits=bits, symmetric=False), None)
    assert np.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("text", ["w4", "w8,asymmetric", "w4,per-tensor", "w3,per-tensor,asymmetric"])
def test_training_rounds_kernels_as_the_conversion_does(net, plain, text):
    from harness.variants.qat.simulated import KERNELS, folded, round_kernel

    scheme = parse_scheme(text)
    stored = [made for _, made in real_weights(simulate(plain, scheme, None))]
    layers = [layer for layer in folded(net).layers if layer.__class__.__name__ in KERNELS]
    for layer, made in zip(layers, stored, strict=True):
        kernel = layer.get_weights()[0]
        rounding = round_kernel(kernel, scheme, KERNELS[layer.__class__.__name__]).numpy()
        # Keras: [h, w, in, out], depthwise [h, w, channels, 1], Dense [in, out]; a .tflite has the outputs in front.
        axes = {"Conv2D": (3, 0, 1, 2), "DepthwiseConv2D": (3, 0, 1, 2), "Dense": (1, 0)}[layer.__class__.__name__]
        # A sum folded in another order may move a value across the middle of two steps.
        assert np.isclose(rounding.transpose(axes), made, rtol=1e-3, atol=1e-5).mean() > 0.98


def test_folding_changes_no_answer(net):
    from harness.variants.qat.simulated import folded

    made = folded(net)
    assert not any(layer.__class__.__name__ == "BatchNormalization" for layer in made.layers)
    assert np.allclose(made.predict(SAMPLES.x_test, verbose=0), net.predict(SAMPLES.x_test, verbose=0), atol=1e-4)


def test_a_float_model_is_its_own_size_and_its_activations_are_rounded(net, plain):
    from harness.variants.convert.ptq import convert

    made = simulate(plain, parse_scheme("w8,a8"), SAMPLES.x_train)
    tree = read_tree(made)
    ops = [op_name(tree, operator) for operator in tree.rows("subgraphs")[0].rows("operators")]
    assert len(simulate(plain, parse_scheme("w8"), None)) < 1.1 * len(plain), "nothing is kept twice"
    # The input, three convolutions with their ReLU6, the average, Dense.
    assert ops.count("FAKE_QUANT") == 6 and ops[0] == ops[-1] == "FAKE_QUANT"
    assert {tensor.dtype for tensor in read_graph(made).tensors if tensor.is_quantized} == set()
    outputs, exact = run(made), run(plain)
    assert len(np.unique(outputs)) <= 256
    integer = run(convert(net, CONVERSIONS["int8"], representative=SAMPLES.x_train))
    step = (exact.max() - exact.min()) / 255
    assert np.abs(outputs - integer).mean() < 2 * step, "what integer kernels compute, up to their own rounding"
    coarse = run(simulate(plain, parse_scheme("w2,a8"), SAMPLES.x_train))
    assert np.abs(coarse - exact).mean() > 5 * np.abs(outputs - exact).mean()


def test_activations_need_samples(plain):
    with pytest.raises(UnsupportedError, match="no training samples"):
        simulate(plain, parse_scheme("w8,a8"), None)


def bright_and_dark():
    """Noise of ten brightnesses, which a network can learn to tell."""
    labels = np.arange(48) % 10
    x = SAMPLES.x_train * ((labels + 1) / 10)[:, None, None, None].astype(np.float32)
    return dataclasses.replace(SAMPLES, x_train=x, y_train=labels)


@pytest.mark.usefixtures("keras2")
@pytest.mark.parametrize("text", ["w3", "w4,a6,asymmetric"])
def test_training_by_a_scheme_lowers_the_loss_of_the_rounded_model(text):
    import tensorflow as tf

    from harness.variants.qat.simulated import KERNELS, folded, round_kernel, straight_through
    from harness.variants.qat.training import fine_tune

    scheme, workload, data = parse_scheme(text), small_workload(), bright_and_dark()
    quick = dataclasses.replace(workload.schedule, finetune_learning_rate=0.03)
    workload = dataclasses.replace(workload, schedule=quick)

    def loss(model):
        """Of the model with its kernels rounded."""
        weights = model.get_weights()
        for layer in model.layers:
            if (kind := layer.__class__.__name__) in KERNELS:
                kernel, *rest = layer.get_weights()
                layer.set_weights([round_kernel(kernel, scheme, KERNELS[kind]).numpy(), *rest])
        logits = model.predict(data.x_train, verbose=0)
        model.set_weights(weights)
        losses = tf.keras.losses.sparse_categorical_crossentropy(data.y_train, logits, from_logits=True)
        return float(tf.reduce_mean(losses))

    start = folded(separable())
    before = loss(start)
    training = straight_through(start, scheme)
    for seed in range(5):
        fine_tune(workload, data, training.model, seed)
    training.finish()
    trained = training.model.get_weights()
    assert [w.shape for w in trained] == [w.shape for w in start.get_weights()]
    start.set_weights(trained)
    assert len(np.unique(trained[0])) > 50, "the unrounded kernels are kept"
    assert loss(start) < before - 0.2


@pytest.mark.usefixtures("keras2")
def test_layers_whose_weights_nobody_rounds_are_refused_by_name():
    from harness.variants.convert.ptq import convert_float
    from harness.variants.qat.simulated import folded
    from harness.workloads.keras.env import import_tf

    keras = import_tf().keras
    model = keras.Sequential(
        [keras.layers.InputLayer((5, 3)), keras.layers.LSTM(4, name="memory"), keras.layers.Dense(2)]
    )
    with pytest.raises(UnsupportedError, match="LSTM 'memory'"):
        folded(model)
    with pytest.raises(UnsupportedError, match="SEQUENCE_LSTM|loops or branches"):
        simulate(convert_float(model), parse_scheme("w8"), None)


@pytest.mark.usefixtures("keras2")
def test_samples_that_drive_activations_least_are_the_worst(net):
    from harness.variants.convert.reach import activation_reach

    x = SAMPLES.x_train[:20] * np.linspace(1, 0.05, 20, dtype=np.float32)[:, None, None, None]
    reach = activation_reach(net, x)
    assert reach.shape == (20,) and reach.min() > 0 and reach.max() <= 1
    assert reach[:5].mean() > reach[-5:].mean()
