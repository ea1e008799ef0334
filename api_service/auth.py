"""Log-in, refresh and log-out. Knows tokens and accounts, not HTTP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from api_service import audit
from api_service.tokens import Claims, Kind, TokenError, Tokens
from shared.accounts import RefreshFamily, User
from shared.adapters.argon2 import Argon2Passwords
from shared.clock import Clock, NewId
from shared.ports import AccountStore

# A client whose answer got lost may present the last token once more for so long (RFC 9700, section 4.14).
_GRACE = timedelta(seconds=10)
# Checked for unknown names, so that they take as long as known ones. The password of nobody.
DUMMY_HASH = "$argon2id$v=19$m=65536,t=3,p=4$/lK6cQK+xoj2cw/bsonLKw$zF/0fjE79h+9S+q6M3HY0vTA1UzFQAXZRoqzRXLBzqE"


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenPair:
    access: str
    refresh: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who a request comes from."""

    user: User
    claims: Claims


class BadCredentialsError(Exception):
    """The user name or the password is wrong."""


class ReusedTokenError(TokenError):
    """A refresh token was used again after its time; its whole log-in has ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Authenticator:
    accounts: AccountStore
    passwords: Argon2Passwords
    tokens: Tokens
    refresh_life: timedelta
    clock: Clock
    new_id: NewId

    async def log_in(self, name: str, password: str) -> TokenPair:
        """Raises BadCredentialsError, after the same work for a wrong name as for a wrong password."""
        user = await self.accounts.user_named(name)
        good = await self.passwords.verify(password, user.password_hash if user else DUMMY_HASH)
        if user is None or user.disabled or not good:
            audit.record("login", "refused", user_id=user and str(user.id))
            raise BadCredentialsError
        now = self.clock()
        family = RefreshFamily(
            id=self.new_id(), user_id=user.id, counter=0, rotated_at=now, expires_at=now + self.refresh_life
        )
        await self.accounts.start_family(family)
        audit.record("login", "accepted", user_id=str(user.id))
        return self._pair(user, family)

    async def refresh(self, token: str) -> TokenPair:
        """Answer a refresh token with its successor. Raises TokenError; a spent token revokes its whole family."""
        claims = self.tokens.read(token, "rt+jwt")
        user, now = await self._user(claims), self.clock()
        if await self.accounts.rotate(claims.family_id, counter=claims.counter, now=now):
            family = await self._family(claims.family_id)
            audit.record("refresh", "accepted", user_id=str(user.id))
            return self._pair(user, replace(family, counter=claims.counter + 1, rotated_at=now))
        family = await self._family(claims.family_id)
        if family.revoked or family.counter != claims.counter + 1 or now > family.rotated_at + _GRACE:
            await self.accounts.revoke(family.id)
            audit.record("refresh", "reused", user_id=str(user.id))
            raise ReusedTokenError
        audit.record("refresh", "accepted", user_id=str(user.id), grace=True)
        return self._pair(user, family)

    async def log_out(self, family_id: UUID) -> None:
        await self.accounts.revoke(family_id)

    async def caller(self, token: str, kind: Kind) -> Caller:
        """Raises TokenError."""
        claims = self.tokens.read(token, kind)
        return Caller(user=await self._user(claims), claims=claims)

    async def _user(self, claims: Claims) -> User:
        user = await self.accounts.user(claims.user_id)
        if user is None or user.disabled or user.token_epoch != claims.epoch:
            raise TokenError
        return user

    async def _family(self, family_id: UUID) -> RefreshFamily:
        family = await self.accounts.family(family_id)
        if family is None:
            raise TokenError
        return family

    def _pair(self, user: User, family: RefreshFamily) -> TokenPair:
        return TokenPair(access=self.tokens.access(user, family.id), refresh=self.tokens.refresh(user, family))
