"""`docrelay user add`, and what `docrelay bootstrap` says of the first user."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import psycopg
import pytest
from typer.testing import CliRunner

from docrelay.accounts import add
from docrelay.cli import app
from shared.errors import ConfigurationError
from shared.settings import Settings

PASSWORD = "correct horse battery staple"


def test_user_is_added_once(stack_settings: Settings) -> None:
    name = f"Ada-{uuid4().hex}"
    add(stack_settings, name=name, password=PASSWORD, admin=True)
    with pytest.raises(ConfigurationError, match="There is a user named"):
        add(stack_settings, name=name.lower(), password=PASSWORD, admin=False)


@pytest.mark.parametrize(
    ("name", "password", "told"),
    [("two words", PASSWORD, "username: Must have no spaces"), ("ada", "x", "password: String should have at least")],
)
def test_wrong_user_is_a_usage_error_that_names_the_field(
    stack_settings: Settings, name: str, password: str, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{told}"):
        add(stack_settings, name=name, password=password, admin=False)


def test_password_is_read_from_standard_input(monkeypatch: pytest.MonkeyPatch, stack_settings: Settings) -> None:
    monkeypatch.setenv("DOCRELAY_DATABASE_URL", stack_settings.database_url.get_secret_value())
    monkeypatch.setenv("AWS_ENDPOINT_URL", stack_settings.aws_endpoint_url or "")
    name = f"Ada-{uuid4().hex}"
    outcome = CliRunner().invoke(app, ["user", "add", name, "--password-stdin"], input=f"{PASSWORD}\n")
    assert (outcome.exit_code, outcome.stdout) == (0, "")
    assert outcome.stderr == f"added {name} to the store\n"


async def test_bootstrap_says_when_its_user_is_not_used_and_when_nobody_can_log_in(
    monkeypatch: pytest.MonkeyPatch, own_settings: Settings
) -> None:
    database = own_settings.database_url.get_secret_value()
    variables = {
        "DOCRELAY_DATABASE_URL": database,
        "DOCRELAY_BUCKET": own_settings.bucket,
        "DOCRELAY_QUEUE_NAME": own_settings.queue_name,
        "AWS_ENDPOINT_URL": own_settings.aws_endpoint_url or "",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    async def said() -> str:
        outcome = await asyncio.to_thread(CliRunner().invoke, app, ["bootstrap"])
        assert (outcome.exit_code, outcome.stdout) == (0, "")
        return outcome.stderr

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM users")
    assert (await said()).startswith("nobody can log in yet: set DOCRELAY_USERNAME and _PASSWORD")
    monkeypatch.setenv("DOCRELAY_USERNAME", "ada")
    monkeypatch.setenv("DOCRELAY_PASSWORD", PASSWORD)
    assert await said() == ""
    assert await said() == "there are users already: DOCRELAY_USERNAME and _PASSWORD are not used\n"
