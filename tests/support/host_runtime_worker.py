"""Runs models inside a runtime's own environment for tests/support/host_runtime.py; a script, not a test module.

Frames on stdin and stdout: an 8-byte little-endian length, then an .npz. In: `model` (bytes), `kernels`, `input_0`... Out:
`output_0`... or `error`. Every model runs in a forked process, because some crash.
"""

import io
import os
import struct
import sys

import numpy as np

try:
    from tflite_runtime.interpreter import Interpreter, OpResolverType
except ImportError:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

RESOLVERS = {
    "reference": OpResolverType.BUILTIN_REF,
    "default": OpResolverType.AUTO,
    "no-default-delegate": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
}


def run(request):
    interpreter = Interpreter(
        model_content=request["model"].tobytes(),
        num_threads=1,
        experimental_op_resolver_type=RESOLVERS[str(request["kernels"])],
    )
    interpreter.allocate_tensors()
    feeds = []
    for i, details in enumerate(interpreter.get_input_details()):
        samples = request[f"input_{i}"]
        feeds.append((details["index"], samples.reshape((len(samples),) + tuple(details["shape"]))))
    places = [details["index"] for details in interpreter.get_output_details()]
    rows = [[] for _ in places]
    for sample in range(len(feeds[0][1])):
        interpreter.reset_all_variables()
        for index, samples in feeds:
            interpreter.set_tensor(index, samples[sample])
        interpreter.invoke()
        for row, index in zip(rows, places, strict=True):
            value = interpreter.get_tensor(index)
            row.append(value[0] if value.shape[:1] == (1,) else value)
    return {f"output_{i}": np.stack(row) for i, row in enumerate(rows)}


def answer(frame):
    """The reply to one frame, computed in a child process."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            result = run(np.load(io.BytesIO(frame), allow_pickle=False))
        except Exception as error:
            result = {"error": np.array(str(error)[:500])}
        body = io.BytesIO()
        np.savez(body, **result)
        with os.fdopen(write, "wb") as pipe:
            pipe.write(body.getvalue())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        reply = pipe.read()
    status = os.waitpid(pid, 0)[1]
    if not reply:
        body = io.BytesIO()
        np.savez(body, error=np.array(f"the process ended with status {status}"))
        reply = body.getvalue()
    return reply


def main():
    frames_out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    while True:
        header = sys.stdin.buffer.read(8)
        if len(header) < 8:
            return
        reply = answer(sys.stdin.buffer.read(struct.unpack("<Q", header)[0]))
        frames_out.write(struct.pack("<Q", len(reply)) + reply)
        frames_out.flush()


if __name__ == "__main__":
    main()
