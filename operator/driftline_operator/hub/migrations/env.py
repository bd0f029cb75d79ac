"""What Alembic runs: the steps, on the connection and in the transaction that `migrate` gives."""

from __future__ import annotations

from alembic import context

from driftline_operator.hub.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
