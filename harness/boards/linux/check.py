"""`harness devices check` of a board with Linux: login, agent, and a tiny model with a known answer on each backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.boards.check import Checked, backend_steps, step
from harness.boards.linux.probe import probe_board
from harness.boards.linux.start import board_python
from harness.core.errors import StableDeviceError

if TYPE_CHECKING:
    from harness.boards.base import Board
    from harness.boards.kind import CheckStep
    from harness.boards.linux.profile import LinuxProfile

#: below this a board has no room for the agent, a model and a sample file of the published networks
MIN_FREE_BYTES = 64 << 20


def check_linux(profile: LinuxProfile, board: Board) -> Iterator[CheckStep]:
    """The steps after the lease."""
    names: list[str] = []
    for name, action in (("login", lambda: _login(profile, names)), ("agent", lambda: _agent(board))):
        done = step(name, action)
        yield replace(done, private=tuple(names))
        if not done.ok:
            return
    yield from backend_steps(profile, board, lambda backend, checked: _words(profile, backend, checked))


def _login(profile: LinuxProfile, names: list[str]) -> str:
    """Opens the link once by itself and looks around, so that a broken Python is told from a refused key.

    `names` gets the board's host name, which nobody but the board knows.
    """
    link = profile.link.make_link(profile.place())
    try:
        link.open()
        python = board_python(profile)
        facts = probe_board(link, python, directory=profile.agent.directory)
        names.append(facts.hostname)
        fact = facts.runtimes.get(profile.runtime.module)
        if fact is None or fact.error:
            what = f"{python} has no {profile.runtime.module} that imports{f': {fact.error}' if fact else ''}"
            raise StableDeviceError(what, where=profile.name, hint="install it on the board or correct `runtime`")
        free = facts.free_bytes
        if free is not None and free < MIN_FREE_BYTES:
            what = f"{free / 1e6:.0f} MB free in the agent's folder, {MIN_FREE_BYTES / 1e6:.0f} MB are needed"
            hint = "free space, or name another folder with `agent.directory`"
            raise StableDeviceError(what, where=profile.name, hint=hint)
        space = "" if free is None else f", {free / 1e9:.1f} GB free"
        model = facts.board_model or facts.hostname
        return f"{link.description}: {model}, {facts.machine}, {facts.cpu_count} cores, kernel {facts.kernel}{space}"
    finally:
        link.close()


def _agent(board: Board) -> str:
    fingerprint = board.connect()
    return f"{fingerprint.runtime}, Python {fingerprint.python}, {fingerprint.bsp or 'unknown system'}"


def _words(profile: LinuxProfile, backend: str, checked: Checked) -> str:
    delegate = profile.backends[backend].delegate
    placement = checked.placement
    where = (
        f"{placement.delegated_nodes} of {len(placement.nodes)} nodes on {delegate.name}" if delegate else "on the CPU"
    )
    load_ms, first_ms = (checked.loaded.load_ns or 0) / 1e6, (checked.first_invoke_ns or 0) / 1e6
    return f"right answers, {where}; load {load_ms:.1f} ms, first invoke {first_ms:.2f} ms"
