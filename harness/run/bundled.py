"""The models of a bundle that a run wants."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from harness.core.errors import unknown_name
from harness.prepare.prepared import PreparedModel


def bundle_models(folder: Path, workloads: Sequence[str], recipes: Sequence[str]) -> list[PreparedModel]:
    """Reads a bundle and picks from it; no workloads or no recipes means all that are in it.

    Raises:
        UserInputError: a damaged bundle, or a workload or recipe that is not in it; what is in it is suggested.
    """
    from harness.prepare.bundle import read_bundle

    models = list(read_bundle(folder).models)
    for workload in workloads:
        if workload not in {m.workload for m in models}:
            raise unknown_name("workload of the bundle", workload, {m.workload for m in models})
    names = _recipes(recipes, {m.recipe for m in models})
    return [m for m in models if (not workloads or m.workload in workloads) and m.recipe in names]


def _recipes(patterns: Sequence[str], known: set[str]) -> set[str]:
    """The recipes of the bundle that names, globs, `core` and `all` stand for."""
    from harness.variants.recipe import CORE

    if not patterns or "all" in patterns:
        return known
    chosen: set[str] = set()
    for pattern in patterns:
        if pattern == "core":
            found = known & set(CORE)
        else:
            found = {n for n in known if fnmatch.fnmatchcase(n, pattern.replace("[", "[[]"))}
        if not found:
            raise unknown_name("recipe of the bundle", pattern, known)
        chosen |= found
    return chosen
