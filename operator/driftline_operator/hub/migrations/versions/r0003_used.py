"""When numbers of strata and senders were used last; reports in the order of their commits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. What was evaluated before has no order: it is evaluated anew within a minute."""
    for table in ("sources", "strata"):
        used = sa.Column("used", sa.Float(53), nullable=False, server_default=sa.text("0"))
        op.add_column(table, used)
    order = sa.Column("revision", sa.BigInteger, nullable=False, server_default=sa.text("0"))
    op.add_column("evaluations", order)
