"""What was found of each monitor's performance, and who is looking at it just now."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_EXACT = sa.Float(53)


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "evaluations",
        sa.Column("monitor_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("due", _EXACT, nullable=False),
        sa.Column("at", _EXACT),
        sa.Column("report", sa.LargeBinary),
    )
