"""Puts the API together from settings and backends, the same for every runtime."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.types import Receive, Scope, Send

from api_service import description, docs_page, problems
from api_service.auth import Authenticator
from api_service.dependencies import Services, limited_by_address
from api_service.frames import Encoder
from api_service.hub import Hub
from api_service.intake import Intake
from api_service.presigned import PresignedUploads
from api_service.quotas import Quotas
from api_service.rate_limits import RateLimits
from api_service.request_log import RequestLog
from api_service.response_headers import ResponseHeaders
from api_service.routes import (
    admin_stream,
    aliases,
    auth,
    classify,
    documents,
    folders,
    health,
    moves,
    presigned,
    stream,
    uploads,
    usage,
    users,
)
from api_service.tokens import Tokens
from shared import log
from shared.adapters.argon2 import Argon2Passwords
from shared.bootstrap import Backends
from shared.clock import utc_now, uuid7
from shared.profiles import load_profiles
from shared.settings import Settings

PREFIX = "/api/v1"
_log = log.get(__name__)

_DESCRIPTION = "Files go in; text, analysis and a live, complete trail of status changes come out."


class _LoggedAPI(FastAPI):
    """FastAPI inside the request log, so that even an unexpected error is answered and logged with its request id."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await RequestLog(ResponseHeaders(super().__call__))(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            self.openapi_schema = description.complete(super().openapi())
        return self.openapi_schema


def create_app(settings: Settings, backends: Backends) -> FastAPI:
    """Build the application. Raises ConfigurationError for a missing or weak JWT_SECRET."""
    services = assemble(settings, backends)
    app = routed(settings)
    app.state.services = services
    return app


def routed(settings: Settings) -> FastAPI:
    """The application with nothing behind it yet: enough to describe it."""
    app = _LoggedAPI(
        title="Docrelay",
        version=version("docrelay"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        lifespan=_lifespan,
    )
    problems.install(app)
    app.include_router(health.router)
    api, limited = _api(settings), [Depends(limited_by_address)]
    app.include_router(api, prefix=PREFIX, dependencies=limited)
    # For clients of the systems that came before; the first route that matches counts.
    app.include_router(aliases.router, include_in_schema=False, dependencies=limited)
    app.include_router(api, include_in_schema=False, dependencies=limited)
    docs_page.install(app)
    return app


def assemble(settings: Settings, backends: Backends) -> Services:
    tokens = Tokens(
        key=settings.signing_key(),
        previous=settings.previous_signing_key(),
        access_life=timedelta(minutes=settings.jwt_expiry_minutes),
        clock=utc_now,
    )
    encoder = Encoder(documents=backends.documents)
    # One for both ways in: what is asked for by the one counts for the other.
    quotas = Quotas.of(settings, backends.documents)
    return Services(
        settings=settings,
        backends=backends,
        authenticator=Authenticator(
            accounts=backends.accounts,
            passwords=Argon2Passwords(),
            tokens=tokens,
            refresh_life=timedelta(days=settings.refresh_expiry_days),
            clock=utc_now,
            new_id=uuid7,
        ),
        intake=Intake(
            documents=backends.documents,
            blobs=backends.blobs,
            queue=backends.queue,
            quotas=quotas,
            clock=utc_now,
            new_id=uuid7,
        ),
        presigned=PresignedUploads(
            documents=backends.documents,
            blobs=backends.blobs,
            queue=backends.queue,
            quotas=quotas,
            max_file_bytes=settings.max_file_bytes,
            clock=utc_now,
            new_id=uuid7,
        ),
        hub=Hub(
            feed=backends.feed,
            encoder=encoder,
            tick_seconds=settings.stream_tick_seconds,
            heartbeat_seconds=settings.stream_heartbeat_seconds,
        ),
        encoder=encoder,
        rate_limits=RateLimits.of(settings),
        profiles=load_profiles(settings.profiles),
        upload_slots=asyncio.Semaphore(settings.upload_slots),
        small_upload_slots=asyncio.Semaphore(settings.upload_slots),
        clock=utc_now,
        new_id=uuid7,
    )


def _api(settings: Settings) -> APIRouter:
    api = APIRouter()
    api.include_router(auth.router)
    api.include_router(users.router)
    # Before the documents: /documents/stream must not be taken for a document's id.
    api.include_router(stream.router)
    if settings.admin_stream_tick_seconds is not None:
        api.include_router(admin_stream.router)
    api.include_router(uploads.router)
    api.include_router(presigned.router)
    api.include_router(documents.router)
    api.include_router(moves.router)
    api.include_router(classify.router)
    api.include_router(folders.router)
    api.include_router(usage.router)
    return api


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    services.hub.open()
    hub = asyncio.create_task(services.hub.run())
    hub.add_done_callback(_stop_process)
    try:
        yield
    finally:
        services.hub.close()
        hub.cancel()
        with suppress(asyncio.CancelledError):
            await hub


def _stop_process(hub: asyncio.Task[None]) -> None:
    """A process whose hub has died would hold streams open for nothing: end it, to be started anew."""
    if not hub.cancelled() and (error := hub.exception()):
        _log.error("stream.hub_died", exc_info=error)
        signal.raise_signal(signal.SIGTERM)
