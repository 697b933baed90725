"""Frames: what host, supervisor and workers say to each other. harness/links/framing.py is the host's counterpart."""

import json
import os
import struct

from agent.errors import ProtocolError

LENGTHS = struct.Struct(">II")
MAX_HEADER_BYTES = 8 << 20
MAX_PAYLOAD_BYTES = 8 << 20
#: outputs leave the board in pieces of this size
PIECE_BYTES = 1 << 20


class FrameBuffer:
    """Cuts a stream of bytes into frames."""

    def __init__(self):
        self.data = bytearray()

    def pop(self):
        """The next whole frame as (header, payload), or None when more bytes are needed."""
        if len(self.data) < LENGTHS.size:
            return None
        header_bytes, payload_bytes = LENGTHS.unpack_from(self.data)
        if not 2 <= header_bytes <= MAX_HEADER_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
            raise ProtocolError("a frame of %d + %d bytes is over the limits" % (header_bytes, payload_bytes))
        start = LENGTHS.size + header_bytes
        end = start + payload_bytes
        if len(self.data) < end:
            return None
        try:
            header = json.loads(self.data[LENGTHS.size : start].decode())
        except ValueError as error:
            raise ProtocolError("a header is no JSON: %s" % error)
        if not isinstance(header, dict):
            raise ProtocolError("a header is no JSON object")
        payload = bytes(self.data[start:end])
        del self.data[:end]
        return header, payload


def write_frame(fd, header, payload=b""):
    """Writes one frame, blocking until it is out."""
    text = json.dumps(header, separators=(",", ":")).encode()
    payload = memoryview(payload).cast("B")
    for piece in (LENGTHS.pack(len(text), len(payload)) + text, payload):
        view = memoryview(piece)
        while view:
            view = view[os.write(fd, view) :]


def take_frame_descriptor():
    """The descriptor for frames: a copy of stdout, after which everything printed on stdout lands on stderr."""
    frames = os.dup(1)
    os.dup2(2, 1)
    return frames
