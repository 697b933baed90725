"""One cell's process: an interpreter, driven by the supervisor's requests."""

import os

from agent.errors import NoDelegate, Refused
from agent.frames import FrameBuffer, write_frame
from agent.loading import Loaded, tensor_io
from agent.memory import Baseline, Imported
from agent.placement import placement
from agent.process import leave
from agent.runs import Runs
from agent.runtime import Runtime
from agent.sensors import Sensors
from agent.watch import Watch


class Worker:
    """Answers requests until the supervisor closes the pipe."""

    def __init__(self, frames, runtime=None, imported=None):
        """
        Args:
            frames: the descriptor that answers are written to.
            runtime, imported: the fork server's, in a copy of it.
        """
        self.frames = frames
        self.runtime = runtime
        self.imported = imported
        self.backend = self.loaded = self.runs = None

    def serve(self):
        verbs = {
            "start": self.start,
            "load": self.load,
            "first_invoke": lambda request: self.of_model().first_invoke(request),
            "evaluate": lambda request: self.of_model().evaluate(request),
            "bench": lambda request: self.of_model().bench(request),
            "placement": self.placement,
            "stats": self.stats,
        }
        buffer = FrameBuffer()
        while True:
            frame = buffer.pop()
            if frame is None:
                data = os.read(0, 1 << 16)
                if not data:
                    return
                buffer.data += data
                continue
            request = frame[0]
            try:
                answer = verbs[request["verb"]](request)
                write_frame(self.frames, dict(answer, type="ok"))
            except Refused as error:
                write_frame(self.frames, {"type": "error", "code": error.args[0], "message": error.args[1]})
            except NoDelegate as error:
                answer = {"type": "error", "code": "exception", "message": str(error), "phase": "delegate"}
                write_frame(self.frames, answer)
            except Exception as error:  # whatever the runtime or a delegate raises is the cell's outcome
                plain = isinstance(error, (RuntimeError, ValueError)) and str(error).strip()
                message = str(error).strip() if plain else "%s: %s" % (type(error).__name__, error)
                write_frame(self.frames, {"type": "error", "code": "exception", "message": message})

    def start(self, request):
        """Binds to the backend's CPUs, then imports the runtime, whose threads inherit the binding. The fork server has
        imported it, and started none."""
        self.backend = request["backend"]
        cpus = self.backend["affinity"]
        if cpus:
            bind(cpus)
        self.watch = Watch(Sensors(request.get("sensors")), cpus)
        if self.runtime is None:
            self.runtime = Runtime(request["module"])
            self.imported = Imported()
        self.baseline = Baseline(self.imported)
        return {}

    def load(self, request):
        np = self.runtime.np
        self.release()
        self.loaded = Loaded(self.runtime.interpreter, request["path"], self.backend)
        interpreter = self.loaded.interpreter
        self.runs = Runs(np, interpreter, self.frames, self.loaded.remembers, self.loaded.renew, self.watch)
        return {
            "load_ns": self.loaded.load_ns,
            "inputs": [tensor_io(np, d) for d in interpreter.get_input_details()],
            "outputs": [tensor_io(np, d) for d in interpreter.get_output_details()],
        }

    def release(self):
        """Lets go of the model, which unloads the delegate: it may write its cache then."""
        self.loaded = self.runs = None

    def run(self):
        """Serves, then ends the process."""
        self.serve()
        self.release()
        leave(foreign=bool(self.backend and self.backend["delegate_path"]))

    def of_model(self):
        if self.runs is None:
            raise Refused("protocol", "no model is loaded")
        return self.runs

    def placement(self, request):
        self.of_model()
        return placement(self.loaded.nodes_before, self.loaded.nodes_after)

    def stats(self, request):
        reading = self.watch.reading()
        return {
            "memory_peak_bytes": self.baseline.peak_bytes(),
            "memory_baseline_bytes": self.imported.resident,
            "governor": reading["governor"],
            "frequency_hz": reading["frequency_hz"],
            "temperature_c": reading["temperature_c"],
        }


def bind(cpus):
    """Binds this process to CPUs.

    Raises:
        Refused: the board has not all of them.
    """
    missing = sorted(set(cpus) - os.sched_getaffinity(0))
    if missing:
        usable = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
        what = "affinity names CPU %s, the board gives CPU %s" % (", ".join(map(str, missing)), usable)
        raise Refused("setting", what)
    os.sched_setaffinity(0, cpus)
