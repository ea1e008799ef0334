"""Documents with history and feed, users, idempotency keys."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

# As of this revision; tests compare the table with shared.document.TRANSITIONS.
LEGAL = {
    "uploading": "uploaded failed deleting",
    "uploaded": "pending failed cancelled deleting",
    "pending": "processing failed cancelled deleting",
    "processing": "analyzing processing pending failed cancelled deleting",
    "analyzing": "completed processing pending failed cancelled deleting",
    "completed": "pending deleting",
    "failed": "pending deleting",
    "cancelled": "pending deleting",
}

TABLES = """
CREATE TABLE users (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    password_hash text NOT NULL,
    role text NOT NULL CHECK (role IN ('user', 'admin')),
    disabled boolean NOT NULL DEFAULT false,
    token_epoch integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX users_name ON users (lower(name));

CREATE TABLE refresh_families (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    counter integer NOT NULL,
    rotated_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked boolean NOT NULL DEFAULT false
);

CREATE TABLE documents (
    id uuid PRIMARY KEY,
    owner uuid NOT NULL,
    filename text NOT NULL,
    folder text NOT NULL,
    content_type text NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    blob_key text NOT NULL,
    status text NOT NULL,
    version integer NOT NULL,
    run integer NOT NULL,
    attempt integer NOT NULL,
    send integer NOT NULL,
    fence bigint NOT NULL,
    lease_holder text,
    lease_until timestamptz,
    write_id uuid NOT NULL,
    due_at timestamptz,
    pages integer,
    text_key text,
    report jsonb,
    failure_code text,
    failure_detail text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- Whoever is waited for has a time by which somebody looks; whoever is idle has none.
    CONSTRAINT documents_due CHECK ((status IN ('uploaded', 'completed', 'failed', 'cancelled')) = (due_at IS NULL)),
    CONSTRAINT documents_leased CHECK ((status IN ('processing', 'analyzing')) = (lease_holder IS NOT NULL)),
    CONSTRAINT documents_failed CHECK (status <> 'failed' OR failure_code IS NOT NULL)
);
CREATE INDEX documents_by_owner ON documents (owner, created_at DESC, id DESC);
CREATE INDEX documents_due_at ON documents (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE legal_transitions (
    from_status text NOT NULL,
    to_status text NOT NULL,
    PRIMARY KEY (from_status, to_status)
);

CREATE TABLE document_history (
    document_id uuid NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    version integer NOT NULL,
    from_status text NOT NULL,
    to_status text NOT NULL,
    at timestamptz NOT NULL,
    run integer NOT NULL,
    attempt integer NOT NULL,
    fence bigint NOT NULL,
    reason text,
    PRIMARY KEY (document_id, version),
    FOREIGN KEY (from_status, to_status) REFERENCES legal_transitions
);

CREATE TABLE feed_heads (
    owner uuid PRIMARY KEY,
    epoch text NOT NULL DEFAULT left(replace(gen_random_uuid()::text, '-', ''), 8),
    seq bigint NOT NULL DEFAULT 0,
    floor bigint NOT NULL DEFAULT 0
);

CREATE TABLE feed_events (
    owner uuid NOT NULL,
    seq bigint NOT NULL,
    document_id uuid NOT NULL,
    filename text NOT NULL,
    folder text NOT NULL,
    version integer NOT NULL,
    status text NOT NULL,
    at timestamptz NOT NULL,
    attempt integer NOT NULL,
    reason text,
    error_code text,
    error_detail text,
    PRIMARY KEY (owner, seq)
);
CREATE INDEX feed_events_by_document ON feed_events (document_id);

CREATE TABLE idempotency_keys (
    owner uuid NOT NULL,
    key_hash text NOT NULL,
    request_hash text NOT NULL,
    answer jsonb NOT NULL,
    status integer NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (owner, key_hash)
);
"""


def upgrade() -> None:
    op.execute(TABLES)
    moves = ", ".join(f"('{start}', '{end}')" for start, ends in LEGAL.items() for end in ends.split())
    op.execute(f"INSERT INTO legal_transitions (from_status, to_status) VALUES {moves}")  # noqa: S608
