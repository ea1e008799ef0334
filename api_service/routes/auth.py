"""Log-in and what follows from it."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from api_service import audit
from api_service.auth import BadCredentialsError, ReusedTokenError, TokenPair
from api_service.bodies import described, read_body
from api_service.dependencies import CallerDep, Services, ServicesDep
from api_service.problems import unauthorized
from api_service.rate_limits import source_of
from api_service.requests import LoginIn, RefreshIn
from api_service.routes import problems
from api_service.schemas import MeOut, TicketOut, TokensOut
from api_service.tokens import TICKET_LIFE, TokenError

router = APIRouter(prefix="/auth", tags=["auth"])


@router.post("/login", responses=problems(401, 408, 413, 422, 429, 503), openapi_extra=described(LoginIn, form=True))
async def login(request: Request, services: ServicesDep) -> TokensOut:
    """Exchange user name and password, as JSON or as an OAuth2 form, for an access and a refresh token."""
    given = await read_body(request, LoginIn)
    async with services.rate_limits.logins.turn(given.username, source_of(request)) as turn:
        try:
            pair = await services.authenticator.log_in(given.username, given.password)
        except BadCredentialsError:
            turn.failed()
            raise unauthorized("The user name or the password is wrong.", audited=True) from None
        turn.succeeded()
    return _tokens(services, pair)


@router.post("/refresh", responses=problems(401, 408, 413, 422, 503), openapi_extra=described(RefreshIn, form=True))
async def refresh(request: Request, services: ServicesDep) -> TokensOut:
    """Exchange a refresh token for its successor. Using a spent one again revokes the whole log-in."""
    given = await read_body(request, RefreshIn)
    try:
        pair = await services.authenticator.refresh(given.refresh_token)
    except TokenError as exc:
        audited = isinstance(exc, ReusedTokenError)
        raise unauthorized("The refresh token is not valid, was used before or has expired.", audited=audited) from None
    return _tokens(services, pair)


@router.post("/logout", status_code=204, responses=problems(401, 503))
async def logout(caller: CallerDep, services: ServicesDep) -> Response:
    """Revoke the refresh tokens of this log-in."""
    await services.authenticator.log_out(caller.claims.family_id)
    audit.record("logout", "accepted")
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get("/me", responses=problems(401, 503))
async def me(caller: CallerDep) -> MeOut:
    return MeOut(id=caller.user.id, username=caller.user.name, role=caller.user.role)


@router.post("/stream-ticket", responses=problems(401, 503))
async def stream_ticket(caller: CallerDep, services: ServicesDep) -> TicketOut:
    """A ticket for `GET /documents/stream?ticket=`, for browsers whose EventSource cannot send a header."""
    ticket = services.authenticator.tokens.ticket(caller.user, caller.claims.family_id)
    audit.record("stream_ticket", "accepted")
    return TicketOut(ticket=ticket, expires_in=int(TICKET_LIFE.total_seconds()))


def _tokens(services: Services, pair: TokenPair) -> TokensOut:
    life = services.authenticator.tokens.access_life
    return TokensOut(access_token=pair.access, refresh_token=pair.refresh, expires_in=int(life.total_seconds()))
