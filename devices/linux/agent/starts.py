"""How a cell's worker comes to be: forked where that works, else fresh, and the reason.

A forked worker has to behave as a fresh one. Three rules see to it:

- One that ends badly while it starts is replaced by a fresh one at once.
- Until a forked worker of its environment has loaded a model, one that fails in `load` is replaced by a fresh one, too; so no
  model is refused on the word of a runtime that cannot be forked.
- After one that crashed, hung or left later on, the next worker of its environment is a fresh one. The host runs such a cell
  again, so a crash counts against a model only when a fresh worker has crashed as well.

When the fresh worker gets further, the workers of that environment are fresh until the session ends.
"""

import os
import signal
import sys
import time

from agent.child import start_worker
from agent.errors import Refused, WorkerEnded
from agent.forks import Environment, NoFork, environment_of
from agent.workers import Cell, failure

#: what a copy has to do before its first answer takes milliseconds; this long without it, a fresh worker is tried
START_S = 20.0
FAILED = "a forked one failed: %s"
#: signals by which people and the kernel end processes, for reasons of their own
FROM_OUTSIDE = {signal.Signals(n).name for n in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}


class Doubt:
    """A forked worker ended badly: `why`, in which phase of which model."""

    def __init__(self, why, phase, model):
        self.why = why
        self.phase = phase
        self.model = model


class Starts:
    """Starts workers, and learns whether forked ones are as good as fresh ones."""

    def __init__(self, workers, forks, archive):
        self.workers = workers
        self.forks = forks
        self.archive = archive
        #: what `agent.sensors.Sensors` is made with; None: the board's own
        self.sensors = None
        #: environments of which a forked worker has loaded a model, or failed as a fresh one did
        self.proven = set()
        #: {environment: Doubt} that the next fresh worker may confirm
        self.doubts = {}

    def open(self, module, backend, cache, deadline_s):
        """Starts a worker; returns its number. Its environment holds for libraries and imports too.

        Raises:
            WorkerEnded: it crashed or hung while it imported the runtime.
            Refused: the runtime does not import, or a setting is wrong.
        """
        ends = time.monotonic() + deadline_s
        environment = Environment(module, backend)
        cell = Cell(backend, cache, environment, deadline_s)
        ident = self.workers.new_ident()
        try:
            cell.doubt = self.doubts.pop(environment.key, None)
            if cell.doubt is not None:
                raise NoFork(cell.doubt.why)
            cell.child = self.forks.fork(environment, ends)
        except NoFork as error:
            self.fresh(ident, cell, error.why, ends)
            return ident
        try:
            self.begin(ident, cell, min(START_S, (ends - time.monotonic()) / 2))
        except WorkerEnded as ended:
            why = FAILED % ended.header["message"]
            self.fresh(ident, cell, why, ends)
            self.forks.refused[environment.key] = why
        return ident

    def fresh(self, ident, cell, why, ends):
        """Gives a cell a worker with an interpreter of its own."""
        cell.started, cell.why = "fresh", why
        left_s = ends - time.monotonic()
        if left_s <= 0:
            late = "no end of start after %g s" % cell.start_s
            raise WorkerEnded(failure("deadline", "start", late), self.forks.last_log)
        command = [sys.executable, "-u", "-X", "faulthandler", self.archive, "worker", str(os.getpid())]
        cell.child = start_worker(self.workers.loop, command, environment_of(cell.backend["env"]))
        self.begin(ident, cell, left_s, cell.start_s)

    def begin(self, ident, cell, deadline_s, limit_s=None):
        self.workers.cells[ident] = cell
        try:
            request = {
                "verb": "start",
                "module": cell.environment.module,
                "backend": cell.backend,
                "sensors": self.sensors,
            }
            self.workers.ask(ident, request, "start", deadline_s, limit_s)
        except (Refused, WorkerEnded):
            if ident in self.workers.cells:
                self.workers.remove(ident)
            raise

    def ask(self, ident, request, phase, deadline_s):
        """`Workers.ask`, by a fresh worker where the forked one is not to be believed."""
        ends = time.monotonic() + deadline_s
        cell = self.workers.get(ident)
        cell.model = request.get("model", cell.model)
        try:
            frame = self.workers.ask(ident, request, phase, deadline_s)
        except WorkerEnded as ended:
            if cell.started == "fresh":
                raise
            if phase == "load" and cell.environment.key not in self.proven and time.monotonic() < ends:
                return self.load_afresh(ident, cell, request, ended, ends)
            self.note_end(cell, phase, ended.header)
            raise
        self.note_success(cell, phase)
        return frame

    def load_afresh(self, ident, cell, request, forked, ends):
        """Loads in a fresh worker what failed in a forked one that nothing is known of."""
        if ident in self.workers.cells:
            self.workers.remove(ident)
        if cell.cache is not None and cell.backend.get("cache") != "kept":
            self.workers.caches.empty(cell.cache)
        key, why = cell.environment.key, FAILED % forked.header["message"]
        self.fresh(ident, cell, why, ends)
        try:
            frame = self.workers.ask(ident, request, "load", max(ends - time.monotonic(), 0.0))
        except WorkerEnded as fresh:
            if fresh.header == forked.header:
                self.proven.add(key)
            raise
        self.forks.refused[key] = why
        return frame

    def note_success(self, cell, phase):
        key = cell.environment.key
        if cell.started == "forked":
            if phase == "load":
                self.proven.add(key)
        elif cell.doubt is not None and (phase, cell.model) == (cell.doubt.phase, cell.doubt.model):
            self.forks.refused[key] = cell.doubt.why

    def note_end(self, cell, phase, header):
        """Remembers a bad end of a forked worker that may have to do with forking."""
        if header["kind"] != "exception" and header["signal"] not in FROM_OUTSIDE:
            self.doubts[cell.environment.key] = Doubt(FAILED % header["message"], phase, cell.model)
