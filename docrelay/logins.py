"""Ways to be somebody to the API: each a token from somewhere, renewed where it can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator

import httpx2

from docrelay.replies import JSON, content


class Login(httpx2.Auth):
    """Logs in with name and password, and again whenever the token is refused."""

    def __init__(self, username: str, password: str) -> None:
        self._credentials = {"username": username, "password": password}
        self._header = ""
        self._turn = asyncio.Lock()

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        for _ in range(2):
            used = self._header
            if used:
                request.headers["Authorization"] = used
                response = yield request
                if response.status_code != httpx2.codes.UNAUTHORIZED:
                    return
            async with self._turn:
                # Unless another request has done it meanwhile.
                if self._header == used:
                    answer = yield httpx2.Request("POST", _auth_url(request.url, b"login"), json=self._credentials)
                    if not answer.is_success:
                        # That is the answer to the request, too.
                        return
                    await answer.aread()
                    self._header = f"Bearer {content(answer, 'access_token')['access_token']}"
        request.headers["Authorization"] = self._header
        yield request


class KeptLogin(httpx2.Auth):
    """A log-in from before: refreshed when its access token is refused, and given to `keep` then.

    `recall` reads it, each time, because another process may have refreshed it meanwhile.
    """

    def __init__(self, *, recall: Callable[[], JSON], keep: Callable[[JSON], None]) -> None:
        self._recall = recall
        self._keep = keep
        self._turn = asyncio.Lock()

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        used = self._recall()["access_token"]
        request.headers["Authorization"] = f"Bearer {used}"
        response = yield request
        if response.status_code != httpx2.codes.UNAUTHORIZED:
            return
        async with self._turn:
            kept = self._recall()
            if kept["access_token"] == used:
                spent = {"refresh_token": kept["refresh_token"]}
                answer = yield httpx2.Request("POST", _auth_url(request.url, b"refresh"), json=spent)
                if not answer.is_success:
                    return
                await answer.aread()
                kept = content(answer, "access_token", "refresh_token")
                self._keep(kept)
        request.headers["Authorization"] = f"Bearer {kept['access_token']}"
        yield request


class Token(httpx2.Auth):
    """An access token from elsewhere. When it expires, requests are refused."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def _auth_url(url: httpx2.URL, action: bytes) -> httpx2.URL:
    return url.copy_with(raw_path=url.raw_path.partition(b"/api/v1/")[0] + b"/api/v1/auth/" + action)
