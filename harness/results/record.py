"""The record of one cell: every number with how it was got. Reports read records and nothing else.

A record is flat, under the names of the published JSON (docs/reference/json-schema.md), and made of the sections of
`harness.results.sections`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.core.finding import Finding, Severity
from harness.core.fingerprint import Fingerprint, TimeBasis
from harness.results.sections import (
    SECTIONS,
    Conditions,
    Counts,
    Direction,
    Energy,
    FallbackOp,
    Kernels,
    Latency,
    Memory,
    Mlperf,
    Model,
    Objects,
    Placement,
    Quality,
    Reference,
    Score,
    Section,
    SensorSource,
    Vendor,
    WorkerStart,
)

__all__ = [
    "CellKey",
    "CellRecord",
    "Direction",
    "FallbackOp",
    "Finding",
    "Fingerprint",
    "Kernels",
    "OUTCOMES",
    "Outcome",
    "Quality",
    "RAN",
    "RunInfo",
    "SCHEMA_VERSION",
    "SECTIONS",
    "SensorSource",
    "Severity",
    "TimeBasis",
    "WorkerStart",
]

#: version of the published JSON
SCHEMA_VERSION = 2

Outcome = Literal["ok", "unsupported", "wrong", "undecided", "estimated", "failed"]
#: every outcome, in the order in which tables count them
OUTCOMES: tuple[Outcome, ...] = ("ok", "estimated", "undecided", "wrong", "unsupported", "failed")
#: the outcomes of cells whose model ran on the board to its end
RAN: frozenset[Outcome] = frozenset({"ok", "wrong", "undecided"})


@dataclass(frozen=True, kw_only=True)
class CellKey:
    """What makes two cells the same cell. `dataset` is the dataset's SHA-256 digest."""

    workload: str
    recipe: str
    device: str
    backend: str
    dataset: str
    seed: int

    @property
    def text(self) -> str:
        return f"{self.workload}/{self.recipe}/{self.device}/{self.backend}"

    @property
    def text_with_seed(self) -> str:
        """`text`, and the seed where it is not 0: tells cells of one recipe apart."""
        return f"{self.text} seed {self.seed}" if self.seed else self.text


@dataclass(kw_only=True)
class CellRecord(
    Objects, Reference, Placement, Memory, Energy, Counts, Conditions, Mlperf, Vendor, Latency, Score, Model
):
    """One finished cell. Field names are those of the published JSON (docs/reference/json-schema.md)."""

    key: CellKey
    run: str
    outcome: Outcome
    reason: str | None = None
    started_utc: str | None = None
    duration_ns: int | None = None
    attempts: int = 1
    time_basis: TimeBasis | None = None
    fingerprint: Fingerprint | None = None
    #: version of the rules that judged this record; None for records from before rules had versions
    rules_version: int | None = None
    #: 0 as measured; one more each time that the stored objects were judged again
    revision: int = 0
    board_log: str | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def ran(self) -> bool:
        """Whether the model ran on the board to its end, whatever its outputs are worth."""
        return self.outcome in RAN

    def fill(self, *sections: Section) -> None:
        """Takes over every field of finished sections, also those that are None."""
        for section in sections:
            for f in dataclasses.fields(section):
                setattr(self, f.name, getattr(section, f.name))


@dataclass(kw_only=True)
class RunInfo:
    """One invocation: its id (sortable, such as `20261121-093000-a1b2`), what was asked, and how it ended."""

    run: str
    started_utc: str
    command: list[str]
    #: every planned cell, so that an interrupted run can resume and a report can show what is missing
    planned: list[CellKey] = field(default_factory=list)
    finished_utc: str | None = None
    #: running | finished | interrupted
    state: str = "running"
    environment: dict[str, Any] = field(default_factory=dict)
    #: the history that a nightly run belongs to; None for runs by day, which no night is compared with
    series: str | None = None
