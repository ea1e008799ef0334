"""One Idempotency-Key from many threads on several API processes: one run, and the same answer for everybody."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.chaos.history import History, Keyed
from tests.chaos.live.clients import Caller, Reply
from tests.chaos.live.ground import Ground
from tests.chaos.live.recorder import text_of
from tests.chaos.live.stage import Stage, stage

_KEYS_AT_ONCE = 4
Send = Callable[[], Awaitable[Reply]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """Half of the keys' requests are uploads, half ask for processing: `keys` of each."""

    threads: int = 50
    keys: int = 200
    apis: int = 4
    workers: int = 1
    seconds: float = 300.0

    async def run(self, ground: Ground, chance: random.Random) -> History:
        async with stage(
            ground, chance, apis=self.apis, workers=self.workers, owners=2, concurrency=4, queue_order="none"
        ) as on:
            turns = asyncio.Semaphore(_KEYS_AT_ONCE)
            numbers = range(self.keys)
            keyed = await asyncio.gather(*(self._upload(on, number, turns) for number in numbers))
            keyed += await asyncio.gather(*(self._process(on, number, turns) for number in numbers))
            await on.until_ended(seconds=self.seconds)
            return await on.history(quiet_seconds=60, keyed=tuple(one for some in keyed for one in some))

    async def _upload(self, on: Stage, number: int, turns: asyncio.Semaphore) -> list[Keyed]:
        """The same upload from every thread; then the key with another file, and the key of another user."""
        user, other = on.users
        key, name, another = f"upload-{number}", f"keyed-{number:04}.txt", f"another-{number:04}.txt"
        async with turns:
            same = await self._all_threads(lambda: user.insist("POST", "/documents", key=key, files=_file(name)))
            user.told("upload", name, same[0], _id(same[0]))
            changed = await user.insist("POST", "/documents", key=key, files=_file(f"changed-{name}"))
            others = await other.insist("POST", "/documents", key=key, files=_file(another))
            other.told("upload", another, others, _id(others))
        return [
            *(_keyed("upload", user, key, "same", reply) for reply in same),
            _keyed("upload", user, key, "changed", changed),
            _keyed("upload", other, key, "same", others),
        ]

    async def _process(self, on: Stage, number: int, turns: asyncio.Semaphore) -> list[Keyed]:
        """A document that waits is asked to be processed by every thread with the same key."""
        user, other = on.users
        key, name = f"process-{number}", f"waiting-{number:04}.txt"
        async with turns:
            document_id = await user.upload(name, text_of(name), process=False)
            path = f"/documents/{document_id}/process"
            same = await self._all_threads(lambda: user.insist("POST", path, key=key, body={}))
            changed = await user.insist("POST", path, key=key, body={"force": True})
            foreign = await other.insist("POST", path, key=key, body={})
        return [
            *(_keyed("process", user, key, "same", reply) for reply in same),
            _keyed("process", user, key, "changed", changed),
            _keyed("process", other, key, "foreign", foreign),
        ]

    async def _all_threads(self, send: Send) -> list[Reply]:
        return await asyncio.gather(*(send() for _ in range(self.threads)))


def _file(name: str) -> dict[str, str]:
    return {name: text_of(name)}


def _id(reply: Reply) -> UUID | None:
    return UUID(reply.body["id"]) if reply.status == 202 else None


def _keyed(request: str, user: Caller, key: str, variant: Any, reply: Reply) -> Keyed:
    document_id = UUID(reply.body["id"]) if 200 <= reply.status < 300 else None
    body = json.dumps(reply.body, sort_keys=True)
    return Keyed(
        request=request,
        owner=user.id,
        key=key,
        variant=variant,
        status=reply.status,
        body=body,
        document_id=document_id,
    )
