"""Parts that other packages bring, by entry points: found without importing any, and imported when somebody names one.

A plug-in that is broken costs its own name and nothing else: neither listing names nor another plug-in meets its error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

from harness.core.errors import MissingPartError

_loaded: dict[tuple[str, str], object] = {}


@dataclass(frozen=True, kw_only=True)
class _Offer:
    """An entry point and the package that has it, such as `harness-adb 1.0`."""

    point: metadata.EntryPoint
    package: str


def plugin_names(group: str) -> tuple[str, ...]:
    """The names that installed packages offer in a group of entry points, sorted. Nothing is imported."""
    return tuple(sorted({offer.point.name for offer in _offers(group)}))


def load_plugin(group: str, name: str, is_one: Callable[[object], bool], what: str) -> object | None:
    """The object behind an entry point; None when no installed package has one of this name.

    Args:
        group: of entry points, such as `harness.links`.
        name: the entry point's.
        is_one: whether the object is what the group is for.
        what: what it should be, in words, such as "a class derived from LinkProfile".

    Raises:
        MissingPartError: it does not import, is something else, or two packages offer the name. Whatever a package raises
            when it is imported ends up in the message.
    """
    if (group, name) in _loaded:
        return _loaded[group, name]
    offers = [offer for offer in _offers(group) if offer.point.name == name]
    if not offers:
        return None
    if len(offers) > 1:
        packages = " and ".join(sorted(offer.package for offer in offers))
        raise MissingPartError(f"{packages} both bring '{name}'", hint="uninstall one of them")
    (offer,) = offers
    try:
        found = offer.point.load()
    except (Exception, SystemExit) as error:
        raise MissingPartError(
            f"the plug-in '{name}' of {offer.package} does not import: {type(error).__name__}: {error}",
            hint="correct or uninstall the package",
        ) from error
    if not is_one(found):
        raise MissingPartError(
            f"the plug-in '{name}' of {offer.package} is not {what}: {offer.point.value} is {type(found).__name__}",
            hint="correct or uninstall the package",
        )
    _loaded[group, name] = found
    return found


def _offers(group: str) -> Iterator[_Offer]:
    """Entry points of a group, package by package, the first of each name on the search path."""
    seen: set[str] = set()
    for package in metadata.distributions():
        try:
            points = package.entry_points.select(group=group)
            if not points:
                continue
            name, version = package.metadata["Name"], package.version
        except Exception:  # a damaged package of somebody else's must not end what has nothing to do with it
            continue
        if name not in seen:  # an older one further down the search path is hidden
            seen.add(name)
            yield from (_Offer(point=point, package=f"{name} {version}") for point in points)
