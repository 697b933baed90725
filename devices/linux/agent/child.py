"""A process of the agent's as the supervisor sees it: its pipes, its log, its end."""

import contextlib
import os
import signal
import subprocess

from agent.frames import LENGTHS, FrameBuffer

LOG_BYTES = 64 << 10


class Child:
    """A process in a group of its own.

    Attributes:
        requests: the descriptor that its requests are written to, or None.
        open_pipes: descriptors from which something may still come.
        silent: True once its frames have ended: it can answer nothing more.
    """

    def __init__(self, pid, reap, log_limit=LOG_BYTES):
        self.pid = pid
        self.reap = reap
        self.returncode = None
        self.requests = None
        self.buffer = FrameBuffer()
        self.open_pipes = []
        self.silent = False
        self.log = bytearray()
        self.log_limit = log_limit
        self.dropped = 0

    def add_log(self, data):
        self.log += data
        excess = len(self.log) - self.log_limit
        if excess > 0:
            del self.log[:excess]
            self.dropped += excess

    def log_bytes(self):
        head = b"[%d bytes dropped]\n" % self.dropped if self.dropped else b""
        return head + bytes(self.log)

    def has_answered(self):
        """True when its frames hold at least one whole one."""
        data = self.buffer.data
        return len(data) >= LENGTHS.size and len(data) >= LENGTHS.size + sum(LENGTHS.unpack_from(data))

    def has_exited(self):
        """True once the process has ended. It stays a zombie, so that its group's id cannot be taken by another."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self.returncode is not None or os.waitid(os.P_PID, self.pid, flags) is not None

    def kill(self):
        """Kills its whole group, then reaps it. Returns its exit code, negative for a signal."""
        if self.returncode is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                # Just forked, it has no group of its own yet.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            self.returncode = self.reap()
        return self.returncode

    def watch(self, loop, log, frames=None):
        """Takes in its log, and its frames, from now on."""
        self.open_pipes = [log]
        loop.watch(log, self.add_log, lambda: self.open_pipes.remove(log))
        if frames is not None:
            self.open_pipes.append(frames)
            loop.watch(frames, self.buffer.data.extend, lambda: self.frames_ended(frames))

    def frames_ended(self, frames):
        self.open_pipes.remove(frames)
        self.silent = True

    def drain(self, loop, timeout_s):
        """Takes in what is still in its pipes: until they end, or nothing has come for `timeout_s`."""
        while self.open_pipes and loop.pump(timeout_s):
            pass

    def close_requests(self):
        """The end of its input, at which a worker ends by itself."""
        if self.requests is not None:
            os.close(self.requests)
            self.requests = None

    def close(self, loop):
        """Closes its pipes."""
        self.close_requests()
        for fd in self.open_pipes:
            loop.forget(fd)
        self.open_pipes = []


class Pipes:
    """What stands between the supervisor and a worker: the worker's ends, then the supervisor's."""

    def __init__(self):
        (self.requests, self.own_requests) = os.pipe()
        (self.own_frames, self.frames) = os.pipe()
        (self.own_log, self.log) = os.pipe()

    def given(self):
        """The worker's ends as they are sent to it."""
        return [self.requests, self.frames, self.log]

    def attach(self, child, loop):
        """The child has its ends: keeps the supervisor's and closes the others."""
        self.close_given()
        child.requests = self.own_requests
        child.watch(loop, self.own_log, self.own_frames)

    def close_given(self):
        for fd in self.given():
            os.close(fd)

    def close(self):
        self.close_given()
        for fd in (self.own_requests, self.own_frames, self.own_log):
            os.close(fd)


def start_process(loop, command, environment, log_limit=LOG_BYTES, keep=()):
    """A program without input, all of whose output is log. `keep`: descriptors that it inherits."""
    own_log, log = os.pipe()
    try:
        process = launch(command, environment, subprocess.DEVNULL, log, log, keep)
    except BaseException:
        os.close(own_log)
        raise
    finally:
        os.close(log)
    child = Child(process.pid, process.wait, log_limit)
    child.watch(loop, own_log)
    return child


def start_worker(loop, command, environment):
    """A worker with an interpreter of its own."""
    pipes = Pipes()
    try:
        process = launch(command, environment, *pipes.given())
    except BaseException:
        pipes.close()
        raise
    child = Child(process.pid, process.wait)
    pipes.attach(child, loop)
    return child


def adopted(loop, pid, pipes):
    """A worker that the fork server made: a child of this process all the same."""
    child = Child(pid, lambda: exit_code(os.waitpid(pid, 0)[1]))
    pipes.attach(child, loop)
    return child


def launch(command, environment, stdin, stdout, stderr, keep=()):
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        bufsize=0,
        env=environment,
        start_new_session=True,
        pass_fds=keep,
    )


def exit_code(status):
    """A status of wait(2) as an exit code, negative for a signal."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
