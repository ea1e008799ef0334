"""Who may ask how often: failed log-ins by name and address, requests by user and by address."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, Self
from weakref import WeakValueDictionary

from fastapi import Request

from api_service.problems import ProblemError
from api_service.windows import Standing, Windows
from shared.settings import Settings

Whose = Literal["user", "address"]
_STATE = "docrelay.rate_limits"


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One try to log in, while no other from the same address is under way."""

    windows: LoginWindows
    name: str
    source: str

    def failed(self) -> None:
        self.windows.by_name.spend(self.name, self.source)
        self.windows.by_address.spend(self.source)

    def succeeded(self) -> None:
        """The name's failures are forgotten; the address's are not, or an account of one's own would buy more tries."""
        self.windows.by_name.clear(self.name, self.source)


class LoginWindows:
    """Failed log-ins are counted for each name from each address, so that nobody can lock out somebody elsewhere."""

    def __init__(self, *, by_name: Windows, by_address: Windows) -> None:
        self.by_name = by_name
        self.by_address = by_address
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, name: str, source: str) -> AsyncIterator[Turn]:
        """Raises ProblemError, before any password is hashed, for whoever has failed too often.

        One after the other, or as many tries as fit into the time of a hash would be free.
        """
        hashed = hashlib.sha256(name.casefold().encode()).hexdigest()
        lock = self._turns.setdefault(source, asyncio.Lock())
        async with lock:
            for windows, key in ((self.by_name, (hashed, source)), (self.by_address, (source,))):
                if windows.spent(*key):
                    raise too_many("too_many_attempts", "Too many failed log-ins.", windows.retry_after_seconds(*key))
            yield Turn(windows=self, name=hashed, source=source)


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimits:
    logins: LoginWindows
    requests: dict[Whose, Windows]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises ConfigurationError."""
        return cls(
            logins=LoginWindows(
                by_name=Windows(settings.login_limit_name), by_address=Windows(settings.login_limit_address)
            ),
            requests={"user": Windows(settings.rate_limit_user), "address": Windows(settings.rate_limit_address)},
        )

    def spend(self, request: Request, whose: Whose, key: str) -> None:
        """Count a request and note where its sender stands, for the answer. Raises ProblemError beyond the limit."""
        windows = self.requests[whose]
        if not windows:
            return
        accepted = windows.spend(key)
        noted = request.scope.setdefault("state", {}).setdefault(_STATE, [])
        noted += [(whose, standing) for standing in windows.standings(key)]
        if not accepted:
            detail = f"Too many requests of this {whose}."
            raise too_many("rate_limited", detail, windows.retry_after_seconds(key))


def headers_of(state: MutableMapping[str, Any]) -> dict[str, str]:
    """What an answer says of the limits that its request counted against (draft-ietf-httpapi-ratelimit-headers)."""
    noted: list[tuple[Whose, Standing]] = state.get(_STATE, [])
    if not noted:
        return {}
    named = [(f'"{whose}-{one.window_seconds}"', one) for whose, one in noted]
    return {
        "RateLimit-Policy": ", ".join(f"{name};q={one.limit};w={one.window_seconds}" for name, one in named),
        "RateLimit": ", ".join(f"{name};r={one.remaining};t={one.reset_seconds}" for name, one in named),
    }


def source_of(request: Request) -> str:
    """The network that the request comes from: an IPv4 address, or the 64 bits of IPv6 that one subscriber has."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    # A socket for both versions writes an IPv4 address as one of IPv6, all of them within the same 64 bits.
    address = getattr(address, "ipv4_mapped", None) or address
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


def too_many(code: str, detail: str, retry_after_seconds: int) -> ProblemError:
    return ProblemError(
        HTTPStatus.TOO_MANY_REQUESTS,
        code,
        f"{detail} Try again in {retry_after_seconds} seconds.",
        headers={"Retry-After": str(retry_after_seconds)},
    )
