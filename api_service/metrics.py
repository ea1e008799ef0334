"""`GET /metrics`: requests and open streams of this process, for Prometheus. Not on Lambda, where nobody scrapes."""

from __future__ import annotations

import time
from importlib.metadata import version

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Gauge, Histogram, Info, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api_service.response_headers import ResponseHeaders

# A route's template, never its path, which may hold what a user typed; a stream takes as long as its client stays.
_LABELS = ("method", "route", "status")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Metered:
    """The application, its requests timed."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        Info("docrelay", "The version that runs.", registry=self._registry).info({"version": version("docrelay")})
        streams = Gauge("docrelay_streams_open", "Status streams that are open.", registry=self._registry)
        streams.set_function(app.state.services.hub.count_all)
        self._requests = Histogram(
            "docrelay_http_request_duration_seconds", "Answered requests.", _LABELS, registry=self._registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif (scope["method"], scope["path"]) == ("GET", "/metrics"):
            await ResponseHeaders(self._shown(Request(scope)))(scope, receive, send)
        else:
            await self._timed(scope, receive, send)

    async def _timed(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        try:
            await self._app(scope, receive, send)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path", "none")
            self._requests.labels(method, route, scope["state"]["status"]).observe(time.perf_counter() - began)

    def _shown(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), headers={"Content-Type": content_type})
