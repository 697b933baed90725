"""Looks at a board that has no profile yet, and writes one: `harness devices add`.

`devices/linux/probe.py` runs on the board and answers with facts. Facts come from a machine nobody vouches for: they are
checked and clipped, and the profile made of them goes through the same validation as one written by hand.
"""

from __future__ import annotations

import json
import re
import reprlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.boards.base import CACHE_DIR
from harness.boards.linux.profile import LinuxProfile
from harness.core import paths
from harness.core.bounds import MOST_BYTES
from harness.core.errors import StableDeviceError, TransientDeviceError, UserInputError
from harness.core.files import atomic_file
from harness.core.located_errors import validate
from harness.core.located_yaml import parse_yaml
from harness.core.printable import one_line
from harness.links.base import ChannelClosed, ChannelTimeout, Link, SshLink, check_program
from harness.links.bootstrap import COMMAND
from harness.links.framing import FrameError, NoAgent, json_object, read_line, skip_banner

_DEADLINE_S = 120.0
_MAX_ANSWER_BYTES = 64 << 10


@dataclass(frozen=True, kw_only=True)
class KnownDelegate:
    """A delegate library at the path where its vendor's images keep it."""

    path: str
    name: str
    title: str
    env: tuple[tuple[str, str], ...] = ()


#: delegates that need no options to load; the paths are those of NXP's and ST's Yocto images
KNOWN_DELEGATES = (
    KnownDelegate(
        path="/usr/lib/libvx_delegate.so",
        name="vx",
        title="VeriSilicon VX delegate",
        env=(("VIV_VX_ENABLE_CACHE_GRAPH_BINARY", "1"), ("VIV_VX_CACHE_BINARY_GRAPH_DIR", CACHE_DIR)),
    ),
    KnownDelegate(path="/usr/lib/libvx_delegate.so.2", name="vx", title="VeriSilicon VX delegate (STM32MP2)"),
    KnownDelegate(path="/usr/lib/libethosu_delegate.so", name="ethosu", title="Arm Ethos-U delegate (i.MX 93)"),
    KnownDelegate(path="/usr/lib/libneutron_delegate.so", name="neutron", title="NXP Neutron delegate (i.MX 95)"),
)


@dataclass(frozen=True, kw_only=True)
class ModuleFact:
    """A Python module on the board: its version, or why it cannot be imported though it is there."""

    version: str | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class BoardFacts:
    """What a board told of itself; None where it does not tell."""

    machine: str
    hostname: str
    kernel: str
    python: str
    python_version: str
    cpu_count: int
    cpu_model: str | None
    board_model: str | None
    system: str | None
    memory_bytes: int | None
    free_bytes: int | None
    numpy: ModuleFact | None
    runtimes: dict[str, ModuleFact]
    delegates: tuple[KnownDelegate, ...]

    @property
    def module(self) -> str | None:
        """The runtime to use: the newer one where both import."""
        names = ("ai_edge_litert", "tflite_runtime")
        return next((n for n in names if n in self.runtimes and self.runtimes[n].version), None)

    @property
    def problem(self) -> str | None:
        """Why the board cannot be used as it is, or None."""
        version = tuple(int(n) for n in re.findall(r"\d+", self.python_version)[:2])
        if version < (3, 8):
            return f"its {self.python} is Python {self.python_version}; the agent needs 3.8 or newer"
        if self.module is None:
            broken = "; ".join(f"{n} is there but does not import: {f.error}" for n, f in self.runtimes.items())
            return broken or f"{self.python} has neither ai_edge_litert nor tflite_runtime"
        if self.numpy is None or self.numpy.error:
            return f"{self.python} has no numpy that imports{f': {self.numpy.error}' if self.numpy else ''}"
        return None


def probe_board(link: Link, python: str = "python3", *, directory: str | None = None) -> BoardFacts:
    """Asks the board over an open link.

    Args:
        link: an open link.
        python: the interpreter to ask; the one that the profile will name.
        directory: the agent's folder on the board, where free space is looked for; None as in the profile.

    Raises:
        StableDeviceError: no such Python, or an answer that makes no sense.
        TransientDeviceError: the connection was lost, or nothing was heard in time.
    """
    source = (paths.packaged_devices_dir() / "linux" / "probe.py").read_text()
    nonce = f"tflite-hil-harness-probe-{secrets.token_hex(8)}"
    config = {"boot": source, "nonce": nonce, "delegates": [d.path for d in KNOWN_DELEGATES], "directory": directory}
    where = link.description
    channel = link.start([check_program(python), "-c", COMMAND])
    try:
        channel.send([json.dumps(config).encode() + b"\n"], _DEADLINE_S)
        skip_banner(channel, nonce.encode() + b"\n", _DEADLINE_S)
        return _facts(json_object(read_line(channel, _MAX_ANSWER_BYTES, _DEADLINE_S), "it"))
    except (ChannelClosed, NoAgent) as error:
        code = channel.exit_code(2.0)
        said = (channel.stderr_tail() or getattr(error, "banner", "")).strip().splitlines()[-1:]
        detail = said[0][:300] if said else f"exit status {code}"
        if code in (126, 127):
            hint = "name the interpreter with --python, such as --python /opt/venv/bin/python"
            what = f"the board has no {python} that starts: {detail}"
            raise StableDeviceError(what, where=where, hint=hint) from error
        raise TransientDeviceError(f"the board ended the probe: {detail}", where=where) from error
    except ChannelTimeout as error:
        raise TransientDeviceError(f"the board did not answer the probe: {error.what}", where=where) from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, FrameError) as error:
        raise StableDeviceError(f"the board's answer makes no sense: {error}", where=where) from error
    finally:
        channel.close()


def _facts(answer: dict[str, Any]) -> BoardFacts:
    # By name: an image may keep one library under two paths.
    delegates = {d.name: d for d in reversed(KNOWN_DELEGATES) if d.path in set(answer["delegates"])}
    runtimes = {str(name): _module(fact) for name, fact in answer["runtimes"].items()}
    texts = ("machine", "hostname", "kernel", "python", "python_version", "cpu_model", "board_model", "system")
    numbers = ("cpu_count", "memory_bytes", "free_bytes")
    for name in ("machine", "python", "python_version"):
        if not answer[name]:
            raise TypeError(f"it says nothing of its {name}")
    return BoardFacts(
        **{key: _line(answer[key]) for key in texts},  # type: ignore[arg-type]
        **{key: _number(answer[key]) for key in numbers},  # type: ignore[arg-type]
        numpy=_module(answer["numpy"]),
        runtimes={name: fact for name, fact in runtimes.items() if fact is not None},
        delegates=tuple(d for d in KNOWN_DELEGATES if delegates.get(d.name) is d),
    )


def _module(fact: dict[str, str] | None) -> ModuleFact | None:
    return None if fact is None else ModuleFact(version=_line(fact.get("version")), error=_line(fact.get("error")))


def _line(value: Any) -> str | None:
    """One printable line of at most 200 characters.

    Raises:
        TypeError: it is no text.
    """
    if value is not None and not isinstance(value, str):
        raise TypeError(f"found {one_line(reprlib.repr(value), 60)} in place of a text")
    return one_line(value, 200) or None


def _number(value: Any) -> int | None:
    """A count or a size.

    Raises:
        TypeError: it is none that a board can have.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_BYTES:
        raise TypeError(f"found {one_line(reprlib.repr(value), 60)} in place of a number")
    return value


def suggested_name(facts: BoardFacts) -> str:
    """A device name made of the board's model, or of its host name."""
    text = (facts.board_model or facts.hostname or "board").lower()
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")[:40].strip("-") or "board"


def profile_text(facts: BoardFacts, name: str, link: SshLink) -> str:
    """The profile's YAML. Strings are written as JSON strings, which YAML reads unchanged."""
    q = json.dumps
    lines = [
        f"# Written by `harness devices add`. Seen: {facts.system or 'unknown system'}, kernel {facts.kernel},",
        f"# Python {facts.python_version}, {facts.module} {facts.runtimes[facts.module or ''].version}, "
        f"numpy {facts.numpy.version if facts.numpy else None}, {facts.machine}, {facts.cpu_count} cores.",
        f"name: {name}",
        f"title: {q(facts.board_model or facts.hostname or name, ensure_ascii=False)}",
        "kind: linux",
        "link:",
        "  type: ssh",
        f"  host: {q(link.host)}",
    ]
    lines += [f"  port: {link.port}"] if link.port != 22 else []
    lines += [f"  user: {q(link.user)}"] if link.user else []
    lines += ["  key_files:", *[f"    - {q(k, ensure_ascii=False)}" for k in link.key_files]] if link.key_files else []
    if link.jump:
        lines += ["  jump:", f"    host: {q(link.jump.host)}", f"    port: {link.jump.port}"]
        lines += [f"    user: {q(link.jump.user)}"] if link.jump.user else []
    threads = max(1, min(facts.cpu_count or 1, 4))
    cores = f"    threads: {threads}"
    lines += [
        "runtime:",
        f"  module: {facts.module}",
        f"  python: {q(facts.python)}",
        "backends:",
        "  cpu-ref:",
        "    kernels: reference",
        "  cpu:",
        "    kernels: default",
        cores,
    ]
    for position, delegate in enumerate(facts.delegates):
        lines += [
            f"  {'npu' if position == 0 else f'npu-{delegate.name}'}:",
            f"    # {delegate.title}",
            cores,
            "    delegate:",
            f"      path: {delegate.path}",
            f"      name: {delegate.name}",
        ]
        lines += ["    env:", *[f"      {k}: {q(v)}" for k, v in delegate.env]] if delegate.env else []
    lines += ["samples: 1000"]
    if facts.delegates:
        lines += ["deadlines:", "  # an NPU compiles its graph in the first invoke", "  first_invoke_s: 600"]
    return "\n".join(lines) + "\n"


def write_profile(text: str, path: Path) -> LinuxProfile:
    """Validates a profile's text and writes it atomically, in place of what stood there.

    Raises:
        UserInputError: the folder cannot be written; the text does not pass validation, such as for a board with a
            Python at an odd path.
    """
    profile = validate(LinuxProfile, parse_yaml(text, path))
    try:
        with atomic_file(path, "w") as file:
            file.write(text)
    except OSError as error:
        raise UserInputError(f"the profile cannot be written: {error.strerror or error}", where=str(path)) from None
    return profile


def require_usable(facts: BoardFacts, where: str) -> None:
    """Raises a StableDeviceError for a board that cannot run models as it is, with what to install."""
    if facts.problem:
        raise StableDeviceError(
            f"the board answers, but {facts.problem}",
            where=where,
            hint=f"install numpy and ai-edge-litert (or tflite-runtime) for {facts.python} on the board, or name another "
            "interpreter with --python",
        )
