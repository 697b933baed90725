"""The tables of nightly histories: accepted levels, named baselines, verdicts, control cells, kept artifacts.

Defined on the store's own metadata; `harness.results.schema` loads this file, so that both are seen together.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from harness.results.schema import KEY_FIELDS, WIDE, metadata


def _key_columns() -> list[Column[Any]]:
    return [Column(name, WIDE if name == "seed" else String, nullable=False) for name in KEY_FIELDS]


def _run_column(**options: Any) -> Column[Any]:
    return Column("run", String, ForeignKey("run.run", ondelete="CASCADE"), **options)


#: what was accepted: from the run on, its figures are the cell's level; `quantity` may be `*`, for all
level = Table(
    "level",
    metadata,
    Column("id", Integer, primary_key=True),
    _run_column(nullable=False),
    *_key_columns(),
    Column("quantity", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("accepted_utc", String, nullable=False),
    Index("ix_level_key", *KEY_FIELDS),
)

#: runs by a name of the user's
baseline = Table(
    "baseline",
    metadata,
    Column("name", String, primary_key=True),
    _run_column(nullable=False),
    Column("set_utc", String, nullable=False),
)

#: what a night's judgement said, but for what was the same; of times always, because the next nights are screened by them
verdict = Table(
    "verdict",
    metadata,
    Column("id", Integer, primary_key=True),
    _run_column(nullable=False),
    *_key_columns(),
    Column("quantity", String, nullable=False),
    Column("status", String, nullable=False),
    Column("is_open", Integer, nullable=False),
    Column("data", Text, nullable=False),
    #: 1 where a cell's reference of times begins anew
    Column("restart", Integer),
    UniqueConstraint("run", *KEY_FIELDS, "quantity", name="uq_verdict_run_key_quantity"),
    Index("ix_verdict_status", "status"),
    Index("ix_verdict_restart", "restart"),
)

#: sessions of control cells: frozen models that tell a board's change from a model's
control = Table(
    "control",
    metadata,
    Column("id", Integer, primary_key=True),
    _run_column(nullable=False),
    Column("device", String, nullable=False),
    Column("backend", String, nullable=False),
    Column("name", String, nullable=False),
    Column("position", String, nullable=False),
    Column("median_ns", Float, nullable=False),
    Column("epoch", String),
    Index("ix_control_device", "device", "backend"),
)

#: model files of nights, so that tonight's can be timed beside the accepted one's; agents and firmwares that boards ran
kept_artifact = Table(
    "kept_artifact",
    metadata,
    Column("sha256", String, primary_key=True),
    Column("object", String, nullable=False),
    Column("size_bytes", WIDE, nullable=False),
)

#: objects of a shared store (harness/results/shared_objects.py); a store in a file has them in a folder beside it
stored_object = Table(
    "stored_object",
    metadata,
    Column("sha256", String, primary_key=True),
    Column("size_bytes", WIDE, nullable=False),
    Column("stored_utc", String, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
