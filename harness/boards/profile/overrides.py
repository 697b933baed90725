"""Fields of a profile that its `emulation:` block changes for the twin."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.core.errors import UserInputError


def checked_override(key: str, value: Any, field: Any, *, where: str) -> Any:
    """An override in the form that the profile's own field has.

    Args:
        key: the field's name in the block.
        value: what stands there.
        field: the type of the profile's field.
        where: the profile's file, for errors.

    Raises:
        UserInputError: it is not what that field allows.
    """
    try:
        # Through JSON, in which a list may become a tuple although the models are strict, as it may from YAML.
        return TypeAdapter(field).validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in (key, *first["loc"]))
        raise UserInputError(
            f"{name}: {first['msg']}", where=where, hint="docs/reference/devices.md has the fields"
        ) from None
