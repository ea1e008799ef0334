"""What holds for every answer: problems, request ids, health, and the API's own description."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from api_service.app import create_app
from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.builders import S
from tests.support.callers import Caller
from tests.support.running import serving
from tests.support.sse import listening

PROBLEM = {"type", "title", "status", "detail", "instance", "request_id", "code"}
CANARY = "canary-that-must-not-come-back"


@pytest.fixture(scope="module")
async def anybody(api: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
async def description(anybody: httpx.AsyncClient) -> dict[str, Any]:
    content: dict[str, Any] = (await anybody.get("/openapi.json")).json()
    return content


def operations(description: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, one) for path, methods in description["paths"].items() for method, one in methods.items()]


async def answers(me: Caller, anybody: httpx.AsyncClient) -> dict[str, httpx.Response]:
    """One answer of each kind."""
    document = await me.document(S.PENDING)
    place = f"/documents/{document.id}"
    status = await me.client.get(f"{place}/status")
    return {
        "200": status,
        "302": await me.client.get(f"{place}/content"),
        "304": await me.client.get(f"{place}/status", headers={"If-None-Match": status.headers["etag"]}),
        "401": await anybody.get("/api/v1/documents"),
        "404, route": await anybody.get("/nowhere"),
        "404, document": await me.client.get("/documents/none"),
        "405": await anybody.put("/livez"),
        "415": await me.client.post("/documents", json={}),
        "422": await me.client.get("/documents", params={"limit": 0}),
        "422, body": await anybody.post("/api/v1/auth/login", content=b"{"),
        "204": await me.client.delete(place),
        "page": await anybody.get("/docs"),
    }


async def test_every_answer_has_a_request_id_and_is_not_sniffed(me: Caller, anybody: httpx.AsyncClient) -> None:
    given = await answers(me, anybody)
    assert {kind: str(answer.status_code) for kind, answer in given.items() if kind[:3] != str(answer.status_code)} == {
        "page": "200"
    }
    assert {answer.headers.get("x-content-type-options") for answer in given.values()} == {"nosniff"}
    ids = [answer.headers.get("x-request-id") for answer in given.values()]
    assert None not in ids
    assert len(set(ids)) == len(ids)


async def test_stream_has_a_request_id_and_is_not_stored(me: Caller) -> None:
    async with listening(me.client) as stream:
        headers = stream.answer.headers
    assert headers["content-type"].startswith("text/event-stream")
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert headers["x-request-id"]


async def test_every_error_is_a_problem_that_carries_its_request_id(me: Caller, anybody: httpx.AsyncClient) -> None:
    for kind, answer in (await answers(me, anybody)).items():
        if answer.status_code < 400:
            continue
        assert answer.headers["content-type"] == "application/problem+json", kind
        problem = answer.json()
        assert PROBLEM <= problem.keys() <= PROBLEM | {"errors"}, kind
        assert problem["status"] == answer.status_code
        assert problem["instance"] == answer.request.url.path
        assert problem["request_id"] == answer.headers["x-request-id"]
        assert problem["type"] == f"urn:docrelay:problem:{problem['code']}"


async def test_wrong_method_names_the_right_ones(anybody: httpx.AsyncClient) -> None:
    answer = await anybody.delete("/livez")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("given", ["a", "0af7651916cd43dd8448eb211c80319c", "build-7.step_3", "x" * 64])
async def test_request_id_of_the_caller_is_used(anybody: httpx.AsyncClient, given: str) -> None:
    answer = await anybody.get("/nowhere", headers={"X-Request-ID": given})
    assert (answer.headers["x-request-id"], answer.json()["request_id"]) == (given, given)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x" * 65,
        "two words",
        "a,b",
        '"><script>',
        "${jndi:ldap://x}",
        "a%0d%0aX-Other: 1",
        '{"event":"forged"}',
        "é",
    ],
)
async def test_request_id_that_could_forge_something_is_replaced(anybody: httpx.AsyncClient, given: str) -> None:
    answer = await anybody.get("/nowhere", headers={b"X-Request-ID": given.encode()})
    assert re.fullmatch(r"[0-9a-f-]{32,36}", answer.headers["x-request-id"])
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_bug_is_answered_with_a_request_id_and_without_its_message(
    backends: Backends, stack_settings: Settings
) -> None:
    app = create_app(stack_settings, backends)

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError(CANARY)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    with capture_logs() as logged:
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            answer = await client.get("/bug")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert CANARY not in answer.text
    assert "http.failed" in {line["event"] for line in logged}
    assert answer.headers.get("x-content-type-options") == "nosniff"
    assert answer.json()["request_id"] == answer.headers.get("x-request-id") is not None


async def test_health_and_version_answer_without_a_token(anybody: httpx.AsyncClient) -> None:
    assert (await anybody.get("/livez")).json() == {"status": "ok"}
    assert (await anybody.get("/readyz")).json() == {"status": "ok"}
    assert (await anybody.get("/version")).json() == {"version": version("docrelay")}


@pytest.mark.parametrize("missing", ["bucket", "queue_name"])
async def test_missing_backend_makes_the_process_unready_but_not_dead(stack_settings: Settings, missing: str) -> None:
    settings = stack_settings.model_copy(update={missing: "no-such-thing"})
    async with serving(settings) as base_url, httpx.AsyncClient(base_url=base_url) as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert int(answer.headers["retry-after"]) > 0
        assert (await client.get("/livez")).status_code == 200


async def test_description_is_served_with_a_page_that_shows_it(
    anybody: httpx.AsyncClient, description: dict[str, Any]
) -> None:
    assert (description["info"]["title"], description["info"]["version"]) == ("Docrelay", version("docrelay"))
    page = await anybody.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "/openapi.json" in page.text


def test_description_names_problems_as_the_only_form_of_an_error(description: dict[str, Any]) -> None:
    others = {
        (method, path, status): sorted(answer["content"])
        for method, path, operation in operations(description)
        for status, answer in operation["responses"].items()
        if status >= "400" and set(answer.get("content", ())) != {"application/problem+json"}
    }
    assert others == {}


def test_description_says_what_is_in_a_problem(description: dict[str, Any]) -> None:
    for _, _, operation in operations(description):
        for status, answer in operation["responses"].items():
            problem = answer.get("content", {}).get("application/problem+json")
            if status >= "400" and problem:
                *_, name = problem["schema"]["$ref"].split("/")
                assert description["components"]["schemas"][name]["properties"].keys() >= PROBLEM


def test_description_names_the_errors_that_a_client_has_to_expect(description: dict[str, Any]) -> None:
    for method, path, operation in operations(description):
        named = operation["responses"].keys()
        assert not operation.get("security") or "401" in named, (method, path)
        assert "{document_id}" not in path or {"404", "503"} <= named, (method, path)


def test_every_operation_has_an_id_of_its_own(description: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(description)]
    assert len(set(ids)) == len(ids)


async def test_wrong_method_names_the_methods_of_every_route_with_that_path(anybody: httpx.AsyncClient) -> None:
    answer = await anybody.put("/api/v1/users")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
