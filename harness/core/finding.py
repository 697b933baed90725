"""A finding: something a reader should know. Made by audits, judges and cross-checks, read by reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something a reader should know: what was seen, what it means, how to fix it."""

    code: str
    severity: Severity
    where: str
    what: str
    fix: str = ""
