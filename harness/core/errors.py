"""The error tree. It answers the one question a caller has: whose fault is it, and is it worth trying again?

Every error says what happened, where, and what to do next. Only these errors may reach the command line; anything else
is a defect of the harness and keeps its traceback.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable


class ExitCode(enum.IntEnum):
    """How a command ends, the same for all of them (docs/reference/exit-codes.md)."""

    DONE = 0
    #: a wrong name, file, option or setting, or a part that is missing
    WRONG_INPUT = 1
    #: a device or link failed, or cells were not run
    DEVICE_FAILED = 2
    #: something got worse than it was
    WORSE = 3
    #: a defect of the harness
    DEFECT = 4
    INTERRUPTED = 130


#: how pytest ends when no cell failed its test, but devices or links did; its own codes reach to 5
PYTEST_DEVICE_FAILED = 6


class HarnessError(Exception):
    """An error that a user can act on.

    Args:
        what: what happened, one sentence, no trailing full stop needed.
        where: the file, device, cell or node it happened in.
        hint: what to do next.
    """

    #: exit code of the command line when this error ends a command
    exit_code = ExitCode.WRONG_INPUT

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.hint})" if self.hint else text


class UserInputError(HarnessError):
    """A wrong name, file, option or setting. Trying again without a change is of no use."""


class MissingPartError(HarnessError):
    """An optional part (TensorFlow, a runtime wheel, a system package) is not installed; the hint says how to get it."""


class UnsupportedError(HarnessError):
    """A combination that the converter, a runtime or a delegate refuses. Becomes the outcome `unsupported`, never a crash."""


class DeviceError(HarnessError):
    """The board or the link failed, not the model. Becomes the outcome `failed`; the run exits with 2."""

    exit_code = ExitCode.DEVICE_FAILED


class StableDeviceError(DeviceError):
    """A board that will fail the same way again: key refused, host key changed, no space left, runtime not installed."""


class TransientDeviceError(DeviceError):
    """A board that may answer next time: connection lost, timeout, reboot."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserInputError:
    """The error for a name that does not exist, with the nearest names that do.

    Args:
        kind: what the name should have been, such as "recipe".
        name: what the user wrote.
        known: every valid name.
    """
    from harness.core.names import near_names

    names = sorted(known)
    near = near_names(name, names)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names) or 'none'}"
    return UserInputError(f"unknown {kind} '{name}'", hint=hint)
