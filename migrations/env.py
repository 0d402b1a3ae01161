"""Alembic runs this for every migration, in the transaction that tracer.store.upgrade opened."""

from __future__ import annotations

from alembic import context

from tracer.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite does roll back DDL; Alembic assumes that it does not
    transactional_ddl=True,
    # SQLite can alter little in place: tables are made anew and copied
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
