"""Every route of the application, asked by every identity: who is let in, and that nobody else is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api_service.app import create_app
from shared.accounts import RefreshFamily, Role
from shared.bootstrap import Backends
from shared.clock import utc_now
from shared.document import Document, blob_prefix
from shared.settings import Settings
from tests.support.access import RULES, Guard, Route, Rule, routes_of
from tests.support.callers import Caller, calling, tokens_of
from tests.support.running import serving

# fastapi-swagger reads its files in a way that Python 3.11 and 3.12 call old.
pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")

# What lets a user in as such. Everything else is nobody, whatever it carries.
USERS = ("owner", "other", "admin")
TICKETS = ("owner's ticket in the URL", "admin's ticket in the URL")
NOBODY = (
    "expired",
    "refresh as access",
    "ticket as access",
    "access token in the URL",
    "refresh token in the URL",
    "revoked",
    "none",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cast:
    """Everybody who asks, and how each of them says who it is."""

    owner: Caller
    client: httpx.AsyncClient
    identities: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def settings(stack_settings: Settings) -> Settings:
    """Streams that end at once, and the route that has to be switched on."""
    return stack_settings.model_copy(update={"stream_seconds": 0.1, "admin_stream_tick_seconds": 0.05})


@pytest.fixture(scope="module")
def routes(settings: Settings, backends: Backends) -> list[Route]:
    return routes_of(create_app(settings, backends))


@pytest.fixture(scope="module")
async def cast(settings: Settings, backends: Backends) -> AsyncIterator[Cast]:
    async with (
        serving(settings) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
        calling(url, settings, backends) as owner,
        calling(url, settings, backends) as other,
        calling(url, settings, backends, role=Role.ADMIN) as admin,
    ):
        yield Cast(owner=owner, client=client, identities=await _identities(settings, owner, other, admin))


async def _identities(settings: Settings, owner: Caller, other: Caller, admin: Caller) -> dict[str, dict[str, Any]]:
    now, tokens = utc_now(), tokens_of(settings)
    then = tokens_of(settings, clock=lambda: now - timedelta(days=1))
    access, ticket = tokens.access(owner.user, uuid4()), tokens.ticket(owner.user, uuid4())
    family = RefreshFamily(
        id=uuid4(), user_id=owner.user.id, counter=0, rotated_at=now, expires_at=now + timedelta(days=1)
    )
    await owner.backends.accounts.start_family(family)
    refresh = tokens.refresh(owner.user, family)
    async with calling("http://127.0.0.1", settings, owner.backends, disabled=True) as revoked:
        disabled = revoked.client.headers["Authorization"]
    return {
        "owner": _bearer(access),
        "other": {"headers": {"Authorization": other.client.headers["Authorization"]}},
        "admin": {"headers": {"Authorization": admin.client.headers["Authorization"]}},
        "owner's ticket in the URL": {"params": {"ticket": ticket}},
        "admin's ticket in the URL": {"params": {"ticket": tokens.ticket(admin.user, uuid4())}},
        "expired": _bearer(then.access(owner.user, uuid4())),
        "refresh as access": _bearer(refresh),
        "ticket as access": _bearer(ticket),
        "access token in the URL": {"params": {"ticket": access, "access_token": access, "token": access}},
        "refresh token in the URL": {"params": {"ticket": refresh}},
        "revoked": {"headers": {"Authorization": disabled}},
        "none": {},
    }


def _bearer(token: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {token}"}}


def expected(rule: Rule) -> dict[str, int]:
    """What each identity gets."""
    if rule.guard is Guard.EVERYBODY:
        return dict.fromkeys((*USERS, *TICKETS, *NOBODY), rule.answer)
    answers = dict.fromkeys((*USERS, *TICKETS, *NOBODY), 401)
    if rule.guard in {Guard.ADMIN, Guard.LISTENING_ADMIN}:
        return answers | {"owner": 403, "other": 403, "admin": rule.answer} | _tickets(rule, owner=403)
    if rule.guard is Guard.OWNER:
        return answers | {"owner": rule.answer, "other": 404, "admin": 404}
    return answers | dict.fromkeys(USERS, rule.answer) | _tickets(rule, owner=rule.answer)


def _tickets(rule: Rule, *, owner: int) -> dict[str, int]:
    if rule.guard not in {Guard.LISTENER, Guard.LISTENING_ADMIN}:
        return {}
    return {"owner's ticket in the URL": owner, "admin's ticket in the URL": rule.answer}


async def document_for(cast: Cast, rule: Rule) -> Document:
    """A new document of the owner, in the status that the rule wants, with a text to read."""
    key = f"{blob_prefix(cast.owner.user.id, uuid4())}text"
    if rule.answer == 200:
        await cast.owner.backends.blobs.put(key, b"A note.", content_type="text/plain")
    return await cast.owner.document(rule.status, text_key=key)


async def status_of(cast: Cast, route: Route, rule: Rule, identity: dict[str, Any]) -> int:
    document = await document_for(cast, rule) if rule.guard is Guard.OWNER else None
    path = route.at(document_id=str(document and document.id), name="nobody", path="a/folder")
    async with cast.client.stream(route.method, path, **rule.request, **identity) as answer:
        return answer.status_code


def test_every_route_has_its_rule_and_every_rule_its_route(routes: list[Route]) -> None:
    assert {route.rule for route in routes} == set(RULES)


@pytest.mark.parametrize("name", RULES)
async def test_route_answers_each_identity_as_its_rule_says(cast: Cast, routes: list[Route], name: str) -> None:
    rule = RULES[name]
    for route in (one for one in routes if one.rule == name):
        got = {who: await status_of(cast, route, rule, identity) for who, identity in cast.identities.items()}
        assert got == expected(rule), route
