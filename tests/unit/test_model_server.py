"""Which model the settings name, and what they name that is none."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from shared.errors import ConfigurationError
from shared.model_server import ModelServer, model_server
from shared.settings import Settings


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name in ("API_KEY", "BASE_URL", "API", "MODEL"):
        monkeypatch.delenv(f"OPENAI_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings.load(_env_file=None)


def chosen(given: Settings) -> ModelServer:
    server = model_server(given)
    assert server
    return server


@pytest.mark.parametrize("key", ["sk-canary\n", "sk-canary\r\n", " sk-canary ", "sk-canary"])
def test_space_around_a_key_is_no_part_of_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(settings(monkeypatch, OPENAI_API_KEY=key)).key == "sk-canary"


@pytest.mark.parametrize("key", ["\u201csk-canary\u201d", "sk-canary\nsk-canary", "sk canary", "sk-canary\x7f"])
def test_what_can_be_no_key_is_refused_by_its_variable_alone(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"^OPENAI_API_KEY has characters that no key has") as caught:
        model_server(settings(monkeypatch, OPENAI_API_KEY=key))
    assert "canary" not in str(caught.value)


def test_key_that_a_secret_held_is_held_to_the_same_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    named = settings(monkeypatch, OPENAI_API_KEY="arn:aws:ssm:eu-west-1:1:parameter/key")
    assert chosen(named.model_copy(update={"openai_api_key": SecretStr("sk-canary\n")})).key == "sk-canary"
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        model_server(named.model_copy(update={"openai_api_key": SecretStr("sk\u2014canary")}))


@pytest.mark.parametrize("key", ["", " \n"])
def test_without_key_and_address_there_is_no_model(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_server(settings(monkeypatch, OPENAI_API_KEY=key)) is None


def test_empty_address_is_that_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    # The SDK would take the empty variable for an address.
    assert chosen(settings(monkeypatch, OPENAI_API_KEY="sk-canary", OPENAI_BASE_URL="")).url.startswith("https://api.")


def test_address_alone_is_a_server_that_wants_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    server = chosen(settings(monkeypatch, OPENAI_BASE_URL="http://127.0.0.1:11434/v1"))
    assert (server.key, server.url) == ("none", "http://127.0.0.1:11434/v1")


def test_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    server = chosen(settings(monkeypatch, OPENAI_API_KEY="sk-canary"))
    assert "canary" not in f"{server} {server!r}"
