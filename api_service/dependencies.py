"""What routes ask for by annotation."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, cast
from uuid import UUID

from fastapi import Depends, Header, Path, Request
from fastapi.security import OAuth2PasswordBearer

from api_service.auth import Authenticator, Caller
from api_service.frames import Encoder
from api_service.hub import Hub
from api_service.intake import Intake
from api_service.names import MAX_FOLDER_CHARS, MAX_FOLDER_LEVELS, clean_folder
from api_service.presigned import PresignedUploads
from api_service.problems import ProblemError, invalid, not_found, unauthorized
from api_service.rate_limits import RateLimits, source_of
from api_service.tokens import Kind, TokenError
from shared import log
from shared.accounts import Role
from shared.bootstrap import Backends
from shared.clock import Clock, NewId
from shared.document import Document, DocumentStatus
from shared.profiles import Profiles
from shared.settings import Settings

_bearer = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/login", auto_error=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """Everything that routes use, put together once by `create_app`."""

    settings: Settings
    backends: Backends
    authenticator: Authenticator
    intake: Intake
    presigned: PresignedUploads
    hub: Hub
    encoder: Encoder
    rate_limits: RateLimits
    profiles: Profiles
    upload_slots: asyncio.Semaphore
    small_upload_slots: asyncio.Semaphore
    clock: Clock
    new_id: NewId


def services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


# All that is asked for here is `async`, or FastAPI would change to another thread for it; and asks for little by
# annotation, because FastAPI looks through it again for each route.
async def _services(request: Request) -> Services:
    return services(request)


ServicesDep = Annotated[Services, Depends(_services)]


async def limited_by_address(request: Request) -> None:
    """For every route of the API: count the request before anything else is done for it."""
    services(request).rate_limits.spend(request, "address", source_of(request))


async def caller(request: Request, token: Annotated[str | None, Depends(_bearer)]) -> Caller:
    if token is None:
        raise unauthorized("Send an access token: Authorization: Bearer <token>.")
    return await identified(request, services(request), token, "at+jwt")


async def identified(request: Request, services: Services, token: str, kind: Kind) -> Caller:
    """Whose token it is, the request counted. Raises ProblemError."""
    try:
        caller = await services.authenticator.caller(token, kind)
    except TokenError:
        raise unauthorized("The token is not valid or has expired.") from None
    log.identify(str(caller.user.id))
    services.rate_limits.spend(request, "user", str(caller.user.id))
    return caller


CallerDep = Annotated[Caller, Depends(caller)]


async def admin(caller: CallerDep) -> Caller:
    if caller.user.role is not Role.ADMIN:
        raise ProblemError(HTTPStatus.FORBIDDEN, "forbidden", "That is for admins.")
    return caller


AdminDep = Annotated[Caller, Depends(admin)]


async def own_document(
    request: Request, caller: CallerDep, document_id: Annotated[str, Path(description="The document's id.")]
) -> Document:
    """The caller's own document. Foreign, missing, deleted and malformed ids get the same answer."""
    try:
        wanted = UUID(document_id)
    except ValueError:
        raise not_found() from None
    document = await services(request).backends.documents.find(wanted, owner=caller.user.id)
    if document is None:
        raise not_found()
    return document


DocumentDep = Annotated[Document, Depends(own_document)]

_MAX_KEY_CHARS = 255


async def idempotency_key(
    key: Annotated[
        str | None,
        Header(alias="Idempotency-Key", description="Repeat a request with the same key and it has its effect once."),
    ] = None,
) -> str | None:
    if key is not None and not 1 <= len(key) <= _MAX_KEY_CHARS:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", "Idempotency-Key must have 1 to 255 characters."
        )
    return key


IdempotencyKeyDep = Annotated[str | None, Depends(idempotency_key)]


def folder_path(raw: str) -> str:
    """A folder as documents carry it, from any spelling of its path; "" is the one that holds all.

    Raises ProblemError for a path that no document can have.
    """
    folder = clean_folder(raw)
    if not folder and not {"", "."}.issuperset(raw.split("/")):
        raise invalid("folder", "Names no folder.")
    if len(folder) > MAX_FOLDER_CHARS or folder.count("/") >= MAX_FOLDER_LEVELS:
        raise invalid("folder", f"Must have at most {MAX_FOLDER_CHARS} characters in {MAX_FOLDER_LEVELS} levels.")
    return folder


def known_profile(services: Services, name: str) -> str:
    """The name of a profile. Raises ProblemError that lists those that there are."""
    if name not in services.profiles.by_name:
        raise invalid("profile", f"There is no such profile. There are: {', '.join(services.profiles.names)}.")
    return name


def status_filter(raw: str | None) -> DocumentStatus | None:
    if not raw:
        return None
    shown = [status for status in DocumentStatus if status is not DocumentStatus.DELETING]
    if raw.lower() not in shown:
        raise invalid("status", f"Must be one of: {', '.join(shown)}.")
    return DocumentStatus(raw.lower())
