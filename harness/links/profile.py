"""The `link:` block of a device profile: one class per `type:`, which checks what stands there and makes the link of it.

A new type is a class derived from one of the two families here, offered by a package's entry point in the group `harness.links`
(docs/guides/adding-a-link.md). Fields that can end up in a process or an address have types of `harness.core.fields`.
"""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import SerializeAsAny, TypeAdapter, ValidationError, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError

from harness.core.errors import MissingPartError, UserInputError
from harness.core.fields import ModelClass, OneOfMany, broken, not_allowed

if TYPE_CHECKING:
    from harness.links.base import Link, SshLink
    from harness.links.serial.line import Line


@dataclass(frozen=True, kw_only=True)
class LinkPlace:
    """The device that a `link:` block belongs to: what its errors, hints and environment variables are about.

    Attributes:
        device: its name.
        local_file: where the user's own overrides of the profile stand, or would stand.
        environ: environment variables; a block may name some that win over its fields.
        has_twin: whether the device has an emulated twin, which needs no address.
        say: told of long waits.
    """

    device: str
    local_file: Path = Path("devices/local.yaml")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    has_twin: bool = False
    say: Callable[[str], None] | None = None

    def from_environment(self, variable: str | None, field: Any, what: str) -> Any:
        """The value of an environment variable, checked like the field that it stands for.

        Args:
            variable: the one that the block names; None: it names none.
            field: the field's type, such as `harness.core.fields.Host`.
            what: what it should be, such as "host".

        Returns:
            The value; None when the variable is not set or empty.

        Raises:
            UserInputError: it holds something else.
        """
        value = self.environ.get(variable, "") if variable else ""
        if not value:
            return None
        try:
            return TypeAdapter(field).validate_strings(value)
        except ValidationError as error:
            raise UserInputError(
                f"${variable} holds {value!r}, which is no {what}",
                where=self.device,
                hint=f"{error.errors()[0]['msg']}; correct or unset {variable}",
            ) from None

    def no_value(self, what: str, variable: str | None, line: str, *, twin_helps: bool = False) -> UserInputError:
        """The error for an address that nobody has said: exactly which variable to set, or which line to write where.

        Args:
            what: such as "address".
            variable: the environment variable that the block names.
            line: the missing line of the block, such as `host: 192.0.2.7`.
            twin_helps: say that an emulated twin needs none, where there is one.
        """
        entry = f"`{self.device}: {{link: {{{line}}}}}`"
        set_it = f"set {variable}, or " if variable else ""
        twin = "; --emulated runs on its emulated twin, which needs none" if twin_helps and self.has_twin else ""
        return UserInputError(
            f"no {what} is known{f': {variable} is not set' if variable else ''}",
            where=self.device,
            hint=f"{set_it}write the line {entry} into {self.local_file}{twin}",
        )


class LinkProfile(OneOfMany):
    """What all types have in common. `place` is the device that the block belongs to."""

    type: str

    @classmethod
    def form_of(cls, data: Mapping[str, Any]) -> ModelClass:
        """The class of the block's `type:`."""
        from harness.links.registry import link_class

        try:
            return link_class(data.get("type"), cls) or cls
        except MissingPartError:
            return cls

    def require_address(self, place: LinkPlace) -> None:
        """Makes sure that it is known where the board is. Nothing is connected.

        Raises:
            UserInputError: it is not, with what to set or to write where; a value of the environment that is none.
        """
        return None

    def require_parts(self, place: LinkPlace) -> None:
        """Makes sure that this machine has what the link is made with, such as a program.

        Raises:
            MissingPartError: the hint says how to get it.
        """
        return None

    def absence(self, place: LinkPlace) -> str | None:
        """Why the board is plainly not there now, as this machine knows without connecting; None: nothing speaks against it."""
        return None

    def text(self, place: LinkPlace) -> str:
        """How the board is reached, in a few words, for `harness devices list`."""
        return self.type

    def ssh(self, place: LinkPlace) -> SshLink | None:
        """The SSH connection that the link is, whose host keys have to be pinned; None for any other link.

        Raises:
            UserInputError: as `require_address`.
        """
        return None


class ProgramLinkProfile(LinkProfile):
    """A link that starts programs on the board and gives their standard streams: what boards with an operating system need."""

    @abstractmethod
    def make_link(self, place: LinkPlace) -> Link:
        """The link, not yet open.

        Raises:
            UserInputError: as `require_address`.
        """

    def other_machine(self, environ: Mapping[str, str] | None = None) -> str | None:
        """What to call the machine on which the link starts programs; None where it is this one. Without `environ` by what
        stands in the file alone: None where that does not say.
        """
        return f"the board behind a link of the type {self.type}"

    def processor(self) -> str | None:
        """The processor family of that machine as `uname -m` says it, where it is known without asking."""
        return None

    def runtime(self) -> str | None:
        """The runtime on that machine as `NAME==VERSION`, where it is known without asking."""
        return None

    def with_runtime(self, package: str) -> ProgramLinkProfile | None:
        """The same link to a machine that is made with this runtime; None where the machine is there and has its own."""
        return None


class LineLinkProfile(LinkProfile):
    """A link that carries a serial line: what microcontrollers need.

    Attributes:
        takes_programs: what is behind the line can be given another program through it, as an emulated board can.
    """

    takes_programs: ClassVar[bool] = False

    @abstractmethod
    def make_line(self, place: LinkPlace) -> Line:
        """The line, not yet open.

        Raises:
            UserInputError: as `require_address`.
        """


Family = TypeVar("Family", bound=LinkProfile)


def _chosen(family: type[Family]) -> WrapValidator:
    """Validates a block as the class of its `type:`, which must be of the family."""

    def validate(value: Any, handler: Callable[[Any], Any]) -> Any:
        if isinstance(value, family) or not isinstance(value, dict):
            return handler(value)
        return _class_of(value, family).model_validate_json(json.dumps(value), strict=True)

    return WrapValidator(validate)


def _class_of(block: dict[str, Any], family: type[Family]) -> type[LinkProfile]:
    """The class of a block.

    Raises:
        ValidationError: no type, an unknown one, one of another family, or one whose plug-in is broken.
    """
    from harness.links.registry import link_class, link_types

    if "type" not in block:
        raise _complaint(block, "union_tag_not_found", {"discriminator": "'type'"})
    known = ", ".join(f"'{name}'" for name in link_types(family))
    try:
        found = link_class(block["type"], LinkProfile)
    except MissingPartError as error:
        raise _complaint_of_type(block, broken(str(error))) from None
    if found is None:
        tags = f"{known}; a package can bring others (docs/guides/adding-a-link.md)"
        context = {"discriminator": "'type'", "tag": str(block["type"]), "expected_tags": tags}
        raise _complaint(block, "union_tag_invalid", context)
    if not issubclass(found, family):
        needs = "starts programs" if issubclass(ProgramLinkProfile, family) else "carries a serial line"
        raise _complaint_of_type(block, not_allowed(f"{known}: this kind of board needs a link that {needs}"))
    return found


def _complaint(block: dict[str, Any], kind: str, context: dict[str, Any]) -> ValidationError:
    details = InitErrorDetails(type=kind, loc=(), input=block, ctx=context)
    return ValidationError.from_exception_data("link", [details])


def _complaint_of_type(block: dict[str, Any], complaint: PydanticCustomError) -> ValidationError:
    details = InitErrorDetails(type=complaint, loc=("type",), input=block["type"])
    return ValidationError.from_exception_data("link", [details])


#: a profile's field for a link of either family
ProgramLink = Annotated[SerializeAsAny[ProgramLinkProfile], _chosen(ProgramLinkProfile)]
LineLink = Annotated[SerializeAsAny[LineLinkProfile], _chosen(LineLinkProfile)]
