"""From a profile to a board that is ready to connect: address, runtime environment, link."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from harness.boards.base import BackendSpec, Board
from harness.boards.estimate.board import EstimateBoard, compiler_packages
from harness.boards.mcu.profile import McuProfile, MlperfTinyProfile, SerialProfile
from harness.boards.profile.model import LocalLinkProfile, Profile, SshLinkProfile, is_loopback
from harness.core.errors import HarnessError, UserInputError, unknown_name
from harness.emulation.linux.twin import is_qemu_twin
from harness.envs.hostenv import TextProgress, ensure_runtime_env, env_unavailable_reason

if TYPE_CHECKING:
    from harness.links.base import Link, LinkSettings, SshLink


@dataclass(frozen=True, kw_only=True)
class Availability:
    """Whether a device can be tried at all; `reason` says why not. Nothing was connected to find out."""

    ok: bool
    reason: str | None = None


def availability(profile: Profile) -> Availability:
    """A cheap look: kind, address, key files, a Python for the runtime. The board itself is not asked."""
    try:
        if isinstance(profile, SerialProfile):
            from harness.boards.mcu.lines import mcu_unavailable_reason

            reason = mcu_unavailable_reason(profile)
            return Availability(ok=reason is None, reason=reason)
        if is_qemu_twin(profile):
            from harness.emulation.tools import require_tools

            require_tools()
        link_settings(profile)
    except HarnessError as error:
        return Availability(ok=False, reason=str(error))
    package = compiler_packages(profile)[0] if profile.estimated else profile.runtime.package
    reason = env_unavailable_reason(package) if package else None
    return Availability(ok=reason is None, reason=reason)


def link_of(profile: Profile, *, progress: TextProgress | None = None) -> Link:
    """The link to a device, not yet open; an emulated twin's starts its machine when it is opened.

    Raises:
        UserInputError: no address; a key file that is not there.
    """
    if is_qemu_twin(profile):
        from harness.emulation.linux.twin import EmulatedLink

        return EmulatedLink(profile, progress)
    from harness.links.base import make_link

    return make_link(link_settings(profile))


def connect(profile: Profile, *, progress: TextProgress | None = None) -> Board:
    """The board of a profile, ready for its `connect()`. Makes the runtime's environment on this machine where the
    profile asks for one (about 20 s the first time; `progress` is told).

    Raises:
        UserInputError: no address; a key file that is not there.
        MissingPartError: the runtime cannot be had on this machine.
    """
    from harness.boards.linux.board import AgentOptions, LinuxBoard

    if profile.estimated:
        return EstimateBoard(profile)
    if isinstance(profile, McuProfile):
        from harness.boards.mcu.board import McuBoard
        from harness.boards.mcu.lines import line_of

        return McuBoard(profile, line_of(profile, progress=progress))
    if isinstance(profile, MlperfTinyProfile):
        from harness.boards.mcu.lines import serial_address
        from harness.boards.mlperf_tiny.board import MlperfTinyBoard

        return MlperfTinyBoard(profile, serial_address(profile))
    link = link_of(profile, progress=progress)
    if profile.runtime.package:
        python = str(ensure_runtime_env(profile.runtime.package, progress=progress).python)
    else:
        python = str(profile.runtime.python)
    options = AgentOptions(
        directory=profile.agent.directory,
        cache_limit_bytes=profile.limits.cache_bytes,
        operation_timeout_s=profile.agent.operation_timeout_s,
        silence_timeout_s=profile.agent.silence_timeout_s,
        graph_cache_limit_bytes=profile.limits.graph_cache_bytes,
        vendor_benchmark=profile.vendor_benchmark,
        fork_server=profile.agent.fork_server,
    )
    return LinuxBoard(
        name=profile.name, link=link, runtime_module=profile.runtime.module, python=python, options=options
    )


def backend_spec(profile: Profile, name: str) -> BackendSpec:
    """One backend of a device, in the words of the board seam.

    Raises:
        UserInputError: the device has no such backend.
    """
    if name not in profile.backends:
        raise unknown_name(f"backend of {profile.name}", name, profile.backends)
    backend = profile.backends[name]
    delegate = backend.delegate
    return BackendSpec(
        name=name,
        kernels=backend.kernels,
        threads=0 if profile.estimated or isinstance(profile, SerialProfile) else backend.threads,
        affinity=() if profile.estimated else backend.affinity,
        delegate_path=delegate.path if delegate else None,
        delegate_name=delegate.name if delegate else None,
        delegate_options=dict(delegate.options) if delegate else {},
        env=dict(backend.env),
        compiler=backend.compile.vela_options() if backend.compile else None,
    )


def link_settings(profile: Profile, environ: Mapping[str, str] | None = None) -> LinkSettings:
    """How to reach the board: the profile's link with the environment's values in place.

    Args:
        profile: the device.
        environ: instead of this process's environment.

    Raises:
        UserInputError: no address or port, a value of the environment that is none, a key file that is not there.
    """
    from harness.links.base import LocalLink

    if isinstance(profile.link, LocalLinkProfile):
        return LocalLink()
    if isinstance(profile, SerialProfile):
        raise UserInputError("a microcontroller has a serial line and nothing to log in to", where=profile.name)
    return _ssh_settings(profile, profile.link, os.environ if environ is None else environ)


def require_address(profile: Profile) -> None:
    """Ends a command before anything is built when a device has no address or port.

    Raises:
        UserInputError: says which variable to set, or which line to write where.
    """
    if not isinstance(profile, SerialProfile):
        link_settings(profile)
    elif not profile.emulated:
        from harness.boards.mcu.lines import serial_address

        serial_address(profile)


def _ssh_settings(profile: Profile, link: SshLinkProfile, environ: Mapping[str, str]) -> SshLink:
    from harness.links.base import Jump, SshLink

    host = _from_environment(profile, "host", link.host_env, environ) or link.host
    if not host:
        raise _no_value(profile, "address", link.host_env, "host: 192.0.2.7")
    port_text = _from_environment(profile, "port", link.port_env, environ)
    port = int(port_text) if port_text else link.port
    if port is None and link.port_env:
        raise _no_value(profile, "port", link.port_env, "port: 2222")
    if profile.runtime.package and not is_loopback(host):
        raise UserInputError(
            f"`runtime.package` is installed on this machine, but {host} is not it",
            where=_where(profile),
            hint="name the board's own interpreter with `runtime.python`",
        )
    key = _from_environment(profile, "key", link.key_env, environ)
    key_files = tuple(str(Path(k).expanduser()) for k in ((key,) if key else link.key_files))
    for path in key_files:
        if not Path(path).is_file():
            source = f"${link.key_env}" if key else "`link.key_files`"
            raise UserInputError(f"the key file {path} does not exist", where=profile.name, hint=f"correct {source}")
    jump = link.jump
    return SshLink(
        host=host,
        port=port or 22,
        user=_from_environment(profile, "user", link.user_env, environ) or link.user,
        key_files=key_files,
        use_agent=link.use_agent,
        password_env=link.password_env,
        jump=Jump(host=jump.host, port=jump.port, user=jump.user) if jump else None,
        connect_timeout_s=link.connect_timeout_s,
        keepalive_s=link.keepalive_s,
        device=profile.name,
    )


def _from_environment(profile: Profile, field: str, variable: str | None, environ: Mapping[str, str]) -> str | None:
    """The value of a variable that the profile names, checked like the field it stands for; None when unset or empty."""
    value = environ.get(variable, "") if variable else ""
    if not value:
        return None
    sample: dict[str, object] = {"type": "ssh", "host": "board"}
    name = "key_files" if field == "key" else field
    try:
        sample[name] = int(value) if field == "port" else [value] if field == "key" else value
        SshLinkProfile.model_validate_json(json.dumps(sample), strict=True)
    except (ValidationError, ValueError):
        what = f"${variable} holds {value!r}, which is no {field}"
        raise UserInputError(what, where=profile.name, hint=f"correct or unset {variable}") from None
    return value


def _no_value(profile: Profile, what: str, variable: str | None, line: str) -> UserInputError:
    """No address: says exactly which variable to set, or which line to write into which file."""
    local = profile.origin.local_path if profile.origin else Path("devices/local.yaml")
    entry = f"`{profile.name}: {{link: {{{line}}}}}`"
    set_it = f"set {variable}, or " if variable else ""
    return UserInputError(
        f"no {what} is known{f': {variable} is not set' if variable else ''}",
        where=profile.name,
        hint=f"{set_it}write the line {entry} into {local}",
    )


def _where(profile: Profile) -> str:
    return str(profile.origin.path) if profile.origin else profile.name
