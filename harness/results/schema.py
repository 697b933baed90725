"""The store's tables, as the newest migration leaves them. `harness/results/migrations` makes and upgrades them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from harness.results.revision import HEAD_REVISION

__all__ = [
    "HEAD_REVISION",
    "KEY_FIELDS",
    "FIGURE_COLUMNS",
    "cell",
    "metadata",
    "part",
    "planned_cell",
    "run",
    "superseded",
]

metadata = MetaData()

#: SQLite's integers are wide; those of PostgreSQL hold no 3 seconds in nanoseconds
WIDE: Any = Integer().with_variant(BigInteger(), "postgresql")

run = Table(
    "run",
    metadata,
    Column("run", String, primary_key=True),
    Column("started_utc", String, nullable=False),
    Column("finished_utc", String),
    Column("state", String, nullable=False),
    Column("command", Text, nullable=False),
    Column("environment", Text, nullable=False),
    #: runs are counted as they begin, because a clock may be set back
    Column("number", Integer),
    Column("series", String),
    Index("ix_run_number", "number", unique=True),
    Index("ix_run_series", "series"),
)

KEY_FIELDS = ("workload", "recipe", "device", "backend", "dataset", "seed")


def _key_columns() -> list[Column[Any]]:
    kinds: dict[str, Any] = {"seed": WIDE}
    return [Column(name, kinds.get(name, String), nullable=False) for name in KEY_FIELDS]


planned_cell = Table(
    "planned_cell",
    metadata,
    Column("run", String, ForeignKey("run.run", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    *_key_columns(),
)

#: what repeats from record to record, once: placements, fallback tables, fingerprints, findings (harness/results/rows.py)
part = Table(
    "part",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sha256", String, nullable=False, unique=True),
    Column("text", Text, nullable=False),
)

#: figures of a record that are searched for, beside the key and the outcome
FIGURE_COLUMNS = (
    "time_basis",
    "started_utc",
    "samples",
    "accuracy",
    "accuracy_delta",
    "size_bytes",
    "latency_median_ns",
    "latency_samples",
    "artifact_sha256",
    "metric",
    "score",
    "score_low",
    "score_high",
    "score_delta",
    "model_sha256",
    "instructions",
    "cycles",
    "arena_bytes",
    "delegated_nodes",
    "partitions",
    "rules_version",
    "quality",
    "energy_nj",
    "energy_instrument",
)

#: what is searched for stands in columns; `record` is the rest of the CellRecord as JSON, `checksum` the SHA-256 of that text
cell = Table(
    "cell",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String, ForeignKey("run.run", ondelete="CASCADE"), nullable=False),
    *_key_columns(),
    Column("outcome", String, nullable=False),
    Column("time_basis", String),
    Column("started_utc", String),
    Column("samples", WIDE),
    Column("accuracy", Float),
    Column("accuracy_delta", Float),
    Column("size_bytes", WIDE),
    Column("latency_median_ns", WIDE),
    Column("latency_samples", WIDE),
    Column("artifact_sha256", String),
    Column("fingerprint_sha256", String),
    Column("record", Text, nullable=False),
    Column("metric", String),
    Column("score", Float),
    Column("score_low", Float),
    Column("score_high", Float),
    Column("score_delta", Float),
    Column("model_sha256", String),
    Column("instructions", WIDE),
    Column("cycles", WIDE),
    Column("arena_bytes", WIDE),
    Column("delegated_nodes", Integer),
    Column("partitions", Integer),
    Column("rules_version", Integer),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("checksum", String),
    Column("quality", String),
    Column("energy_nj", Float),
    Column("energy_instrument", String),
    UniqueConstraint("run", *KEY_FIELDS, name="uq_cell_run_key"),
    Index("ix_cell_key", *KEY_FIELDS),
    Index("ix_cell_started_utc", "started_utc"),
    Index("ix_cell_run_outcome", "run", "outcome"),
)

#: records that a later judgement took the place of, as they were
superseded = Table(
    "superseded",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String, ForeignKey("run.run", ondelete="CASCADE"), nullable=False),
    *_key_columns(),
    Column("revision", Integer, nullable=False),
    Column("outcome", String, nullable=False),
    Column("record", Text, nullable=False),
    Column("checksum", String),
    UniqueConstraint("run", *KEY_FIELDS, "revision", name="uq_superseded_run_key_revision"),
)

# The tables of nightly histories stand in a file of their own, on the same metadata.
from harness.results import history_schema as history_schema  # noqa: E402
