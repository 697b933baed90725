"""What a reader can act on in a message of foreign code: one line without tracebacks, paths, log noise and escape sequences.

Converters, Keras and compilers throw what they happen to have at hand: diagnostics with call stacks in them, whole model
descriptions, log lines about graphics cards that nobody asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: the longest reason that is kept, characters
REASON_CHARS = 300
#: how much of a message is looked at: a compiler may print a whole model
_READ_CHARS = 100_000
_LINE_CHARS = 2_000

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
#: absl and glog: `E0000 00:00:1795902534.382505   30515 cuda_platform.cc:52] failed call to cuInit`
_LOG_LINE = re.compile(
    r"^(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: )?[IWEF]\d{0,4} .*?\]\s*|^\d{4}-\d\d-\d\d [\d:.]+: [IWEF] \S+\]\s*"
)
_NOISE = re.compile(
    r"cuda|cudnn|cublas|cuInit|nvidia|\bgpu\b|tensorrt|onednn|absl::InitializeLog|XNNPACK delegate|rebuild TensorFlow with"
    r"|CPU instructions in performance-critical|computation_placer|Gtk-|DeprecationWarning|UserWarning|FutureWarning"
    r"|^\s*warnings\.warn|Please consider providing the trackable_obj|TensorFlow Lite Converter. This",
    re.IGNORECASE,
)
#: lines of a traceback, of a compiler's call stack, and of what a layer was called with
_STACK = re.compile(
    r"^(?:Traceback \(most recent call last\)|in user code:|\^+$|~+\^*~*$|Stack trace|note: |.*: note: |.*\bcalled from$"
    r"|(?:Call arguments|Arguments) received by|[•*] |During handling of|The above exception was|Node: '|Detected at node"
    r"|\[Op:|@ 0x|#\d+ |Fatal Python error|Current thread|Thread 0x|Extension modules)"
)
_FRAME = re.compile(r"^File \".*\", line \d+")
_CAUSE = "Exception encountered: "
_CALLING = re.compile(
    r"(?:Exception encountered|Error) when calling (?:layer ['\"](?P<layer>[^'\"]+)['\"](?: \(type (?P<type>\w+)\))?"
    r"|(?P<owner>\w+)\.call\(\))\.?"
)
#: how TensorFlow marks the operation that failed
_OPERATION = re.compile(r"\{\{[^{}]*\}\}\s*|\s*\[Op:\w+\](?: name:.*)?$")
_LOCATION = re.compile(r"\bloc\((?:[^()]|\([^()]*\))*\):?\s*")
_PATH = re.compile(r"(?:/[\w.+@~-]+){2,}/([\w.+-]+)(:\d+(?::\d+)?:?)?")
_CLASS = re.compile(r"<class '(?:[\w]+\.)*(\w+)'>")
_OBJECT = re.compile(r"<(?:[\w]+\.)+(\w+) object at 0x[0-9a-f]+>")


def plain_reason(message: str, *, limit: int = REASON_CHARS) -> str:
    """The telling part of a message, on one line.

    Args:
        message: whatever was thrown or logged.
        limit: characters to keep.

    Returns:
        One line; empty where nothing in the message tells anything.
    """
    message = message if len(message) <= 2 * _READ_CHARS else f"{message[:_READ_CHARS]}\n{message[-_READ_CHARS:]}"
    text = _CONTROLS.sub(" ", _ESCAPES.sub("", message.replace("\r", "\n")).replace("\t", " "))
    if _CAUSE in text:
        text = text.rsplit(_CAUSE, 1)[1]
    text, layer = _without_calls(text)
    lines = [_tidy(line) for line in _telling_lines(text)]
    reason = "; ".join(_distinct(lines)[:2])
    if layer and layer not in reason:
        reason = f"{layer}: {reason}" if reason else layer
    return shortened(reason, limit)


def known_reason(message: str, table: Iterable[tuple[re.Pattern[str], str]]) -> str | None:
    """The sentence of the first entry whose pattern is found in the message; None where none is.

    Args:
        message: whatever was thrown or logged.
        table: (pattern, sentence); `{name}` in a sentence stands for the pattern's group of that name.
    """
    for pattern, sentence in table:
        match = pattern.search(message)
        if match:
            groups = {name: plain_reason(value or "") for name, value in match.groupdict().items()}
            return shortened(sentence.format(**groups), 2 * REASON_CHARS)
    return None


def telling_line(log: str, words: Iterable[str]) -> str:
    """The last line of a log that holds one of these words and is no noise; empty where there is none."""
    lines = [line.strip() for line in log.splitlines() if line.strip() and not _NOISE.search(line)]
    return next((line for line in reversed(lines) if any(word in line for word in words)), "")


def shortened(text: str, limit: int = REASON_CHARS) -> str:
    """The text in at most `limit` characters, cut at the end."""
    text = re.sub(r"\s+", " ", text).strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _without_calls(text: str) -> tuple[str, str]:
    """The text without Keras' "Exception encountered when calling layer", and the innermost layer that it names."""
    layer = ""
    match = None
    for match in _CALLING.finditer(text):
        if match["layer"]:
            layer = f"layer '{match['layer']}'" + (f" ({match['type']})" if match["type"] else "")
        elif match["owner"] not in ("Sequential", "Functional", "Model"):
            layer = f"a {match['owner']} layer"
    return (text[match.end() :] if match else text), layer


def _telling_lines(text: str) -> list[str]:
    """The lines that name a cause: a compiler's errors where there are some, otherwise the first of the rest."""
    lines = []
    is_source = False
    for raw in text.splitlines():
        line = raw.strip()[:_LINE_CHARS]
        if is_source or _FRAME.match(line):
            is_source = not is_source  # below each frame of a traceback stands its line of source
            continue
        noise = _NOISE.search(line)
        line = _LOG_LINE.sub("", line)
        if line and not noise and not _STACK.match(line):
            lines.append(line)
    # MLIR diagnostics: `loc(callsite(...)): error: 'tfl.foo' op ...`, the caller's source lines around them.
    errors = [match[1] for line in lines if (match := re.search(r"\berror:\s*(.*)", line))]
    if errors:
        # MLIR ends with "failed while converting", which says nothing beyond the lines before it.
        return [line for line in errors if not line.startswith("failed while converting")] or errors
    return lines


def _tidy(line: str) -> str:
    line = _OPERATION.sub("", _LOCATION.sub("", line))
    line = _CLASS.sub(r"\1", _OBJECT.sub(r"\1", line))
    line = _PATH.sub(r"\1:", line) if "site-packages" in line or ".py" in line else line
    return line.strip(" .:;")


def _distinct(lines: list[str]) -> list[str]:
    seen: list[str] = []
    for line in lines:
        if line and line not in seen:
            seen.append(line)
    return seen
