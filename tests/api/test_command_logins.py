"""Who the commands are to a server: a kept log-in, the user of a stack, or nobody."""

from __future__ import annotations

import json
import socket
import stat
from uuid import uuid4

import pytest

from shared.accounts import Role
from shared.settings import Settings
from tests.support.running import PASSWORD, add_user
from tests.support.terminal import Terminal


async def test_log_in_is_kept_privately_and_refreshed(nobody: Terminal, api: str, stack_settings: Settings) -> None:
    name = f"user-{uuid4().hex[:12]}"
    await add_user(stack_settings, name)
    words = ("login", "--base-url", api, "--username", name, "--password-stdin")
    refused = await nobody.run(*words, entered="wrong\n")
    assert (refused.exit_code, nobody.login.exists()) == (2, False)
    outcome = await nobody.run(*words, entered=f"{PASSWORD}\n")
    assert (outcome.exit_code, outcome.stdout) == (0, "")
    assert stat.S_IMODE(nobody.login.stat().st_mode) == 0o600
    kept = json.loads(nobody.login.read_text())
    assert PASSWORD not in kept.values()
    assert await nobody.lines("list") == []
    # An access token that is over is exchanged, and the new ones are kept.
    nobody.keep(**kept | {"access_token": "expired"})
    assert await nobody.lines("list") == []
    fresh = json.loads(nobody.login.read_text())
    assert fresh["access_token"] != "expired"
    assert (fresh["base_url"], fresh["refresh_token"] != kept["refresh_token"]) == (api, True)
    # A log-in that is over altogether is no use.
    nobody.keep(**fresh | {"access_token": "expired", "refresh_token": "expired"})
    assert (await nobody.run("list")).exit_code == 2


async def test_log_in_is_ended_at_its_server_and_forgotten(
    nobody: Terminal, api: str, stack_settings: Settings
) -> None:
    name = f"user-{uuid4().hex[:12]}"
    await add_user(stack_settings, name)
    await nobody.run("login", "--base-url", api, "--username", name, "--password-stdin", entered=f"{PASSWORD}\n")
    kept = json.loads(nobody.login.read_text())
    outcome = await nobody.run("logout")
    assert (outcome.exit_code, outcome.stderr, nobody.login.exists()) == (0, f"logged out of {api}\n", False)
    # Whoever has copied it has nothing; and what has ended at its server can be forgotten here.
    nobody.keep(**kept | {"access_token": "expired"})
    assert (await nobody.run("list")).exit_code == 2
    assert ((await nobody.run("logout")).exit_code, nobody.login.exists()) == (0, False)
    assert (await nobody.run("logout")).stderr == "nobody is logged in\n"
    nobody.keep(base_url="http://127.0.0.1:1", access_token="other", refresh_token="other")
    assert ((await nobody.run("logout")).exit_code, nobody.login.exists()) == (3, False)


async def test_user_of_the_embedded_stack_or_of_the_settings_is_used(
    nobody: Terminal, api: str, stack_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "docrelay login" in str((await nobody.run("list")).exception)
    name = f"user-{uuid4().hex[:12]}"
    await add_user(stack_settings, name)
    credentials = nobody.folder / "stack" / "credentials.json"
    credentials.parent.mkdir()
    credentials.write_text(json.dumps({"base_url": api, "username": name, "password": PASSWORD}))
    assert await nobody.lines("list") == []
    assert await nobody.lines("list", "--base-url", f"{api}/") == []
    # A log-in to another server is for elsewhere.
    nobody.keep(base_url="http://127.0.0.1:1", access_token="other", refresh_token="other")
    assert await nobody.lines("list") == []
    nobody.login.unlink()
    credentials.unlink()
    monkeypatch.setenv("DOCRELAY_USERNAME", name)
    monkeypatch.setenv("DOCRELAY_PASSWORD", PASSWORD)
    assert await nobody.lines("list", "--base-url", api) == []


async def test_user_is_added_to_the_stack_whose_admin_is_known(
    nobody: Terminal, api: str, stack_settings: Settings
) -> None:
    names = [f"user-{uuid4().hex[:12]}" for _ in range(2)]
    await add_user(stack_settings, names[0], role=Role.ADMIN)
    credentials = nobody.folder / "stack" / "credentials.json"
    credentials.parent.mkdir()
    credentials.write_text(json.dumps({"base_url": api, "username": names[0], "password": PASSWORD}))
    words = ("user", "add", names[1], "--password-stdin")
    added = await nobody.run(*words, entered=f"{PASSWORD}\n")
    assert (added.exit_code, added.stdout, added.stderr) == (0, "", f"added {names[1]} to {api}\n")
    again = await nobody.run(*words, entered=f"{PASSWORD}\n")
    assert (again.exit_code, again.stderr) == (2, "docrelay: 409 There is a user of that name.\n")
    login = ("login", "--base-url", api, "--username", names[1], "--password-stdin")
    assert (await nobody.run(*login, entered=f"{PASSWORD}\n")).exit_code == 0


async def test_another_server_is_not_told_the_password_of_the_embedded_stack(nobody: Terminal) -> None:
    credentials = nobody.folder / "stack" / "credentials.json"
    credentials.parent.mkdir()
    stack = {"base_url": "http://127.0.0.1:1", "username": "admin", "password": PASSWORD}
    credentials.write_text(json.dumps(stack))
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        outcome = await nobody.run("list", "--base-url", url)
        assert f"docrelay login --base-url {url}" in str(outcome.exception)
        with pytest.raises(BlockingIOError):
            other.accept()
