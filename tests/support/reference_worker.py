"""Runs .tflite models on a runtime's reference kernels; a script for that runtime's own environment, not a test module.

Called with the runtime's import name, `tflite_runtime` or `ai_edge_litert`.
Frames on stdin and stdout: an 8-byte little-endian length, then an .npz. In: `count`, for case i `model_i` (bytes) and
`input_i_j`; `steps` above 0: so many inferences in a row, which the first axis of inputs and output counts.
Out: for case i either `output_i` or `error_i` (text). Only the first output of a model is returned.
"""

import importlib
import io
import os
import struct
import sys

import numpy as np


def run_case(model, inputs, steps=0):
    tfl = importlib.import_module(f"{sys.argv[1]}.interpreter")
    interpreter = tfl.Interpreter(
        model_content=model, num_threads=1, experimental_op_resolver_type=tfl.OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    found = []
    for step in range(max(steps, 1)):
        for i, details in enumerate(interpreter.get_input_details()):
            interpreter.set_tensor(details["index"], inputs[i][step] if steps else inputs[i])
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return np.stack(found) if steps else found[0]


def main(run):
    frames_out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the runtime prints on stdout
    frames_in = sys.stdin.buffer
    while True:
        header = frames_in.read(8)
        if len(header) < 8:
            return
        cases = np.load(io.BytesIO(frames_in.read(struct.unpack("<Q", header)[0])), allow_pickle=False)
        results = {}
        for i in range(int(cases["count"])):
            inputs = []
            while f"input_{i}_{len(inputs)}" in cases:
                inputs.append(cases[f"input_{i}_{len(inputs)}"])
            try:
                results[f"output_{i}"] = run(cases[f"model_{i}"].tobytes(), inputs, int(cases["steps"]))
            except (RuntimeError, ValueError) as error:
                results[f"error_{i}"] = np.array(str(error))
        body = io.BytesIO()
        np.savez(body, **results)
        frames_out.write(struct.pack("<Q", body.tell()) + body.getvalue())
        frames_out.flush()


if __name__ == "__main__":
    main(run_case)
