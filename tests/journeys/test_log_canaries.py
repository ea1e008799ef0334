"""What must never be in a log line: planted everywhere, looked for in every line of an API and a worker at debug."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import httpx
import pytest

from shared.adapters.argon2 import Argon2Passwords
from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.callers import add_user
from tests.support.log_lines import logged
from tests.support.openai_server import OpenAIServer
from tests.support.running import PASSWORD, serving, until, working

TEXT = "The heron eats canary-text at noon and signs the treaty."
NAME, FOLDER, KEY, LABEL = "canary-name", "canary-folder", "canary-key-of-a-request", "canary-type"
WRONG_PASSWORD, USERNAME, API_KEY = "canary-password", "canary-user", "sk-canary-api-key"
GATEWAY_USER = "canary-gateway"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    with logged(level="debug") as stream:
        yield stream


@pytest.fixture
async def api(own_settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with AsyncExitStack() as stack:
        model = stack.enter_context(OpenAIServer())
        gateway = model.base_url.replace("http://", f"http://{GATEWAY_USER}:{WRONG_PASSWORD}@")
        asked = {"openai_api_key": API_KEY, "openai_base_url": gateway}
        settings = Settings.load(**{**own_settings.model_dump(), **asked}, _env_file=None)
        url = await stack.enter_async_context(serving(settings))
        await stack.enter_async_context(working(settings))
        yield await stack.enter_async_context(httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=30))


async def test_no_secret_text_or_name_is_in_any_line(
    lines: io.StringIO, api: httpx.AsyncClient, own_backends: Backends
) -> None:
    secrets = [PASSWORD, WRONG_PASSWORD, "canary", API_KEY]
    user = await add_user(own_backends, password_hash=await Argon2Passwords().hash(PASSWORD))
    for credentials in ({"username": user.name, "password": WRONG_PASSWORD}, {"username": USERNAME, "password": "x"}):
        assert (await api.post("/auth/login", json=credentials)).status_code == 401
    pair = (await api.post("/auth/login", json={"username": user.name, "password": PASSWORD})).json()
    pair = (await api.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})).json()
    bearer = {"Authorization": f"Bearer {pair['access_token']}"}
    ticket = (await api.post("/auth/stream-ticket", headers=bearer)).json()["ticket"]
    secrets += [pair["access_token"], pair["refresh_token"], ticket]

    for data, status in ((TEXT.encode(), "completed"), (b"%PDF-1.7 canary, damaged", "failed")):
        kind = "txt" if status == "completed" else "pdf"
        answer = await api.post(
            "/documents",
            headers={**bearer, "Idempotency-Key": f"{KEY}-{kind}"},
            files={"file": (f"{NAME}.{kind}", data, LABEL)},
            data={"folder": FOLDER},
        )
        place = f"/documents/{answer.json()['id']}"
        await until(lambda place=place, status=status: ended(api, place, bearer, status))  # type: ignore[misc]
        await api.get(f"{place}/content", headers=bearer)
        await api.delete(place, headers=bearer)
    refused = f"/documents/stream?ticket={ticket}x&folder={FOLDER}"
    for path in (refused, f"/documents/{NAME}", f"/documents?folder={FOLDER}&cursor={NAME}", f"/{NAME}"):
        assert (await api.get(path, headers=bearer)).status_code in {401, 404, 422}
    await api.post("/auth/login", json={"username": USERNAME, "password": [WRONG_PASSWORD]})

    written = lines.getvalue()
    assert {json.loads(line)["service"] for line in written.splitlines()} == {"tests"}
    assert '"event": "document.transitioned"' in written
    assert [line for line in written.splitlines() if any(secret in line for secret in secrets)] == []


async def ended(api: httpx.AsyncClient, place: str, bearer: dict[str, str], status: str) -> bool:
    document = (await api.get(place, headers=bearer)).json()
    assert document["status"] not in {"completed", "failed"} or document["status"] == status, document
    return bool(document["status"] == status)
