"""PostgresAccountStore: users and refresh families."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.accounts import RefreshFamily, Role, User
from shared.adapters.postgres.connection import Pool, Row, execute, fetch_all, fetch_one

_ADD_USER = """
INSERT INTO users (id, name, password_hash, role, disabled, token_epoch, created_at)
VALUES (%(id)s, %(name)s, %(password_hash)s, %(role)s, %(disabled)s, %(token_epoch)s, %(created_at)s)
ON CONFLICT DO NOTHING
"""
_USERS = """
SELECT * FROM users WHERE lower(name) > lower(%(after)s) ORDER BY lower(name) LIMIT %(limit)s
"""
_CHANGE_USER = """
UPDATE users
SET password_hash = %(password_hash)s, role = %(role)s, disabled = %(disabled)s, token_epoch = %(token_epoch)s
WHERE id = %(id)s AND token_epoch = %(token_epoch)s - 1
"""
_START_FAMILY = """
INSERT INTO refresh_families (id, user_id, counter, rotated_at, expires_at, revoked)
VALUES (%(id)s, %(user_id)s, %(counter)s, %(rotated_at)s, %(expires_at)s, %(revoked)s)
"""
_ROTATE = """
UPDATE refresh_families SET counter = counter + 1, rotated_at = %(now)s
WHERE id = %(id)s AND counter = %(counter)s AND NOT revoked AND expires_at > %(now)s
"""


class PostgresAccountStore:
    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    async def add_user(self, user: User) -> bool:
        return await execute(self._pool, _ADD_USER, asdict(user)) == 1

    async def user_named(self, name: str) -> User | None:
        # PostgreSQL has no NUL in a text, and so no such name.
        return await self._user("lower(name) = lower(%(name)s)", {"name": name}) if "\0" not in name else None

    async def user(self, user_id: UUID) -> User | None:
        return await self._user("id = %(id)s", {"id": user_id})

    async def has_users(self) -> bool:
        return await fetch_one(self._pool, "SELECT 1 FROM users LIMIT 1") is not None

    async def users(self, *, after: str | None, limit: int) -> list[User]:
        rows = await fetch_all(self._pool, _USERS, {"after": (after or "").replace("\0", ""), "limit": limit})
        return [_user_from(row) for row in rows]

    async def change_user(self, user: User) -> bool:
        return await execute(self._pool, _CHANGE_USER, asdict(user)) == 1

    async def start_family(self, family: RefreshFamily) -> None:
        await execute(self._pool, _START_FAMILY, asdict(family))

    async def family(self, family_id: UUID) -> RefreshFamily | None:
        row = await fetch_one(self._pool, "SELECT * FROM refresh_families WHERE id = %(id)s", {"id": family_id})
        return RefreshFamily(**row) if row else None

    async def rotate(self, family_id: UUID, *, counter: int, now: datetime) -> bool:
        return await execute(self._pool, _ROTATE, {"id": family_id, "counter": counter, "now": now}) == 1

    async def revoke(self, family_id: UUID) -> None:
        await execute(self._pool, "UPDATE refresh_families SET revoked = true WHERE id = %(id)s", {"id": family_id})

    async def _user(self, condition: str, parameters: dict[str, Any]) -> User | None:
        row = await fetch_one(self._pool, f"SELECT * FROM users WHERE {condition}", parameters)  # noqa: S608 - our own text
        return _user_from(row) if row else None


def _user_from(row: Row) -> User:
    return User(**row | {"role": Role(row["role"])})
