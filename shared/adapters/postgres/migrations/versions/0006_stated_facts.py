"""What files state about themselves, and how many words they have."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0003"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE documents ADD COLUMN words integer, ADD COLUMN title text, ADD COLUMN author text,"
        " ADD COLUMN authored_at timestamptz"
    )
