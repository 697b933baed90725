"""The `flash:` block of a device profile: `{tool: pyocd, target: ...}` or `{command: [...]}` (docs/guides/cortex-m.md)."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, WrapValidator, model_validator

from harness.core.fields import Line, LocalPath, ModelClass, OneOfMany, Seconds, inconsistent, text

if TYPE_CHECKING:
    from harness.flash.base import Flasher

#: what stands for the image in an argument of a command
PLACEHOLDERS = ("{elf}", "{bin}", "{address}")
_WORD = text(r"[A-Za-z0-9_.:+@-]{1,120}", "letters, digits and _ . : + @ -")
Word = Annotated[str, _WORD]
Argument = Annotated[str, text(r"[^\x00-\x1f\x7f]{1,4096}", "text without control characters")]


class FlashProfile(OneOfMany):
    """What both forms have.

    Attributes:
        board: the port of the firmware to build, by its name or its folder (from the profile's file on).
        image: in its place: an ELF that is there already, built from the harness's sources.
        timeout_s: for the tool.
    """

    board: Line | None = None
    image: LocalPath | None = None
    timeout_s: Seconds = 180.0

    @classmethod
    def form_of(cls, data: Mapping[str, Any]) -> ModelClass:
        """By the field that only one of the two has."""
        return CommandProfile if "command" in data else PyocdProfile

    @abstractmethod
    def flasher(self, device: str) -> Flasher:
        """The tool, for a device of this name."""

    @model_validator(mode="after")
    def _one_program(self) -> FlashProfile:
        if self.board is not None and self.image is not None:
            raise inconsistent("`flash` has a `board` to build for or an `image` that is built already, not both")
        return self


class PyocdProfile(FlashProfile):
    """By a debug probe, with pyOCD (the extra `pyocd`).

    Attributes:
        target: pyOCD's name of the chip (`pyocd list --targets`).
        probe: the unique id of the probe, or a part that only it has; None: the only one that is connected.
        frequency_hz: of the debug port.
    """

    tool: Literal["pyocd"]
    target: Word
    probe: Word | None = None
    frequency_hz: Annotated[int, Field(ge=1_000, le=100_000_000)] | None = None

    def flasher(self, device: str) -> Flasher:
        from harness.flash.pyocd import PyocdFlasher

        return PyocdFlasher(self, device)


class CommandProfile(FlashProfile):
    """By a program of the user's: its arguments, one by one, no shell. `{elf}`, `{bin}` and `{address}` in them become the
    image's files and the address of its bare bytes.
    """

    command: Annotated[tuple[Argument, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_the_image(self) -> CommandProfile:
        if not any(name in argument for argument in self.command[1:] for name in ("{elf}", "{bin}")):
            raise inconsistent(
                "no argument of `flash.command` names the image: write {elf} or {bin} where its file belongs"
            )
        return self

    def flasher(self, device: str) -> Flasher:
        from harness.flash.command import CommandFlasher

        return CommandFlasher(self, device)


def _choose(value: Any, handler: Callable[[Any], Any]) -> Any:
    if isinstance(value, FlashProfile) or not isinstance(value, dict):
        return handler(value)
    return FlashProfile.form_of(value).model_validate_json(json.dumps(value), strict=True)


#: a profile's field for either form
Flash = Annotated[SerializeAsAny[FlashProfile], WrapValidator(_choose)]
