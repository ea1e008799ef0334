"""Adding users from the command line, by the same rules as over HTTP."""

from __future__ import annotations

import asyncio

from pydantic import ValidationError

from api_service.requests import UserIn
from shared.accounts import Role, User
from shared.adapters.argon2 import Argon2Passwords
from shared.bootstrap import open_backends
from shared.clock import utc_now, uuid7
from shared.errors import ConfigurationError
from shared.settings import Settings


def add(settings: Settings, *, name: str, password: str, admin: bool) -> None:
    """Raises ConfigurationError for a name or a password that cannot be, or a name that is taken."""
    try:
        given = UserIn(username=name, password=password, role=Role.ADMIN if admin else Role.USER)
    except ValidationError as exc:
        wrong = (
            f"{error['loc'][0]}: {error['msg'].removeprefix('Value error, ')}"
            for error in exc.errors(include_input=False)
        )
        raise ConfigurationError("; ".join(wrong)) from None
    asyncio.run(_add(settings, given))


async def _add(settings: Settings, given: UserIn) -> None:
    user = User(
        id=uuid7(),
        name=given.username,
        password_hash=await Argon2Passwords().hash(given.password),
        role=given.role,
        created_at=utc_now(),
    )
    async with open_backends(settings) as backends:
        if not await backends.accounts.add_user(user):
            raise ConfigurationError(f"There is a user named {given.username}.")
