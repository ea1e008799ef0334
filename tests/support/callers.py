"""Users that hold a token without a log-in, and documents that the test moves itself: cheap enough for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx

from api_service.tokens import Tokens
from shared.accounts import Role, User
from shared.bootstrap import Backends
from shared.clock import Clock, utc_now
from shared.document import Document, DocumentStatus
from shared.settings import Settings
from tests.support.builders import S, moves, new_document

# The shortest way to each status.
PATHS: dict[DocumentStatus, tuple[DocumentStatus, ...]] = {
    S.UPLOADING: (),
    S.UPLOADED: (S.UPLOADED,),
    S.PENDING: (S.UPLOADED, S.PENDING),
    S.PROCESSING: (S.UPLOADED, S.PENDING, S.PROCESSING),
    S.ANALYZING: (S.UPLOADED, S.PENDING, S.PROCESSING, S.ANALYZING),
    S.COMPLETED: (S.UPLOADED, S.PENDING, S.PROCESSING, S.ANALYZING, S.COMPLETED),
    S.FAILED: (S.UPLOADED, S.PENDING, S.PROCESSING, S.FAILED),
    S.CANCELLED: (S.UPLOADED, S.PENDING, S.CANCELLED),
    S.DELETING: (S.UPLOADED, S.DELETING),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """A user, a client that carries the user's token, and the backends that hold the user's documents."""

    user: User
    client: httpx.AsyncClient
    backends: Backends

    async def document(self, status: DocumentStatus = S.UPLOADED, **facts: Any) -> Document:
        """A new document of this user that has come to `status` the shortest way."""
        document = new_document(owner=self.user.id, **facts)
        await self.backends.documents.insert(document)
        return await self.move(document, *PATHS[status])

    async def move(self, document: Document, *path: DocumentStatus) -> Document:
        for change in moves(document, *path):
            await self.backends.documents.apply(change)
            document = change.after
        return document

    async def events(self) -> list[tuple[int, str, str]]:
        """The feed as the store has it: seq, document, status."""
        feed = await self.backends.feed.events(self.user.id, after=0, limit=10_000)
        return [(event.seq, str(event.document_id), event.status) for event in feed]

    async def cursor(self) -> str:
        """Where the feed stands, as `<epoch>.<seq>`."""
        return str((await self.backends.feed.heads([self.user.id]))[self.user.id].cursor)


@asynccontextmanager
async def calling(base_url: str, settings: Settings, backends: Backends, **facts: Any) -> AsyncIterator[Caller]:
    """A new user with a client of its own."""
    user = await add_user(backends, **facts)
    async with client_of(base_url, settings, user) as client:
        yield Caller(user=user, client=client, backends=backends)


def client_of(base_url: str, settings: Settings, user: User) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {tokens_of(settings).access(user, uuid4())}"}
    return httpx.AsyncClient(base_url=f"{base_url}/api/v1", headers=headers, timeout=30)


async def add_user(backends: Backends, **facts: Any) -> User:
    """A stored user that nobody can log in as, unless `password_hash` is given."""
    defaults = {"password_hash": "-", "role": Role.USER, "created_at": utc_now()}
    user = User(id=uuid4(), name=f"user-{uuid4().hex[:12]}", **{**defaults, **facts})
    assert await backends.accounts.add_user(user)
    return user


def tokens_of(settings: Settings, *, clock: Clock = utc_now) -> Tokens:
    """What makes and reads the tokens of an API with these settings, by a clock of the test's own."""
    return Tokens(key=settings.signing_key(), access_life=timedelta(minutes=settings.jwt_expiry_minutes), clock=clock)
