"""Classification from the request to the result, with a worker: offline, by a model, and by a model that misbehaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
from pydantic import SecretStr

from shared.settings import Settings
from tests.support.openai_server import OpenAIServer
from tests.support.running import logged_in, serving, until, working
from tests.support.sse import listening

LABELS = {"labels": [{"name": "Invoice"}, {"name": "Pumps", "description": "Anything about pumps and valves."}]}
TEXTS = {
    "bill.txt": ("in", "Invoice number 17. Bill to: Ada. Amount due: 40 EUR."),
    "gear.txt": ("in/box", "The pumps and valves came on Monday. All pumps run."),
    "tin.txt": ("in", "Zinc and tin."),
    "away.txt": ("out", "Invoice number 18. Amount due: 2 EUR."),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    client: httpx.AsyncClient

    async def upload(self, name: str, folder: str, text: str) -> str:
        form = {"folder": folder}
        answer = await self.client.post("/documents", files={"file": (name, text.encode())}, data=form)
        return await self.ended(answer.json()["id"])

    async def leave(self, name: str, folder: str, text: str) -> str:
        """Upload a file that nobody is to look into yet."""
        form = {"folder": folder, "process": "false"}
        answer = await self.client.post("/documents", files={"file": (name, text.encode())}, data=form)
        return str(answer.json()["id"])

    async def ended(self, document_id: str) -> str:
        async def terminal() -> bool:
            return bool((await self.client.get(f"/documents/{document_id}/status")).json()["terminal"])

        await until(terminal)
        return document_id

    async def read(self, document_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get(f"/documents/{document_id}")).json()
        return found

    async def classified(self, document_id: str, **options: Any) -> dict[str, Any]:
        answer = await self.client.post(f"/documents/{document_id}/classify", json=LABELS | options)
        assert answer.status_code == 202, answer.text
        return await self.read(await self.ended(document_id))


@asynccontextmanager
async def desk(settings: Settings) -> AsyncIterator[Desk]:
    async with serving(settings) as base_url, working(settings), logged_in(base_url, settings) as client:
        yield Desk(client=client)


async def test_folder_is_classified_with_its_progress_on_the_stream(own_settings: Settings) -> None:
    async with desk(own_settings) as on:
        ids = {name: await on.upload(name, folder, text) for name, (folder, text) in TEXTS.items()}
        ids["later.txt"] = await on.leave("later.txt", "in", "One more pump, and two valves for the other pumps.")
        before = {name: await on.read(one) for name, one in ids.items()}
        job = (await on.client.post("/folders/in/classify", json=LABELS)).json()
        assert (job["started"], job["skipped"], job["next_cursor"]) == (4, [], None)
        async with listening(on.client, last_event_id=job["feed_cursor"], folder="in") as stream:
            moves = await stream.events(16)
        after = {name: await on.read(one) for name, one in ids.items()}
    labels = {name: one["classification"] and one["classification"]["label"] for name, one in after.items()}
    fitting = {"bill.txt": "Invoice", "gear.txt": "Pumps", "tin.txt": None, "away.txt": None, "later.txt": "Pumps"}
    assert labels == fitting
    assert after["tin.txt"]["classification"]["labels"] == ["Invoice", "Pumps"]
    assert after["away.txt"]["classification"] is None
    assert all(after[name]["analysis"] == before[name]["analysis"] for name in TEXTS)
    # One that had no analysis has it from the same run.
    assert (before["later.txt"]["status"], after["later.txt"]["run"]) == ("uploaded", 1)
    assert after["later.txt"]["analysis"]["summary"]
    done = [move.data for move in moves if move.data["status"] == "completed"]
    assert {move["document_id"]: move["classification"]["label"] for move in done} == {
        ids[name]: labels[name] for name in ("bill.txt", "gear.txt", "tin.txt", "later.txt")
    }


async def test_model_classifies_once_and_what_it_gets_wrong_costs_no_analysis(own_settings: Settings) -> None:
    text = f"Pumps {uuid4()} left Rotterdam."
    with OpenAIServer() as server:
        model = {"openai_api_key": SecretStr("sk-test"), "openai_base_url": server.base_url}
        async with desk(own_settings.model_copy(update=model)) as on:
            document_id = await on.upload("note.txt", "", text)
            analyzed = await on.read(document_id)
            server.script(["stranger", "stranger"])
            failed = await on.classified(document_id)
            assert (failed["status"], failed["error"]["code"]) == ("failed", "llm_invalid_output")
            assert (failed["analysis"], failed["classification"]) == (analyzed["analysis"], None)
            done = await on.classified(document_id)
            calls = len(server.calls)
            twin = await on.classified(await on.upload("twin.txt", "", text))
    assert (done["status"], done["classification"]["label"]) == ("completed", "Pumps")
    assert (done["analysis"], done["usage"]["calls"]) == (analyzed["analysis"], 1)
    assert (done["classification"]["usage"]["calls"], calls) == (1, 4)
    assert (twin["classification"]["usage"]["cached"], len(server.calls)) == (True, 4)
