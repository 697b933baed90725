"""What trends of nights show beside times and scores: energy with its instrument, and what the board was like.

They stand in columns from here on; records of before have them in their text alone, and trends begin with the nights after.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cell", sa.Column("quality", sa.String()))
    op.add_column("cell", sa.Column("energy_nj", sa.Float()))
    op.add_column("cell", sa.Column("energy_instrument", sa.String()))


def downgrade() -> None:
    raise NotImplementedError("a store is not taken back")
