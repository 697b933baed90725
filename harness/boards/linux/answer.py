"""What answers of the agent are made of: the types of their fields, and the model that all of them derive from."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FailFast, Field

from harness.core.bounds import MOST_BYTES, MOST_NS
from harness.core.printable import one_line

#: what is kept of an error's words
_MOST_WORDS = 4_000
#: degrees Celsius that a processor can have; a sensor that says otherwise is broken, and tells nothing
_TEMPERATURES_C = (-100.0, 250.0)


class _FirstError(FailFast):
    """Ends at the first wrong item: a million of them would be a million complaints."""

    __hash__ = object.__hash__  # the types that it stands in are members of unions


FIRST_ERROR = _FirstError()


def _whole(value: Any) -> Any:
    """A text without halves of surrogate pairs: a board's file names and messages may hold bytes that are no UTF-8."""
    if isinstance(value, str) and not value.isprintable():
        return value.encode("utf-8", "replace").decode()
    return value


Text = Annotated[str, BeforeValidator(_whole)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: one line about the board, as its fingerprint has it
Fact = Annotated[Text, AfterValidator(lambda text: one_line(text, 200))]
Words = Annotated[Text, AfterValidator(lambda text: text[:_MOST_WORDS])]
Path = Annotated[str, Field(pattern=r"^/[^\x00-\x1f\x7f]{1,4095}$")]
Nanoseconds = Annotated[int, Field(ge=0, le=MOST_NS)]
Bytes = Annotated[int, Field(ge=0, le=MOST_BYTES)]
Index = Annotated[int, Field(ge=0, lt=2**31)]


def _believable(celsius: float) -> float | None:
    low, high = _TEMPERATURES_C
    return celsius if low <= celsius <= high else None


Celsius = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_believable)]


class Answer(BaseModel):
    """A frame's header. Strict: a text is no number, and `true` is not 1."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)
