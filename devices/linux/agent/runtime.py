"""The runtime's module and numpy, imported once in a process."""

import gc
import importlib

from agent.errors import Refused


class Runtime:
    """What a worker computes with.

    Attributes:
        interpreter: the module `MODULE.interpreter`.
        np: the module numpy.
    """

    def __init__(self, module):
        """Imports both.

        Raises:
            Refused: one does not import.
        """
        try:
            self.interpreter = importlib.import_module(module + ".interpreter")
            self.np = importlib.import_module("numpy")
        except Exception as error:
            raise Refused("missing", "%s does not import: %s: %s" % (module, type(error).__name__, error))
        gc.collect()
        # What is there now is never looked at again: no pauses for it, and no page of it copied in a forked process.
        gc.freeze()
