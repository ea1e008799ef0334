"""Runs that ask for a new result."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE documents ADD COLUMN force boolean NOT NULL DEFAULT false")
