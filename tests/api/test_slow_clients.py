"""Clients that open connections and hardly send: they end, and others do not wait for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from api_service.__main__ import server_config
from api_service.app import create_app
from api_service.http_protocol import LimitedHttpProtocol
from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.callers import Caller, calling
from tests.support.running import serving

HEAD = "POST /api/v1/documents HTTP/1.1\r\nHost: x\r\n"


@asynccontextmanager
async def connected(url: httpx.URL, sent: str) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(sent.encode())
    await writer.drain()
    try:
        yield reader
    finally:
        writer.close()


def begun_upload(me: Caller, body: str) -> str:
    return (
        f"{HEAD}Authorization: {me.client.headers['Authorization']}\r\nContent-Length: 100000\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\n\r\n{body}"
    )


async def test_slow_bodies_take_no_place_from_an_upload(stack_settings: Settings, backends: Backends) -> None:
    # As patient as can be: what does not wait for time-outs here never does.
    settings = stack_settings.model_copy(update={"upload_slots": 2, "body_idle_seconds": 3600})
    async with serving(settings) as base_url, calling(base_url, settings, backends) as me, AsyncExitStack() as stack:
        for body in (
            "",
            "--x\r\n",
            '--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nA',
        ) * 10:
            await stack.enter_async_context(connected(httpx.URL(base_url), begun_upload(me, body)))
        answer = await me.client.post("/documents", files={"file": ("note.txt", b"A note.", "text/plain")})
        assert answer.status_code == 202


async def test_small_upload_waits_for_no_body_that_stands_still_half_way(
    stack_settings: Settings, backends: Backends
) -> None:
    settings = stack_settings.model_copy(update={"upload_slots": 1, "body_idle_seconds": 3600})
    part = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + "a" * 90_000
    async with serving(settings) as base_url, calling(base_url, settings, backends) as me, AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(connected(httpx.URL(base_url), begun_upload(me, part)))
        answer = await me.client.post("/documents", files={"file": ("note.txt", b"A note.", "text/plain")})
        assert answer.status_code == 202


@pytest.mark.parametrize(
    "sent",
    ["", "\r\n", "GET", HEAD, f"{HEAD}X-A: b\r\n"],
    ids=["nothing", "a line", "a word", "a line and a header", "two"],
)
async def test_head_that_does_not_end_in_time_ends_its_connection(
    stack_settings: Settings, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    monkeypatch.setattr(LimitedHttpProtocol, "head_seconds", 0.2)
    async with serving(stack_settings) as base_url, connected(httpx.URL(base_url), sent) as reader:
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_what_is_no_request_is_a_problem_too(stack_settings: Settings) -> None:
    nonsense = "GET /documents?folder=Vertr\u00e4ge HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(stack_settings) as base_url, connected(httpx.URL(base_url), nonsense) as reader:
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert json.loads(body)["code"] == "malformed_request"


async def test_second_head_on_a_connection_has_to_end_in_time_too(
    stack_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LimitedHttpProtocol, "head_seconds", 0.2)
    ask = "GET /livez HTTP/1.1\r\nHost: x\r\n"
    async with serving(stack_settings) as base_url, connected(httpx.URL(base_url), f"{ask}\r\n{ask}") as reader:
        first, _, second = (await reader.read()).partition(b'{"status":"ok"}')
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 408 ")


async def test_stream_outlives_the_time_of_a_head(
    stack_settings: Settings, backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LimitedHttpProtocol, "head_seconds", 0.1)
    settings = stack_settings.model_copy(update={"stream_seconds": 0.5, "stream_tick_seconds": 0.05})
    async with serving(settings) as base_url, calling(base_url, settings, backends) as me:
        token = f"Authorization: {me.client.headers['Authorization']}"
        head = f"GET /api/v1/documents/stream HTTP/1.1\r\nHost: x\r\n{token}\r\n\r\n"
        # What comes after a request is none of its business.
        async with connected(httpx.URL(base_url), f"{head}\r\n") as reader:
            assert b"event: bye" in await reader.readuntil(b"event: bye")


async def test_head_and_body_of_a_hundred_kilobytes_at_once_are_no_head_of_that_size(
    stack_settings: Settings, backends: Backends
) -> None:
    async with serving(stack_settings) as base_url, calling(base_url, stack_settings, backends) as me:
        for _ in range(2):
            answer = await me.client.post(
                "/documents", files={"file": ("note.txt", b"A note. " * 12_500, "text/plain")}
            )
            assert answer.status_code == 202


@pytest.mark.parametrize("begun", ["", '{"username":'])
async def test_small_body_that_stalls_is_given_up(stack_settings: Settings, begun: str) -> None:
    settings = stack_settings.model_copy(update={"body_idle_seconds": 0.2})
    head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    async with serving(settings) as base_url, connected(httpx.URL(base_url), head + begun) as reader:
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer


async def test_body_that_goes_on_after_its_answer_ends_in_time(
    stack_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LimitedHttpProtocol, "head_seconds", 0.2)
    async with serving(stack_settings) as base_url:
        url = httpx.URL(base_url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        await reader.readuntil(b'{"status":"ok"}')
        # uvicorn's own keep-alive counts from the answer, and no longer once there is more.
        writer.write(b"x")
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_rest_of_a_refused_body_is_read_so_that_its_client_gets_the_answer(stack_settings: Settings) -> None:
    async with serving(stack_settings) as base_url, httpx.AsyncClient(base_url=base_url, timeout=10) as client:
        for _ in range(2):
            answer = await client.post("/api/v1/documents", files={"file": ("a.txt", b"x" * 9_000_000, "text/plain")})
            assert answer.status_code == 401


async def test_idle_connection_is_left_to_the_load_balancer_to_close(
    stack_settings: Settings, backends: Backends
) -> None:
    """By 60 s nginx and AWS's have done so. A request that is sent to a connection as its server closes it is lost."""
    config = server_config(create_app(stack_settings, backends), stack_settings)
    assert config.timeout_keep_alive > 60
