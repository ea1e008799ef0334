"""What every answer tells the browser and caches to do with it, and its sender about limits. Knows no route."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_service import rate_limits

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Answers are data. Opened as a page, one may load nothing, and no page may frame it.
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    # What a caller reads is the caller's: no cache keeps it. With an ETag, the caller's own may, and asks each time.
    "Cache-Control": "no-store",
}


class ResponseHeaders:
    """Adds what the route has not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "ETag" in headers:
                    headers.setdefault("Cache-Control", "private, no-cache")
                for name, value in (_HEADERS | rate_limits.headers_of(state)).items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
