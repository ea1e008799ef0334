"""`docrelay.client`: what a program in Python reads, and that its stream goes on by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import uuid4

import httpx2
import pytest

from docrelay.client import JSON, Client, Event, KeptLogin, Login, RequestRefusedError, Reset, Token
from docrelay.replies import retry_after
from shared.adapters.argon2 import Argon2Passwords
from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.any_server import Said, saying
from tests.support.builders import S, report
from tests.support.callers import PATHS, Caller, calling, tokens_of
from tests.support.running import serving

PASSWORD = "correct horse battery staple"


@pytest.fixture
async def client(api: str, stack_settings: Settings, me: Caller) -> AsyncIterator[Client]:
    async with Client(api, auth=Token(tokens_of(stack_settings).access(me.user, uuid4()))) as client:
        yield client


async def take(client: Client, count: int, **query: str) -> list[Event | Reset]:
    async with aclosing(client.events(**query)) as events:
        return [await anext(events) for _ in range(count)]


async def test_stream_from_a_pages_cursor_has_everything_that_the_page_has_not(me: Caller, client: Client) -> None:
    document = await me.document(S.PENDING)
    page = await client.documents()
    await me.move(document, S.PROCESSING, S.FAILED)
    events = await take(client, 2, cursor=page.feed_cursor)
    assert [item["status"] for item in page.items] == ["pending"]
    assert [event.status for event in events if isinstance(event, Event)] == ["processing", "failed"]


async def test_event_has_the_fields_of_its_frame_with_their_types(me: Caller, client: Client) -> None:
    document = await me.document(S.COMPLETED, filename="Über \u2028\x85.pdf", folder="in/box")
    *_, event = await take(client, 5, cursor="0")
    expected = report().model_dump(mode="json")
    assert event == Event(
        cursor=await me.cursor(),
        document_id=document.id,
        status="completed",
        filename="Über \u2028\x85.pdf",
        folder="in/box",
        version=5,
        at=document.updated_at,
        attempt=1,
        analysis_result=expected["analysis"],
        coverage=expected["coverage"],
    )


async def test_stream_narrows_like_the_route(me: Caller, client: Client) -> None:
    await me.document(S.FAILED)
    document = await me.document(S.FAILED)
    (event,) = await take(client, 1, cursor="0", document_id=str(document.id), status="failed")
    assert isinstance(event, Event)
    assert (event.document_id, event.status) == (document.id, "failed")


async def test_useless_cursor_is_told_and_the_stream_goes_on(me: Caller, client: Client) -> None:
    document = await me.document(S.PENDING)
    async with aclosing(client.events(cursor="deadbeef.7")) as events:
        reset = await anext(events)
        await me.move(document, S.PROCESSING)
        event = await anext(events)
    assert isinstance(reset, Reset)
    assert isinstance(event, Event)
    assert (reset.cursor.partition(".")[2], event.cursor.partition(".")[2]) == ("2", "3")


async def test_stream_goes_on_after_each_bye(stack_settings: Settings, backends: Backends) -> None:
    """Short streams without a cursor: what happens between two of them is not lost either."""
    settings = stack_settings.model_copy(update={"stream_seconds": 0.2, "stream_linger_seconds": 0})
    async with serving(settings) as base_url, calling(base_url, settings, backends) as me:
        token = Token(tokens_of(settings).access(me.user, uuid4()))
        seen: list[str] = []
        async with Client(base_url, auth=token) as client, aclosing(client.events(cursor="0")) as events:
            document = await me.document(S.UPLOADED)
            for status in PATHS[S.COMPLETED]:
                if document.status != status:
                    document = await me.move(document, status)
                event = await anext(events)
                assert isinstance(event, Event)
                seen.append(event.status)
    assert seen == list(PATHS[S.COMPLETED])


async def test_login_logs_in_and_again_when_the_token_is_refused(
    api: str, stack_settings: Settings, backends: Backends
) -> None:
    password_hash = await Argon2Passwords().hash(PASSWORD)
    async with calling(api, stack_settings, backends, password_hash=password_hash) as me:
        document = await me.document(S.FAILED)
        login = Login(me.user.name, PASSWORD)
        async with Client(api, auth=login) as client:
            assert (await client.document(document.id))["status"] == "failed"
            login._header = "Bearer expired"
            events = await take(client, 4, cursor="0")
    assert [event.status for event in events if isinstance(event, Event)] == list(PATHS[S.FAILED])


@pytest.mark.parametrize(("auth", "status"), [(Token("nonsense"), 401), (Login("nobody", "wrong"), 401)])
async def test_refusal_is_raised_and_not_tried_again(api: str, auth: httpx2.Auth, status: int) -> None:
    async with Client(api, auth=auth) as client:
        with pytest.raises(RequestRefusedError) as stream:
            await take(client, 1)
        with pytest.raises(RequestRefusedError) as read:
            await client.documents()
    assert stream.value.status == read.value.status == status
    assert stream.value.problem["code"] == read.value.problem["code"]


async def test_wrong_filter_is_raised(client: Client) -> None:
    with pytest.raises(RequestRefusedError, match=r"422 .*status"):
        await take(client, 1, status="nonsense")


async def test_first_connection_that_fails_is_raised() -> None:
    async with Client("http://127.0.0.1:1", auth=Token("any")) as client:
        with pytest.raises(httpx2.ConnectError):
            await take(client, 1)


async def test_client_that_asks_too_often_waits_as_it_is_told(stack_settings: Settings, backends: Backends) -> None:
    settings = stack_settings.model_copy(update={"rate_limit_user": "1/second"})
    async with serving(settings) as base_url, calling(base_url, settings, backends) as me:
        token = Token(tokens_of(settings).access(me.user, uuid4()))
        async with Client(base_url, auth=token) as client:
            assert [(await client.me())["username"] for _ in range(2)] == [me.user.name] * 2
        # Without patience it would have been refused.
        answers = [await me.client.get("/auth/me") for _ in range(2)]
        assert answers[-1].status_code == 429


async def test_log_in_that_another_process_has_refreshed_is_used(
    api: str, stack_settings: Settings, me: Caller
) -> None:
    kept = [
        {"access_token": "expired", "refresh_token": "-"},
        {"access_token": tokens_of(stack_settings).access(me.user, uuid4()), "refresh_token": "-"},
    ]
    written: list[JSON] = []
    login = KeptLogin(recall=lambda: kept.pop(0), keep=written.append)
    async with Client(api, auth=login) as client:
        assert (await client.me())["username"] == me.user.name
    assert (kept, written) == ([], [])


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("-7", 1.0),
        ("soon", 1.0),
        ("nan", 1.0),
        ("", 1.0),
    ],
)
def test_server_may_say_in_several_ways_when_there_is_room(said: str, seconds: float) -> None:
    assert retry_after(httpx2.Response(429, headers={"Retry-After": said})) == seconds


def test_date_when_there_is_room_is_so_many_seconds_away() -> None:
    said = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3_000 < retry_after(httpx2.Response(429, headers={"Retry-After": said})) <= 3_600


@pytest.mark.parametrize(
    "login",
    [
        Login("ada", PASSWORD),
        KeptLogin(recall=lambda: {"access_token": "expired", "refresh_token": "-"}, keep=lambda _: None),
    ],
    ids=["password", "kept"],
)
async def test_log_in_that_comes_too_early_waits_as_it_is_told(login: httpx2.Auth) -> None:
    expired = [Said(status="401 Unauthorized")] if isinstance(login, KeptLogin) else []
    late = Said(status="429 Too Many Requests", headers=("Retry-After: 0",))
    tokens = Said(body='{"access_token": "a", "refresh_token": "b"}')
    answers = (*expired, late, *expired, tokens, Said(body='{"username": "ada"}'))
    async with saying(*answers) as url, Client(url, auth=login) as client:
        assert (await client.me())["username"] == "ada"
