"""Run in a process of its own: writes a SavedModel without Keras layers, and asks what the harness makes of its signatures.

signature_models.py save FOLDER   writes FOLDER/model and FOLDER/expected.npz
signature_models.py load FOLDER   loads and converts both signatures by the harness; prints the largest differences as JSON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

#: of the dense layer that both signatures have
WEIGHTS = np.random.default_rng(5).standard_normal((6, 3)).astype(np.float32)


def samples() -> np.ndarray:
    """Pixels, float32 [N, 6] of whole numbers in 0..255."""
    return np.random.default_rng(6).integers(0, 256, (8, 6)).astype(np.float32)


def scores(x: np.ndarray) -> np.ndarray:
    """What `logits` computes."""
    return x / 255 @ WEIGHTS


def shares(x: np.ndarray) -> np.ndarray:
    """What `probabilities` computes of pixels given as uint8."""
    powers = np.exp(scores(x))
    return powers / powers.sum(axis=1, keepdims=True)


def save(folder: Path) -> None:
    from harness.workloads.keras.env import import_keras3

    tf, _ = import_keras3()

    class Net(tf.Module):
        def __init__(self):
            self.weights = tf.Variable(WEIGHTS)

        @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32, name="x")])
        def logits(self, x):
            return {"scores": tf.matmul(x / 255.0, self.weights)}

        @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.uint8, name="pixels")])
        def probabilities(self, pixels):
            return {"shares": tf.nn.softmax(tf.matmul(tf.cast(pixels, tf.float32) / 255.0, self.weights))}

        @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32, name="x")])
        def several(self, x):
            values = tf.matmul(x / 255.0, self.weights)
            return {"shares": tf.nn.softmax(values), "mean": tf.reduce_mean(values, axis=1, keepdims=True)}

        @tf.function(input_signature=[tf.TensorSpec([None, 6]), tf.TensorSpec([None, 6])])
        def both(self, a, b):
            return {"sum": a + b, "shares": tf.nn.softmax(tf.matmul((a - b) / 255.0, self.weights))}

    net = Net()
    named = {
        "logits": net.logits,
        "probabilities": net.probabilities,
        "several": net.several,
        "both": net.both,
    }
    tf.saved_model.save(net, str(folder / "model"), signatures=named)


def load(folder: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    from harness.variants.convert.ptq import convert
    from harness.variants.recipe import parse_recipe
    from harness.workloads.keras.load import load_keras_model

    x, found = samples(), {}
    for name, wanted in (("logits", scores(x)), ("probabilities", shares(x))):
        model = load_keras_model(folder / f"model#{name}")
        found[name] = float(np.abs(np.asarray(model(x)) - wanted).max())
        for recipe in ("ptq-float32", "ptq-int8")[: 1 + (name == "logits")]:
            data = convert(model, parse_recipe(recipe).conversion, representative=x)
            interpreter = Interpreter(model_content=data)
            interpreter.allocate_tensors()
            answers = []
            for row in x:
                interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row[None])
                interpreter.invoke()
                answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
            found[f"{name} {recipe}"] = float(np.abs(np.array(answers) - wanted).max())
    print(json.dumps(found))


if __name__ == "__main__":
    {"save": save, "load": load}[sys.argv[1]](Path(sys.argv[2]))
