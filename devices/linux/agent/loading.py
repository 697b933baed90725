"""Makes an interpreter of a model file, with the backend's delegate, kernels and threads."""

import sys
import time

from agent.errors import NoDelegate
from agent.libraries import library_problem, without_delegate_noise
from agent.placement import node_list
from agent.state import remembered

#: a backend's `kernels` in the runtime's words
RESOLVERS = {
    "reference": "BUILTIN_REF",
    "default": "AUTO",
    "no-default-delegate": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
}


class Loaded:
    """An interpreter with its tensors allocated.

    Attributes:
        load_ns: covers delegate, creation and allocation, not the look at the nodes.
        nodes_before, nodes_after: `node_list` before and after allocation.
        remembers: what the model remembers from one inference to the next (`agent.state`).
    """

    def __init__(self, runtime, path, backend):
        check_model(path)
        self.runtime, self.path, self.backend = runtime, path, backend
        self.remembers = remembered(path)
        began = time.perf_counter_ns()
        self.interpreter = self.create()
        created = time.perf_counter_ns()
        self.nodes_before = node_list(self.interpreter)
        resumed = time.perf_counter_ns()
        self.interpreter.allocate_tensors()
        ended = time.perf_counter_ns()
        self.nodes_after = node_list(self.interpreter)
        self.load_ns = created - began + ended - resumed

    def create(self):
        """An interpreter, its tensors not allocated yet."""
        backend, delegates = self.backend, None
        resolver = getattr(self.runtime.OpResolverType, RESOLVERS[backend["kernels"]])
        if backend["delegate_path"]:
            delegates = [load_delegate(self.runtime, backend["delegate_path"], backend["delegate_options"])]
        return self.runtime.Interpreter(
            model_path=self.path,
            num_threads=backend["threads"],
            experimental_delegates=delegates,
            experimental_op_resolver_type=resolver,
        )

    def renew(self):
        """Another interpreter in the place of this one, which is let go first."""
        self.interpreter = None
        self.interpreter = self.create()
        self.interpreter.allocate_tensors()
        return self.interpreter


def check_model(path):
    with open(path, "rb") as file:
        if file.read(8)[4:] != b"TFL3":  # tflite-runtime 2.14 crashes on such a file
            raise ValueError("the file is no TensorFlow Lite model (it does not hold TFL3 at byte 4)")


def load_delegate(runtime, path, options):
    try:
        return runtime.load_delegate(path, options)
    except Exception as error:
        sys.unraisablehook = without_delegate_noise
        problem = library_problem(path) if isinstance(error, OSError) else None
        raise NoDelegate(problem or str(error).strip() or type(error).__name__)


def tensor_io(np, details):
    """One entry of `get_input_details` or `get_output_details` for the host."""
    scale, zero_point = details["quantization"]
    return {
        "name": details["name"],
        "dtype": np.dtype(details["dtype"]).name,
        "shape": [int(n) for n in details["shape"]],
        "scale": float(scale),
        "zero_point": int(zero_point),
    }
