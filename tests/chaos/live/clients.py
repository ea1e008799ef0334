"""Clients that insist: an upload is sent again, with the same Idempotency-Key, until somebody answers."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from aiohttp import ClientError, ClientSession, ClientTimeout, FormData

from shared.bootstrap import Backends
from shared.settings import Settings
from tests.chaos.history import Answer, Seen
from tests.support.callers import add_user, tokens_of

_PAUSE_SECONDS = 0.3
_AGAIN = frozenset({0, 409, 429})


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Caller:
    """One user. `answers` is what the user was told, `seen` what the user's stream has brought."""

    id: UUID
    token: str
    session: ClientSession
    urls: Sequence[str]
    chance: random.Random
    answers: list[Answer] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    async def upload(self, name: str, text: str, *, process: bool = True) -> UUID | None:
        """Upload one text file until it is answered with anything but a failure of the server."""
        fields = {} if process else {"process": "false"}
        reply = await self.insist("POST", "/documents", key=uuid4().hex, files={name: text}, fields=fields)
        document_id = UUID(reply.body["id"]) if reply.status == 202 else None
        self.told("upload", name, reply, document_id)
        return document_id

    async def ask(self, request: str, name: str, document_id: UUID) -> Reply:
        """Ask for `process`, `cancel` or `delete` of a document."""
        path = f"/documents/{document_id}"
        if request == "delete":
            # Said again after a lost answer, it finds nothing more to delete: which is what was asked for.
            reply = await self.insist("DELETE", path)
            reply = Reply(status=204, body=None) if reply.status == 404 else reply
        else:
            # 409: it has ended already.
            reply = await self.insist("POST", f"{path}/{request}", again=_AGAIN - {409})
        self.told(request, name, reply, document_id)
        return reply

    async def insist(self, method: str, path: str, *, again: Set[int] = _AGAIN, **request: Any) -> Reply:
        """Send until the answer is none of a failing server, and none of `again`."""
        while True:
            reply = await self.send(method, path, **request)
            if reply.status not in again and reply.status < 500:
                return reply
            await asyncio.sleep(self.chance.uniform(0, 2 * _PAUSE_SECONDS))

    async def send(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        files: dict[str, str] | None = None,
        fields: dict[str, str] | None = None,
        body: Any = None,
    ) -> Reply:
        """One request to any of the API processes. Status 0: no answer came."""
        headers = {"Authorization": f"Bearer {self.token}", **({"Idempotency-Key": key} if key else {})}
        where = f"{self.chance.choice(self.urls)}/api/v1{path}"
        data = _form(files, fields or {}) if files else None
        try:
            async with self.session.request(method, where, headers=headers, data=data, json=body) as answer:
                raw = await answer.read()
                return Reply(status=answer.status, body=json.loads(raw) if raw else None, headers=dict(answer.headers))
        except (ClientError, TimeoutError, ValueError):
            return Reply(status=0, body=None)

    async def listen(self, *, patience_seconds: float = 5.0) -> None:
        """Read the stream from its beginning, for ever; cut it now and then, and resume by the last id."""
        last = "0"
        while True:
            try:
                async with asyncio.timeout(self.chance.uniform(1, patience_seconds)):
                    async for identifier, data in self._frames(last):
                        last = identifier
                        seq = int(identifier.rpartition(".")[2])
                        self.seen.append(Seen(seq=seq, document_id=UUID(data["document_id"]), status=data["status"]))
            except (ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.05)

    async def _frames(self, last: str) -> AsyncIterator[tuple[str, Any]]:
        headers = {"Authorization": f"Bearer {self.token}", **({"Last-Event-ID": last} if last != "0" else {})}
        where = f"{self.chance.choice(self.urls)}/api/v1/documents/stream?cursor=0"
        async with self.session.get(where, headers=headers) as answer:
            answer.raise_for_status()
            block: dict[str, str] = {}
            async for line in answer.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    block[name] = value
                elif "id" in block:
                    yield block["id"], json.loads(block["data"])
                    block = {}
                else:
                    block = {}

    def told(self, request: str, name: str, reply: Reply, document_id: UUID | None) -> None:
        self.answers.append(
            Answer(request=request, owner=self.id, name=name, status=reply.status, document_id=document_id)
        )


@asynccontextmanager
async def callers(
    count: int, *, settings: Settings, backends: Backends, urls: Sequence[str], chance: random.Random
) -> AsyncIterator[list[Caller]]:
    """New users with tokens. `urls` may be filled later."""
    timeout = ClientTimeout(total=None, sock_connect=5, sock_read=60)
    async with ClientSession(timeout=timeout) as session:
        users = [await add_user(backends) for _ in range(count)]
        tokens = [tokens_of(settings).access(user, uuid4()) for user in users]
        yield [
            Caller(id=user.id, token=token, session=session, urls=urls, chance=chance)
            for user, token in zip(users, tokens, strict=True)
        ]


def _form(files: dict[str, str], fields: dict[str, str]) -> FormData:
    form = FormData(fields)
    for name, text in files.items():
        form.add_field("files", text.encode(), filename=name, content_type="text/plain")
    return form
