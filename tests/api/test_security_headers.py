"""What every answer tells a browser, on every route, refused or not."""

from __future__ import annotations

import re
from uuid import uuid4

import httpx
import pytest

from api_service.app import create_app
from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.access import PREFIX, routes_of
from tests.support.builders import S
from tests.support.callers import Caller, add_user, tokens_of

# fastapi-swagger reads its files in a way that Python 3.11 and 3.12 call old.
pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


@pytest.fixture(scope="module")
async def me(stack_settings: Settings, backends: Backends) -> Caller:
    user = await add_user(backends)
    headers = {"Authorization": f"Bearer {tokens_of(stack_settings).access(user, uuid4())}"}
    transport = httpx.ASGITransport(create_app(stack_settings, backends), raise_app_exceptions=False)
    return Caller(
        user=user,
        client=httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers),
        backends=backends,
    )


def headers_of(answer: httpx.Response, names: set[str]) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name in names}


async def test_every_route_says_what_may_be_done_with_its_answer(
    me: Caller, stack_settings: Settings, backends: Backends
) -> None:
    for route in routes_of(create_app(stack_settings, backends)):
        path = route.at(document_id="x", name="x", path="x")
        if path.endswith("/stream"):
            # It would not end here. A cursor of no meaning ends it before it begins.
            path += "?status=none"
        answer = await me.client.request(route.method, path)
        assert headers_of(answer, set(ALWAYS)) == ALWAYS, route
        policy = answer.headers["content-security-policy"]
        assert (policy == NOTHING) == (route.path != "/docs"), route
        assert "frame-ancestors 'none'" in policy
        kept = "private, no-cache" if "etag" in answer.headers else "no-store"
        assert answer.headers["cache-control"] == kept, route


async def test_page_loads_its_scripts_by_paths_whatever_the_scheme_that_a_proxy_hides(me: Caller) -> None:
    page = (await me.client.get("/docs")).text
    assert set(re.findall(r'(?:src|href)="([^"]+?)[^/"]*"', page)) == {"/swagger/"}


async def test_unknown_path_and_wrong_method_say_the_same(me: Caller) -> None:
    for method, path in (("GET", "/nothing"), ("PUT", "/livez"), ("OPTIONS", "/livez")):
        answer = await me.client.request(method, path)
        assert headers_of(answer, set(ALWAYS)) == ALWAYS
        assert answer.headers["content-security-policy"] == NOTHING


async def test_answer_with_an_etag_may_be_kept_by_its_caller_who_asks_each_time(me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    answer = await me.client.get(f"{PREFIX}/documents/{document.id}/status")
    assert answer.headers["cache-control"] == "private, no-cache"


async def test_no_answer_lets_another_site_read_it(me: Caller) -> None:
    answer = await me.client.get(f"{PREFIX}/auth/me", headers={"Origin": "https://example.com"})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_page_runs_its_own_scripts_and_no_other_inline_one(me: Caller) -> None:
    answer = await me.client.get("/docs")
    (scripts,) = [
        part for part in answer.headers["content-security-policy"].split("; ") if part.startswith("script-src")
    ]
    assert scripts.startswith("script-src 'self' 'sha256-")
    assert "unsafe" not in scripts
    assert answer.text.count("<script>") == scripts.count("sha256-") == 1
