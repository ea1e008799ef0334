"""Log-in and what follows from it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypeVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from api_service.auth import BadCredentialsError, TokenPair
from api_service.dependencies import CallerDep, Services, ServicesDep
from api_service.problems import ProblemError, unauthorized
from api_service.routes import problems
from api_service.schemas import LoginIn, MeOut, RefreshIn, TicketOut, TokensOut
from api_service.tokens import TICKET_LIFE, TokenError

router = APIRouter(prefix="/auth", tags=["auth"])

_Body = TypeVar("_Body", bound=BaseModel)
_MAX_BODY_BYTES = 8_192
_LOGIN_SCHEMA = {"schema": LoginIn.model_json_schema()}
_LOGIN_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": _LOGIN_SCHEMA, "application/x-www-form-urlencoded": _LOGIN_SCHEMA},
    }
}
_REFRESH_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": RefreshIn.model_json_schema()}},
    }
}


@router.post("/login", responses=problems(401, 413, 422), openapi_extra=_LOGIN_BODY)
async def login(request: Request, services: ServicesDep) -> TokensOut:
    """Exchange user name and password, as JSON or as an OAuth2 form, for an access and a refresh token."""
    given = await _read(request, LoginIn)
    try:
        pair = await services.authenticator.log_in(given.username, given.password)
    except BadCredentialsError:
        raise unauthorized("The user name or the password is wrong.") from None
    return _tokens(services, pair)


@router.post("/refresh", responses=problems(401, 413, 422), openapi_extra=_REFRESH_BODY)
async def refresh(request: Request, services: ServicesDep) -> TokensOut:
    """Exchange a refresh token for its successor. Using a spent one again revokes the whole log-in."""
    given = await _read(request, RefreshIn)
    try:
        pair = await services.authenticator.refresh(given.refresh_token)
    except TokenError:
        raise unauthorized("The refresh token is not valid, was used before or has expired.") from None
    return _tokens(services, pair)


@router.post("/logout", status_code=204, responses=problems(401))
async def logout(caller: CallerDep, services: ServicesDep) -> Response:
    """Revoke the refresh tokens of this log-in."""
    await services.authenticator.log_out(caller.claims.family_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get("/me", responses=problems(401))
async def me(caller: CallerDep) -> MeOut:
    return MeOut(id=caller.user.id, username=caller.user.name, role=caller.user.role)


@router.post("/stream-ticket", responses=problems(401))
async def stream_ticket(caller: CallerDep, services: ServicesDep) -> TicketOut:
    """A ticket for `GET /documents/stream?ticket=`, for browsers whose EventSource cannot send a header."""
    ticket = services.authenticator.tokens.ticket(caller.user, caller.claims.family_id)
    return TicketOut(ticket=ticket, expires_in=int(TICKET_LIFE.total_seconds()))


async def _read(request: Request, model: type[_Body]) -> _Body:
    """Read a JSON body or a form that is small, as every body here is; FastAPI itself would read one of any size."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "too_large",
                f"The body has more than {_MAX_BODY_BYTES} bytes.",
                headers={"Connection": "close"},
            )
    try:
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return model.model_validate(dict(parse_qsl(body.decode())))
        return model.model_validate_json(bytes(body))
    except UnicodeDecodeError as exc:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", "The body is not UTF-8.") from exc
    except ValidationError as exc:
        # Without the input: an answer must not repeat a password.
        errors = exc.errors(include_input=False, include_url=False)
        raise RequestValidationError([{**error, "loc": ("body", *error["loc"])} for error in errors]) from exc


def _tokens(services: Services, pair: TokenPair) -> TokensOut:
    life = services.authenticator.tokens.access_life
    return TokensOut(access_token=pair.access, refresh_token=pair.refresh, expires_in=int(life.total_seconds()))
