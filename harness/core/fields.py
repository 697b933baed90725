"""Text and numbers that may end up in a path, a process or an address, each checked by a strict pattern.

Types of fields for models of files that users write (`harness.core.located_errors` makes messages of their complaints).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError


class Part(BaseModel):
    """A mapping of a file. Strict: `threads: "4"` is a mistake to point at, not to guess around."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


#: a class of models; fields of some of them are called `type`
ModelClass = type[BaseModel]


class OneOfMany(Part):
    """A mapping of which there are several forms; what stands in it says which."""

    @classmethod
    def form_of(cls, data: Mapping[str, Any]) -> ModelClass:
        """The model of this mapping's form; the class itself where it is none that is known."""
        return cls


def not_allowed(words: str) -> PydanticCustomError:
    """The complaint about one value; `words` says in English what is allowed in its place."""
    return PydanticCustomError("not_allowed", "{words}", {"words": words})


def inconsistent(words: str) -> PydanticCustomError:
    """The complaint about fields that do not go together; `words` is a whole sentence."""
    return PydanticCustomError("inconsistent", "{words}", {"words": words})


def broken(words: str) -> PydanticCustomError:
    """The complaint about a value that is right, but whose part cannot be used here; `words` says why and what to do."""
    return PydanticCustomError("broken", "{words}", {"words": words})


def text(pattern: str, words: str) -> AfterValidator:
    """A validator for text that must match `pattern`; `words` says in English what is allowed."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise not_allowed(words)
        return value

    return AfterValidator(check)


def is_loopback(host: str) -> bool:
    """True when `host` is this machine by its loopback name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?", value):
            words = "a host name or IP address, without user, port or brackets (they have fields of their own)"
            raise not_allowed(words) from None
    return value


Host = Annotated[str, AfterValidator(_check_host)]
Port = Annotated[int, Field(ge=1, le=65535)]
User = Annotated[str, text(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", "a login name of letters, digits, '_', '.' and '-'")]
#: a path on this machine; `~` is expanded where it is used
LocalPath = Annotated[str, text(r"[^\x00-\x1f\x7f]{1,4096}", "a path without control characters")]
EnvName = Annotated[str, text(r"[A-Za-z_][A-Za-z0-9_]{0,127}", "an environment variable's name: letters, digits, '_'")]
Line = Annotated[str, text(r"[^\x00-\x1f\x7f]{1,200}", "one line of text, 1 to 200 characters")]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
