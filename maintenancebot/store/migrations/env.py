"""Alembic's entry: runs the steps on the connection it is handed."""

from __future__ import annotations

from alembic import context

from maintenancebot.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
    transactional_ddl=True,  # half a migration is none
)
with context.begin_transaction():
    context.run_migrations()
