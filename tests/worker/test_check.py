"""`python -m worker_service --check`: one command says whether the model of the settings answers, or why not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from evaluation.__main__ import by_model
from shared.errors import ConfigurationError
from shared.settings import Settings
from tests.support.openai_server import OpenAIServer
from worker_service.check import check


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


def settings(server: OpenAIServer, **changes: Any) -> Settings:
    model = {"openai_base_url": server.base_url, "openai_api_key": SecretStr("sk-canary"), "openai_api": "chat"}
    return Settings.load(_env_file=None, **model | changes)


def test_command_asks_once_and_says_who_answered_and_how_much_was_read(server: OpenAIServer, tmp_path: Path) -> None:
    variables = {"PYTHONPATH": str(Path(__file__).parents[2]), "OPENAI_BASE_URL": server.base_url, "OPENAI_API": "chat"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCRELAY_", "OPENAI_", "AWS_"))}
    command = [sys.executable, "-m", "worker_service", "--check"]
    done = subprocess.run(command, cwd=tmp_path, env=kept | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [call] = server.calls
    assert f"Asking gpt-4.1 at {server.base_url.split('/')[2]} (OPENAI_API=chat) about a document of " in done.stdout
    assert f"counted {call.input_tokens} tokens in and {call.output_tokens} out" in done.stdout


async def test_document_is_longer_than_the_context_that_servers_have_unless_told_but_one_question(
    server: OpenAIServer,
) -> None:
    await check(settings(server))
    await check(settings(server, llm_chunk_tokens=500))
    long, short = (len(call.document) for call in server.calls)
    assert long > 3 * 4_096
    assert short < 1_500


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("404", "llm_unavailable: .*OPENAI_API: many servers know chat only"),
        ("loading", "llm_unavailable: .*still loads the model"),
        ("401", "llm_auth: .*OPENAI_API_KEY"),
        ("clipped", "llm_refused: .*read less than it was sent"),
        ("429", "llm_rate_limited: "),
    ],
)
async def test_failure_is_told_at_once_with_its_cause(
    server: OpenAIServer, behaviour: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script([behaviour] * 9)
    with pytest.raises(ConfigurationError, match=words) as caught:
        await check(settings(server))
    assert "sk-canary" not in f"{caught.value} {capsys.readouterr()}"


async def test_without_a_model_nobody_is_asked(server: OpenAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    await check(settings(server, openai_base_url=None, openai_api_key=None))
    assert "The offline analyzer works." in capsys.readouterr().out
    assert server.calls == []


async def test_evaluation_asks_the_model_about_each_of_its_documents(server: OpenAIServer) -> None:
    await by_model("held_back", settings(server))
    assert len(server.calls) >= 23
