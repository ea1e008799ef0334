"""A typed client of the API: log-in, reading, the stream without a gap. It needs httpx2, and nothing of the services.

async with Client("http://127.0.0.1:8000", auth=Login("admin", password)) as client:
    page = await client.documents()
    async for event in client.events(cursor=page.feed_cursor):
        ...
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID

import httpx2

from docrelay.logins import KeptLogin, Login, Token
from docrelay.replies import (
    JSON,
    NotDocrelayError,
    RequestRefusedError,
    content,
    require_success,
    require_type,
    retry_after,
)

__all__ = [
    "JSON",
    "Client",
    "Event",
    "KeptLogin",
    "Login",
    "NotDocrelayError",
    "Page",
    "RequestRefusedError",
    "Reset",
    "Token",
]

# The server sends something every 15 s at least.
_TIMEOUT = httpx2.Timeout(30, read=45)
_RETRY_SECONDS = 1.0
_RETRY_SECONDS_MAX = 30.0
_PATIENT_TRIES = 5
# A completed document's result comes with its event.
_MAX_EVENT_BYTES = 64 * 1024 * 1024
_PASSING = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One move of a document. Of a deleted document no more than id and status is left.

    `cursor` is this event's place in the feed: `events(cursor=...)` goes on right after it, in another process too.
    """

    cursor: str
    document_id: UUID
    status: str
    filename: str = ""
    folder: str = ""
    version: int = 0
    at: datetime | None = None
    attempt: int = 0
    reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    analysis_result: JSON | None = None
    coverage: JSON | None = None

    @classmethod
    def of(cls, sent: httpx2.ServerSentEvent) -> Event:
        """What this version does not know is left out."""
        fields = {name: value for name, value in json.loads(sent.data).items() if name in cls.__slots__}
        if "at" in fields:
            fields["at"] = datetime.fromisoformat(fields["at"])
        return cls(**fields | {"cursor": sent.id, "document_id": UUID(fields["document_id"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class Reset:
    """Events were missed that the server no longer keeps: read what you need anew. The stream goes on at `cursor`."""

    cursor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Documents, newest first. `feed_cursor`: where a stream has to begin to tell of every move after this answer."""

    items: list[JSON]
    next_cursor: str | None
    feed_cursor: str


class Client:
    """`http`: a client of your own, for proxies, certificates or another transport; it stays open.

    What the API refuses raises RequestRefusedError, what is not answered as it would be NotDocrelayError.
    """

    def __init__(self, base_url: str, *, auth: httpx2.Auth, http: httpx2.AsyncClient | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self._auth = auth
        self._http = http or httpx2.AsyncClient()
        self._owned = http is None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._owned:
            await self._http.aclose()

    async def documents(self, **query: str) -> Page:
        """One page of the caller's documents; `status`, `folder`, `limit` and `cursor` narrow and continue it."""
        answer = await self._get("/documents", query, "items", "next_cursor", "feed_cursor")
        return Page(items=answer["items"], next_cursor=answer["next_cursor"], feed_cursor=answer["feed_cursor"])

    async def document(self, document_id: UUID) -> JSON:
        """One document with its analysis, receipts and history."""
        return await self._get(f"/documents/{document_id}", {}, "status")

    async def text(self, document_id: UUID) -> str:
        """The extracted text of one document."""
        answer = await self._answer("GET", f"/documents/{document_id}/text")
        # Behind Lambda a long one is answered with its address in the bucket, which is not shown the token.
        if answer.next_request is not None:
            answer = await self._http.send(answer.next_request, auth=None)
        await require_success(answer)
        require_type(answer, "text/plain")
        return answer.text

    async def insight(self, folder: str) -> JSON:
        """What the documents of a folder and its subfolders come to; of all of them for "/"."""
        return await self._get(f"/folders/{quote(folder, safe='') or '%2F'}/insights", {}, "documents")

    async def upload(self, path: Path, *, folder: str = "", process: bool = True) -> JSON:
        """Upload one file; the answer has its `id` and `status`. Raises RequestRefusedError when it is not accepted."""
        with path.open("rb") as file:
            answer = await self._request(
                "POST",
                "/documents",
                files={"file": (_text_of(path.name), file)},
                data={"folder": _text_of(folder), "process": "true" if process else "false"},
            )
        return content(answer, "id", "items")

    async def process(self, document_id: UUID, *, force: bool = False) -> JSON:
        """Start a new run of a document that waits or has ended; of a completed one with `force`."""
        answer = await self._request("POST", f"/documents/{document_id}/process", json={"force": force})
        return content(answer, "status")

    async def delete(self, document_id: UUID) -> None:
        answer = await self._request("DELETE", f"/documents/{document_id}")
        if answer.status_code != httpx2.codes.NO_CONTENT:
            raise NotDocrelayError(answer)

    async def me(self) -> JSON:
        """Who the caller is."""
        return await self._get("/auth/me", {}, "username")

    async def add_user(self, name: str, password: str, *, role: str = "user") -> JSON:
        """Add a user, as an admin."""
        fields = {"username": name, "password": password, "role": role}
        return content(await self._request("POST", "/users", json=fields), "username")

    async def health(self, name: str) -> JSON:
        """`livez`, `readyz` or `version`, which ask for no token."""
        answer = await self._http.get(f"{self.base_url}/{name}", timeout=_TIMEOUT)
        await require_success(answer)
        return content(answer, "version" if name == "version" else "status")

    async def events(self, *, cursor: str | None = None, **query: str) -> AsyncGenerator[Event | Reset]:
        """Every event after `cursor` (from now on without one, "0": all that is kept), in order, each once, for ever.

        Goes on by itself after a lost connection, a restarted server or an expired token. `document_id`, `folder` and
        `status` narrow it. Raises RequestRefusedError and NotDocrelayError for what does not pass by itself, and
        httpx2.TransportError when the very first connection fails.
        """
        connected, failures = False, 0
        while True:
            try:
                async with self._stream(query, cursor) as answer:
                    await _require_stream(answer)
                    connected, failures = True, 0
                    if cursor in {None, "0"}:
                        cursor = answer.headers.get("Feed-Cursor", cursor)
                    async for sent in httpx2.EventSource(answer, max_event_size=_MAX_EVENT_BYTES):
                        if (told := _told(sent)) is not None:
                            cursor = told.cursor
                            yield told
            except httpx2.TransportError:
                if not connected:
                    raise
                failures += 1
            # Clients that lost the same server shall not come back together.
            longest = min(_RETRY_SECONDS * 2 ** max(failures - 1, 0), _RETRY_SECONDS_MAX)
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311

    def _stream(self, query: Mapping[str, str], cursor: str | None) -> Any:
        return self._http.stream(
            "GET",
            f"{self.base_url}/api/v1/documents/stream",
            params=query,
            headers={"Last-Event-ID": cursor} if cursor else {},
            auth=self._auth,
            timeout=_TIMEOUT,
        )

    async def _get(self, path: str, query: Mapping[str, str], *fields: str) -> JSON:
        return content(await self._request("GET", path, params=query), *fields)

    async def _request(self, method: str, path: str, **given: Any) -> httpx2.Response:
        answer = await self._answer(method, path, **given)
        await require_success(answer)
        return answer

    async def _answer(self, method: str, path: str, **given: Any) -> httpx2.Response:
        for _ in range(_PATIENT_TRIES):
            answer = await self._http.request(
                method, f"{self.base_url}/api/v1{path}", auth=self._auth, timeout=_TIMEOUT, **given
            )
            if answer.status_code != httpx2.codes.TOO_MANY_REQUESTS:
                break
            # It was not carried out, and the server says when there is room again.
            await asyncio.sleep(min(retry_after(answer), _RETRY_SECONDS_MAX))
        return answer


def _text_of(name: str) -> str:
    """The name of a file or folder as text, which it need not be: what cannot be sent becomes a question mark."""
    return name.encode(errors="replace").decode()


async def _require_stream(answer: httpx2.Response) -> None:
    """Raises httpx2.ReadError for what passes by itself, for the rest what other requests raise."""
    try:
        await require_success(answer)
    except RequestRefusedError as error:
        if error.status in _PASSING:
            raise httpx2.ReadError(str(error)) from None
        raise
    require_type(answer, "text/event-stream")


def _told(sent: httpx2.ServerSentEvent) -> Event | Reset | None:
    """None for what is only about the connection."""
    if sent.event == "status":
        return Event.of(sent)
    return Reset(cursor=json.loads(sent.data)["cursor"]) if sent.event == "reset" else None
