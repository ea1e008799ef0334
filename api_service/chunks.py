"""The pieces of a body; of a request's, none may be long in coming."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.requests import ClientDisconnect

from api_service.problems import ProblemError

# For an answer to a request whose body is still on the wire: the connection cannot be used again.
CLOSE = {"Connection": "close"}


async def next_chunk(chunks: AsyncIterator[bytes], seconds: float) -> bytes | None:
    """The next piece of a body, or None at its end. Raises ProblemError 408 when it does not come in time."""
    try:
        async with asyncio.timeout(seconds):
            return await anext(chunks, None)
    except TimeoutError as exc:
        detail = "The body arrives too slowly."
        raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", detail, headers=CLOSE) from exc
    except ClientDisconnect as exc:
        # Nobody is there to read it; it keeps a client's leaving from being logged as a fault of ours.
        raise ProblemError(HTTPStatus.BAD_REQUEST, "disconnected", "The client has left.") from exc


async def again(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """All pieces, for whoever comes after the one that looked at the first."""
    yield first
    async for chunk in rest:
        yield chunk
