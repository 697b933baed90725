"""Takes what names people and places out of texts that are to leave this lab: addresses, hosts, users, paths, keys.

Two nets lie over each other: values that are known here (from a profile, from the environment) are replaced wherever they
stand, and patterns catch what only looks like an address, a login or a home folder. Rather too much is taken out than too little.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

#: logins that every board has, which name nobody
_COMMON_USERS = frozenset({"root"})
#: host names that images come with
_COMMON_HOSTS = frozenset({"buildroot", "debian", "linux", "raspberrypi", "ubuntu"})
#: addresses that name no place
_NO_PLACE = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "::1", "::"})
#: suffixes of device ids (`imx8mp@qemu`), which look like logins
_TWINS = ("qemu", "vela")
#: shorter values, and numbers, are replaced as whole words only: inside others they are part of anything
_WHOLE_WORDS_BELOW = 5
_WORD = r"A-Za-z0-9_"

_IPV4 = re.compile(r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w]|\.\d)")
#: what may be an IPv6 address; `_ipv6_in` decides
_COLONS = re.compile(r"(?<![A-Za-z0-9_])[0-9A-Fa-f:]{2,45}[0-9.]{0,15}(?:%\w{1,16})?")
_MAC = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])")
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.DOTALL)
_SSH_KEY = re.compile(r"\b(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ AAAA[A-Za-z0-9+/=]+(?: \S+@\S+)?|\bSHA256:[A-Za-z0-9+/]{20,}=*")
_URL_LOGIN = re.compile(r"(?<=://)[^/\s@]+@[^/\s:]+")
_LOGIN = re.compile(rf"(?<![\w.+@-])[A-Za-z0-9_][\w.+-]*@(?!(?:{'|'.join(_TWINS)})\b)[A-Za-z0-9_](?:[\w.-]*\w)?")
_LOCAL_NAME = re.compile(
    r"(?<![\w.-])[A-Za-z0-9][\w-]*(?:\.[\w-]+)*\.(?:local|lan|home|internal|intranet|corp|localdomain|fritz\.box)(?![\w-])"
)
_HOME = re.compile(r"(?P<base>/(?:home|Users|media|run/media)/|[A-Za-z]:\\Users\\)[^/\\\s:'\",;]+")
_SERIAL_LINK = re.compile(r"(?<=/dev/serial/by-id/)[^\s'\",;]+|(?<=/dev/serial/by-path/)[^\s'\",;]+")
_SERIAL_NUMBER = re.compile(r"(?i)(?<![\w-])(serial(?:[ _-]?(?:number|no))?)(\s*[:=]\s*)(?=\S*\d)[^\s,;]+")
_ASSIGNED = re.compile(
    r"(?i)(?<![A-Za-z0-9])([\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|credential)s?)(\s*[=:]\s*)(\S+)"
)


@dataclass(kw_only=True)
class Redactor:
    """Replaces private values in texts by their kind in brackets, such as `[host]`, and counts what it took out.

    Attributes:
        taken: kind -> how many were taken out so far.
    """

    taken: Counter[str] = field(default_factory=Counter)
    _known: dict[str, str] = field(default_factory=dict)
    _pattern: re.Pattern[str] | None = None

    def know(self, kind: str, values: Iterable[str | None]) -> None:
        """Adds values that are private wherever they stand, in either case; empty ones and None are passed over.

        What says nothing about anybody, such as the user `root`, `localhost` or `debian`, is not added.
        """
        for value in values:
            text = (value or "").strip()
            if text and text.lower() not in _COMMON_USERS | _COMMON_HOSTS | _NO_PLACE:
                self._known.setdefault(text.lower(), kind)
        self._pattern = None

    def text(self, text: str) -> str:
        """The text without what is known to be private or looks like it."""
        text = self._whole(text, _PEM, "key")
        text = self._whole(text, _SSH_KEY, "key")
        text = self._replace_known(text)
        text = self._whole(text, _URL_LOGIN, "user", "[user]@[host]")
        text = self._whole(text, _LOGIN, "user", "[user]@[host]")
        text = self._keep(text, _ASSIGNED, "secret")
        text = self._whole(text, _MAC, "address")
        text = self._whole(text, _IPV4, "address", unless=lambda found: found in _NO_PLACE)
        text = _COLONS.sub(self._colons, text)
        text = self._whole(text, _LOCAL_NAME, "host")
        text = self._keep(text, _SERIAL_NUMBER, "serial number")
        text = self._whole(text, _SERIAL_LINK, "port")
        return self._home_folders(text)

    def value(self, value: Any) -> Any:
        """A JSON value whose texts, keys of mappings too, went through `text`; numbers stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def hide(self, kind: str) -> str:
        """What stands in place of a value that is private whatever it is."""
        self.taken[kind] += 1
        return f"[{kind}]"

    def _replace_known(self, text: str) -> str:
        if not self._known:
            return text
        if self._pattern is None:
            # The longest first, so that a host inside a longer address leaves no rest.
            words = sorted(self._known, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(_as_pattern, words)), re.IGNORECASE)
        return self._pattern.sub(lambda match: self.hide(self._known[match[0].lower()]), text)

    def _whole(
        self,
        text: str,
        pattern: re.Pattern[str],
        kind: str,
        written: str | None = None,
        *,
        unless: Callable[[str], bool] = lambda found: False,
    ) -> str:
        def put(match: re.Match[str]) -> str:
            if unless(match[0]):
                return match[0]
            hidden = self.hide(kind)
            return written or hidden

        return pattern.sub(put, text)

    def _keep(self, text: str, pattern: re.Pattern[str], kind: str) -> str:
        """`NAME = VALUE`: the name stays."""
        return pattern.sub(lambda match: match[1] + match[2] + self.hide(kind), text)

    def _colons(self, match: re.Match[str]) -> str:
        """A text with colons: without the IPv6 address that it holds, if it does."""
        address = _ipv6_in(match[0])
        return match[0].replace(address, self.hide("address"), 1) if address else match[0]

    def _home_folders(self, text: str) -> str:
        def put(match: re.Match[str]) -> str:
            return match[0] if match[0].endswith("]") else match["base"] + self.hide("user")

        return _HOME.sub(put, text)


def _as_pattern(word: str) -> str:
    quoted = re.escape(word)
    alone = len(word) < _WHOLE_WORDS_BELOW or word.isdecimal()
    return rf"(?<![{_WORD}]){quoted}(?![{_WORD}])" if alone else quoted


def _ipv6_in(text: str) -> str | None:
    """The address of a place in a text of digits and colons. Times of day and C++ names have colons too."""
    for candidate in (text, text.strip(":."), text.rstrip(":."), text.lstrip(":")):
        with contextlib.suppress(ValueError):
            if candidate.count(":") > 1 and candidate not in _NO_PLACE and ipaddress.ip_address(candidate):
                return candidate
    return None
