"""A store on a PostgreSQL server: its objects in a table, wide integers. And what makes a thousand nights as quick as ten: an
index with which runs are counted, and the verdicts at which a cell's reference begins anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: nanoseconds, bytes and counts that go beyond 32 bits; SQLite's integers always do
_WIDE = {
    "planned_cell": ("seed",),
    "cell": (
        "seed",
        "samples",
        "size_bytes",
        "latency_median_ns",
        "latency_samples",
        "instructions",
        "cycles",
        "arena_bytes",
    ),
    "superseded": ("seed",),
    "level": ("seed",),
    "verdict": ("seed",),
    "kept_artifact": ("size_bytes",),
}


def upgrade() -> None:
    wide = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
    op.create_table(
        "stored_object",
        sa.Column("sha256", sa.String(), primary_key=True),
        sa.Column("size_bytes", wide, nullable=False),
        sa.Column("stored_utc", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_cell_run_outcome", "cell", ["run", "outcome"])
    op.add_column("verdict", sa.Column("restart", sa.Integer()))
    op.drop_index("ix_verdict_quantity_status", table_name="verdict")
    op.create_index("ix_verdict_status", "verdict", ["status"])
    op.create_index("ix_verdict_restart", "verdict", ["restart"])
    if op.get_bind().dialect.name == "sqlite":
        # A server's table is new here, and empty.
        op.execute("UPDATE verdict SET restart = 1 WHERE json_extract(data, '$.numbers.restart')")
    else:
        for table, columns in _WIDE.items():
            for column in columns:
                op.alter_column(table, column, type_=sa.BigInteger())


def downgrade() -> None:
    raise NotImplementedError("a store is not taken back: objects of the newer table would be lost")
