"""Reads what npu-standin wrote on stderr, from the board log of a cell: nodes it took, nodes it refused and why, compilations.

The lines are described in docs/internals/npu-standin.md. Lines of others in the same log are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

PREFIX = "npu-standin: "
_REFUSED = re.compile(r"refused node=(?P<node>\d+) op=(?P<op>\w+) reason=(?P<reason>.*)")
_CLAIMED = re.compile(r"claimed node=(?P<node>\d+) op=(?P<op>\w+)$")
_DELEGATED = re.compile(r"delegated nodes=(?P<nodes>\d+) of=(?P<total>\d+) partitions=(?P<partitions>\d+)$")
_COMPILED = re.compile(
    r"compiled partition=(?P<partition>\d+) nodes=(?P<nodes>\d+) graph=(?P<graph>[0-9a-f]{32}) cost_ms=(?P<cost_ms>\d+)"
    r" cache=(?P<cache>\w+)$"
)
_CACHED = re.compile(r"cached partition=(?P<partition>\d+) nodes=(?P<nodes>\d+) graph=(?P<graph>[0-9a-f]{32})$")


@dataclass(frozen=True, kw_only=True)
class Compilation:
    """A partition whose graph became ready in its first invoke.

    `cache`: `off` (no cache folder), `stored`, `replaced` (a damaged entry), `failed` (it could not be written), or `hit`
    (it was not compiled but taken from the cache; the cost is 0 then).
    """

    partition: int
    nodes: int
    graph: str
    cost_ms: int
    cache: str


@dataclass(frozen=True, kw_only=True)
class DelegateLog:
    """What one load (and its invokes) said. `nodes`, `total` and `partitions` are None when the summary line is missing."""

    claimed: dict[int, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    nodes: int | None = None
    total: int | None = None
    partitions: int | None = None
    compilations: tuple[Compilation, ...] = ()

    @property
    def compiled(self) -> tuple[Compilation, ...]:
        """Those that were paid for."""
        return tuple(c for c in self.compilations if c.cache != "hit")


def parse_delegate_log(text: str) -> DelegateLog:
    """The stand-in's part of a board log: node -> operator it took, node -> reason it refused, and so on.

    A log that holds several loads gives the last word on each node. A runtime may write on the same line before the
    prefix; what follows the prefix counts.
    """
    claimed: dict[int, str] = {}
    refused: dict[int, str] = {}
    summary: re.Match[str] | None = None
    compilations: list[Compilation] = []
    for line in text.splitlines():
        _, found, rest = line.partition(PREFIX)
        if not found:
            continue
        rest = rest.rstrip()
        if match := _REFUSED.match(rest):
            node = int(match["node"])
            refused[node] = match["reason"]
            claimed.pop(node, None)
        elif match := _CLAIMED.match(rest):
            node = int(match["node"])
            claimed[node] = match["op"]
            refused.pop(node, None)
        elif match := _DELEGATED.match(rest):
            summary = match
        elif match := _COMPILED.match(rest) or _CACHED.match(rest):
            values = match.groupdict()
            compilations.append(
                Compilation(
                    partition=int(values["partition"]),
                    nodes=int(values["nodes"]),
                    graph=values["graph"],
                    cost_ms=int(values.get("cost_ms") or 0),
                    cache=values.get("cache") or "hit",
                )
            )
    counts = {key: int(value) for key, value in summary.groupdict().items()} if summary else {}
    return DelegateLog(claimed=claimed, refused=refused, compilations=tuple(compilations), **counts)
