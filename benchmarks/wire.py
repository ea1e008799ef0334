"""Counts what goes to AWS on the wire, and prices it by the list: a proxy in front of the emulator.

Prices are those of us-east-1 in November 2026, in USD.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import ClientSession, web

from benchmarks.dynamodb_units import Units, units_of_read

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
        self.read_units = 0.0
        self.url = ""
        self._behind = behind
        self._units = Units()

    def reset(self) -> None:
        self.requests.clear()
        self.idle.clear()
        self.usd = 0.0
        self.read_units = 0.0

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
            idle = body.get("IndexName") == "due"
            written = self._units.of_write(operation, body)
            read = 0.0 if written else units_of_read(body, answered)
            self.read_units += 0.0 if idle else read
            self._count(f"DynamoDB {operation}", written * _WRITE_UNIT or read * _READ_UNIT, idle=idle)

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
