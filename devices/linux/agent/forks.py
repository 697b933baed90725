"""The supervisor's side of fork servers: one per environment, started at need, ended when others are needed more.

A variable of the environment may matter when a library loads or a module is imported (PYTHONPATH, LD_LIBRARY_PATH,
OMP_NUM_THREADS, a vendor's own). So a fork server is started in the very environment that a backend's fresh worker would
have, and backends with other variables have another fork server. Only what names the cell's own cache folder is set in the
copy: that folder is new for each cell, and nothing but a delegate, which loads later, can have a use for it.
"""

import collections
import json
import os
import signal
import socket
import sys
import time
from array import array

from agent.child import Pipes, adopted, start_process

#: idle fork servers hold memory: so many are kept, those unused for longest go
SERVERS = 3
#: a copy takes milliseconds; this long without it, something is wrong for good
FORK_S = 20.0
#: variables that are read before anything of a cell's could be set
TOO_EARLY = ("PYTHON", "LD_")


class NoFork(Exception):
    """A worker must be started afresh, and why. `lasting`: it would be so the next time, too."""

    def __init__(self, why, lasting=True):
        super().__init__(why)
        self.why = why
        self.lasting = lasting


class Gone(NoFork):
    """The fork server has ended."""


class Environment:
    """What a fork server has to have in common with a backend's workers: the runtime's module and the variables, but for
    those of the cell alone."""

    def __init__(self, module, backend):
        self.module = module
        own = backend.get("cache_variables", ())
        self.cell = {name: backend["env"][name] for name in own}
        self.shared = {name: value for name, value in backend["env"].items() if name not in own}
        self.key = (module,) + tuple(sorted(self.shared.items()))

    def too_early(self):
        return next((name for name in self.cell if name.startswith(TOO_EARLY)), None)


def environment_of(variables):
    """What a process of a backend gets. BLAS would start a thread per core and compute nothing with it."""
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1")
    environment.update(variables)
    return environment


class Forks:
    """The fork servers of a session."""

    def __init__(self, loop, archive):
        self.loop = loop
        self.archive = archive
        #: why there can be none at all, or None
        self.problem = None
        self.servers = collections.OrderedDict()
        #: {environment's key: why its workers must be started afresh}
        self.refused = {}
        #: what the last fork server that was of no use had printed
        self.last_log = b""

    def fork(self, environment, ends):
        """A worker that is a copy of a fork server, as a `Child`.

        Args:
            ends: when (monotonic clock) it must be there.

        Raises:
            NoFork: it has to be a fresh one.
        """
        key = environment.key
        why = self.problem or self.refused.get(key)
        if why is None and environment.too_early():
            why = "%s names the cell's own cache folder" % environment.too_early()
        if why is not None:
            raise NoFork(why)
        try:
            if key in self.servers:
                try:
                    return self.servers[key].fork(environment.cell, ends)
                except Gone:  # it died while it was idle
                    self.drop(key)
            return self.start(environment, ends).fork(environment.cell, ends)
        except NoFork as error:
            self.last_log = self.servers[key].process.log_bytes() if key in self.servers else b""
            self.drop(key)
            if error.lasting:
                self.refused[key] = error.why
            raise
        finally:
            if key in self.servers:
                self.servers.move_to_end(key)

    def start(self, environment, ends):
        """A new fork server, ready to be copied."""
        while len(self.servers) >= SERVERS:
            self.drop(next(iter(self.servers)))
        server = Server(self.loop, self.archive, environment.module, environment_of(environment.shared))
        self.servers[environment.key] = server
        server.await_import(ends)
        return server

    def drop(self, key):
        server = self.servers.pop(key, None)
        if server is not None:
            server.close()

    def close(self):
        for key in list(self.servers):
            self.drop(key)

    def pids(self):
        return {server.process.pid for server in self.servers.values()}


class Server:
    """One fork server."""

    def __init__(self, loop, archive, module, environment):
        self.loop = loop
        self.answers = collections.deque()
        self.ended = False
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-u", "-X", "faulthandler", archive, "forkserver"]
            command += [str(os.getpid()), str(theirs.fileno()), module]
            self.process = start_process(loop, command, environment, keep=[theirs.fileno()])
        # A message at a time, because packets keep their borders.
        self.incoming = os.dup(self.channel.fileno())
        loop.watch(self.incoming, self.answers.append, self.end)

    def end(self):
        self.ended = True

    def await_import(self, ends):
        problem = self.answer(ends)["problem"]
        if problem:
            raise NoFork(problem)

    def fork(self, variables, ends):
        pipes = Pipes()
        try:
            descriptors = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", pipes.given()))]
            try:
                self.channel.sendmsg([json.dumps({"env": variables}).encode()], descriptors)
            except OSError as error:
                raise Gone("the fork server is gone: %s" % error.strerror)
            answer = self.answer(min(ends, time.monotonic() + FORK_S))
            if "problem" in answer:
                raise NoFork(answer["problem"], answer["lasting"])
        except BaseException:
            pipes.close()
            raise
        child = adopted(self.loop, answer["pid"], pipes)
        # What the import had to say belongs to every cell's log, as it would for a fresh worker.
        child.add_log(self.process.log_bytes())
        return child

    def answer(self, ends):
        while not self.answers:
            if self.ended:
                self.process.drain(self.loop, 0.2)
                raise Gone(self.last_words())
            if time.monotonic() >= ends:
                raise NoFork("the fork server did not answer in time")
            self.loop.wait(ends)
        return json.loads(self.answers.popleft().decode())

    def last_words(self):
        code = self.process.kill()
        how = "exit status %d" % code
        if code < 0:
            how = "signal %d" % -code
            if -code in list(signal.Signals):
                how = signal.Signals(-code).name
        said = self.process.log_bytes().decode("utf-8", "replace").strip().splitlines()[-1:]
        return "the fork server ended (%s)%s" % (how, ": " + said[0][:200] if said else "")

    def close(self):
        self.channel.close()
        if not self.ended:
            self.loop.forget(self.incoming)
            self.ended = True
        self.process.kill()
        self.process.close(self.loop)
