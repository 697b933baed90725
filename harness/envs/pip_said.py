"""What pip's last lines mean."""

from __future__ import annotations

import re

from harness.core.errors import UserInputError

#: what it says of a version that the index does not have, with those that it has for the Python in question
_NO_VERSION = re.compile(r"satisfies the requirement (\S+?)==(\S+) \(from versions: ([^)]*)\)")
#: how many of them are told, the newest
_TOLD = 12


def no_such_version(text: str) -> UserInputError | None:
    """The error for a version that does not exist, with those that do; None where pip ended for another reason. An index that
    has no version at all is one that was not reached, or has nothing for this Python.
    """
    found = _NO_VERSION.search(text)
    versions = [] if found is None else [v.strip() for v in found[3].split(",") if v.strip() not in ("", "none")]
    if found is None or not versions:
        return None
    told = versions[-_TOLD:]
    earlier = f", and {len(versions) - len(told)} earlier ones" if len(told) < len(versions) else ""
    return UserInputError(
        f"the package index has no {found[1]} {found[2]} for the Python that it would run with",
        hint=f"it has {', '.join(told)}{earlier}",
    )
