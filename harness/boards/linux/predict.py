"""What is expected of a model on a board with Linux: the facts of its profile, as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.errors import UserInputError
from harness.envs.hostenv import DISTRIBUTIONS, parse_package
from harness.predict.prediction import Target
from harness.tflite.support import known_runtimes

if TYPE_CHECKING:
    from harness.boards.base import BackendSpec
    from harness.boards.linux.profile import LinuxProfile, RuntimeProfile


def linux_target(
    profile: LinuxProfile, backend: BackendSpec, *, runtime: str | None = None, machine: str | None = None
) -> Target:
    """One backend of a device, for `harness.predict.prediction.predict`.

    Args:
        profile, backend: of the device.
        runtime: `NAME VERSION` or `NAME==VERSION`; None: what its link knows, else what the profile says.
        machine: the board's processor family; None: what its link knows.

    Raises:
        UserInputError: no runtime with its version.
    """
    stated, assumed = _stated(runtime or profile.link.runtime()), False
    if stated is None:
        stated, assumed = _of_profile(profile.runtime)
    return Target(
        device=profile.name,
        backend=backend.name,
        runtime=stated,
        runtime_assumed=assumed,
        kernels=backend.kernels,
        machine=machine or profile.link.processor(),
        delegate_name=backend.delegate_name,
        delegate_path=backend.delegate_path,
        delegate_options=backend.delegate_options,
        file_limit_bytes=profile.limits.cache_bytes,
        memory_limit_bytes=profile.limits.ram_bytes,
    )


def _stated(runtime: str | None) -> str | None:
    """`NAME VERSION` of what somebody said."""
    if not runtime:
        return None
    name, _, version = runtime.replace("==", " ").partition(" ")
    if not version.strip():
        raise UserInputError(f"'{runtime}' is no runtime with its version", hint="write NAME==VERSION")
    return f"{name} {version.strip()}"


def _of_profile(runtime: RuntimeProfile) -> tuple[str, bool]:
    """`NAME VERSION` of the profile's runtime, and whether the version is assumed: the newest that is known here."""
    if runtime.package:
        package = parse_package(runtime.package)
        return f"{package.name} {package.version}", False
    name = next(n for n, d in DISTRIBUTIONS.items() if d.module == runtime.module)
    versions = [v for n, v in known_runtimes() if n == name]
    return f"{name} {max(versions, key=lambda v: [int(p) if p.isdigit() else 0 for p in v.split('.')])}", True
