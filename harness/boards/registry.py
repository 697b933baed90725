"""Which kinds of boards there are: those that come with the harness, and those of other packages (group `harness.boards`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from harness.boards.kind import BoardKind
from harness.core.errors import MissingPartError, UserInputError
from harness.core.plugins import load_plugin, plugin_names

if TYPE_CHECKING:
    from harness.boards.profile.model import Profile
    from harness.core.located_yaml import LocatedData

#: entry points of this group are objects of a class derived from BoardKind; an entry point's name stands in `kind:`
GROUP = "harness.boards"
#: `kind:` of a profile that does not say
DEFAULT = "linux"

_KIND = "harness.boards.{}.kind"
#: the packages of the harness for each word in `kind:`, those that take only some of its profiles first
_BUILT_IN = {"linux": ("estimate", "linux"), "mcu": ("mlperf_tiny", "mcu")}
#: those that make twins of other kinds' boards
_TWIN_MAKERS = ("estimate",)

Kind = BoardKind[Any]


def kind_for(located: LocatedData) -> Kind:
    """The kind of a profile file.

    Raises:
        UserInputError: an unknown kind, or one whose package is broken, with the line.
    """
    word = located.data.get("kind", DEFAULT)
    where = str(located.values.get(("kind",), located.values[()]))
    try:
        for kind in _kinds_named(word):
            if kind.takes(located.data):
                return kind
    except MissingPartError as error:
        raise UserInputError(f"kind: {error.what}", where=where, hint=error.hint) from None
    what = f"kind: found {json.dumps(word, default=str)}; allowed: {_choice(kind_names())}"
    raise UserInputError(what, where=where, hint="a package can bring others (docs/guides/adding-a-board-kind.md)")


def kind_of(profile: Profile) -> Kind:
    """The kind of a device; a twin may be of another kind than its board."""
    for kind in (*_kinds_named(profile.kind), *_twin_makers()):
        if isinstance(profile, kind.profile_model):
            return kind
    raise UserInputError(f"no kind of board has profiles like this one ({profile.kind})", where=profile.where)


def twin_kind(profile: Profile) -> Kind:
    """The kind that makes the twin of a board with an `emulation:` block: by the machine that it names, else the board's own."""
    machine = (profile.emulation or {}).get("machine")
    return next((kind for kind in _twin_makers() if machine in kind.twin_machines), None) or kind_of(profile)


def kind_names() -> list[str]:
    """What may stand in `kind:`: the harness's own words, and whatever other packages offer."""
    return [*_BUILT_IN, *(name for name in plugin_names(GROUP) if name not in _BUILT_IN)]


def _kinds_named(word: Any) -> Iterator[Kind]:
    """The kinds that share a word. Only their own modules are imported.

    Raises:
        MissingPartError: another package offers the word, and does not import or is no kind of board.
    """
    if not isinstance(word, str):
        return
    if word in _BUILT_IN:
        yield from map(_built_in, _BUILT_IN[word])
    else:
        found = load_plugin(
            GROUP, word, lambda kind: isinstance(kind, BoardKind), "an object of a class derived from BoardKind"
        )
        if found is not None:
            yield cast(Kind, found)


def _twin_makers() -> Iterator[Kind]:
    yield from map(_built_in, _TWIN_MAKERS)


def _built_in(package: str) -> Kind:
    return import_module(_KIND.format(package)).KIND


def _choice(names: list[str]) -> str:
    """`'a', 'b' or 'c'`."""
    quoted = [f"'{name}'" for name in names]
    return " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))
