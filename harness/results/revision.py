"""Which schema a store has to have: known without loading SQLAlchemy, so that a store at it opens at once."""

from __future__ import annotations

#: the newest migration in harness/results/migrations/versions
HEAD_REVISION = "0005"
