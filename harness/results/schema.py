"""The store's tables, as the newest migration leaves them. `harness/results/migrations` makes and upgrades them."""

from __future__ import annotations

from sqlalchemy import (
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

#: the newest migration; a store at this revision opens without loading Alembic
HEAD_REVISION = "0001"

metadata = MetaData()

run = Table(
    "run",
    metadata,
    Column("run", String, primary_key=True),
    Column("started_utc", String, nullable=False),
    Column("finished_utc", String),
    Column("state", String, nullable=False),
    Column("command", Text, nullable=False),
    Column("environment", Text, nullable=False),
)

KEY_FIELDS = ("workload", "recipe", "device", "backend", "dataset", "seed")


def _key_columns() -> list[Column]:
    kinds = {"seed": Integer}
    return [Column(name, kinds.get(name, String), nullable=False) for name in KEY_FIELDS]


planned_cell = Table(
    "planned_cell",
    metadata,
    Column("run", String, ForeignKey("run.run", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    *_key_columns(),
)

#: what is searched for stands in columns; `record` is the whole CellRecord as JSON
cell = Table(
    "cell",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String, ForeignKey("run.run", ondelete="CASCADE"), nullable=False),
    *_key_columns(),
    Column("outcome", String, nullable=False),
    Column("time_basis", String),
    Column("started_utc", String),
    Column("samples", Integer),
    Column("accuracy", Float),
    Column("accuracy_delta", Float),
    Column("size_bytes", Integer),
    Column("latency_median_ns", Integer),
    Column("latency_samples", Integer),
    Column("artifact_sha256", String),
    Column("fingerprint_sha256", String),
    Column("record", Text, nullable=False),
    UniqueConstraint("run", *KEY_FIELDS, name="uq_cell_run_key"),
    Index("ix_cell_key", *KEY_FIELDS),
    Index("ix_cell_started_utc", "started_utc"),
)
