"""uvicorn's fast HTTP protocol with limits it lacks: a head's size and time, and how much of a body it holds."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api_service.problems import MEDIA_TYPE, body_of

_MAX_HEAD_BYTES = 65_536
_READ_BYTES = 262_144
_FIRST_READ_BYTES = 16_384


def _problem(status: HTTPStatus, code: str, detail: str) -> bytes:
    """An answer to what never became a request."""
    body = json.dumps(body_of(status, code, detail)).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(body)}",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body


_MALFORMED = _problem(
    HTTPStatus.BAD_REQUEST,
    "malformed_request",
    "This is not valid HTTP. Percent-encode what a URL may not hold.",
)
_TOO_LARGE = _problem(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "Request line and headers have more than 64 KiB."
)
_TOO_SLOW = _problem(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", "Request line and headers arrive too slowly.")


class LimitedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose request line and headers do not end within 64 KiB, or not in time.

    The time begins with the connection, or with the first byte of a further request; between two requests counts
    uvicorn's own keep-alive. Of a body no more is held than one read brings: the rest waits in the kernel, or with the
    client, until the application asks for it.
    """

    head_seconds: ClassVar[float] = 20.0

    body_bytes = 0
    _head_bytes = 0
    _in_head = True
    _between = False
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_protocol(_Reader(self))
        self.flow = _Flow(transport, self)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._head_bytes = self.body_bytes = 0
        self._in_head, self._between = True, False
        self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_arrived()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:
            # Read and thrown away, so that the client gets round to reading its answer.
            return
        self.body_bytes += len(body)
        # Empty bytes become what is added to them; uvicorn's bytearray copies it, and once more to hand it over.
        if not self.cycle.body:
            self.cycle.body = b""  # type: ignore[assignment]
        super().on_body(body)
        self.flow.pause_reading()

    @property
    def has_unread_body(self) -> bool:
        current: RequestResponseCycle | None = self.cycle
        return current is not None and bool(current.body) and not current.response_complete

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._between = True
        self._head_arrived()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._in_head and not self._between and not self.transport.is_closing():
            # Nobody reads the body of an answered request: what is left of it gets the time of a head.
            self._expect_head()

    def data_received(self, data: bytes | memoryview) -> None:
        if self._in_head or self._between:
            self._expect_head()
        super().data_received(data)  # type: ignore[arg-type]  # httptools takes either
        # Counted afterwards: what came with the end of the head is the body's.
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self._refuse(_TOO_LARGE)

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self._on_slow_head)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_slow_head(self) -> None:
        self._head_timer = None
        # An answer that is under way is not cut off for what came after its request.
        current: RequestResponseCycle | None = self.cycle
        if current is not None and not current.response_complete:
            return
        if self._in_head or self._between:
            self._refuse(_TOO_SLOW)
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words say less
        self._refuse(_MALFORMED)

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


class _Flow(FlowControl):
    """Reads on only when the application wants more than is there; uvicorn, whenever it asks for what is there."""

    def __init__(self, transport: asyncio.Transport, protocol: LimitedHttpProtocol) -> None:
        super().__init__(transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        if not self._protocol.has_unread_body:
            super().resume_reading()


class _Reader(asyncio.BufferedProtocol):
    """Decides how much a read may bring: of a body's beginning little, as many may wait with theirs; then much.

    All connections share one buffer, as what is in it is parsed before the next read.
    """

    _buffer: ClassVar[memoryview] = memoryview(bytearray(_READ_BYTES))

    def __init__(self, protocol: LimitedHttpProtocol) -> None:
        self._protocol = protocol

    def get_buffer(self, _sizehint: int) -> memoryview:
        begins = self._protocol.body_bytes <= HIGH_WATER_LIMIT
        return self._buffer[:_FIRST_READ_BYTES] if begins else self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._protocol.data_received(self._buffer[:nbytes])

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
