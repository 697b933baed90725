"""What the operating system refuses, as an error that a user can act on: no defect of the harness, so no traceback."""

from __future__ import annotations

import errno

from harness.core.errors import HarnessError, UserInputError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
#: something else than what was expected has the name, or a folder above it is a file
_OTHER = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY})
_SHOWN = 60


def environment_error(error: OSError) -> HarnessError | None:
    """The error for a name that no file can have, a full or read-only disk, or a failing one; None for anything else."""
    where = None if error.filename is None else _shortened(str(error.filename))
    if error.errno == errno.ENAMETOOLONG:
        return UserInputError("the name is longer than a file's name can be", where=where, hint="give a shorter one")
    if error.errno in FULL:
        return HarnessError(
            f"no space left on the disk ({error.strerror})",
            where=where,
            hint="free space; the cache lies where HARNESS_CACHE_DIR says, results where --results says",
        )
    if error.errno in _DENIED and where is not None:
        return UserInputError(f"not permitted ({error.strerror})", where=where, hint="check the permissions")
    if error.errno in _OTHER and where is not None:
        second = "" if error.filename2 is None else f" ({_shortened(str(error.filename2))})"
        return UserInputError(f"cannot be used: {error.strerror}{second}", where=where, hint="give another path")
    if error.errno in (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ELOOP, errno.ESTALE):
        return HarnessError(f"the file system failed: {error.strerror}", where=where)
    return None


def _shortened(text: str) -> str:
    """A path whose last name is cut in the middle when it is too long to be read."""
    head, slash, name = text.rpartition("/")
    if len(name) <= 2 * _SHOWN:
        return text
    return f"{head}{slash}{name[:_SHOWN]}...{name[-20:]} ({len(name)} characters)"
