"""Settings that cannot be right are refused at start, by the name of their variable and without their value."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.settings import Settings


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "AWS_ENDPOINT_URL", "DOCRELAY_S3_PUBLIC_URL"])
@pytest.mark.parametrize(
    "url",
    ["foo", "127.0.0.1:8178/v1", "ftp://models/v1", "http:///v1", "http://me:hunter2@host:x/v1", "http://my host/v1"],
)
def test_address_of_a_server_is_a_url_of_http(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, url)
    with pytest.raises(ConfigurationError, match=rf"{name}: .*Write a URL with its scheme") as caught:
        Settings.load(_env_file=None)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8178/v1", "https://me:hunter2@models.example/v1", "http://[::1]:80"])
def test_url_of_http_is_taken_as_it_is(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    assert Settings.load(_env_file=None).openai_base_url == url


@pytest.mark.parametrize("url", ["http://127.0.0.1:8178/v1\n", " http://127.0.0.1:8178/v1 \r\n"])
def test_space_around_a_url_is_no_part_of_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    assert Settings.load(_env_file=None).openai_base_url == "http://127.0.0.1:8178/v1"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("openai/v1?api-version=2024-10-21", r"Azure: https://RESOURCE\.openai\.azure\.com/openai/v1"),
        ("v1#chat", "without . and #"),
        ("v1/chat/completions", "Write it up to /v1"),
        ("v1/responses/", "Write it up to /v1"),
    ],
)
def test_address_of_a_model_that_nothing_can_be_put_behind_is_refused(
    path: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"https://me:hunter2@models.example/{path}")
    with pytest.raises(ConfigurationError, match=rf"OPENAI_BASE_URL: .*{words}") as caught:
        Settings.load(_env_file=None)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_REGION", "eu central"), ("DOCRELAY_PORT", "65536"), ("DOCRELAY_PORT", "-1")]
)
def test_value_that_no_server_could_have_is_refused_at_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        Settings.load(_env_file=None)


def test_misspelt_setting_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("DOCRELAY_STOER=dynamodb\nDOCRELAY_AWS_IMAGE=mine\nJWT_SECRET_KEY=x\n")
    # By its other name alone.
    monkeypatch.setenv("DOCRELAY_OPENAI_API_KEY", "x")
    monkeypatch.setenv("DOCRELAY_STORE", "dynamodb")
    assert Settings.unknown() == ["DOCRELAY_OPENAI_API_KEY", "DOCRELAY_STOER"]


def test_prices_that_are_no_json_are_told_by_variable_and_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCRELAY_LLM_PRICES", "foo")
    with pytest.raises(ConfigurationError, match=r'DOCRELAY_LLM_PRICES: .*such as \{"gpt-4.1": \[2.0, 8.0\]\}'):
        Settings.load(_env_file=None)


def test_prices_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCRELAY_LLM_PRICES", '{"mine": [1, 2.5]}')
    assert Settings.load(_env_file=None).llm_prices == {"mine": (1.0, 2.5)}
