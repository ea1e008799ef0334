"""The answer that an Idempotency-Key got, kept to be given again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True, slots=True)
class IdempotencyRecord:
    """`key_hash` covers method, route and key; `request_hash` covers what was asked."""

    owner: UUID
    key_hash: str
    request_hash: str
    answer: dict[str, Any]
    status: int
    expires_at: datetime


def key_hash(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def request_hash(asked: Any) -> str:
    """A hash of what a request asks for, given as JSON."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def derived_id(owner: UUID, hashed_key: str, index: int, generation: int) -> UUID:
    """The id of the `index`-th file of an upload with a key, so that a repeat meets its own rows.

    `generation` counts how often the same key was used anew after it had been forgotten.

    Laid out like any other id (version 7); its time part is part of the hash, so lists order by `created_at`.
    """
    digest = bytearray(hashlib.sha256(f"{owner}\x00{hashed_key}\x00{index}\x00{generation}".encode()).digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x70
    digest[8] = (digest[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(digest))
