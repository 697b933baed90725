"""What goes wrong on a board, in the words of docs/internals/agent-protocol.md."""


class ProtocolError(Exception):
    """What came is no frame."""


class HostGone(Exception):
    """The link is closed: the agent's reason to end."""


class Refused(Exception):
    """An answer of type `error`: a code of docs/internals/agent-protocol.md and a message."""


class NoDelegate(Exception):
    """The delegate's library did not load, or would not start: nothing of the model has been seen by then."""


class WorkerEnded(Exception):
    """A worker ended badly, or its runtime raised: the failure's header, and the board log."""

    def __init__(self, header, log):
        super().__init__(header, log)
        self.header = header
        self.log = log
