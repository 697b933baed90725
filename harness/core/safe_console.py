"""A Rich console through which no text reaches the terminal as a command. Rich lets escape sequences inside texts through.

Imported where something is printed: Rich takes some 50 ms.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from harness.core.printable import printable

__all__ = ["SafeConsole"]


class SafeConsole(Console):
    """Replaces in every text what a terminal would obey (`harness.core.printable`); colours and cursor moves of Rich's stay."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of something to print, their texts safe."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)
