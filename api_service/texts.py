"""The extracted text of a document as an answer; knows no route.

An answer may have any length, but for runtimes that hand over no more than some megabytes: `max_bytes`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from http import HTTPStatus

from fastapi import Response
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse

from api_service.chunks import again
from api_service.problems import ProblemError
from shared.document import Document
from shared.ports import BlobStore

DOWNLOAD_SECONDS = 300


async def text_of(document: Document, blobs: BlobStore, *, max_bytes: int | None) -> str | None:
    """The text to be a part of an answer, None while there is none. Raises ProblemError for one that is too long."""
    if document.text_key is None:
        return None
    if max_bytes is None:
        return (await blobs.get(document.text_key)).decode()
    # In our JSON and again in the runtime's, a quote or a line break may have twice the bytes that it has by itself.
    body = await _within(blobs.pieces(document.text_key), max_bytes // 2)
    if body is None:
        detail = f"The text is too long for this answer; GET /documents/{document.id}/text leads to it."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "text_too_long", detail)
    return body.decode()


async def text_answer(document: Document, key: str, blobs: BlobStore, *, max_bytes: int | None, etag: str) -> Response:
    """The text piece by piece, however long it is; beyond `max_bytes` a redirect to where it lies in the bucket."""
    headers, pieces = {"ETag": etag}, blobs.pieces(key)
    if max_bytes is None:
        # An error is answered as such only as long as nothing has been sent.
        first = await anext(pieces, b"")
        return StreamingResponse(again(first, pieces), media_type="text/plain", headers=headers)
    body = await _within(pieces, max_bytes)
    if body is not None:
        return PlainTextResponse(body, headers=headers)
    url = await blobs.download_url(key, filename=f"{document.filename}.txt", expires_seconds=DOWNLOAD_SECONDS)
    return RedirectResponse(url, status_code=HTTPStatus.FOUND)


async def _within(pieces: AsyncGenerator[bytes], max_bytes: int) -> bytes | None:
    """All of it, or None when it is longer; no more is read than that takes."""
    body = b""
    async for piece in pieces:
        body += piece
        if len(body) > max_bytes:
            return None
    return body
