"""The supervisor's one place to wait: for the host, for workers and their logs; and its voice to the host."""

import os
import selectors
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
        """Waits for input from anyone and takes it in. True when something came."""
        ready = self.selector.select(max(timeout_s, 0))
        for key, _ in ready:
            key.data()
        return bool(ready)

    def watch(self, fd, take, ended):
        """From now on `take(data)` gets what comes on a descriptor; at its end it is closed and `ended()` called."""

        def read():
            data = os.read(fd, READ_BYTES)
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
