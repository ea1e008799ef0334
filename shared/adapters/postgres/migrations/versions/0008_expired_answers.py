"""Kept answers expire whoever owns them: found by their time alone."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

CHANGES = """
DROP INDEX llm_results_expiring;
CREATE INDEX llm_results_expiring ON llm_results (expires_at);
"""


def upgrade() -> None:
    op.execute(CHANGES)
