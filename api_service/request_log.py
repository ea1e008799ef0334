"""One JSON log line and one request id for every request.

It leaves in the scope's `state` what is known only out here: `status`, of the answer, 0 until it has begun, and
`server_send`, for chunks that no layer of the application has anything to do with.
"""

from __future__ import annotations

import logging
import re
import time
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import log

_log = log.get(__name__)

# What a caller may choose as its own request id: short, and nothing that could forge a log line.
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


# Asked every few seconds by whoever watches us: of interest when they are not answered.
_PROBES = {"/livez", "/readyz"}


class RequestLog:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        trace_id = log.trace_id_of(headers.get("traceparent"))
        request_id = _request_id(headers, trace_id)
        state = scope.setdefault("state", {})
        state |= {"status": 0, "server_send": send}

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                state["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
            await send(message)

        started = time.perf_counter()
        client = scope.get("client")
        address = client[0] if client else None
        with log.bound(request_id=request_id, trace_id=trace_id, address=address, user_id=None):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                # The route's template, not the path: a path may hold what a user typed.
                route = getattr(scope.get("route"), "path", None)
                well = route in _PROBES and state["status"] == HTTPStatus.OK
                _log.log(
                    logging.DEBUG if well else logging.INFO,
                    "http.request",
                    method=scope["method"],
                    route=route,
                    status=state["status"],
                    milliseconds=round((time.perf_counter() - started) * 1000, 1),
                )


def _request_id(headers: Headers, trace_id: str) -> str:
    """The caller's own id, or the trace id, which the worker's lines carry too."""
    given = headers.get("x-request-id", "")
    return given if _ACCEPTED_ID.fullmatch(given) else trace_id
