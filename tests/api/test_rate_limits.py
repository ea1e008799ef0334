"""Failed log-ins and requests beyond a limit: 429 with Retry-After, before anything is done for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api_service.app import create_app
from api_service.rate_limits import LoginWindows
from api_service.windows import Windows
from shared.accounts import User
from shared.adapters.argon2 import Argon2Passwords
from shared.bootstrap import Backends
from shared.errors import ConfigurationError
from shared.settings import Settings
from tests.support.access import PREFIX, RULES, Guard, routes_of
from tests.support.callers import Caller, add_user, calling, tokens_of
from tests.support.running import PASSWORD, serving, until

HEALTH = {"/livez", "/readyz", "/version", "/", "/docs", "/openapi.json"}


@pytest.fixture(scope="module")
async def user(backends: Backends) -> User:
    return await add_user(backends, password_hash=await Argon2Passwords().hash(PASSWORD))


@asynccontextmanager
async def limited(settings: Settings, backends: Backends, **limits: str) -> AsyncIterator[Callable[..., Any]]:
    """An API in this process with these limits; gives clients that come from any address."""
    app = create_app(settings.model_copy(update=limits), backends)

    def client(address: str = "192.0.2.1", token: str = "") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app, client=(address, 1))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(transport=transport, base_url=f"http://api{PREFIX}", headers=headers)

    yield client


def trying(client: httpx.AsyncClient, name: str, password: str = "wrong") -> Awaitable[httpx.Response]:  # noqa: S107 - the wrong one
    return client.post("/auth/login", json={"username": name, "password": password})


def too_many(answer: httpx.Response, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (429, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert 1 <= int(answer.headers["retry-after"]) <= 60


async def test_log_in_after_the_last_failure_is_refused_even_with_the_right_password(
    stack_settings: Settings, backends: Backends, user: User
) -> None:
    async with limited(stack_settings, backends, login_limit_name="3/minute") as client:
        here = client()
        assert [(await trying(here, user.name)).status_code for _ in range(3)] == [401] * 3
        too_many(await trying(here, user.name), "too_many_attempts")
        too_many(await trying(here, user.name.upper(), PASSWORD), "too_many_attempts")


async def test_nobody_is_locked_out_from_another_address(
    stack_settings: Settings, backends: Backends, user: User
) -> None:
    async with limited(stack_settings, backends, login_limit_name="1/minute") as client:
        attacker = client("192.0.2.66")
        for _ in range(3):
            await trying(attacker, user.name)
        too_many(await trying(attacker, user.name, PASSWORD), "too_many_attempts")
        assert (await trying(client("192.0.2.1"), user.name, PASSWORD)).status_code == 200


async def test_failures_of_an_address_are_counted_over_all_names(
    stack_settings: Settings, backends: Backends, user: User
) -> None:
    async with limited(stack_settings, backends, login_limit_address="2/minute") as client:
        here = client("2001:db8::1")
        assert [(await trying(here, f"nobody-{n}")).status_code for n in range(2)] == [401] * 2
        # One subscriber has 64 bits of addresses.
        too_many(await trying(client("2001:db8::ffff:2"), user.name, PASSWORD), "too_many_attempts")
        assert (await trying(client("2001:db8:0:1::1"), user.name, PASSWORD)).status_code == 200


async def test_ipv4_address_in_the_form_of_ipv6_is_the_same_and_no_other(
    stack_settings: Settings, backends: Backends
) -> None:
    async with limited(stack_settings, backends, login_limit_address="1/minute") as client:
        addresses = ("::ffff:192.0.2.1", "::ffff:192.0.2.2", "192.0.2.2")
        assert [(await trying(client(one), "nobody")).status_code for one in addresses] == [401, 401, 429]


async def test_success_forgets_the_failures_of_the_name_and_not_those_of_the_address(
    stack_settings: Settings, backends: Backends, user: User
) -> None:
    limits = {"login_limit_name": "2/minute", "login_limit_address": "3/minute"}
    async with limited(stack_settings, backends, **limits) as client:
        here = client()
        statuses = [(await trying(here, user.name, word)).status_code for word in ("x", PASSWORD, "x", PASSWORD, "x")]
        assert statuses == [401, 200, 401, 200, 401]
        too_many(await trying(here, user.name, PASSWORD), "too_many_attempts")


async def test_tries_at_the_same_time_are_no_more_than_one_after_the_other(
    stack_settings: Settings, backends: Backends, user: User
) -> None:
    async with limited(stack_settings, backends, login_limit_name="3/minute") as client:
        here = client()
        answers = await asyncio.gather(*(trying(here, user.name) for _ in range(12)))
        assert sorted(answer.status_code for answer in answers) == [401] * 3 + [429] * 9


async def test_good_log_ins_are_not_limited(stack_settings: Settings, backends: Backends, user: User) -> None:
    async with limited(stack_settings, backends, login_limit_name="1/minute", login_limit_address="1/minute") as client:
        answers = await asyncio.gather(*(trying(client(), user.name, PASSWORD) for _ in range(6)))
        assert {answer.status_code for answer in answers} == {200}


async def test_unknown_name_is_limited_like_a_known_one(
    stack_settings: Settings, backends: Backends, user: User
) -> None:
    async with limited(stack_settings, backends, login_limit_name="1/minute") as client:
        seen = []
        for name in (user.name, f"nobody-{uuid4().hex}"):
            first, second = [await trying(client(), name) for _ in range(2)]
            seen.append((first.status_code, second.status_code, second.json()["code"], sorted(second.headers)))
        assert seen[0] == seen[1]


async def test_whoever_goes_on_waits_longer() -> None:
    windows = Windows("1/second; 2/minute; 3/hour")
    assert [windows.spend("key") for _ in range(2)] == [True, False]
    waits = []
    for _ in range(2):
        waits.append(windows.retry_after_seconds("key"))
        windows.spend("key")
    assert waits == [60, 3600]


async def test_window_ends() -> None:
    gate = LoginWindows(by_name=Windows("1/second"), by_address=Windows("off"))
    async with gate.turn("name", "source") as turn:
        turn.failed()

    async def open_again() -> bool:
        return not turn.windows.by_name.spent(turn.name, turn.source)

    assert not await open_again()
    await until(open_again)


@pytest.fixture
async def token(stack_settings: Settings, backends: Backends) -> str:
    return tokens_of(stack_settings).access(await add_user(backends), uuid4())


async def test_request_beyond_a_user_s_limit_is_refused_from_whatever_address(
    stack_settings: Settings, backends: Backends, token: str
) -> None:
    async with limited(stack_settings, backends, rate_limit_user="3/minute; 100/hour") as client:
        answers = [await client(f"192.0.2.{n}", token).get("/auth/me") for n in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        too_many(answers[-1], "rate_limited")
        assert [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers] == [
            f'"user-60";r={left}' for left in (2, 1, 0, 0)
        ]
        policy = '"user-60";q=3;w=60, "user-3600";q=100;w=3600'
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {policy}
        other = tokens_of(stack_settings).access(await add_user(backends), uuid4())
        assert (await client("192.0.2.1", other).get("/auth/me")).status_code == 200


async def test_every_route_of_the_api_counts_for_its_address_and_no_health_route_does(
    stack_settings: Settings, backends: Backends
) -> None:
    app = create_app(stack_settings.model_copy(update={"rate_limit_address": "1/hour"}), backends)
    for number, route in enumerate(one for one in routes_of(app) if one.path not in HEALTH):
        if route.path.startswith("/swagger/"):
            continue
        transport = httpx.ASGITransport(app, client=(f"192.0.2.{number}", 1))
        path = route.at(document_id="x", name="x", path="x")
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            first, second = [await client.request(route.method, path) for _ in range(2)]
        assert first.status_code == (422 if RULES[route.rule].guard is Guard.EVERYBODY else 401), route
        assert (second.status_code, second.json()["code"]) == (429, "rate_limited"), route
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        assert {(await client.get("/livez")).status_code for _ in range(3)} == {200}


async def test_nothing_is_said_of_limits_that_are_off(stack_settings: Settings, backends: Backends, token: str) -> None:
    async with limited(stack_settings, backends) as client:
        answers = [await client(token=token).get("/auth/me") for _ in range(50)]
        assert {answer.status_code for answer in answers} == {200}
        assert not {name for answer in answers for name in answer.headers} & {"ratelimit", "ratelimit-policy"}


@pytest.mark.parametrize(("trusted", "limits"), [(None, False), ("192.0.2.0/24", False), ("127.0.0.1", True)])
async def test_forwarded_address_is_believed_of_a_trusted_proxy_only(
    stack_settings: Settings, backends: Backends, trusted: str | None, limits: bool
) -> None:
    settings = stack_settings.model_copy(update={"rate_limit_address": "1/hour", "trusted_proxies": trusted})
    async with serving(settings) as url, calling(url, settings, backends) as caller:
        statuses = [await from_address(caller, address) for address in ("198.51.100.1", "198.51.100.2")]
        assert statuses == ([200, 200] if limits else [200, 429])
        # What stands further left than the proxy's own word is the client's invention.
        assert await from_address(caller, "203.0.113.9, 198.51.100.1") == 429


@pytest.mark.parametrize("wrong", ["*", "0.0.0.0/0", "lb.example", "10.0.0.1/8", "10.0.0.256"])
def test_proxy_that_would_be_everybody_or_nobody_is_refused_by_name(wrong: str) -> None:
    assert Settings.load(_env_file=None, trusted_proxies="10.0.0.7, 10.1.0.0/16,2001:db8::/32").trusted_proxies
    with pytest.raises(ConfigurationError) as refused:
        Settings.load(_env_file=None, trusted_proxies=f"10.0.0.7, {wrong}")
    assert "DOCRELAY_TRUSTED_PROXIES" in str(refused.value)
    assert wrong in str(refused.value)
    assert "such as 10.0.0.7" in str(refused.value)


async def from_address(caller: Caller, forwarded: str) -> int:
    return (await caller.client.get("/auth/me", headers={"X-Forwarded-For": forwarded})).status_code


@pytest.mark.parametrize("wrong", ["5", "five/minute", "5/fortnight", "-1/minute", "5/minute and more", "on"])
async def test_limit_that_is_none_is_refused_at_start(stack_settings: Settings, backends: Backends, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="rate limit"):
        create_app(stack_settings.model_copy(update={"rate_limit_user": wrong}), backends)
