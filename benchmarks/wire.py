"""Counts what goes to AWS on the wire, and prices it by the list: a proxy in front of the emulator.

Prices are those of us-east-1 in November 2026, in USD. What DynamoDB charges for a write is derived from the request:
an update's size is that of the values it carries, and a change of an index's key is two writes to it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, web

_HOP_BY_HOP = {"connection", "content-encoding", "content-length", "transfer-encoding"}
_MILLION = 1_000_000
_S3 = {"PUT": 5.0, "POST": 5.0, "LIST": 5.0, "GET": 0.4, "HEAD": 0.4, "DELETE": 0.0}
_SQS_FIFO = 0.5
_WRITE_UNIT = 0.625
_READ_UNIT = 0.125


class Wire:
    """`requests` by service and operation, and what they cost; idle ones, which bring nothing, apart."""

    def __init__(self, behind: str) -> None:
        self.requests: Counter[str] = Counter()
        self.idle: Counter[str] = Counter()
        self.usd = 0.0
        self.url = ""
        self._behind = behind

    def reset(self) -> None:
        self.requests.clear()
        self.idle.clear()
        self.usd = 0.0

    def note(self, method: str, query: Mapping[str, str], target: str, asked: bytes, answered: bytes) -> None:
        service, _, operation = target.partition(".")
        if not target:
            verb = "LIST" if {"list-type", "versions"} & set(query) else method
            self._count(f"S3 {verb}", _S3[verb])
        elif service == "AmazonSQS":
            self._count(
                f"SQS {operation}", _SQS_FIFO, idle=operation == "ReceiveMessage" and b"Messages" not in answered
            )
        else:
            body = json.loads(asked)
            units = _write_units(operation, body) * _WRITE_UNIT or _read_units(body, answered) * _READ_UNIT
            self._count(f"DynamoDB {operation}", units, idle=body.get("IndexName") == "due")

    def _count(self, name: str, usd_per_million: float, *, idle: bool = False) -> None:
        if idle:
            self.idle[name] += 1
            return
        self.requests[name] += 1
        self.usd += usd_per_million / _MILLION


@asynccontextmanager
async def tapped(behind: str) -> AsyncIterator[Wire]:
    """Pass requests on to `behind`, and count them."""
    wire = Wire(behind)
    async with ClientSession(auto_decompress=False) as client:

        async def pass_on(request: web.Request) -> web.Response:
            asked = await request.read()
            url = f"{behind}{request.raw_path}"
            async with client.request(request.method, url, headers=request.headers, data=asked) as answer:
                answered = await answer.read()
            wire.note(request.method, request.query, request.headers.get("X-Amz-Target", ""), asked, answered)
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            return web.Response(status=answer.status, headers=headers, body=answered)

        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{key:.*}", pass_on)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        wire.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield wire
        finally:
            await runner.cleanup()


def _write_units(operation: str, body: dict[str, Any]) -> float:
    if operation == "TransactWriteItems":
        actions = (next(iter(action.items())) for action in body["TransactItems"])
        return sum(2 * _kilobytes(request) + _index_writes(request) for _, request in actions)
    if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
        return _kilobytes(body) + _index_writes(body)
    return 0


def _kilobytes(request: dict[str, Any]) -> int:
    written = request.get("Item") or {**request.get("Key", {}), **request.get("ExpressionAttributeValues", {})}
    return math.ceil(len(json.dumps(written)) / 1024)


def _index_writes(request: dict[str, Any]) -> int:
    if "Item" in request:
        return ("due_order" in request["Item"]) + ("list_order" in request["Item"])
    named = set(request.get("ExpressionAttributeNames", {}).values())
    return 2 * ("due_order" in named) + ("status" in named and "list_order" in named)


def _read_units(body: dict[str, Any], answered: bytes) -> float:
    consistent = 1.0 if "IndexName" not in body else 0.5
    return consistent * max(math.ceil(len(answered) / 4096), 1)
