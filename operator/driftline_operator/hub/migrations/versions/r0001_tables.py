"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_EXACT = sa.Float(53)


def upgrade() -> None:
    """Make them."""
    _registry()
    _strata()
    _predictions()
    _labels()
    _events()
    _panes()


def _bytewise() -> sa.types.TypeEngine[str]:
    return sa.Text(collation="C") if op.get_bind().dialect.name == "postgresql" else sa.Text()


def _registry() -> None:
    op.create_table(
        "monitors",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("namespace", sa.String(253), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("profile", sa.LargeBinary),
        sa.Column("profile_hash", sa.String(64)),
        sa.Column("changed", _EXACT, nullable=False),
        sa.UniqueConstraint("namespace", "name", name="monitors_of_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sidecar_tokens",
        sa.Column("namespace", sa.String(253), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )


def _strata() -> None:
    op.create_table(
        "sources",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("monitor_id", sa.Integer, nullable=False),
        sa.Column("boot", sa.String(64), nullable=False),
        sa.UniqueConstraint("monitor_id", "boot", name="sources_of_boot"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "strata",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("monitor_id", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("version", sa.String(128), nullable=False),
        sa.Column("variant", sa.String(128), nullable=False),
        sa.Column("segments", sa.Text, nullable=False),
        sa.UniqueConstraint("monitor_id", "digest", name="strata_of_digest"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "stratum_segments",
        sa.Column("stratum_id", sa.Integer, nullable=False),
        sa.Column("segment", sa.String(128), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("stratum_id", "segment", name="stratum_segments_pkey"),
    )


def _predictions() -> None:
    op.create_table(
        "predictions",
        sa.Column("monitor_id", sa.Integer, nullable=False),
        sa.Column("source_id", sa.Integer, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("at", _EXACT, nullable=False),
        sa.Column("id", _bytewise(), nullable=False),
        sa.Column("stratum_id", sa.Integer, nullable=False),
        sa.Column("class", sa.Text),
        sa.Column("value", _EXACT),
        sa.Column("score", _EXACT),
        sa.Column("weight", _EXACT, nullable=False),
        sa.Column("features", sa.Text),
        sa.PrimaryKeyConstraint("source_id", "sequence", "place", "at", name="predictions_pkey"),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("predictions_by_id", "predictions", ["monitor_id", "id"])
    op.create_index("predictions_by_time", "predictions", ["monitor_id", "at"])
    if op.get_bind().dialect.name == "postgresql":
        # What lies in no day that was made ahead: clocks that are wrong, replays of old traffic.
        op.execute("CREATE TABLE predictions_others PARTITION OF predictions DEFAULT")


def _labels() -> None:
    op.create_table(
        "labels",
        sa.Column("monitor_id", sa.Integer, nullable=False),
        sa.Column("id", _bytewise(), nullable=False),
        sa.Column("at", _EXACT, nullable=False),
        sa.Column("until", _EXACT),
        sa.Column("class", sa.Text),
        sa.Column("value", _EXACT),
        sa.Column("received", _EXACT, nullable=False),
        sa.PrimaryKeyConstraint("monitor_id", "id", "at", name="labels_pkey"),
    )
    op.create_index("labels_by_received", "labels", ["monitor_id", "received"])


def _events() -> None:
    op.create_table(
        "feedback",
        sa.Column("monitor_id", sa.Integer, nullable=False),
        sa.Column("id", _bytewise(), nullable=False),
        sa.Column("event", _bytewise(), nullable=False),
        sa.Column("at", _EXACT, nullable=False),
        sa.Column("thumb", sa.SmallInteger),
        sa.Column("score", _EXACT),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("received", _EXACT, nullable=False),
        sa.PrimaryKeyConstraint("monitor_id", "id", "event", name="feedback_pkey"),
    )
    op.create_index("feedback_by_received", "feedback", ["monitor_id", "received"])
    op.create_table(
        "kpis",
        sa.Column("monitor_id", sa.Integer, nullable=False),
        sa.Column("id", _bytewise(), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("event", _bytewise(), nullable=False),
        sa.Column("at", _EXACT, nullable=False),
        sa.Column("value", _EXACT, nullable=False),
        sa.Column("received", _EXACT, nullable=False),
        sa.PrimaryKeyConstraint("monitor_id", "id", "name", "event", name="kpis_pkey"),
    )
    op.create_index("kpis_by_received", "kpis", ["monitor_id", "received"])


def _panes() -> None:
    op.create_table(
        "panes",
        sa.Column("monitor_id", sa.Integer, nullable=False),
        sa.Column("profile_hash", sa.String(64), nullable=False),
        sa.Column("start", _EXACT, nullable=False),
        sa.Column("seconds", _EXACT, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("received", _EXACT, nullable=False),
        sa.PrimaryKeyConstraint("monitor_id", "profile_hash", "start", "seconds", name="panes_pkey"),
    )
