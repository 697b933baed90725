"""The fork server: a process that has imported numpy and the runtime once, and is copied for every cell.

Importing takes seconds on a slow board, a copy milliseconds. The copy is made before any delegate loads and has but one
thread, so nothing in it is half done. It is a process like a fresh worker: of a session and group of its own, with its own
pipes, the supervisor's child, and it dies with the supervisor. The fork server is not its parent and may end without it.

A message to it is {"env"} with three descriptors (requests, frames, log) in SCM_RIGHTS; its answers are {"problem"} once, then
{"pid"} or {"problem", "lasting"} for each message. See docs/internals/agent-protocol.md.
"""

import array
import fcntl
import gc
import json
import os
import socket
import sys

from agent.errors import Refused
from agent.memory import Imported
from agent.process import die_with, flush, fork_to_fork, print_lines, set_name
from agent.runtime import Runtime
from agent.worker import Worker

#: where a worker's frames leave it, forked or fresh
FRAMES = 3
MESSAGE_BYTES = 1 << 16
DESCRIPTORS = 3


def serve(supervisor, descriptor, module):
    """Answers messages until the supervisor is gone."""
    print_lines()
    die_with(supervisor)
    set_name("agent-forks")
    channel = socket.socket(fileno=with_room_for_frames(descriptor))
    gc.disable()
    runtime, problem = prepare(module)
    channel.send(json.dumps({"problem": problem}).encode())
    if problem is None:
        ForkServer(supervisor, channel, runtime).serve()


def with_room_for_frames(descriptor):
    """The same file under another number. FRAMES is taken from now on, so that nothing of the runtime's comes to lie there."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FRAMES + 1)
    os.close(descriptor)
    nothing = os.open(os.devnull, os.O_RDONLY)
    if nothing != FRAMES:
        os.dup2(nothing, FRAMES, inheritable=False)
        os.close(nothing)
    return moved


def prepare(module):
    """(the runtime, None), or (None, why no copy of this process may be made)."""
    try:
        runtime = Runtime(module)
    except Refused as error:
        return None, error.args[1]
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        # A copy has one of them only; whatever waits for the others waits for ever.
        return None, "importing %s started %d threads, which a fork does not copy" % (module, threads - 1)
    return runtime, None


class ForkServer:
    """Makes workers until the supervisor is gone."""

    def __init__(self, supervisor, channel, runtime):
        self.supervisor = supervisor
        self.channel = channel
        self.runtime = runtime
        self.imported = Imported()

    def serve(self):
        while True:
            message, descriptors = self.receive()
            if message is None:
                return
            try:
                answer = self.fork(message, descriptors)
            except OSError as error:
                answer = {"problem": "the board cannot fork: %s" % error.strerror, "lasting": False}
            for fd in descriptors:
                os.close(fd)
            self.channel.send(json.dumps(answer).encode())

    def receive(self):
        """(message, its descriptors); (None, []) at the end."""
        descriptors = array.array("i")
        space = socket.CMSG_SPACE(DESCRIPTORS * descriptors.itemsize)
        data, ancillary, _, _ = self.channel.recvmsg(MESSAGE_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(content)
        return json.loads(data.decode()) if data else None, list(descriptors)

    def fork(self, message, descriptors):
        """Makes a worker that is the supervisor's child, by way of a process between that ends at once.

        The gate opens when the one between has ended: only then is the supervisor, which adopts orphans, the parent.
        """
        flush()
        (gate, gate_end), (told, tell) = os.pipe(), os.pipe()
        between = fork_to_fork()
        if between == 0:
            code = 1
            try:
                worker = os.fork()
                if worker == 0:
                    os.close(gate_end)
                    os.read(gate, 1)
                    self.channel.close()
                    for fd in (gate, told, tell):
                        os.close(fd)
                    self.become_worker(message, descriptors)
                os.write(tell, b"%d" % worker)
                code = 0
            except SystemExit as left:
                code = left.code if isinstance(left.code, int) else 1
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(code)
        os.close(tell)
        status = os.waitpid(between, 0)[1]
        pid = os.read(told, 32)
        for fd in (gate, gate_end, told):
            os.close(fd)
        if pid:
            return {"pid": int(pid)}
        if os.WIFSIGNALED(status):
            return {"problem": "a copy of it was ended by signal %d at once" % os.WTERMSIG(status), "lasting": True}
        return {"problem": "the board cannot fork twice", "lasting": False}

    def become_worker(self, message, descriptors):
        """Turns this copy into what a fresh interpreter would be by now. Does not return."""
        os.setsid()
        die_with(self.supervisor)
        set_name("agent-worker")
        requests, frames, log = descriptors
        for fd, place in ((requests, 0), (log, 1), (log, 2)):
            os.dup2(fd, place)
        os.dup2(frames, FRAMES, inheritable=False)
        for fd in descriptors:
            os.close(fd)
        os.environ.update(message["env"])
        if "numpy.random" in sys.modules:
            # Python's own generator does so by itself.
            self.runtime.np.random.seed(int.from_bytes(os.urandom(4), "little"))
        gc.enable()
        Worker(FRAMES, self.runtime, self.imported).run()
