"""Signed tokens (RFC 8725): one algorithm, an explicit `typ` for each kind, every claim required."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import jwt

from shared.accounts import RefreshFamily, User
from shared.clock import Clock

Kind = Literal["at+jwt", "rt+jwt", "ticket+jwt"]

_ALGORITHM = "HS256"
_ISSUER = "docrelay"
_AUDIENCE = "docrelay-api"
_REQUIRED = ["iss", "aud", "exp", "nbf", "iat", "jti", "sub", "epoch", "family"]
TICKET_LIFE = timedelta(seconds=60)


class TokenError(Exception):
    """The token is not valid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What a valid token says. `counter` orders the refresh tokens of one family."""

    kind: Kind
    user_id: UUID
    epoch: int
    family_id: UUID
    counter: int
    expires_at: datetime


class Tokens:
    def __init__(self, *, key: bytes, previous: bytes | None = None, access_life: timedelta, clock: Clock) -> None:
        """Signs with `key`, and for as long as `previous` is given also accepts what was signed with that."""
        self._key = key
        self._keys = [key] if previous is None else [key, previous]
        self.access_life = access_life
        self._clock = clock

    def access(self, user: User, family_id: UUID) -> str:
        return self._issue("at+jwt", user, family_id, life=self.access_life)

    def ticket(self, user: User, family_id: UUID) -> str:
        """A token that only opens a stream, short-lived because it travels in a URL."""
        return self._issue("ticket+jwt", user, family_id, life=TICKET_LIFE)

    def refresh(self, user: User, family: RefreshFamily) -> str:
        """The family's current refresh token.

        It follows from the family's row alone, so a client that lost the answer gets the same token again
        and none is stored.
        """
        return self._sign(
            "rt+jwt",
            {
                "sub": str(user.id),
                "epoch": user.token_epoch,
                "family": str(family.id),
                "counter": family.counter,
                "jti": f"{family.id}.{family.counter}",
            },
            issued_at=family.rotated_at,
            expires_at=family.expires_at,
        )

    def read(self, token: str, kind: Kind) -> Claims:
        """Raises TokenError for anything but a live token of that kind."""
        try:
            if jwt.get_unverified_header(token).get("typ") != kind:
                raise TokenError
            claims = self._verified(token)
            return self._live(claims, kind)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError) as exc:
            raise TokenError from exc

    def _verified(self, token: str) -> dict[str, Any]:
        for key in self._keys[:-1]:
            # Which key signed it is found by trying: a header that named one would be the sender's choice.
            with suppress(jwt.InvalidSignatureError):
                return _decoded(token, key)
        return _decoded(token, self._keys[-1])

    def _live(self, claims: dict[str, Any], kind: Kind) -> Claims:
        now, expires_at = self._clock(), _time(claims, "exp")
        if not max(_time(claims, "nbf"), _time(claims, "iat")) <= now < expires_at:
            raise TokenError
        return Claims(
            kind=kind,
            user_id=UUID(_text(claims, "sub")),
            epoch=_integer(claims, "epoch"),
            family_id=UUID(_text(claims, "family")),
            counter=_integer(claims, "counter") if kind == "rt+jwt" else 0,
            expires_at=expires_at,
        )

    def _issue(self, kind: Kind, user: User, family_id: UUID, *, life: timedelta) -> str:
        now = self._clock()
        claims = {"sub": str(user.id), "epoch": user.token_epoch, "family": str(family_id), "jti": uuid4().hex}
        return self._sign(kind, claims, issued_at=now, expires_at=now + life)

    def _sign(self, kind: Kind, claims: dict[str, Any], *, issued_at: datetime, expires_at: datetime) -> str:
        issued = int(issued_at.timestamp())
        stamped = {"iss": _ISSUER, "aud": _AUDIENCE, "iat": issued, "nbf": issued, "exp": int(expires_at.timestamp())}
        return jwt.encode({**claims, **stamped}, self._key, algorithm=_ALGORITHM, headers={"typ": kind})


def _decoded(token: str, key: bytes) -> dict[str, Any]:
    return jwt.decode(
        token,
        key,
        algorithms=[_ALGORITHM],
        issuer=_ISSUER,
        audience=_AUDIENCE,
        # Expiry is compared with our own clock, in `_live`.
        options={"require": _REQUIRED, "enforce_minimum_key_length": True, "verify_exp": False, "verify_nbf": False,
                 "verify_iat": False},
    )  # fmt: skip


# A claim of another JSON type is another token, even where Python would read it as the same: "0", 0.5, false.


def _text(claims: dict[str, Any], name: str) -> str:
    if type(claims[name]) is not str:
        raise TokenError
    return str(claims[name])


def _integer(claims: dict[str, Any], name: str) -> int:
    if type(claims[name]) is not int:
        raise TokenError
    return int(claims[name])


def _time(claims: dict[str, Any], name: str) -> datetime:
    return datetime.fromtimestamp(_integer(claims, name), UTC)
