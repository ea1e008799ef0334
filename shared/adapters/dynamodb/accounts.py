"""DynamoDBAccountStore: users, their unique names, and refresh families."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from shared.accounts import RefreshFamily, Role, User
from shared.adapters.dynamodb import items
from shared.adapters.dynamodb.expressions import NEW, STORED, Key, Values, expressed, item, plain, put, update
from shared.adapters.dynamodb.table import REFUSED, CanceledError, Table, pauses
from shared.errors import BackendUnavailableError

# One item for each user, in the order of their names, so that nobody has to scan the table for them.
_DIRECTORY = "UN"
_ROTATES = "#counter = :counter AND #revoked = :no AND #expires_at > :now"


class DynamoDBAccountStore:
    def __init__(self, *, table: Table) -> None:
        self._table = table

    async def add_user(self, user: User) -> bool:
        values = {name: value for name, value in asdict(user).items() if name != "id"}
        for pause in pauses():
            try:
                await self._table.transact(
                    ("Put", put({**_name_key(user.name), "user_id": user.id}, condition=NEW)),
                    ("Put", put({**_user_key(user.id), **values}, condition=NEW)),
                    ("Put", {"Item": item({**_entry_key(user.name), "user_id": user.id})}),
                )
            except CanceledError as exc:
                if REFUSED in exc.codes:
                    return False
            else:
                return True
            await asyncio.sleep(pause)
        raise BackendUnavailableError("DynamoDB is too busy to add a user.")

    async def user_named(self, name: str) -> User | None:
        stored = await self._table.get(_name_key(name))
        return await self.user(UUID(plain(stored)["user_id"])) if stored else None

    async def user(self, user_id: UUID) -> User | None:
        stored = await self._table.get(_user_key(user_id))
        if stored is None:
            return None
        values = plain(stored)
        return User(
            id=user_id,
            name=values["name"],
            password_hash=values["password_hash"],
            role=Role(values["role"]),
            disabled=values["disabled"],
            token_epoch=values["token_epoch"],
            created_at=datetime.fromisoformat(values["created_at"]),
        )

    async def has_users(self) -> bool:
        return bool(await self._listed(after=None, limit=1))

    async def users(self, *, after: str | None, limit: int) -> list[User]:
        found = [await self.user(user_id) for user_id in await self._listed(after=after, limit=limit)]
        return [user for user in found if user]

    async def change_user(self, user: User) -> bool:
        changed: Values = {name: getattr(user, name) for name in ("password_hash", "role", "disabled", "token_epoch")}
        given: Values = {"before": user.token_epoch - 1}
        return await self._table.update(
            update(_user_key(user.id), changed, condition="#token_epoch = :before", given=given)
        )

    async def _listed(self, *, after: str | None, limit: int) -> list[UUID]:
        last = _entry_key(after or "")["SK"]
        request = expressed(
            {"directory": _DIRECTORY, "last": last}, KeyConditionExpression="PK = :directory AND SK > :last"
        )
        found = await self._table.query({**request, "Limit": limit}, limit=limit)
        return [UUID(plain(entry)["user_id"]) for entry in found]

    async def start_family(self, family: RefreshFamily) -> None:
        values = {name: value for name, value in asdict(family).items() if name != "id"}
        ttl = {"ttl": int(family.expires_at.timestamp())}
        await self._table.put(put({**_family_key(family.id), **values, **ttl}, condition=NEW))

    async def family(self, family_id: UUID) -> RefreshFamily | None:
        stored = await self._table.get(_family_key(family_id))
        if stored is None:
            return None
        values = plain(stored)
        return RefreshFamily(
            id=family_id,
            user_id=UUID(values["user_id"]),
            counter=values["counter"],
            rotated_at=datetime.fromisoformat(values["rotated_at"]),
            expires_at=datetime.fromisoformat(values["expires_at"]),
            revoked=values["revoked"],
        )

    async def rotate(self, family_id: UUID, *, counter: int, now: datetime) -> bool:
        moved: Values = {"counter": counter + 1, "rotated_at": now}
        given: Values = {"counter": counter, "no": False, "now": now}
        return await self._table.update(update(_family_key(family_id), moved, condition=_ROTATES, given=given))

    async def revoke(self, family_id: UUID) -> None:
        await self._table.update(update(_family_key(family_id), {"revoked": True}, condition=STORED))


def _entry_key(name: str) -> Key:
    return items.key(_DIRECTORY, f"N#{name.lower()}")


def _user_key(user_id: UUID) -> Key:
    return items.key(f"U#{user_id}", "P")


def _name_key(name: str) -> Key:
    return items.key(f"UN#{hashlib.sha256(name.lower().encode()).hexdigest()}", "U")


def _family_key(family_id: UUID) -> Key:
    return items.key(f"RT#{family_id}", "F")
