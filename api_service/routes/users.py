"""Users, for admins. Every change of a user ends what tokens the user has."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request

from api_service import audit
from api_service.bodies import described, read_body
from api_service.dependencies import AdminDep, Services, ServicesDep
from api_service.problems import ProblemError
from api_service.requests import UserChange, UserIn
from api_service.routes import problems
from api_service.schemas import UserOut, UsersOut
from shared.accounts import Role, User

router = APIRouter(prefix="/users", tags=["users"])


@router.post(
    "", status_code=201, responses=problems(401, 403, 408, 409, 413, 422, 503), openapi_extra=described(UserIn)
)
async def add_user(request: Request, _admin: AdminDep, services: ServicesDep) -> UserOut:
    """Add a user. 409 when the name is taken, in any case."""
    given = await read_body(request, UserIn)
    user = User(
        id=services.new_id(),
        name=given.username,
        password_hash=await services.authenticator.passwords.hash(given.password),
        role=given.role,
        created_at=services.clock(),
    )
    if not await services.backends.accounts.add_user(user):
        raise ProblemError(HTTPStatus.CONFLICT, "name_taken", "There is a user of that name.")
    audit.record("user.add", "accepted", subject=str(user.id), role=user.role)
    return UserOut.of(user)


@router.get("", responses=problems(401, 403, 422, 503))
async def list_users(
    _admin: AdminDep,
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=256, description="`next_cursor` of the page before.")] = None,
) -> UsersOut:
    """List the users, by name."""
    users = await services.backends.accounts.users(after=cursor, limit=limit + 1)
    page = users[:limit]
    return UsersOut(items=[UserOut.of(user) for user in page], next_cursor=page[-1].name if users[limit:] else None)


@router.patch(
    "/{name}", responses=problems(401, 403, 404, 408, 409, 413, 422, 503), openapi_extra=described(UserChange)
)
async def change_user(name: str, request: Request, admin: AdminDep, services: ServicesDep) -> UserOut:
    """Change password, role, or whether the user may log in. What is not named stays as it is."""
    given = await read_body(request, UserChange)
    user = await services.backends.accounts.user_named(name)
    if user is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, "not_found", "There is no such user.")
    if user.id == admin.user.id and (given.disabled or given.role is Role.USER):
        raise ProblemError(HTTPStatus.CONFLICT, "own_account", "Another admin has to take that from you.")
    changed = await _changed(services, user, given)
    if not await services.backends.accounts.change_user(changed):
        raise ProblemError(HTTPStatus.CONFLICT, "conflict", "The user was changed by somebody else meanwhile.")
    audit.record("user.change", "accepted", subject=str(user.id), fields=sorted(given.model_fields_set))
    return UserOut.of(changed)


async def _changed(services: Services, user: User, given: UserChange) -> User:
    hashed = await services.authenticator.passwords.hash(given.password) if given.password else user.password_hash
    return replace(
        user,
        password_hash=hashed,
        role=given.role or user.role,
        disabled=user.disabled if given.disabled is None else given.disabled,
        token_epoch=user.token_epoch + 1,
    )
