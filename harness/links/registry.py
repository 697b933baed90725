"""Which types of links there are: those that come with the harness, and those of other packages (group `harness.links`)."""

from __future__ import annotations

from importlib import import_module
from typing import Any, TypeVar, cast

from harness.core.plugins import load_plugin, plugin_names
from harness.links.profile import LinkProfile

#: entry points of this group are classes derived from LinkProfile; an entry point's name is the `type:` in a profile
GROUP = "harness.links"

_BUILT_IN = {
    "local": ("harness.links.local", "LocalLinkProfile"),
    "ssh": ("harness.links.ssh.profile", "SshLinkProfile"),
    "serial": ("harness.links.serial.profile", "SerialLinkProfile"),
}

Family = TypeVar("Family", bound=LinkProfile)


def link_class(name: Any, family: type[Family]) -> type[Family] | None:
    """The class of a `type:`; None when there is none of this name in the family. Only its own module is imported.

    Raises:
        MissingPartError: another package offers the name, and does not import or is no link.
    """
    if not isinstance(name, str):
        return None
    found: type[LinkProfile] | None
    if name in _BUILT_IN:
        found = _built_in(name)
    else:
        found = cast("type[LinkProfile] | None", load_plugin(GROUP, name, _is_link, "a class derived from LinkProfile"))
    return found if found is not None and issubclass(found, family) else None


def link_types(family: type[LinkProfile]) -> list[str]:
    """The names that a profile may use: the harness's own of the family, and whatever other packages offer."""
    own = [name for name in _BUILT_IN if issubclass(_built_in(name), family)]
    return [*own, *(name for name in plugin_names(GROUP) if name not in _BUILT_IN)]


def _built_in(name: str) -> type[LinkProfile]:
    module, attribute = _BUILT_IN[name]
    return getattr(import_module(module), attribute)


def _is_link(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, LinkProfile)
