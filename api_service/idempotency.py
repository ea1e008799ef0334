"""Requests with an Idempotency-Key: what the first one got is kept, and given again to whoever repeats it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi.responses import JSONResponse

from shared.clock import Clock
from shared.errors import IdempotencyMismatchError
from shared.idempotency import KEPT_FOR, IdempotencyRecord, key_hash
from shared.ports import IdempotencyStore


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyedRequest:
    """`route` names what is asked for, the document's id included; `key` is the client's, or None: nothing is kept."""

    owner: UUID
    route: str
    key: str | None
    store: IdempotencyStore
    clock: Clock

    @property
    def key_hash(self) -> str | None:
        return key_hash("POST", self.route, self.key) if self.key else None

    async def kept(self) -> IdempotencyRecord | None:
        """What an earlier request with this key got."""
        return await self.store.recall(self.owner, self.key_hash, now=self.clock()) if self.key_hash else None

    def record(self, answer: dict[str, Any], *, status: HTTPStatus, request_hash: str) -> IdempotencyRecord | None:
        """The answer as it is to be kept."""
        if self.key_hash is None:
            return None
        return IdempotencyRecord(
            owner=self.owner,
            key_hash=self.key_hash,
            request_hash=request_hash,
            answer=answer,
            status=status,
            expires_at=self.clock() + KEPT_FOR,
        )


def replayed(kept: IdempotencyRecord, *, request_hash: str) -> JSONResponse:
    """Give the kept answer again. Raises IdempotencyMismatchError when it was given to another request."""
    if kept.request_hash != request_hash:
        raise IdempotencyMismatchError
    return answered(kept.answer, status=kept.status, headers={"Idempotency-Replayed": "true"})


def answered(answer: dict[str, Any], *, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    location = {"Location": f"/api/v1/documents/{answer['id']}"} if "id" in answer else {}
    return JSONResponse(answer, status_code=status, headers=location | (headers or {}))
