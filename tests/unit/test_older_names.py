"""Settings by the names that the systems used which Docrelay unifies."""

from __future__ import annotations

import pytest

from shared.settings import Settings

SECRET = "0123456789abcdef0123456789abcdef"
MEANING = {
    "JWT_SECRET": ("jwt_secret", SECRET),
    "JWT_SECRET_KEY": ("jwt_secret", SECRET),
    "JWT_EXPIRY_MINUTES": ("jwt_expiry_minutes", "90"),
    "JWT_EXPIRY": ("jwt_expiry_minutes", "90"),
    "OPENAI_API_KEY": ("openai_api_key", "a-key"),
    "OPENAI_MODEL": ("openai_model", "a-model"),
}


@pytest.mark.parametrize("name", MEANING)
def test_variable_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in MEANING:
        monkeypatch.delenv(other, raising=False)
    setting, value = MEANING[name]
    monkeypatch.setenv(name, value)
    read = getattr(Settings.load(_env_file=None), setting)
    assert str(getattr(read, "get_secret_value", lambda: read)()) == value


def test_model_is_gpt_4_1_and_a_token_lives_an_hour_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MEANING:
        monkeypatch.delenv(name, raising=False)
    settings = Settings.load(_env_file=None)
    assert (settings.openai_model, settings.jwt_expiry_minutes) == ("gpt-4.1", 60)
