"""An HTTP proxy between our processes and the AWS emulator, one port for each process: it forwards, and misbehaves.

It knows how a request names its operation, and of SQS what a delivery looks like. It keeps no queue and no object.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

RECEIVE = "SQS.ReceiveMessage"
# What changes nothing: to lose its reply loses nothing either.
_READS = {
    "DynamoDB.GetItem",
    "DynamoDB.BatchGetItem",
    "DynamoDB.Query",
    "SQS.GetQueueUrl",
    "SQS.GetQueueAttributes",
    "S3.GET",
    "S3.HEAD",
}
_HOP = {"connection", "host", "keep-alive", "transfer-encoding", "content-length", "expect"}
_MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """Shares between 0 and 1. `duplicate` and `delay` are of deliveries, the others of requests.

    A duplicate arrives within `duplicate_seconds`, a delayed delivery is hidden for up to `delay_seconds`. A lost
    reply is one of a request that had its effect; a refused request gets a 500 and has none. `copies` are how often
    each message arrives once more, within the same seconds.
    """

    duplicate: float = 0.0
    duplicate_seconds: float = 8.0
    delay: float = 0.0
    delay_seconds: float = 90.0
    lose_reply: float = 0.0
    refuse: float = 0.0
    copies: int = 0


@dataclass(kw_only=True, slots=True)
class _Replay:
    at: float
    message: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Forwarded:
    operation: str
    headers: dict[str, str]
    body: bytes


@dataclass(kw_only=True)
class FaultProxy:
    """`seen` counts requests by process and operation, `done` the faults. `after` hears of every effect."""

    upstream: str
    faults: Faults = field(default_factory=Faults)
    chance: random.Random = field(default_factory=random.Random)
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    after: Callable[[str], None] | None = None
    _names: dict[int, str] = field(default_factory=dict)
    _replays: list[_Replay] = field(default_factory=list)
    _copied: set[str] = field(default_factory=set)
    _runner: web.AppRunner | None = None
    _session: ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FaultProxy]:
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        connector = TCPConnector(limit=0)
        async with ClientSession(
            connector=connector, timeout=ClientTimeout(total=60), auto_decompress=False
        ) as self._session:
            try:
                yield self
            finally:
                await self._runner.cleanup()

    async def door(self, name: str) -> str:
        """Open a port for the process `name`; returns its URL."""
        assert self._runner is not None
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = int(self._runner.addresses[-1][1])
        self._names[port] = name
        return f"http://127.0.0.1:{port}"

    @property
    def waiting(self) -> int:
        """Deliveries that have not arrived yet."""
        return len(self._replays)

    def calm(self) -> None:
        """No more faults; what was duplicated and has not arrived yet never will."""
        self.faults = replace(self.faults, duplicate=0.0, delay=0.0, lose_reply=0.0, refuse=0.0, copies=0)
        self._replays.clear()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        name = self._names[request.transport.get_extra_info("sockname")[1]]
        operation = _operation(request)
        self.seen[name, operation] += 1
        if self._happens(self.faults.refuse):
            self.done["refused"] += 1
            return web.Response(status=500, body=b"")
        if operation == RECEIVE and (replay := self._replay()):
            return web.json_response({"Messages": [replay]}, content_type="application/x-amz-json-1.0")
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP}
        try:
            asked = _Forwarded(operation=operation, headers=headers, body=await request.read())
            answer = await self._forward(request.method, request.raw_path, asked)
            if operation == RECEIVE and answer.status == 200:
                answer = await self._deliver(asked, answer)
        except (ClientError, ConnectionError):
            # Who asked was killed, or the emulator is being stopped: nobody waits for this answer.
            return web.Response(status=502)
        if operation not in _READS:
            self._take_effect(name, request)
        return answer

    def _take_effect(self, name: str, request: web.Request) -> None:
        if self.after is not None:
            self.after(name)
        if self._happens(self.faults.lose_reply) and request.transport is not None:
            self.done["lost replies"] += 1
            request.transport.abort()

    async def _forward(self, method: str, path: str, asked: _Forwarded) -> web.Response:
        assert self._session is not None
        async with self._session.request(
            method, self.upstream + path, headers=asked.headers, data=asked.body, allow_redirects=False
        ) as answer:
            body = await answer.read()
            headers = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP}
            if method == "HEAD":
                headers["Content-Length"] = answer.headers.get("Content-Length", "0")
            return web.Response(status=answer.status, headers=headers, body=body)

    async def _deliver(self, asked: _Forwarded, answer: web.Response) -> web.Response:
        """Hide some of the deliveries for a while, and keep some others for a second delivery."""
        assert isinstance(answer.body, bytes)
        deliveries = json.loads(answer.body).get("Messages", [])
        kept = [one for one in deliveries if not (self._happens(self.faults.delay) and await self._hide(asked, one))]
        for message in kept:
            for _ in range(self._copies(message)):
                self.done["duplicates"] += 1
                at = time.monotonic() + self.chance.uniform(0, self.faults.duplicate_seconds)
                self._replays.append(_Replay(at=at, message=message))
        if len(kept) == len(deliveries):
            return answer
        return web.json_response({"Messages": kept} if kept else {}, content_type="application/x-amz-json-1.0")

    def _copies(self, message: dict[str, Any]) -> int:
        """How often this delivery is to arrive once more: a message that the queue delivers anew has its copies."""
        first = message["MessageId"] not in self._copied
        self._copied.add(message["MessageId"])
        return self._happens(self.faults.duplicate) + (self.faults.copies if first else 0)

    async def _hide(self, asked: _Forwarded, message: dict[str, Any]) -> bool:
        """Let the queue hide a message that it has just delivered, as if it had been slow."""
        seconds = round(self.chance.uniform(1, self.faults.delay_seconds))
        change = {
            "QueueUrl": json.loads(asked.body)["QueueUrl"],
            "ReceiptHandle": message["ReceiptHandle"],
            "VisibilityTimeout": seconds,
        }
        headers = asked.headers | {"X-Amz-Target": "AmazonSQS.ChangeMessageVisibility"}
        hiding = _Forwarded(operation="", headers=headers, body=json.dumps(change).encode())
        hidden = (await self._forward("POST", "/", hiding)).status == 200
        self.done["delays"] += hidden
        return hidden

    def _replay(self) -> dict[str, Any] | None:
        """A duplicate whose time has come."""
        now = time.monotonic()
        for replay in self._replays:
            if replay.at <= now:
                self._replays.remove(replay)
                return replay.message
        return None

    def _happens(self, share: float) -> bool:
        return share > 0 and self.chance.random() < share


def _operation(request: web.Request) -> str:
    service, _, name = request.headers.get("X-Amz-Target", "").partition(".")
    if not name:
        return f"S3.{request.method}"
    return f"{'SQS' if service == 'AmazonSQS' else 'DynamoDB'}.{name}"
