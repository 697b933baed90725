"""What Keras says when a file cannot be loaded, in words that name the layer and what to do."""

from __future__ import annotations

import re

from harness.core.reasons import known_reason, plain_reason

_KNOWN = (
    (re.compile(r"Unknown layer: ?'?(?P<name>[\w>.]+)'?"), "'{name}' is no layer of Keras, and code of your own is in no file"),
    (
        re.compile(r"Could not locate (?:class|function) '(?P<name>[^']+)'"),
        "'{name}' is nothing of Keras, and code of your own is in no file",
    ),
    (
        re.compile(r"(?:Could not interpret activation function identifier|Unknown activation function): ?'?(?P<name>[\w>]+)"),
        "the activation '{name}' is none of Keras, and code of your own is in no file",
    ),
    (
        re.compile(r"[Ll]ayer '?(?P<name>[\w./-]+)'? expected (?P<want>\d+) variables?, but received (?P<got>\d+)"),
        "layer '{name}' takes {want} variables and the file holds {got}",
    ),
    (
        re.compile(r"Layer count mismatch.*?file with (?P<got>\d+) saved layers into a model with (?P<want>\d+) layers", re.S),
        "the model has {want} layers with weights and the file holds {got}",
    ),
    (
        re.compile(r"Only input tensors may be passed as positional arguments"),
        "it calls an operation with a number, such as x + 1.0, which Keras reads back from .keras files only",
    ),
)  # fmt: skip


def explain(error: BaseException) -> str:
    """One sentence of an error that Keras threw while it loaded a model."""
    message = str(error)
    reason = known_reason(message, _KNOWN) or plain_reason(message)
    kind = type(error).__name__
    # A KeyError's message is nothing but the key.
    return f"{kind}: {reason}" if not reason or isinstance(error, (KeyError, IndexError, AssertionError)) else reason
