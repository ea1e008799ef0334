"""Who the command line is, and to which server: a kept log-in, the settings, or an embedded stack's own user."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import httpx2
import typer

from docrelay.logins import KeptLogin, Login
from docrelay.replies import JSON, content, require_success
from shared.errors import ConfigurationError
from shared.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    base_url: str
    auth: httpx2.Auth


def find_access(settings: Settings, base_url: str | None) -> Access:
    """The server that is asked for, else the stack in DOCRELAY_HOME, else where `docrelay login` has been to.

    There it is the kept log-in, else name and password of the settings, else the stack's user. Raises
    ConfigurationError when there is nobody.
    """
    kept, stack = _read(_login_file()) or {}, _read(settings.home / "credentials.json") or {}
    known = stack.get("base_url") or kept.get("base_url")
    url = base_url.rstrip("/") if base_url else known or f"http://127.0.0.1:{settings.port}"
    if kept.get("base_url") == url:
        return Access(base_url=url, auth=KeptLogin(recall=_recall, keep=_keep))
    if settings.username and settings.password:
        return Access(base_url=url, auth=Login(settings.username, settings.password.get_secret_value()))
    # Any other server would be told the password of the stack's admin.
    if stack.get("base_url") == url:
        return Access(base_url=url, auth=Login(stack["username"], stack["password"]))
    raise ConfigurationError(f"Nobody is logged in to {url}. Run: docrelay login --base-url {url}")


def stack_access(settings: Settings) -> Access | None:
    """The admin of the stack in DOCRELAY_HOME, unless the settings name a store, which is another one then."""
    stack = _read(settings.home / "credentials.json")
    if stack is None or settings.model_fields_set & {"database_url", "store"}:
        return None
    return Access(base_url=stack["base_url"], auth=Login(stack["username"], stack["password"]))


async def log_in(base_url: str, username: str, password: str) -> None:
    """Log in and keep it, for the user's own eyes. Raises what a request of the client does."""
    url = base_url.rstrip("/")
    async with httpx2.AsyncClient() as http:
        answer = await http.post(f"{url}/api/v1/auth/login", json={"username": username, "password": password})
    await require_success(answer)
    _keep({"base_url": url, **content(answer, "access_token", "refresh_token")})


async def log_out() -> str | None:
    """End the kept log-in and forget it, even if its server does not answer; that is raised then.

    Returns the server's address, None when no log-in is kept.
    """
    kept = _read(_login_file())
    if kept is None:
        return None
    try:
        async with httpx2.AsyncClient(auth=KeptLogin(recall=_recall, keep=_keep)) as http:
            answer = await http.post(f"{kept['base_url']}/api/v1/auth/logout")
        # Refused as nobody's: it had ended already.
        if answer.status_code != httpx2.codes.UNAUTHORIZED:
            await require_success(answer)
    finally:
        _login_file().unlink(missing_ok=True)
    return kept["base_url"]


def _login_file() -> Path:
    return Path(typer.get_app_dir("docrelay")) / "login.json"


def _recall() -> JSON:
    return _read(_login_file()) or {"access_token": "", "refresh_token": ""}


def _keep(tokens: JSON) -> None:
    path = _login_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({**(_read(path) or {}), **tokens}, file)
    fresh.replace(path)


def _read(path: Path) -> dict[str, str] | None:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return None
