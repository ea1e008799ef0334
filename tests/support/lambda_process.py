"""A handler of ours in a process of its own that is given one event after the other, as Lambda does it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
_LINE_BYTES = 64_000_000
_PROGRAM = """
import importlib, json, sys, time

class Context:
    def __init__(self, seconds):
        self.until = time.monotonic() + seconds
    def get_remaining_time_in_millis(self):
        return int((self.until - time.monotonic()) * 1000)

module, _, name = sys.argv[1].partition(":")
handler = getattr(importlib.import_module(module), name)
for line in sys.stdin:
    given = json.loads(line)
    print(json.dumps(handler(given["event"], Context(given["seconds"]))), flush=True)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    process: asyncio.subprocess.Process

    async def invoke(self, event: dict[str, Any], *, seconds: float = 30) -> Any:
        """The handler's answer. What it raises ends the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"event": event, "seconds": seconds}).encode() + b"\n")
        line = await self.process.stdout.readline()
        assert line, "the handler has raised"
        return json.loads(line)

    async def request(
        self, method: str, path: str, *, query: str = "", headers: dict[str, str] | None = None, body: str = ""
    ) -> dict[str, Any]:
        """What API Gateway gets for a request, in its format 2.0."""
        answer: dict[str, Any] = await self.invoke(
            {
                "version": "2.0",
                "routeKey": "$default",
                "rawPath": path,
                "rawQueryString": query,
                "headers": {"host": "api.example.com", "x-forwarded-proto": "https", **(headers or {})},
                "requestContext": {
                    "http": {"method": method, "path": path, "sourceIp": "203.0.113.7", "protocol": "HTTP/1.1"},
                    "stage": "$default",
                },
                "body": body,
                "isBase64Encoded": False,
            }
        )
        return answer


@asynccontextmanager
async def function(name: str, settings: Settings, **changed: str) -> AsyncIterator[Function]:
    """Run a handler, named as `module:function`, with these settings in its environment, and nothing else of ours."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM, name),
        cwd=ROOT,
        env={"PATH": os.defpath, **environment(settings), **changed},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES,
    )
    try:
        yield Function(process=process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def environment(settings: Settings) -> dict[str, str]:
    assert settings.aws_endpoint_url is not None
    assert settings.jwt_secret is not None
    return {
        "AWS_ENDPOINT_URL": settings.aws_endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "DOCRELAY_BUCKET": settings.bucket,
        "DOCRELAY_QUEUE_NAME": settings.queue_name,
        "DOCRELAY_STORE": settings.store,
        "DOCRELAY_TABLE": settings.table,
        "DOCRELAY_DATABASE_URL": settings.database_url.get_secret_value(),
    }
