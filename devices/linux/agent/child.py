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
        silent: True once its frames have ended: it can answer nothing more.
        cache: the folder of its delegate's compiled graphs, or None.
    """

    def __init__(self, pid, reap, log_limit=LOG_BYTES):
        self.pid = pid
        self.reap = reap
        self.returncode = None
        self.requests = None
        self.buffer = FrameBuffer()
        #: descriptors from which something may still come
        self.open_pipes = []
        self.silent = False
        self.log = bytearray()
        self.log_limit = log_limit
        self.dropped = 0
        self.cache = None

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
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.returncode = self.reap()
        return self.returncode

    def close_requests(self):
        if self.requests is not None:
            os.close(self.requests)
            self.requests = None


def start_program(command, environment, log_limit):
    """A program without input, whose output is all log; and the descriptor that the log comes from."""
    log, theirs = os.pipe()
    try:
        process = launch(command, environment, subprocess.DEVNULL, theirs, theirs)
    except BaseException:
        os.close(log)
        raise
    finally:
        os.close(theirs)
    return Child(process.pid, process.wait, log_limit), log


def start_worker(command, environment):
    """A worker's process, and the descriptors (frames, log) that come from it."""
    (requests, own_requests), (own_frames, frames), (own_log, log) = os.pipe(), os.pipe(), os.pipe()
    try:
        process = launch(command, environment, requests, frames, log)
    except BaseException:
        for fd in (own_requests, own_frames, own_log):
            os.close(fd)
        raise
    finally:
        for fd in (requests, frames, log):
            os.close(fd)
    child = Child(process.pid, process.wait)
    child.requests = own_requests
    return child, own_frames, own_log


def launch(command, environment, stdin, stdout, stderr):
    return subprocess.Popen(
        command, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=0, env=environment, start_new_session=True
    )
