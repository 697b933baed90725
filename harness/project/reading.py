"""From the values of a project file to its settings; every complaint says file, line, column, key and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.core.errors import UserInputError
from harness.core.located_errors import validate
from harness.project.located_toml import locate_toml
from harness.project.settings import Settings


def read_settings(data: dict[str, Any], text: str, path: Path) -> Settings:
    """The settings of a parsed project file.

    Args:
        text: what `data` was parsed from, for the places of what is wrong.

    Raises:
        UserInputError: with every problem on a line of its own.
    """
    try:
        # By way of JSON: there, pydantic's strict mode takes a list for a tuple and a whole number for a float.
        return Settings.model_validate_json(_json(data), strict=True)
    except ValidationError:
        located = locate_toml(text, path)
        located.data = json.loads(_json(located.data))
        return validate(Settings, located)
    except _NoJson as error:
        place = locate_toml(text, path).values.get(error.at)
        what = f"{'.'.join(map(str, error.at))}: found {error.found}; allowed: text, a number, true, false or a list"
        raise UserInputError(what, where=str(place or path)) from None


class _NoJson(Exception):
    """A value that TOML has and a project file does not: a date, or a number that is not finite."""

    def __init__(self, at: tuple[str | int, ...], found: str) -> None:
        super().__init__(found)
        self.at, self.found = at, found


def _json(data: dict[str, Any]) -> str:
    _check(data, ())
    return json.dumps(data)


def _check(node: Any, at: tuple[str | int, ...]) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            _check(value, (*at, key))
    elif isinstance(node, list):
        for position, value in enumerate(node):
            _check(value, (*at, position))
    elif isinstance(node, float) and (node != node or node in (float("inf"), float("-inf"))):
        raise _NoJson(at, f"{node}")
    elif not isinstance(node, (str, int, float, bool)):
        raise _NoJson(at, f"a {type(node).__name__}")
