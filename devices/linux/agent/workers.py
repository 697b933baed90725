"""The workers of a session: asked, watched, ended. A bad end is told and leaves nothing behind."""

import contextlib
import signal
import time

from agent.caches import MEASURE_S
from agent.errors import ProtocolError, Refused, WorkerEnded
from agent.frames import write_frame
from agent.process import reap_orphans

#: how long a worker may take to end by itself
END_S = 5.0
#: how long a worker that has closed its pipes may take to end
CLOSING_S = 1.0


class Cell:
    """A worker, and what it is for.

    Attributes:
        start_s: how long it may take to start.
        cache: the folder of its delegate's compiled graphs, or None.
        started: `forked` or `fresh`; `why` it is fresh, None for one that is forked.
        model: the hash of the model that it was last told to load.
        doubt: the `Doubt` about forking that this fresh worker may confirm, or None.
    """

    def __init__(self, backend, cache, environment, start_s):
        self.backend = backend
        self.cache = cache
        self.environment = environment
        self.start_s = start_s
        self.started = "forked"
        self.child = self.why = self.model = self.doubt = None

    def start_facts(self):
        return {"started": self.started, "started_why": self.why}


class Workers:
    """Cells by their worker's number."""

    def __init__(self, loop, caches):
        self.loop = loop
        self.caches = caches
        self.cells = {}
        self.next_ident = 1

    def new_ident(self):
        self.next_ident += 1
        return self.next_ident - 1

    def get(self, ident):
        if ident not in self.cells:
            raise Refused("protocol", "there is no worker %r" % (ident,))
        return self.cells[ident]

    def caches_in_use(self):
        return {cell.cache for cell in self.cells.values()}

    # -- requests

    def ask(self, ident, request, phase, deadline_s, limit_s=None):
        """Sends a worker a request and returns its answer; what comes before it passes through to the host.

        Args:
            limit_s: the limit as it is told when it runs out, where some of it was used up before.

        Raises:
            WorkerEnded: it crashed, left, hung, or the runtime raised.
            Refused: a setting is wrong.
        """
        cell = self.cells[ident]
        child = cell.child
        ends = time.monotonic() + deadline_s
        measured = time.monotonic()
        with contextlib.suppress(BrokenPipeError):
            write_frame(child.requests, request)
        while True:
            frame = self.next_answer(ident, phase)
            if frame is not None:
                if phase in ("load", "first_invoke"):
                    self.enforce_limit(ident, phase)
                return frame
            if time.monotonic() >= ends:
                self.fail(ident, phase, "deadline", "no end of %s after %g s" % (phase, limit_s or deadline_s))
            self.loop.wait(ends)
            if child.silent or child.has_exited():
                child.drain(self.loop, 0.2)
                if not child.has_answered():  # a last answer may have come with the end
                    self.fail(ident, phase, None, None)
            if cell.cache and time.monotonic() - measured >= MEASURE_S:
                measured = time.monotonic()  # while it writes, not only when the board's disk is full
                self.enforce_limit(ident, phase)

    def next_answer(self, ident, phase):
        """The worker's answer as (header, payload) when it is there, else None."""
        child = self.cells[ident].child
        while True:
            try:
                frame = child.buffer.pop()
            except ProtocolError as error:
                self.fail(ident, phase, "exit", "the worker sent something that is no frame: %s" % error)
            if frame is None:
                return None
            header, payload = frame
            if header["type"] in ("rows", "progress", "outputs"):
                self.loop.reply(header, payload)
            elif header["type"] != "error":
                return frame
            elif header["code"] != "exception":
                raise Refused(header["code"], header["message"])
            else:
                child.drain(self.loop, 0.05)
                failed = failure("exception", header.get("phase", phase), header["message"])
                raise WorkerEnded(failed, child.log_bytes())

    # -- limits

    def enforce_limit(self, ident, phase):
        """Ends a worker whose graph cache is too large, and empties the cache."""
        cell = self.cells[ident]
        problem = self.over_limit(cell)
        if problem:
            try:
                self.fail(ident, phase, "exit", problem)
            finally:
                self.caches.empty(cell.cache)

    def over_limit(self, cell):
        """What is wrong with the size of a worker's graph cache, or None."""
        size = self.caches.measure(cell.cache)[1] if cell.cache else 0
        if size <= self.caches.limit_bytes:
            return None
        what = "the delegate's graph cache grew to %d bytes; limits.graph_cache_bytes of the profile allows %d"
        return what % (size, self.caches.limit_bytes)

    # -- ends

    def fail(self, ident, phase, kind, message):
        """Kills and removes a worker, and says how it ended."""
        child = self.cells[ident].child
        name = None
        ends = time.monotonic() + CLOSING_S
        while kind is None and not child.has_exited() and time.monotonic() < ends:
            self.loop.wait(ends)  # it closed its pipes and is about to end
        exited = child.has_exited()
        code = child.kill()
        if kind is None and not exited:
            kind, message = "exit", "the worker closed its channel in %s without an answer" % phase
        elif kind is None and code < 0:
            kind, name = "signal", signal_name(-code)
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            message = "the worker was ended by %s in %s%s" % (name, phase, hint)
        elif kind is None:
            kind = "exit"
            message = "the worker left by itself in %s with exit status %d" % (phase, code)
        log = self.remove(ident)
        raise WorkerEnded(dict(failure(kind, phase, message), signal=name), log)

    def remove(self, ident):
        """Ends a worker and everything in its group; returns its log."""
        child = self.cells.pop(ident).child
        child.close_requests()
        ends = time.monotonic() + END_S
        while not child.has_exited() and time.monotonic() < ends:
            self.loop.wait(ends)
        child.kill()
        child.drain(self.loop, 0.05)
        child.close(self.loop)
        return child.log_bytes()

    def reap(self, others):
        """Reaps what workers have left behind; `others`: further processes that somebody waits for."""
        reap_orphans({cell.child.pid for cell in self.cells.values()} | others)

    def kill_all(self):
        for cell in self.cells.values():
            cell.child.kill()


def failure(kind, phase, message):
    return {"type": "failure", "kind": kind, "phase": phase, "signal": None, "message": message}


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number
