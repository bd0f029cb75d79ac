"""The tables. The migrations make them; a test holds the two equal.

Times are unix seconds. What is grouped by (version, variant, segments) is one number per prediction, its
stratum; who sent it is another, its source, so that the rows that there are most of stay short.

There are no foreign keys to `monitors` from what is sent: they would cost each event a look-up. A removed
monitor's rows are deleted by `retention`; its number is never given again.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata: Final = MetaData()

Exact = Float(53)
"""float64 on both databases."""
Bytewise = Text().with_variant(Text(collation="C"), "postgresql")
"""Text compared byte by byte, as SQLite does: a language's order costs PostgreSQL several times as much."""


def _used() -> Column[float]:
    """About when rows with that number came last, unix seconds; 0: it isn't known."""
    return Column("used", Exact, nullable=False, server_default=text("0"))


monitors: Final = Table(
    "monitors",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("namespace", String(253), nullable=False),
    Column("name", String(253), nullable=False),
    Column("document", Text, nullable=False),  # JSON
    Column("profile", LargeBinary),
    Column("profile_hash", String(64)),
    Column("changed", Exact, nullable=False),
    UniqueConstraint("namespace", "name", name="monitors_of_name"),
    sqlite_autoincrement=True,
)

sidecar_tokens: Final = Table(
    "sidecar_tokens",
    metadata,
    Column("namespace", String(253), primary_key=True),
    Column("sha256", String(64), nullable=False),
)

counters: Final = Table(
    "counters",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""`registry`: rises with each change of monitors or tokens, `reports` with each report: replicas notice.
`probe`: with each look whether the database takes anything again."""

sources: Final = Table(
    "sources",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("monitor_id", Integer, nullable=False),
    Column("boot", String(64), nullable=False),
    _used(),
    UniqueConstraint("monitor_id", "boot", name="sources_of_boot"),
    sqlite_autoincrement=True,
)

strata: Final = Table(
    "strata",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("monitor_id", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("version", String(128), nullable=False),
    Column("variant", String(128), nullable=False),
    Column("segments", Text, nullable=False),  # JSON
    _used(),
    UniqueConstraint("monitor_id", "digest", name="strata_of_digest"),
    sqlite_autoincrement=True,
)

stratum_segments: Final = Table(
    "stratum_segments",
    metadata,
    Column("stratum_id", Integer, nullable=False),
    Column("segment", String(128), nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("stratum_id", "segment", name="stratum_segments_pkey"),
)

predictions: Final = Table(
    "predictions",
    metadata,
    Column("monitor_id", Integer, nullable=False),
    Column("source_id", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("place", Integer, nullable=False),  # the row within the request
    Column("at", Exact, nullable=False),
    Column("id", Bytewise, nullable=False),
    Column("stratum_id", Integer, nullable=False),
    Column("class", Text),
    Column("value", Exact),
    Column("score", Exact),
    Column("weight", Exact, nullable=False),
    Column("features", Text),  # JSON
    # A partition's column must be in the key; a prediction sent again has the same time.
    PrimaryKeyConstraint("source_id", "sequence", "place", "at", name="predictions_pkey"),
    Index("predictions_by_id", "monitor_id", "id"),
    Index("predictions_by_time", "monitor_id", "at"),
    postgresql_partition_by="RANGE (at)",
)

labels: Final = Table(
    "labels",
    metadata,
    Column("monitor_id", Integer, nullable=False),
    Column("id", Bytewise, nullable=False),
    Column("at", Exact, nullable=False),
    Column("until", Exact),  # `at` of the label that replaced it; NULL: it holds
    Column("class", Text),
    Column("value", Exact),
    Column("received", Exact, nullable=False),
    PrimaryKeyConstraint("monitor_id", "id", "at", name="labels_pkey"),
    Index("labels_by_received", "monitor_id", "received"),
)

feedback: Final = Table(
    "feedback",
    metadata,
    Column("monitor_id", Integer, nullable=False),
    Column("id", Bytewise, nullable=False),
    Column("event", Bytewise, nullable=False),
    Column("at", Exact, nullable=False),
    Column("thumb", SmallInteger),  # 1 up, 0 down
    Column("score", Exact),
    Column("comment", Text, nullable=False),
    Column("received", Exact, nullable=False),
    PrimaryKeyConstraint("monitor_id", "id", "event", name="feedback_pkey"),
    Index("feedback_by_received", "monitor_id", "received"),
)

kpis: Final = Table(
    "kpis",
    metadata,
    Column("monitor_id", Integer, nullable=False),
    Column("id", Bytewise, nullable=False),
    Column("name", String(128), nullable=False),
    Column("event", Bytewise, nullable=False),
    Column("at", Exact, nullable=False),
    Column("value", Exact, nullable=False),
    Column("received", Exact, nullable=False),
    PrimaryKeyConstraint("monitor_id", "id", "name", "event", name="kpis_pkey"),
    Index("kpis_by_received", "monitor_id", "received"),
)

panes: Final = Table(
    "panes",
    metadata,
    Column("monitor_id", Integer, nullable=False),
    Column("profile_hash", String(64), nullable=False),
    Column("start", Exact, nullable=False),
    Column("seconds", Exact, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received", Exact, nullable=False),
    PrimaryKeyConstraint("monitor_id", "profile_hash", "start", "seconds", name="panes_pkey"),
)

evaluations: Final = Table(
    "evaluations",
    metadata,
    Column("monitor_id", Integer, primary_key=True, autoincrement=False),
    Column("due", Exact, nullable=False),  # not to be evaluated before that time
    Column("at", Exact),
    Column("report", LargeBinary),  # JSON
    Column("revision", BigInteger, nullable=False, server_default=text("0")),  # in the order of commits
)

OF_MONITOR: Final = (predictions, labels, feedback, kpis, panes, sources, strata, evaluations)
"""What goes with a monitor."""
