"""The embedded stack with a model's API behind it: answers, receipts, and what each of the API's failures becomes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.documents import pdf
from tests.support.embedded import EmbeddedStack, eventually
from tests.support.openai_server import OpenAIServer

KEY = "sk-canary-of-the-journey"


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@contextmanager
def client_of(folders: pytest.TempPathFactory, **environment: str) -> Iterator[httpx.Client]:
    """A client logged in to a new stack with that environment."""
    with (
        EmbeddedStack(folders.mktemp("openai") / "home", environment=environment) as stack,
        logged_in(stack) as client,
    ):
        yield client


@contextmanager
def logged_in(stack: EmbeddedStack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{stack.base_url}/api/v1", timeout=30) as client:
        names = ("username", "password")
        answer = client.post("/auth/login", json={name: stack.credentials[name] for name in names})
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


@pytest.fixture(scope="module", params=["postgres", "dynamodb"])
def client(
    request: pytest.FixtureRequest, server: OpenAIServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    model = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url}
    with client_of(tmp_path_factory, DOCRELAY_STORE=request.param, **model) as client:
        yield client


def analyze(client: httpx.Client, letter: bytes | None = None) -> dict[str, Any]:
    """Upload a letter, by default a new one of two pages, wait for its end, and return the document."""
    pages = [f"Dear Ms Okafor, shipment {uuid4().hex} left Rotterdam.", "TODO: confirm the delivery by Friday."]
    answer = client.post("/documents", files={"file": ("letter.pdf", letter or pdf(pages))})
    assert answer.status_code == 202, answer.text
    document_id = answer.json()["id"]

    def ended() -> bool:
        return bool(client.get(f"/documents/{document_id}/status").json()["terminal"])

    eventually(ended, f"{document_id} ends")
    document: dict[str, Any] = client.get(f"/documents/{document_id}?include=text").json()
    return document


def test_result_is_the_models_answer_with_its_bill(client: httpx.Client, server: OpenAIServer) -> None:
    document = analyze(client)
    call = server.calls[-1]
    assert document["status"] == "completed"
    assert document["analysis"]["summary"] == f"This document begins: {' '.join(document['text'].split()[:12])}"
    assert [item["text"] for item in document["analysis"]["action_items"]] == ["TODO: confirm the delivery by Friday."]
    assert (document["analyzer"]["name"], document["analyzer"]["model"]) == ("openai", "gpt-4.1")
    assert (document["coverage"]["verdict"], document["coverage"]["pages_total"]) == ("complete", 2)
    bill = (call.input_tokens, call.output_tokens)
    usage = document["usage"]
    assert (usage["calls"], usage["input_tokens"], usage["output_tokens"]) == (1, *bill)
    assert usage["cost_usd"] == (bill[0] * 2 + bill[1] * 8) / 1_000_000


def test_model_is_asked_for_the_whole_text_under_its_own_name(client: httpx.Client, server: OpenAIServer) -> None:
    document = analyze(client)
    assert server.calls[-1].model == "gpt-4.1"
    assert document["text"] in server.calls[-1].messages[-1]


def test_failed_call_is_repeated_and_both_are_counted(client: httpx.Client, server: OpenAIServer) -> None:
    server.script(["500", "ok"])
    document = analyze(client)
    assert (document["status"], document["attempt"], document["usage"]["calls"]) == ("completed", 1, 2)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (["500", "500"], "llm_unavailable"),
        (["401"], "llm_auth"),
        (["quota"], "llm_quota"),
        (["refusal"], "llm_refused"),
        (["malformed", "malformed"], "llm_invalid_output"),
    ],
)
def test_failure_of_the_model_fails_the_document_under_its_code(
    client: httpx.Client, server: OpenAIServer, script: list[str], code: str
) -> None:
    before = len(server.calls)
    server.script(script)
    document = analyze(client)
    assert (document["status"], document["error"]["code"]) == ("failed", code)
    assert document["analysis"] is None
    assert KEY not in str(document)
    assert [call.outcome for call in server.calls[before:]] == script


def test_same_content_is_analyzed_once_for_its_owner(client: httpx.Client, server: OpenAIServer) -> None:
    letter, before = pdf([f"Dear Ms Okafor, shipment {uuid4().hex} left Rotterdam."]), len(server.calls)
    first, second = analyze(client, letter), analyze(client, letter)
    assert len(server.calls) == before + 1
    assert second["analysis"] == first["analysis"]
    assert first["usage"]["cached"] is False
    assert second["usage"] == {"calls": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0, "cached": True}


def test_three_identical_files_of_one_request_cost_one_analysis(client: httpx.Client, server: OpenAIServer) -> None:
    letter, before = pdf([f"Dear Ms Okafor, shipment {uuid4().hex} left Rotterdam."]), len(server.calls)
    files = [("files", (name, letter)) for name in ("a.pdf", "b.pdf", "c.pdf")]
    ids = [item["id"] for item in client.post("/documents", files=files).json()["items"]]
    eventually(lambda: all(client.get(f"/documents/{one}/status").json()["terminal"] for one in ids), "all end")
    documents = [client.get(f"/documents/{one}").json() for one in ids]
    assert [document["usage"]["cached"] for document in documents] == [False, True, True]
    assert len(server.calls) == before + 1


def test_rate_limit_is_waited_for_and_is_no_attempt(client: httpx.Client, server: OpenAIServer) -> None:
    server.script(["429:1", "429:1", "ok"])
    document = analyze(client)
    assert (document["status"], document["attempt"]) == ("completed", 1)
    reasons = [entry["reason"] for entry in document["history"] if entry["to"] == "pending"]
    assert reasons == [None, "llm_rate_limited", "llm_rate_limited"]


def test_model_of_the_settings_is_asked_and_priced(
    server: OpenAIServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url, "OPENAI_MODEL": "gpt-4.1-mini"}
    with client_of(tmp_path_factory, **model) as client:
        document = analyze(client)
    call, usage = server.calls[-1], document["usage"]
    assert call.model == document["analyzer"]["model"] == "gpt-4.1-mini"
    assert usage["cost_usd"] == round(call.input_tokens * 0.4 + call.output_tokens * 1.6) / 1_000_000


def test_server_of_ones_own_needs_no_key_and_start_says_who_is_asked(
    server: OpenAIServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    host, home = server.base_url.split("/")[2], tmp_path_factory.mktemp("openai") / "home"
    url = server.base_url.replace("http://", "http://me:hunter2@")
    model = {"OPENAI_BASE_URL": url, "OPENAI_API": "chat", "OPENAI_MODEL": "qwen3:8b"}
    with EmbeddedStack(home, environment=model) as stack:
        assert f"Analyzer      qwen3:8b at {host} (OPENAI_API=chat)\n" in stack.stderr
        with logged_in(stack) as client:
            document = analyze(client)
    assert (document["status"], document["analyzer"]["model"]) == ("completed", "qwen3:8b")
    started = (home / "logs" / "worker-1.log").read_text()
    [line] = [line for line in map(json.loads, started.splitlines()) if line["event"] == "analyzer.chosen"]
    assert [line[name] for name in ("analyzer", "model", "host", "api")] == ["openai", "qwen3:8b", host, "chat"]
    assert "hunter2" not in stack.stderr + started
