"""From the profile of a board with Linux to what its agent is started with: interpreter, options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.boards.linux.board import AgentOptions
from harness.envs.hostenv import ensure_runtime_env

if TYPE_CHECKING:
    from harness.boards.linux.profile import LinuxProfile
    from harness.envs.hostenv import TextProgress


def board_python(profile: LinuxProfile, *, progress: TextProgress | None = None) -> str:
    """The interpreter that the agent is started with. Makes the runtime's environment where the profile asks for one.

    Raises:
        MissingPartError: the runtime cannot be had on this machine.
    """
    if profile.runtime.package:
        return str(ensure_runtime_env(profile.runtime.package, progress=progress).python)
    return str(profile.runtime.python)


def agent_options(profile: LinuxProfile) -> AgentOptions:
    """How the agent is kept and watched."""
    return AgentOptions(
        directory=profile.agent.directory,
        cache_limit_bytes=profile.limits.cache_bytes,
        operation_timeout_s=profile.agent.operation_timeout_s,
        silence_timeout_s=profile.agent.silence_timeout_s,
        graph_cache_limit_bytes=profile.limits.graph_cache_bytes,
        vendor_benchmark=profile.vendor_benchmark,
        fork_server=profile.agent.fork_server,
        sysfs=profile.sensors.sysfs,
        simulated_sensors=profile.sensors.simulated,
    )
