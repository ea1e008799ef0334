"""uvicorn's fast HTTP protocol with limits on a request's head, which httptools itself does not have: size and time."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_MAX_HEAD_BYTES = 65_536
_CLOSING = "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_LARGE = f"HTTP/1.1 431 Request Header Fields Too Large{_CLOSING}".encode()
_TOO_SLOW = f"HTTP/1.1 408 Request Timeout{_CLOSING}".encode()


class LimitedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose request line and headers do not end within 64 KiB, or not in time.

    The time begins with the connection, or with the first byte of a further request; between two requests counts
    uvicorn's own keep-alive.
    """

    head_seconds: ClassVar[float] = 20.0

    _head_bytes = 0
    _in_head = True
    _between = False
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        self._in_head, self._between = True, False
        self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_arrived()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._between = True
        self._head_arrived()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._in_head and not self._between and not self.transport.is_closing():
            # Nobody reads the body of an answered request: what is left of it gets the time of a head.
            self._expect_head()

    def data_received(self, data: bytes) -> None:
        if self._in_head or self._between:
            self._expect_head()
        super().data_received(data)
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

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
