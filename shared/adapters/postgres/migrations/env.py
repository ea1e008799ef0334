"""Alembic runs this. The connection comes from `schema.upgrade`; there is no other way in."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
