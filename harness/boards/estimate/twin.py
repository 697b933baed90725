"""The twin `NAME@vela` of a board: the backends that have a `compile:` block, with what the compiler says of a model."""

from __future__ import annotations

from harness.boards.estimate.profile import EstimateProfile
from harness.boards.profile.model import Profile
from harness.boards.registry import kind_of
from harness.core.errors import UserInputError

#: the suffix of such a twin's device id
SUFFIX = "@vela"
#: `emulation.machine` of such a twin
MACHINE = "vela-estimate"


def estimate_twin(profile: Profile) -> EstimateProfile:
    """The twin of a board whose `emulation:` block names the machine `vela-estimate`.

    Raises:
        UserInputError: other keys in the block, or no backend with a `compile:` block.
    """
    others = sorted(set(profile.emulation or {}) - {"machine"})
    if others:
        what = f"emulation: {', '.join(others)} means nothing to an estimate, which has no machine"
        raise UserInputError(what, where=profile.where, hint=f"keep only `machine: {MACHINE}`")
    backends = {name: backend for name, backend in profile.backends.items() if backend.compile is not None}
    if not backends:
        what = f"{profile.name} has no backend with a `compile:` block, so there is nothing to estimate"
        raise UserInputError(what, where=profile.where, hint="add the block, or remove `emulation:`")
    twin = EstimateProfile.model_construct(
        name=f"{profile.name}{SUFFIX}",
        title=f"{profile.title}: estimates of Vela, nothing runs",
        kind=profile.kind,
        backends=backends,
        samples=profile.samples,
        deadlines=profile.deadlines,
        limits=profile.limits,
        power=profile.power,
    )
    return twin.standing_for(kind_of(profile).runtime_text(profile)).from_file(profile.origin)
