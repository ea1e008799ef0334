"""What the model's client finds in its environment, proxies and certificates, and refuses at start by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from worker_service.analyzers.openai import OpenAIAnalyzer


async def refused_at_start(base_url: str = "http://127.0.0.1:9/v1") -> str:
    analyzer = OpenAIAnalyzer(api_key="k", base_url=base_url, model="m", prices={})
    with pytest.raises(ConfigurationError) as caught:
        await analyzer.warm()
    return str(caught.value)


@pytest.mark.parametrize("proxy", ["socks5://me:hunter2@127.0.0.1:9", "gopher://me:hunter2@h", "http://me:hunter2@h:x"])
async def test_proxy_that_cannot_be_used_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    said = await refused_at_start()
    assert "ALL_PROXY" in said
    assert "only proxies of http and https" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file or directory"), ("no certificate", "certificate"), ("/", "directory")]
)
async def test_certificates_that_cannot_be_read_are_named(
    content: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ca.pem"
    if content == "/":
        path.mkdir()
    elif content:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    said = await refused_at_start()
    assert said.startswith("SSL_CERT_FILE cannot be read as certificates: ")
    assert words in said


async def test_address_that_is_none_for_the_client_is_named() -> None:
    assert await refused_at_start("http://[::1]x/v1") == "OPENAI_BASE_URL is no URL."
