"""The supervisor: answers the host's requests, one at a time, and owns what the board gives to a session."""

import contextlib
import os
import resource
import signal
import sys

from agent.caches import GraphCaches, wants_cache, with_cache, with_cache_text
from agent.copies import Copies
from agent.errors import HostGone, ProtocolError, Refused, WorkerEnded
from agent.facts import board_facts, vendor_benchmark
from agent.forks import Forks
from agent.frames import take_frame_descriptor
from agent.libraries import library_facts
from agent.loop import Loop
from agent.process import adopt_orphans
from agent.programs import run_program
from agent.sensors import Sensors
from agent.starts import Starts
from agent.store import Store
from agent.workers import Workers


class Supervisor:
    """What a session holds on the board: files, graph caches, workers."""

    def __init__(self, frames, archive, root, agent_sha256):
        self.archive = archive
        self.agent_sha256 = agent_sha256
        self.module = None
        self.sensors = None
        self.loop = Loop(frames)
        self.store = Store(root)
        self.copies = Copies(self.store)
        self.caches = GraphCaches(root)
        self.workers = Workers(self.loop, self.caches)
        self.forks = Forks(self.loop, archive)
        self.starts = Starts(self.workers, self.forks, archive)
        if not adopt_orphans():
            self.forks.problem = "the board's Python or kernel does not let the agent adopt a forked process"

    def serve(self):
        verbs = {
            "hello": self.hello,
            "have": self.have,
            "put": self.put,
            "open": self.open,
            "close": self.close,
            "library": self.library,
            "sensors": self.read_sensors,
            "vendor_benchmark": self.vendor_benchmark,
            "load": self.forward,
            "first_invoke": self.forward,
            "evaluate": self.forward,
            "bench": self.forward,
            "placement": self.forward,
            "stats": self.forward,
        }
        while True:
            request = self.loop.next_frame()[0]
            verb = request.get("verb")
            if verb == "quit":
                return
            try:
                if verb not in verbs:
                    raise Refused("protocol", "unknown verb %r" % (verb,))
                verbs[verb](request)
            except WorkerEnded as ended:
                self.loop.reply(ended.header, ended.log)
            except Refused as error:
                self.loop.reply({"type": "error", "code": error.args[0], "message": error.args[1]})
            except (KeyError, TypeError, ValueError, OSError) as error:
                message = "%s failed on the board: %s: %s" % (verb, type(error).__name__, error)
                self.loop.reply({"type": "error", "code": "internal", "message": message})

    def hello(self, request):
        self.loop.heartbeat_s = float(request["heartbeat_s"])
        self.store.limit_bytes = int(request["cache_limit_bytes"])
        self.caches.limit_bytes = int(request.get("graph_cache_limit_bytes", self.caches.limit_bytes))
        if not request.get("fork_server", True):
            self.forks.problem = "the fork server is switched off (agent.fork_server of the profile)"
        self.starts.sensors = request.get("sensors")
        self.sensors = Sensors(self.starts.sensors)
        facts = board_facts(request["module"], self.agent_sha256, self.sensors)
        self.module = request["module"]
        self.loop.reply({"type": "ok", "facts": facts, "vendor_benchmark": vendor_benchmark()})

    # -- files

    def have(self, request):
        self.loop.reply({"type": "ok", "have": self.store.have(request["sha256"], self.loop.tick)})

    def put(self, request):
        sha256, size = request["sha256"], int(request["size"])
        self.store.make_room(size)

        def pieces():
            self.loop.reply({"type": "ok", "go": True})
            left = size
            while left > 0:
                header, payload = self.loop.next_frame()
                if header.get("verb") != "data" or not 0 < len(payload) <= left:
                    raise ProtocolError("%r instead of data" % (header,))
                left -= len(payload)
                yield payload

        self.store.receive(sha256, pieces)
        if not self.store.have(sha256, self.loop.tick):
            raise Refused("corrupt", "file %s cannot be read back" % sha256[:12])
        self.loop.reply({"type": "ok"})

    def library(self, request):
        self.loop.reply({"type": "ok", "library": library_facts(request["path"], self.loop.tick)})

    def read_sensors(self, request):
        """What the board's sensors say now."""
        if self.sensors is None:
            raise Refused("protocol", "sensors before hello")
        self.loop.reply({"type": "ok", "reading": self.sensors.reading(), "simulated": self.sensors.simulated})

    # -- cells

    def open(self, request):
        """Starts a worker."""
        if self.module is None:
            raise Refused("protocol", "open before hello")
        self.copies.keep_only(self.workers.cells)
        backend, folder = self.place_cache(request["backend"])
        ident = self.starts.open(self.module, backend, folder, float(request["deadline_s"]))
        self.loop.reply(dict(self.workers.get(ident).start_facts(), type="ok", worker=ident))

    def forward(self, request):
        """Hands a request to a worker, with file hashes made into paths."""
        ident, verb = request["worker"], request["verb"]
        self.workers.get(ident)
        inner = {k: v for k, v in request.items() if k not in ("worker", "deadline_s")}
        if "model" in request:
            inner["path"] = self.copies.of(ident, request["model"], self.loop.tick)
        if "inputs" in request:
            inner["paths"] = [self.store.need(sha256) for sha256 in request["inputs"]]
        header, payload = self.starts.ask(ident, inner, verb, float(request["deadline_s"]))
        if verb == "load":  # a fresh worker may have taken a forked one's place
            header.update(self.workers.get(ident).start_facts())
        self.loop.reply(header, payload)

    def close(self, request):
        cell = self.workers.cells.get(request["worker"])
        log = self.workers.remove(request["worker"]) if cell else b""
        self.copies.drop(request["worker"])
        self.workers.reap(self.forks.pids())
        answer = {"type": "ok"}
        if cell and cell.cache:
            answer["cache_files"], answer["cache_bytes"] = self.caches.measure(cell.cache)
            answer["cache_problem"] = self.workers.over_limit(cell)  # a delegate may write when it is unloaded
            if answer["cache_problem"]:
                self.caches.empty(cell.cache)
        self.loop.reply(answer, log)

    def vendor_benchmark(self, request):
        """Runs a vendor's benchmark on a model."""
        backend, _ = self.place_cache(request["backend"])
        command = [request["program"], "--graph=" + self.store.need(request["model"])]
        command += [with_cache_text(word, self.caches.last) for word in request["arguments"]]
        environment = dict(os.environ, **backend["env"])
        deadline_s = float(request["deadline_s"])
        code, log = run_program(self.loop, self.archive, command, environment, backend["affinity"], deadline_s)
        self.loop.reply({"type": "ok", "code": code}, log)

    def place_cache(self, backend):
        """The backend with its graph cache's folder filled in, and that folder; None for a backend that names none."""
        if not wants_cache(backend):
            return backend, None
        kept = backend.get("cache") == "kept"
        folder = self.caches.kept() if kept else self.caches.fresh(self.workers.caches_in_use())
        return with_cache(backend, folder), folder


def supervise(archive, root, agent_sha256):
    """The agent's own process, until the host is gone or says `quit`."""
    frames = take_frame_descriptor()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    with contextlib.suppress(OSError, ValueError):
        # One descriptor stays open per file in use.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))
    supervisor = Supervisor(frames, archive, root, agent_sha256)
    try:
        supervisor.serve()
    except HostGone:
        pass
    except ProtocolError as error:
        sys.stderr.write("the host sent something that is no frame: %s\n" % error)
    finally:
        supervisor.workers.kill_all()
        supervisor.copies.keep_only(())
        supervisor.forks.close()
        supervisor.caches.close()
