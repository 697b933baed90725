"""What an artifact was built by, as data that outlives the tables: the recipe's definition, its schedule, the packages.

A name says little of a recipe a year later: its row in the tables may be another one, and so may the converter. What is stored
with every cell tells the two apart, and builds the old row again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.core.errors import UserInputError
from harness.core.plain import from_plain, to_plain
from harness.variants.artifact import AS_IS, Artifact
from harness.variants.recipe import Recipe, parse_recipe

#: what a definition is made of
RECIPE, SCHEDULE, PACKAGES = "recipe", "schedule", "packages"


def definition_of(artifact: Artifact) -> dict[str, Any] | None:
    """The definition of an artifact, JSON values; None of a finished file, and of one that another harness's tables built."""
    manifest = artifact.manifest
    if artifact.recipe == AS_IS or "conversion" not in manifest:
        return None
    try:
        recipe = parse_recipe(artifact.recipe)
    except UserInputError:
        return None
    if json.loads(json.dumps(recipe.conversion.to_json())) != manifest["conversion"]:
        return None
    return {
        RECIPE: to_plain(recipe, {}, RECIPE),
        SCHEDULE: manifest.get(SCHEDULE),
        PACKAGES: manifest.get(PACKAGES) or {},
    }


def recipe_of(definition: Mapping[str, Any]) -> Recipe:
    """The recipe of a stored definition.

    Raises:
        UserInputError: it is none that this harness can read.
    """
    try:
        return from_plain(Recipe, definition[RECIPE], {})
    except (ValueError, KeyError, TypeError) as error:
        raise UserInputError(f"the stored definition of a recipe cannot be read ({error})") from error


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What of a definition is another one, in words: `conversion.per_channel true -> false`, `tensorflow 2.20.0 -> 2.21.0`."""
    old, new = (_flat({part: one.get(part) or {} for part in (RECIPE, SCHEDULE, PACKAGES)}) for one in (before, after))
    names = [*old, *(name for name in new if name not in old)]
    return [
        f"{name} {_shown(old.get(name))} -> {_shown(new.get(name))}" for name in names if old.get(name) != new.get(name)
    ]


def _flat(definition: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in definition.items():
        # `recipe.` and `packages.` say nothing that the names below them do not.
        below = path if not path and name in (RECIPE, PACKAGES) else f"{path}{name}."
        if isinstance(value, Mapping):
            found |= _flat(value, below)
        else:
            found[below.rstrip(".")] = value
    return found


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
