"""The first store: runs, what they planned, and their cells."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _key_columns() -> list[sa.Column]:
    names = ("workload", "recipe", "device", "backend", "dataset")
    texts = [sa.Column(name, sa.String(), nullable=False) for name in names]
    return [*texts, sa.Column("seed", sa.Integer(), nullable=False)]


def _run_key(**options) -> sa.Column:
    return sa.Column("run", sa.String(), sa.ForeignKey("run.run", ondelete="CASCADE"), **options)


def upgrade() -> None:
    op.create_table(
        "run",
        sa.Column("run", sa.String(), primary_key=True),
        sa.Column("started_utc", sa.String(), nullable=False),
        sa.Column("finished_utc", sa.String()),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
    )
    op.create_table(
        "planned_cell",
        _run_key(primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True),
        *_key_columns(),
    )
    op.create_table(
        "cell",
        sa.Column("id", sa.Integer(), primary_key=True),
        _run_key(nullable=False),
        *_key_columns(),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("time_basis", sa.String()),
        sa.Column("started_utc", sa.String()),
        sa.Column("samples", sa.Integer()),
        sa.Column("accuracy", sa.Float()),
        sa.Column("accuracy_delta", sa.Float()),
        sa.Column("size_bytes", sa.Integer()),
        sa.Column("latency_median_ns", sa.Integer()),
        sa.Column("latency_samples", sa.Integer()),
        sa.Column("artifact_sha256", sa.String()),
        sa.Column("fingerprint_sha256", sa.String()),
        sa.Column("record", sa.Text(), nullable=False),
        sa.UniqueConstraint(
            "run", "workload", "recipe", "device", "backend", "dataset", "seed", name="uq_cell_run_key"
        ),
    )
    op.create_index("ix_cell_key", "cell", ["workload", "recipe", "device", "backend", "dataset", "seed"])
    op.create_index("ix_cell_started_utc", "cell", ["started_utc"])


def downgrade() -> None:
    op.drop_table("cell")
    op.drop_table("planned_cell")
    op.drop_table("run")
