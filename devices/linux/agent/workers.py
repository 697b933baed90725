"""The workers of a session: started, asked, watched, ended. A bad end is told and leaves nothing behind."""

import contextlib
import os
import signal
import sys
import time

from agent.caches import MEASURE_S
from agent.child import start_worker
from agent.errors import ProtocolError, Refused, WorkerEnded
from agent.frames import write_frame

#: how long a worker may take to end by itself
END_S = 5.0


class Workers:
    """Processes by their number."""

    def __init__(self, loop, caches, archive):
        self.loop = loop
        self.caches = caches
        self.archive = archive
        self.children = {}
        self.next_ident = 1

    def get(self, ident):
        if ident not in self.children:
            raise Refused("protocol", "there is no worker %r" % (ident,))
        return self.children[ident]

    def caches_in_use(self):
        return {child.cache for child in self.children.values()}

    def open(self, module, backend, cache, deadline_s):
        """Starts a worker; returns its number. Its environment is set before the interpreter starts, so that it holds for
        libraries too.

        Raises:
            WorkerEnded: it crashed or hung while it imported the runtime.
            Refused: the runtime does not import, or a setting is wrong.
        """
        environment = dict(os.environ, OPENBLAS_NUM_THREADS="1")
        environment.update(backend["env"])
        command = [sys.executable, "-u", "-X", "faulthandler", self.archive, "worker", str(os.getpid())]
        child, frames, log = start_worker(command, environment)
        ident = self.next_ident
        self.next_ident += 1
        self.children[ident] = child
        child.cache = cache
        self.watch(child, frames, log)
        try:
            self.ask(ident, {"verb": "start", "module": module, "backend": backend}, "start", deadline_s)
        except (Refused, WorkerEnded):
            if ident in self.children:
                self.remove(ident)
            raise
        return ident

    def watch(self, child, frames, log):
        def frames_ended():
            child.open_pipes.remove(frames)
            child.silent = True

        child.open_pipes = [frames, log]
        self.loop.watch(frames, child.buffer.data.extend, frames_ended)
        self.loop.watch(log, child.add_log, lambda: child.open_pipes.remove(log))

    # -- requests

    def ask(self, ident, request, phase, deadline_s):
        """Sends a worker a request and returns its answer; rows and progress pass through to the host.

        Raises:
            WorkerEnded: it crashed, left, hung, or the runtime raised.
            Refused: a setting is wrong.
        """
        child = self.children[ident]
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
            left_s = ends - time.monotonic()
            if left_s <= 0:
                self.fail(ident, phase, "deadline", "no end of %s after %g s" % (phase, deadline_s))
            quiet = not self.loop.pump(min(left_s, self.loop.heartbeat_s / 2, 1.0))
            if child.silent or (quiet and child.has_exited()):
                self.drain(child, 0.2)
                if not child.has_answered():  # a last answer may have come with the end
                    self.fail(ident, phase, None, None)
            if child.cache and time.monotonic() - measured >= MEASURE_S:
                measured = time.monotonic()  # while it writes, not only when the board's disk is full
                self.enforce_limit(ident, phase)
            self.loop.tick()

    def next_answer(self, ident, phase):
        """The worker's answer as (header, payload) when it is there, else None."""
        child = self.children[ident]
        while True:
            try:
                frame = child.buffer.pop()
            except ProtocolError as error:
                self.fail(ident, phase, "exit", "the worker sent something that is no frame: %s" % error)
            if frame is None:
                return None
            header, payload = frame
            if header["type"] in ("rows", "progress"):
                self.loop.reply(header, payload)
            elif header["type"] != "error":
                return frame
            elif header["code"] != "exception":
                raise Refused(header["code"], header["message"])
            else:
                self.drain(child, 0.05)
                raise WorkerEnded(
                    failure("exception", header.get("phase", phase), header["message"]), child.log_bytes()
                )

    def drain(self, child, timeout_s):
        """Takes in what is still in a worker's pipes: until both end, or nothing has come for `timeout_s`."""
        while child.open_pipes and self.loop.pump(timeout_s):
            pass

    # -- limits

    def enforce_limit(self, ident, phase):
        """Ends a worker whose graph cache is too large, and empties the cache."""
        child = self.children[ident]
        problem = self.over_limit(child)
        if problem:
            try:
                self.fail(ident, phase, "exit", problem)
            finally:
                self.caches.empty(child.cache)

    def over_limit(self, child):
        """What is wrong with the size of a worker's graph cache, or None."""
        size = self.caches.measure(child.cache)[1] if child.cache else 0
        if size <= self.caches.limit_bytes:
            return None
        what = "the delegate's graph cache grew to %d bytes; limits.graph_cache_bytes of the profile allows %d"
        return what % (size, self.caches.limit_bytes)

    # -- ends

    def fail(self, ident, phase, kind, message):
        """Kills and removes a worker, and says how it ended."""
        child = self.children[ident]
        name = None
        ends = time.monotonic() + 1.0
        while kind is None and not child.has_exited() and time.monotonic() < ends:
            time.sleep(0.01)  # it closed its pipes and is about to end
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
        child = self.children.pop(ident)
        child.close_requests()
        ends = time.monotonic() + END_S
        while not child.has_exited() and time.monotonic() < ends:
            self.loop.pump(0.02)
        child.kill()
        self.drain(child, 0.05)
        for fd in child.open_pipes:
            self.loop.forget(fd)
        child.open_pipes = []
        return child.log_bytes()

    def kill_all(self):
        for child in self.children.values():
            child.kill()


def failure(kind, phase, message):
    return {"type": "failure", "kind": kind, "phase": phase, "signal": None, "message": message}


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number
