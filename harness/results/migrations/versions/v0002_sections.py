"""Scores by any metric, what repeats stored once, revisions and checksums; estimates are no measurements that went well.

What a record of before does not hold stays empty: which metric its accuracy came from, the model's hash, the objects that
judging again would need.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEY = ("workload", "recipe", "device", "backend", "dataset", "seed")
_PARTS = ("dataset_note", "compiled", "prediction", "fallback", "ops", "reference_rule", "fingerprint", "findings")
_LISTS = ("fallback", "ops", "findings")
_LEAST_CHARACTERS = 80
#: rows read and written at a time
_BATCH = 500

_NEW_COLUMNS: dict[str, Any] = {
    "metric": sa.String,
    "score": sa.Float,
    "score_low": sa.Float,
    "score_high": sa.Float,
    "score_delta": sa.Float,
    "model_sha256": sa.String,
    "instructions": sa.Integer,
    "cycles": sa.Integer,
    "arena_bytes": sa.Integer,
    "delegated_nodes": sa.Integer,
    "partitions": sa.Integer,
    "rules_version": sa.Integer,
}
#: fields of a score under their old names, which stay
_SCORES = {
    "score": "accuracy",
    "score_low": "accuracy_low",
    "score_high": "accuracy_high",
    "score_delta": "accuracy_delta",
    "score_p": "mcnemar_p",
}


def upgrade() -> None:
    _runs()
    op.create_table(
        "part",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("sha256", sa.String(), nullable=False, unique=True),
        sa.Column("text", sa.Text(), nullable=False),
    )
    op.create_table(
        "superseded",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("run", sa.String(), sa.ForeignKey("run.run", ondelete="CASCADE"), nullable=False),
        *(sa.Column(name, sa.Integer() if name == "seed" else sa.String(), nullable=False) for name in _KEY),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("checksum", sa.String()),
        sa.UniqueConstraint("run", *_KEY, "revision", name="uq_superseded_run_key_revision"),
    )
    for name, kind in _NEW_COLUMNS.items():
        op.add_column("cell", sa.Column(name, kind()))
    op.add_column("cell", sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("cell", sa.Column("checksum", sa.String()))
    _records(op.get_bind())


def _runs() -> None:
    """Numbers the runs as they began, by the only thing that tells it for those that are there."""
    op.add_column("run", sa.Column("number", sa.Integer()))
    op.add_column("run", sa.Column("series", sa.String()))
    connection = op.get_bind()
    names = connection.execute(sa.text("SELECT run FROM run ORDER BY started_utc, run")).scalars().all()
    for number, name in enumerate(names, start=1):
        connection.execute(sa.text("UPDATE run SET number = :number WHERE run = :run"), {"number": number, "run": name})
    op.create_index("ix_run_number", "run", ["number"], unique=True)
    op.create_index("ix_run_series", "run", ["series"])


def _records(connection: sa.Connection) -> None:
    parts: dict[str, int] = {}
    last = 0
    while True:
        read = sa.text("SELECT id, record FROM cell WHERE id > :last ORDER BY id LIMIT :batch")
        found = connection.execute(read, {"last": last, "batch": _BATCH}).all()
        if not found:
            return
        for row in found:
            _record(connection, row.id, row.record, parts)
        last = found[-1].id


def _record(connection: sa.Connection, number: int, text: str, parts: dict[str, int]) -> None:
    try:
        data = json.loads(text)
        values = {name: data.get(name) for name in _NEW_COLUMNS}
    except (ValueError, AttributeError):
        return  # damaged before; without a checksum it is named whenever it is read
    for new, old in _SCORES.items():
        data[new] = data.get(old)
    if data.get("mcnemar_p") is not None:
        data["score_test"] = "exact McNemar"
    if data.get("outcome") == "ok" and data.get("time_basis") == "estimate":
        data["outcome"] = "estimated"
    packed = _packed(connection, data, parts)
    values |= {name: data.get(name) for name in ("outcome", "score", "score_low", "score_high", "score_delta")}
    values |= {"record": packed, "checksum": _sha256(packed)}
    setters = ", ".join(f"{name} = :{name}" for name in values)
    connection.execute(sa.text(f"UPDATE cell SET {setters} WHERE id = :id"), {**values, "id": number})


def _packed(connection: sa.Connection, data: dict[str, Any], parts: dict[str, int]) -> str:
    kept: dict[str, Any] = {}
    named: dict[str, int] = {}
    for name, value in data.items():
        if value is None or (value == [] and name in _LISTS):
            continue
        text = _dumps(value)
        if name not in _PARTS or len(text) < _LEAST_CHARACTERS:
            kept[name] = value
            continue
        digest = _sha256(text)
        if digest not in parts:
            parts[digest] = len(parts) + 1
            insert = sa.text("INSERT INTO part (id, sha256, text) VALUES (:id, :sha256, :text)")
            connection.execute(insert, {"id": parts[digest], "sha256": digest, "text": text})
        named[name] = parts[digest]
    if named:
        kept["parts"] = named
    return _dumps(kept)


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def downgrade() -> None:
    raise NotImplementedError("a store is not taken back: what the newer records hold would be lost")
