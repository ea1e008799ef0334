"""The embedded stack, killed as a whole again and again while it works: everything is there after the next start."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import psutil

from shared.bootstrap import open_backends
from shared.settings import Settings
from tests.chaos.history import Act, History, Recovery
from tests.chaos.live.clients import Caller, callers
from tests.chaos.live.ground import Ground
from tests.chaos.live.recorder import Recorder, billed_by, text_of
from tests.chaos.live.stage import names
from tests.support.embedded import EmbeddedStack
from tests.support.openai_server import OpenAIServer

_OWNERS = 4
_WORKING = ("processing", "analyzing")


@dataclass(frozen=True, kw_only=True, slots=True)
class Laptop:
    """`lease_seconds` is what `docrelay dev` has by itself. A recovery is over when what a worker held has ended."""

    documents: int = 200
    kills: int = 20
    workers: int = 2
    lease_seconds: int = 15
    recovery_seconds: float = 30.0
    seconds: float = 300.0

    async def run(self, ground: Ground, chance: random.Random) -> History:
        with OpenAIServer() as model:
            model.script([f"slow:{chance.uniform(0.1, 1.5):.2f}" for _ in range(4 * self.documents)])
            stack = self._stack(ground, model)
            await asyncio.to_thread(stack.start)
            try:
                return await self._play(stack, model, chance)
            finally:
                await asyncio.to_thread(stack.clean_up)

    async def _play(self, stack: EmbeddedStack, model: OpenAIServer, chance: random.Random) -> History:
        settings, acts = settings_of(stack), []
        async with self._users(settings, stack, chance) as users:
            uploading = asyncio.create_task(self._upload(users))
            recoveries = []
            for _ in range(self.kills):
                await asyncio.sleep(chance.uniform(0.5, 4))
                acts.append(Act(at=time.time(), what="kill", whom="everything"))
                recoveries.append(await self._recover(stack, users))
            await uploading
            now = settings_of(stack)
            async with open_backends(now) as backends:
                recorder = Recorder(settings=now, backends=backends, owners=[user.id for user in users])
                promised = {one.document_id for user in users for one in user.answers if one.document_id is not None}
                await recorder.until_ended(promised, seconds=self.seconds)
                left = await recorder.until_quiet(seconds=60)
                answers = [answer for user in users for answer in user.answers]
                return await recorder.history(
                    answers, left=left, acts=tuple(acts), billed=billed_by(model), recoveries=tuple(recoveries)
                )

    async def _recover(self, stack: EmbeddedStack, users: list[Caller]) -> Recovery:
        held = [(user, one) for user in users for one in await _held(user)]
        began = time.monotonic()
        await asyncio.to_thread(stack.kill_all)
        await asyncio.to_thread(stack.start)
        ready_seconds = time.monotonic() - began
        while not all([await _has_ended(user, one) for user, one in held]):
            if time.monotonic() - began > self.seconds:
                break
            await asyncio.sleep(0.2)
        seconds = time.monotonic() - began
        return Recovery(
            seconds=seconds, ready_seconds=ready_seconds, held=len(held), allowed_seconds=self.recovery_seconds
        )

    async def _upload(self, users: list[Caller]) -> None:
        for owner, name in names(self.documents, _OWNERS):
            await users[owner].upload(name, text_of(name))
            # Slow enough for the uploads to last as long as the kills do.
            await asyncio.sleep(0.5)

    @asynccontextmanager
    async def _users(
        self, settings: Settings, stack: EmbeddedStack, chance: random.Random
    ) -> AsyncIterator[list[Caller]]:
        async with (
            open_backends(settings) as backends,
            callers(_OWNERS, settings=settings, backends=backends, urls=[stack.base_url], chance=chance) as users,
        ):
            yield users

    def _stack(self, ground: Ground, model: OpenAIServer) -> EmbeddedStack:
        environment = {
            "OPENAI_API_KEY": "sk-nobodys",
            "OPENAI_BASE_URL": model.base_url,
            "DOCRELAY_LEASE_SECONDS": str(self.lease_seconds),
            "DOCRELAY_STORE": ground.settings.store,
        }
        return EmbeddedStack(ground.folder / "home", workers=self.workers, environment=environment)


def settings_of(stack: EmbeddedStack) -> Settings:
    """What the stack's API runs with: the ports are new after each start."""
    theirs = psutil.Process(stack.pids["api"]).environ()
    names_of = {
        "aws_endpoint_url": "AWS_ENDPOINT_URL",
        "aws_access_key_id": "AWS_ACCESS_KEY_ID",
        "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
        "jwt_secret": "JWT_SECRET",
        "store": "DOCRELAY_STORE",
        "database_url": "DOCRELAY_DATABASE_URL",
    }
    known = {name: theirs[variable] for name, variable in names_of.items() if variable in theirs}
    return Settings.load(_env_file=None, lease_seconds=int(theirs["DOCRELAY_LEASE_SECONDS"]), **known)


async def _held(user: Caller) -> list[UUID]:
    """The user's documents that a worker holds."""
    found = []
    for status in _WORKING:
        reply = await user.send("GET", f"/documents?status={status}")
        found += [UUID(item["id"]) for item in reply.body["items"]] if reply.status == 200 else []
    return found


async def _has_ended(user: Caller, document_id: UUID) -> bool:
    reply = await user.send("GET", f"/documents/{document_id}/status")
    return reply.status == 200 and bool(reply.body["terminal"])
