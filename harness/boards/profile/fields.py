"""Values that a device profile may hold: names in tables, paths on a board, options of a delegate."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from harness.boards.base import CACHE_DIR
from harness.core.errors import UserInputError
from harness.core.fields import not_allowed, text
from harness.envs.hostenv import parse_package


def _check_package(value: str) -> str:
    try:
        parse_package(value)
    except UserInputError as error:
        raise not_allowed(str(error)) from None
    return value


def _number_to_text(value: Any) -> Any:
    """Delegate options and environment variables are text on the board; a plain number in the file means its digits."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_samples(value: Any) -> Any:
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise not_allowed("`all` or a whole number from 1")


def _check_affinity(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(value)) != len(value):
        raise not_allowed("each CPU number once")
    return value


def _check_placeholders(value: str) -> str:
    """`{name}` stands for something that only the board knows; other braces are plain text, such as JSON's."""
    unknown = [name for name in re.findall(r"\{[A-Za-z_][A-Za-z0-9_]*\}", value) if name != CACHE_DIR]
    if unknown:
        raise not_allowed(
            f"no placeholder but {CACHE_DIR}, the agent's own folder for compiled graphs; {unknown[0]} is unknown"
        )
    return value


_BOARD_PATH = r"(?!.*/\.\.(/|$))(/[A-Za-z0-9._+@-]+)+"
_BOARD_PATH_WORDS = "an absolute path of letters, digits and ._+@-, without '..'"

DeviceName = Annotated[
    str,
    text(
        r"[a-z0-9][a-z0-9._-]{0,62}",
        "1 to 63 small letters, digits, '.', '_' and '-', starting with a letter or digit",
    ),
]
BackendName = Annotated[str, text(r"[a-z0-9][a-z0-9_-]{0,31}", "1 to 32 small letters, digits, '_' and '-'")]
DelegateName = Annotated[str, text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", "1 to 32 letters, digits, '.', '_' and '-'")]
#: a path on the board; it is part of what runs there
BoardPath = Annotated[str, text(_BOARD_PATH, _BOARD_PATH_WORDS)]
VendorBenchmark = Annotated[str, text(rf"none|{_BOARD_PATH}", f"`none`, or {_BOARD_PATH_WORDS}")]
#: a file below the root of a board's sensors, and what it holds; a plain number means its digits
SensorFile = Annotated[
    str,
    text(
        r"(?!.*(^|/)\.\.?(/|$))[A-Za-z0-9._:+@-]{1,64}(/[A-Za-z0-9._:+@-]{1,64}){0,9}",
        "a path below the root of letters, digits and ._:+@-, without '..'",
    ),
]
SensorText = Annotated[
    str, BeforeValidator(_number_to_text), text(r"[^\x00-\x1f\x7f]{0,256}", "one line of at most 256 characters")
]
OptionName = Annotated[str, text(r"[A-Za-z0-9_.-]{1,128}", "an option's name: letters, digits, '_', '.' and '-'")]
Value = Annotated[
    str,
    BeforeValidator(_number_to_text),
    text(r"[^\x00-\x1f\x7f]{0,4096}", "one line of text"),
    AfterValidator(_check_placeholders),
]
Affinity = Annotated[tuple[Annotated[int, Field(ge=0, le=1023)], ...], AfterValidator(_check_affinity)]
Samples = Annotated[Any, AfterValidator(_check_samples)]
#: a pinned runtime, such as `tflite-runtime==2.14.0`
Package = Annotated[str, AfterValidator(_check_package)]
