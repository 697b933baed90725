"""A device's profile without what names people and places, and those values, so that they can be taken out of other texts.

Fields are shown by name; whatever is not known to be harmless is hidden, also what a board kind of somebody else's brings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Any

from harness.boards.profile.model import Profile
from harness.core.redact import Redactor

#: fields that are shown, dots between their parts; texts among them still go through the redactor
_SHOWN = (
    "name",
    "title",
    "kind",
    "core",
    "board",
    "time_basis",
    "samples",
    "vendor_benchmark",
    "link.type",
    "link.baud",
    "link.*_env",
    "link.*_s",
    "runtime.*",
    "backends.*.kernels",
    "backends.*.threads",
    "backends.*.affinity.*",
    "backends.*.samples",
    "backends.*.compile.*",
    "backends.*.delegate.path",
    "backends.*.delegate.name",
    "deadlines.*",
    "agent.*",
    "limits.*",
    "emulation.*",
)
#: and parts of those that are hidden all the same
_NEVER_SHOWN = ("emulation.*.env.*", "emulation.*.options.*", "emulation.link.*")
#: what a hidden field holds, by the end of its name; anything else is a `value`
_KINDS = (
    ("host", "host"),
    ("user", "user"),
    ("port", "port"),
    ("key_files.*", "key file"),
    ("known_hosts_file", "key file"),
    ("env.*", "environment value"),
)
#: what the environment variable holds that a field names
_VARIABLES = {
    "host_env": "host",
    "port_env": "port",
    "user_env": "user",
    "key_env": "key file",
    "password_env": "secret",
}
#: texts that are no secret wherever they stand
_PLAIN = re.compile(r"(?i)true|false|yes|no|on|off|[\d.+-]*|\{cache_dir\}")
#: one word of letters, such as a delegate's `mode: double`: hidden in the profile, and no secret in other texts
_ONE_WORD = re.compile(r"[A-Za-z]+")
#: shorter texts of any kind of field are no secret either: they stand in every other word
_TELLING_CHARACTERS = 4
_USUAL_KEYS = re.compile(r"id_(rsa|dsa|ecdsa|ed25519)(\.pub)?")


def hidden_profile(profile: Profile, redactor: Redactor) -> dict[str, Any]:
    """The profile in effect (`local.yaml` included) as JSON values, what is private replaced by its kind."""
    return _hidden(profile.model_dump(mode="json", exclude_none=True), (), redactor)


def private_values(profile: Profile, environ: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """(kind, value) of everything that the profile hides or takes from an environment variable.

    Args:
        profile: the device.
        environ: instead of this process's environment.
    """
    environ = os.environ if environ is None else environ
    for path, value in _leaves(profile.model_dump(mode="json", exclude_none=True), ()):
        variable = _VARIABLES.get(path[-1])
        if variable and environ.get(str(value)):
            yield from _forms(variable, environ[str(value)])
        elif not _is_shown(path, value):
            yield from _forms(_kind(path), str(value))


def _forms(kind: str, value: str) -> Iterator[tuple[str, str]]:
    """A private value in the forms in which texts show it."""
    if kind == "port":
        if not (value.isdecimal() and len(value) < _TELLING_CHARACTERS):
            yield kind, value
            yield from (("host", part) for part in re.findall(r"(?<=://)([^/?:]+)", value))
    elif kind in ("host", "user"):
        yield kind, value
        label = value.partition(".")[0]
        if kind == "host" and len(label) >= _TELLING_CHARACTERS and not label.isdecimal():
            yield kind, label
    elif kind == "key file":
        yield from ((kind, form) for form in {value, os.path.expanduser(value)})
        if not _USUAL_KEYS.fullmatch(PurePath(value).name):
            yield kind, PurePath(value).name
    elif kind == "secret" or _tells(kind, value):
        yield kind, value


def _tells(kind: str, value: str) -> bool:
    """Whether a hidden value of no particular kind may be looked for in every other text."""
    if len(value) < _TELLING_CHARACTERS or _PLAIN.fullmatch(value):
        return False
    return kind != "value" or _ONE_WORD.fullmatch(value) is None


def _hidden(value: Any, path: tuple[str, ...], redactor: Redactor) -> Any:
    if isinstance(value, dict):
        return {key: _hidden(item, (*path, str(key)), redactor) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item, (*path, str(i)), redactor) for i, item in enumerate(value)]
    if path == ("name",):
        return value  # the report is of this device
    return redactor.value(value) if _is_shown(path, value) else redactor.hide(_kind(path))


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path, value
        return
    for key, item in items:
        yield from _leaves(item, (*path, str(key)))


def _is_shown(path: tuple[str, ...], value: Any) -> bool:
    dotted = ".".join(path)
    # A switch tells nothing; an option that is a number is a delegate's setting.
    plain = isinstance(value, bool) or (".options." in dotted and _PLAIN.fullmatch(str(value)) is not None)
    return plain or (_matches(dotted, _SHOWN) and not _matches(dotted, _NEVER_SHOWN))


def _matches(dotted: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(dotted, pattern) for pattern in patterns)


def _kind(path: tuple[str, ...]) -> str:
    dotted = ".".join(path)
    return next((kind for end, kind in _KINDS if fnmatchcase(dotted, f"*.{end}")), "value")
