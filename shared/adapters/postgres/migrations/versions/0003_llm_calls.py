"""Paid calls, their kept answers, and what each owner's day has cost."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = """
CREATE TABLE llm_calls (
    id uuid PRIMARY KEY,
    owner uuid NOT NULL,
    document_id uuid NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    run integer NOT NULL,
    fence bigint NOT NULL,
    call_key text NOT NULL,
    model text NOT NULL,
    started_at timestamptz NOT NULL,
    until timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('intent', 'done', 'error', 'ambiguous', 'cached')),
    reserved_micro_usd bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_micro_usd bigint,
    error text,
    ended_at timestamptz,
    CONSTRAINT llm_calls_settled CHECK ((state = 'intent') = (ended_at IS NULL))
);
CREATE INDEX llm_calls_by_document ON llm_calls (document_id, run, started_at);
CREATE INDEX llm_calls_by_key ON llm_calls (owner, call_key);
-- Nobody pays while somebody else is about to: one open intent a key.
CREATE UNIQUE INDEX llm_calls_open ON llm_calls (owner, call_key) WHERE state = 'intent';

CREATE TABLE llm_results (
    owner uuid NOT NULL,
    call_key text NOT NULL,
    call_id uuid NOT NULL,
    answer text NOT NULL,
    model text NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_micro_usd bigint,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (owner, call_key)
);
CREATE INDEX llm_results_expiring ON llm_results (owner, expires_at);

-- What an owner's day has cost or may still cost; `open_until` is when the last open call is over at the latest.
CREATE TABLE llm_budgets (
    owner uuid NOT NULL,
    day date NOT NULL,
    committed_micro_usd bigint NOT NULL,
    open_calls integer NOT NULL,
    open_until timestamptz NOT NULL,
    PRIMARY KEY (owner, day)
);

CREATE TABLE llm_usage (
    owner uuid NOT NULL,
    day date NOT NULL,
    model text NOT NULL,
    calls bigint NOT NULL DEFAULT 0,
    ambiguous bigint NOT NULL DEFAULT 0,
    cached bigint NOT NULL DEFAULT 0,
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    cost_micro_usd bigint NOT NULL DEFAULT 0,
    saved_micro_usd bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (owner, day, model)
);
CREATE INDEX llm_usage_by_day ON llm_usage (day);
"""


def upgrade() -> None:
    op.execute(TABLES)
