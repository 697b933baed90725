"""Histories of nights: accepted levels, named baselines, verdicts, control cells, kept artifacts. All of it is new."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEY = ("workload", "recipe", "device", "backend", "dataset", "seed")


def _key_columns() -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Integer() if name == "seed" else sa.String(), nullable=False) for name in _KEY]


def _run() -> sa.Column[Any]:
    return sa.Column("run", sa.String(), sa.ForeignKey("run.run", ondelete="CASCADE"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "level",
        sa.Column("id", sa.Integer(), primary_key=True),
        _run(),
        *_key_columns(),
        sa.Column("quantity", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("accepted_utc", sa.String(), nullable=False),
    )
    op.create_index("ix_level_key", "level", list(_KEY))
    op.create_table(
        "baseline",
        sa.Column("name", sa.String(), primary_key=True),
        _run(),
        sa.Column("set_utc", sa.String(), nullable=False),
    )
    op.create_table(
        "verdict",
        sa.Column("id", sa.Integer(), primary_key=True),
        _run(),
        *_key_columns(),
        sa.Column("quantity", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("is_open", sa.Integer(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.UniqueConstraint("run", *_KEY, "quantity", name="uq_verdict_run_key_quantity"),
    )
    op.create_index("ix_verdict_quantity_status", "verdict", ["quantity", "status"])
    op.create_table(
        "control",
        sa.Column("id", sa.Integer(), primary_key=True),
        _run(),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("backend", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("position", sa.String(), nullable=False),
        sa.Column("median_ns", sa.Float(), nullable=False),
        sa.Column("epoch", sa.String()),
    )
    op.create_index("ix_control_device", "control", ["device", "backend"])
    op.create_table(
        "kept_artifact",
        sa.Column("sha256", sa.String(), primary_key=True),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("a store is not taken back: what the newer tables hold would be lost")
