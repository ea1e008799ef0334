"""What a run was asked to do, and whose profile a call was made for."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"

CHANGES = """
ALTER TABLE documents ADD COLUMN options jsonb;
ALTER TABLE llm_calls ADD COLUMN profile text NOT NULL DEFAULT 'default';
ALTER TABLE llm_usage ADD COLUMN profile text NOT NULL DEFAULT 'default';
ALTER TABLE llm_usage DROP CONSTRAINT llm_usage_pkey, ADD PRIMARY KEY (owner, day, model, profile);
"""


def upgrade() -> None:
    op.execute(CHANGES)
