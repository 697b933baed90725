"""Run in a process of its own: makes every kind of model of `kind_table.py` that one Keras makes, and asks TensorFlow.

kind_models.py keras2|keras3 FOLDER   writes each model's file, KIND.npz (samples and labels), KIND.predicted.npz (what Keras or
TensorFlow's own interpreter answers, by output) and, of Keras models, KIND.built.tflite (what the harness converts); Keras 2
finishes the .tflite files, too.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tests.support.kind_table import HEADS, KINDS, Kind

COUNT = 96
#: which labels are not what the model answers
_WRONG = 0.3


def keras2_models(keras):
    """name -> model."""
    layers = keras.layers

    def image(shape=(8, 8, 3)):
        return keras.Input(shape)

    def classes(x, number=5):
        return layers.Dense(number, activation="softmax")(layers.GlobalAveragePooling2D()(x))

    def conv(filters, **settings):
        return layers.Conv2D(filters, 3, padding="same", **{"activation": "relu", **settings})

    def separable(x, filters):
        x = layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)))
        return layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 1, use_bias=False)(x)))

    def inverted(x, wide):
        y = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(wide, 1, use_bias=False)(x)))
        y = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)))
        return layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(x.shape[-1], 1, use_bias=False)(y))])

    def cnn(name=None):
        x = image()
        return keras.Model(x, classes(layers.MaxPooling2D()(conv(8)(x))), name=name)

    def shared():
        x = image()
        block = conv(3)
        return keras.Model(x, classes(layers.Concatenate()([block(x), block(block(x))])))

    def siamese():
        x = keras.Input((2, 6))
        encoder = keras.Sequential([keras.Input((1, 6)), layers.Flatten(), layers.Dense(5, activation="tanh")])
        one, two = (encoder(layers.Cropping1D(cut)(x)) for cut in ((0, 1), (1, 0)))
        apart = layers.Subtract()([one, two])
        return keras.Model(x, layers.Dense(1, activation="sigmoid")(layers.Multiply()([apart, apart])))

    def unet():
        x = image()
        top = conv(4)(x)
        low = conv(8)(layers.MaxPooling2D()(top))
        up = layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu")(low)
        return keras.Model(x, layers.Conv2D(3, 1, activation="softmax")(layers.Concatenate()([top, up])))

    x, words, sound = image(), keras.Input((7,), dtype="int32"), keras.Input((20, 2))
    flat = keras.Input((12,))
    return {
        "cnn": cnn(),
        "depthwise-separable": keras.Model(x, classes(separable(separable(x, 6), 8))),
        "inverted-residuals": keras.Model(x, classes(inverted(inverted(conv(4)(x), 8), 8))),
        "shared-layer": shared(),
        "siamese-halves": siamese(),
        "unet": unet(),
        "lstm": keras.Sequential([keras.Input((6, 4)), layers.LSTM(7), layers.Dense(4, activation="softmax")]),
        "conv1d": keras.Model(
            sound,
            layers.Dense(4, activation="softmax")(
                layers.GlobalMaxPooling1D()(layers.Conv1D(6, 5, strides=2, activation="relu")(sound))
            ),
        ),
        "layer-normalization": keras.Model(
            flat, layers.Dense(3)(layers.LayerNormalization()(layers.Dense(8, activation="gelu")(flat)))
        ),
        "dynamic-batch": cnn("dynamic"),
        "embedding": keras.Model(
            words, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling1D()(layers.Embedding(50, 6)(words)))
        ),
        "multilabel": keras.Sequential([keras.Input((12,)), layers.Dense(9, "relu"), layers.Dense(4, "sigmoid")]),
        "raw-heads": keras.Model(x, layers.Conv2D(7, 1)(layers.MaxPooling2D()(conv(8)(x)))),
        "saved-model": cnn("saved"),
    }  # fmt: skip


def keras3_models(keras):
    """name -> model."""
    layers = keras.layers

    def dense(*units, activation="relu"):
        return [layers.Dense(number, activation=activation) for number in units]

    def sequential(size, *stack):
        return keras.Sequential([keras.Input((size,)), *stack])

    def residual():
        x = keras.Input((8, 8, 3))
        y = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
        for _ in range(2):
            y = layers.ReLU()(layers.Add()([y, layers.Conv2D(6, 3, padding="same")(y)]))
        return keras.Model(x, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(y)))

    def attention():
        x = keras.Input((6, 8))
        y = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
        y = layers.LayerNormalization()(y + layers.Dense(8)(layers.Dense(16, activation="gelu")(y)))
        return keras.Model(x, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling1D()(y)))

    def normalized():
        x = keras.Input((12,))
        y = layers.BatchNormalization(scale=False)(layers.Dense(8)(x))
        y = layers.BatchNormalization(center=False, epsilon=1e-2)(layers.Activation("relu")(y))
        return keras.Model(x, layers.BatchNormalization()(layers.Dense(2)(y)))

    def several():
        x = keras.Input((12,))
        y = layers.Dense(9, activation="relu")(x)
        return keras.Model(x, [layers.Dense(4, activation="softmax", name="kind")(y), layers.Dense(2, name="place")(y)])

    def pixels():
        x = keras.Input((8, 8, 3), dtype="uint8")
        y = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 127.5, -1.0)(x))
        return keras.Model(x, layers.Dense(5, activation="softmax")(layers.Flatten()(y)))

    def sequence(layer):
        return keras.Sequential([keras.Input((6, 4)), layer, layers.Dense(4, activation="softmax")])

    inner = sequential(8, *dense(6), sequential(6, *dense(5)))
    return {
        "mlp": sequential(12, *dense(10, 8), layers.Dense(4, activation="softmax")),
        "residual": residual(),
        "nested": sequential(12, *dense(8), inner, layers.Dense(3)),
        "autoencoder": sequential(12, *dense(4), layers.Dense(12)),
        "gru": sequence(layers.GRU(6)),
        "bidirectional": sequence(layers.Bidirectional(layers.LSTM(5))),
        "attention": attention(),
        "batch-normalization": normalized(),
        "several-outputs": several(),
        "uint8-rescaling": pixels(),
        "binary-sigmoid": sequential(12, *dense(8), layers.Dense(1, activation="sigmoid")),
        "regression": sequential(12, *dense(8, activation="tanh"), layers.Dense(1)),
        "many-classes": sequential(12, *dense(16), layers.Dense(12)),
    }


def shake(model, rng) -> None:
    """Nothing may be at its initial value, or weights that were not read would not show; variances stay positive."""
    made = []
    for weight in model.weights:
        values, name = np.asarray(weight), str(getattr(weight, "path", weight.name))
        noise = rng.normal(scale=0.3, size=values.shape)
        positive = "variance" in name or "gamma" in name
        made.append((np.abs(values + noise) + 0.2 if positive else values + noise).astype(values.dtype))
    model.set_weights(made)


def samples(model, rng) -> np.ndarray:
    """[N, ...] in the model's own type."""
    shape, dtype = (COUNT, *model.inputs[0].shape[1:]), model.inputs[0].dtype
    name = dtype if isinstance(dtype, str) else dtype.name
    if name == "int32":
        return rng.integers(0, 50, shape).astype(np.int32)
    return (
        rng.integers(0, 256, shape).astype(np.uint8) if name == "uint8" else rng.normal(size=shape).astype(np.float32)
    )


def labels_of(form: str, predicted: np.ndarray, rng) -> np.ndarray:
    """What the model answers, and for some samples something else."""
    if form == "values":
        return (predicted + rng.normal(scale=predicted.std() / 2, size=predicted.shape)).astype(np.float32)
    if form == "several":
        return ((predicted > 0.5) ^ (rng.random(predicted.shape) < _WRONG)).astype(np.int64)
    if form == "binary":
        spread = predicted.reshape(len(predicted), -1).std(axis=1) if predicted.shape[1] > 1 else predicted[:, 0]
        right = spread > np.median(spread)
        return np.where(rng.random(len(right)) < _WRONG, ~right, right).astype(np.int64)
    if form == "boxes":
        boxes = predicted[:, :3, :5].copy()
        boxes[..., :4] += np.tile(rng.normal(scale=0.02, size=(*boxes.shape[:2], 2)), 2)
        boxes[..., 4] = np.where((rng.random(boxes.shape[:2]) < _WRONG) & (boxes[..., 4] >= 0), 0, boxes[..., 4])
        return boxes.astype(np.float32)
    right = predicted.argmax(axis=-1)
    others = rng.integers(0, predicted.shape[-1], right.shape)
    return np.where(rng.random(right.shape) < _WRONG, others, right).astype(np.int64)


def write(folder: Path, kind: Kind, x: np.ndarray, predicted: list[np.ndarray], names: list[str], rng) -> None:
    """Samples, labels and predictions of one kind."""
    keys = ["y_test"] if len(names) == 1 else [f"y_test_{name}" for name in names]
    made = [labels_of(judge.labels, p, rng) for judge, p in zip(kind.outputs, predicted, strict=True)]
    np.savez(folder / f"{kind.name}.npz", x_test=x, **dict(zip(keys, made, strict=True)))
    np.savez(folder / f"{kind.name}.predicted.npz", **dict(zip(keys, predicted, strict=True)))


def decoded(values: np.ndarray) -> np.ndarray:
    """The boxes of a grid of [N, 4, 4, 7] by version 3's formula, [N, 100, 6], suppressed by TensorFlow class by class."""
    import tensorflow as tf

    def share(v):
        return 1 / (1 + np.exp(-v.astype(np.float64)))

    ((height, width),), (((wide, high),),) = HEADS.grids, HEADS.anchors
    rows, columns = np.mgrid[:height, :width]
    x, y = (share(values[..., 0]) + columns) / width, (share(values[..., 1]) + rows) / height
    w, h = wide * np.exp(values[..., 2].astype(np.float64)), high * np.exp(values[..., 3].astype(np.float64))
    boxes = np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], axis=-1).reshape(len(values), -1, 4)
    scores = (share(values[..., 4:5]) * share(values[..., 5:])).reshape(len(values), boxes.shape[1], -1)
    found = np.zeros((len(values), 100, 6))
    found[..., 4] = -1
    for image, mine, sure in zip(found, boxes, scores, strict=True):
        made = []
        for kind in range(sure.shape[1]):
            kept = tf.image.non_max_suppression(
                mine.astype(np.float32),
                sure[:, kind].astype(np.float32),
                100,
                HEADS.iou_threshold,
                HEADS.score_threshold,
            ).numpy()
            made += [[*mine[place], kind, sure[place, kind]] for place in kept]
        made.sort(key=lambda row: -row[5])
        image[: len(made)] = made[:100]
    return found


def keras_kinds(folder: Path, models: dict, made_by: str) -> None:
    from harness.variants.convert.ptq import convert
    from harness.variants.recipe import parse_recipe
    from harness.workloads.keras.load import load_keras_model

    rng = np.random.default_rng(3)
    for name, model in models.items():
        kind = KINDS[name]
        assert kind.made_by == made_by
        shake(model, rng)
        path = folder / kind.file
        model.save(path, **({"save_format": "tf"} if not path.suffix else {}))
        x = samples(model, rng)
        found = model.predict(x, verbose=0)
        predicted = list(found) if isinstance(found, (list, tuple)) else [found]
        if kind.judges == ("heads",):
            predicted = [decoded(predicted[0])]
        names = list(model.output_names) if len(predicted) > 1 else [""]
        write(folder, kind, x, predicted, names, rng)
        recipe = parse_recipe("ptq-float32")
        built = convert(load_keras_model(path), recipe.conversion, dynamic_batch=name == "dynamic-batch")
        (folder / f"{name}.built.tflite").write_bytes(built)


def signature_kind(folder: Path, tf) -> None:
    """A SavedModel without layers: two outputs, whose names' order is not that of the function."""
    from harness.variants.convert.ptq import convert
    from harness.variants.recipe import parse_recipe
    from harness.workloads.keras.load import load_keras_model

    rng = np.random.default_rng(4)

    class Net(tf.Module):
        def __init__(self):
            self.weights = tf.Variable(rng.normal(size=(6, 4)).astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32, name="x")])
        def answer(self, x):
            values = tf.matmul(x, self.weights)
            return {"shares": tf.nn.softmax(values), "place": tf.tanh(values[:, :2])}

    net, kind = Net(), KINDS["signature"]
    tf.saved_model.save(net, str(folder / "signature"), signatures={"answer": net.answer, "other": net.answer})
    x = rng.normal(size=(COUNT, 6)).astype(np.float32)
    found = net.answer(x)
    write(folder, kind, x, [found[name].numpy() for name in ("place", "shares")], ["place", "shares"], rng)
    built = convert(load_keras_model(folder / kind.file), parse_recipe("ptq-float32").conversion)
    (folder / "signature.built.tflite").write_bytes(built)


def finished_model(keras):
    """A network with a layer that is large enough for dynamic-range quantization, which leaves small ones alone."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(16, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    shake(model, np.random.default_rng(6))
    return model


def finished_kinds(folder: Path, model, tf) -> None:
    """What TensorFlow's converter makes of a network, and its interpreter's answers as real numbers."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(COUNT, *model.input_shape[1:])).astype(np.float32)

    def converted(optimize=False, io=None, int16=False) -> bytes:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if optimize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if io is not None or int16:
            converter.representative_dataset = lambda: ([row[None]] for row in x)
            ops = tf.lite.OpsSet
            wide = ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            converter.target_spec.supported_ops = [wide if int16 else ops.TFLITE_BUILTINS_INT8]
        if io is not None:
            converter.inference_input_type = converter.inference_output_type = io
        return converter.convert()

    @tf.function(input_signature=[tf.TensorSpec([1, 6], tf.float32, name="x")])
    def scale(values):
        return {"shares": tf.nn.softmax(3.0 * values)}

    @tf.function(input_signature=[tf.TensorSpec([1, 6], tf.float32, name="x")])
    def first(values):
        return {"total": tf.reduce_sum(values, axis=1, keepdims=True)}

    module = tf.Module()
    tf.saved_model.save(module, str(folder / "two"), signatures={"first": first, "scale": scale})
    signed = tf.lite.TFLiteConverter.from_saved_model(str(folder / "two"), signature_keys=["first", "scale"]).convert()
    files = {
        "finished-float": converted(),
        "finished-int8": converted(True, tf.int8),
        "finished-uint8": converted(True, tf.uint8),
        "finished-int16": converted(True, int16=True),
        "finished-dynamic-range": converted(True),
        "finished-signature": signed,
    }
    for name, data in files.items():
        (folder / f"{name}.tflite").write_bytes(data)
        rows = x if name != "finished-signature" else rng.normal(size=(COUNT, 6)).astype(np.float32)
        signature = "scale" if name == "finished-signature" else None
        write(folder, KINDS[name], rows, [answers(tf, data, rows, signature)[0]], [""], rng)


def answers(tf, data: bytes, x: np.ndarray, signature: str | None = None) -> list[np.ndarray]:
    """What TensorFlow's reference kernels answer to each sample, as real numbers."""
    kernels = tf.lite.experimental.OpResolverType.BUILTIN_REF
    interpreter = tf.lite.Interpreter(model_content=data, experimental_op_resolver_type=kernels)
    if signature is not None:
        runner = interpreter.get_signature_runner(signature)
        return [np.concatenate([runner(x=row[None])["shares"] for row in x])]
    interpreter.allocate_tensors()
    (given,), results = interpreter.get_input_details(), interpreter.get_output_details()
    found: list[list[np.ndarray]] = [[] for _ in results]
    for row in x:
        values = row[None]
        scale, zero = given["quantization"]
        if scale:
            info = np.iinfo(given["dtype"])
            values = np.clip(np.round(values / scale) + zero, info.min, info.max).astype(given["dtype"])
        interpreter.set_tensor(given["index"], values)
        interpreter.invoke()
        for rows, one in zip(found, results, strict=True):
            scale, zero = one["quantization"]
            value = interpreter.get_tensor(one["index"])
            rows.append((value.astype(np.float64) - zero) * scale if scale else value)
    return [np.concatenate(rows) for rows in found]


def detector_kind(folder: Path, tf) -> None:
    """A detector with TFLite_Detection_PostProcess: boxes, classes, scores and their number, by TensorFlow's own op."""
    from tests.support.detector_models import detector, scenes

    data = detector()
    x, boxes = scenes(COUNT)
    (folder / "ssd-post-process.tflite").write_bytes(data)
    places, classes, scores, count = answers(tf, data, x)
    found = np.concatenate([places, classes[..., None], scores[..., None]], axis=2)
    found[np.arange(found.shape[1]) >= count.reshape(-1, 1)] = (0, 0, 0, 0, -1, 0)
    np.savez(folder / "ssd-post-process.npz", x_test=x, y_test=boxes)
    np.savez(folder / "ssd-post-process.predicted.npz", y_test=found)


def main(made_by: str, folder: Path) -> None:
    if made_by == "keras3":
        from harness.workloads.keras.env import import_keras3

        tf, keras = import_keras3()
        keras.utils.set_random_seed(1)
        keras_kinds(folder, keras3_models(keras), made_by)
        signature_kind(folder, tf)
        return
    from harness.workloads.keras.env import import_tf

    tf, keras = import_tf()
    keras.utils.set_random_seed(1)
    keras_kinds(folder, keras2_models(keras), made_by)
    finished_kinds(folder, finished_model(keras), tf)
    detector_kind(folder, tf)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
