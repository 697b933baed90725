"""The supervisor's one place to wait: for the host, for workers, their logs and their ends; and its voice to the host."""

import os
import selectors
import signal
import time

from agent.errors import HostGone
from agent.frames import FrameBuffer, write_frame

READ_BYTES = 1 << 18


class Loop:
    """Takes in what comes on any descriptor, and sends signs of life."""

    def __init__(self, frames):
        self.frames = frames
        self.buffer = FrameBuffer()
        self.heartbeat_s = 5.0
        self.last_sent = time.monotonic()
        self.selector = selectors.DefaultSelector()
        self.selector.register(0, selectors.EVENT_READ, self.from_host)
        self.wake_at_ends()

    def wake_at_ends(self):
        """Makes the end of a child something that `pump` notices at once."""
        ends, told = os.pipe()
        os.set_blocking(ends, False)
        os.set_blocking(told, False)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(ends, selectors.EVENT_READ, lambda: os.read(ends, READ_BYTES))

    def reply(self, header, payload=b""):
        try:
            write_frame(self.frames, header, payload)
        except OSError:
            raise HostGone()
        self.last_sent = time.monotonic()

    def tick(self):
        """A sign of life, when it is due."""
        if time.monotonic() - self.last_sent >= self.heartbeat_s:
            self.reply({"type": "alive"})

    def from_host(self):
        try:
            data = os.read(0, READ_BYTES)
        except OSError:
            data = b""
        if not data:
            raise HostGone()
        self.buffer.data += data

    def next_frame(self):
        while True:
            frame = self.buffer.pop()
            if frame is not None:
                return frame
            self.pump(60.0)

    def pump(self, timeout_s):
        """Waits for anything to happen and takes it in. True when something did."""
        ready = self.selector.select(max(timeout_s, 0))
        for key, _ in ready:
            key.data()
        return bool(ready)

    def wait(self, ends):
        """`pump` until `ends` (of the monotonic clock) at most, with signs of life. True when something happened."""
        self.tick()
        return self.pump(min(ends - time.monotonic(), self.heartbeat_s / 2, 1.0))

    def watch(self, fd, take, ended):
        """From now on `take(data)` gets what comes on a descriptor; at its end it is closed and `ended()` called."""

        def read():
            try:
                data = os.read(fd, READ_BYTES)
            except OSError:
                data = b""
            if data:
                take(data)
            else:
                self.forget(fd)
                ended()

        self.selector.register(fd, selectors.EVENT_READ, read)

    def forget(self, fd):
        """Closes a descriptor that is watched."""
        self.selector.unregister(fd)
        os.close(fd)
