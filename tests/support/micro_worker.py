"""Runs .tflite models on TensorFlow Lite Micro's interpreter; a script for its own environment, not a test module.

The frames are those of reference_worker.py.
"""

import numpy as np
import reference_worker
from tflite_micro import runtime

_ARENA_BYTES = 1 << 20


def run_case(model, inputs, steps=0):
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=_ARENA_BYTES)
    found = []
    for step in range(max(steps, 1)):
        for i, values in enumerate(inputs):
            interpreter.set_input(values[step] if steps else values, i)
        interpreter.invoke()
        found.append(np.array(interpreter.get_output(0)))
    return np.stack(found) if steps else found[0]


if __name__ == "__main__":
    reference_worker.main(run_case)
