"""Starts the agent on a board: one constant command line; everything else travels as data on its stdin.

A board needs a Python and nothing more: no SFTP, no writable path in the command, nothing of a profile in a shell.
"""

from __future__ import annotations

import json
import reprlib
import secrets
from dataclasses import dataclass
from functools import cache

from harness.core.errors import DeviceError, StableDeviceError, TransientDeviceError
from harness.core.files import sha256_bytes
from harness.core.paths import packaged_devices_dir
from harness.core.printable import one_line
from harness.links.archive import archive_bytes
from harness.links.base import Channel, ChannelClosed, Link
from harness.links.framing import FrameError, FrameStream, NoAgent, json_object, read_line, skip_banner

#: Reads one JSON line and runs the text in it. One line, single quotes around it in every shell, csh included. The
#: current folder leaves the search path first: a file named json.py in a login's home must not be imported.
COMMAND = (
    "import sys;sys.path[:]=[p for p in sys.path if p];import json;"
    'CONFIG=json.loads(open(0,"rb",0,closefd=False).readline());exec(CONFIG["boot"])'
)
_MAX_LINE_BYTES = 16 << 10


@dataclass(frozen=True, kw_only=True)
class AgentSource:
    """The board-side files: the agent's archive and the text that fetches it."""

    agent: bytes
    boot: str
    sha256: str


@cache
def agent_source() -> AgentSource:
    """The agent that came with this harness."""
    folder = packaged_devices_dir() / "linux"
    agent = archive_bytes(folder / "agent")
    return AgentSource(agent=agent, boot=(folder / "boot.py").read_text(), sha256=sha256_bytes(agent))


def start_agent(
    link: Link, python: str, *, agent_dir: str | None = None, deadline_s: float = 30.0, where: str | None = None
) -> FrameStream:
    """Starts the agent over an open link and returns its frames.

    Args:
        link: an open link.
        python: the interpreter on the board.
        agent_dir: the agent's folder on the board; None lets the board choose ($HARNESS_AGENT_DIR, else its cache).
        deadline_s: seconds for each step of it.
        where: the device's name, for errors.

    Raises:
        UserInputError: `python` holds what may not stand in a command line.
        StableDeviceError: there is no such Python, its folder cannot be used, or there is no space for the agent.
        TransientDeviceError: the connection was lost, or nothing was heard in time.
    """
    where = where or link.description
    source = agent_source()
    channel = link.start([python, "-c", COMMAND])
    try:
        nonce = f"tflite-hil-harness-agent-{secrets.token_hex(8)}"
        config = {
            "boot": source.boot,
            "nonce": nonce,
            "dir": agent_dir,
            "sha256": source.sha256,
            "size": len(source.agent),
        }
        try:
            channel.send([json.dumps(config).encode() + b"\n"], deadline_s)
            skip_banner(channel, nonce.encode() + b"\n", deadline_s)
        except (ChannelClosed, NoAgent) as error:
            raise _no_agent(channel, python, getattr(error, "banner", ""), where) from error
        if not _answer(channel, "have", deadline_s, where):
            channel.send([source.agent], deadline_s)
            _answer(channel, "stored", deadline_s, where)
        return FrameStream(channel)
    except DeviceError as error:
        channel.close()
        error.where = error.where or where
        raise
    except BaseException:
        channel.close()
        raise


def refusal(code: str, message: str, where: str | None) -> DeviceError:
    """The error for what the board said no to; `code` is one of docs/internals/agent-protocol.md."""
    hints = {
        "protocol": "this is a defect of the harness",
        "no_space": "free space on the board, or name another folder with HARNESS_AGENT_DIR on the board",
        "setting": "correct the device's profile or the board",
        "missing": "install it on the board",
    }
    if code in ("corrupt", "absent", "internal"):
        return TransientDeviceError(message, where=where, hint="try again")
    return StableDeviceError(message, where=where, hint=hints.get(code))


def _answer(channel: Channel, field: str, deadline_s: float, where: str) -> bool:
    """The field of the board's next line.

    Raises:
        DeviceError: the board says no; or its line is none of docs/internals/agent-protocol.md.
    """
    try:
        answer = json_object(read_line(channel, _MAX_LINE_BYTES, deadline_s), "it")
    except FrameError as error:
        raise TransientDeviceError(f"the agent's first answer cannot be read: {error}", where=where) from error
    except ChannelClosed as error:
        what = f"the agent ended while it started: {_last_line(channel.stderr_tail()) or 'no message'}"
        raise TransientDeviceError(what, where=where) from error
    code, message = answer.get("error"), answer.get("message")
    if isinstance(code, str) and isinstance(message, str):
        raise refusal(code, message, where)
    found = answer.get(field)
    if not isinstance(found, bool):
        raise StableDeviceError(
            f"the agent's first answer makes no sense: `{field}` is {one_line(reprlib.repr(found), 60)}",
            where=where,
            hint="something other than the harness's agent answers",
        )
    return found


def _no_agent(channel: Channel, python: str, banner: str, where: str) -> DeviceError:
    """Why nothing answered: no Python, a shell that refuses, or a lost connection."""
    code = channel.exit_code(2.0)
    said = _last_line(channel.stderr_tail()) or _last_line(banner)
    if code in (126, 127):
        hint = "install Python 3.8 or newer on the board, or set `runtime.python` in the device's profile"
        what = f"the board has no {python} that starts: {said or f'exit status {code}'}"
        return StableDeviceError(what, where=where, hint=hint)
    if code is None:
        what = f"the connection was lost while the agent started{': ' + said if said else ''}"
        return TransientDeviceError(what, where=where)
    hint = "the login shell must start the program it is given, and `runtime.python` must be Python 3.8 or newer"
    return StableDeviceError(
        f"the agent did not start (exit status {code}): {said or 'no message'}", where=where, hint=hint
    )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
