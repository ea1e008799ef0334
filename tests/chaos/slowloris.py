"""Five hundred sockets that hardly send, of one kind after the other, and a normal upload beside them.

`make slowloris` runs it on an embedded stack. Each kind is fed a byte a second for as long as the uploads take.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from tests.support.embedded import EmbeddedStack

_PATH = "/api/v1/documents"
_UPLOADS = 100
_PATIENCE_SECONDS = 60


def kinds(token: str) -> dict[str, str]:
    """What each socket sends at once; it goes on with a letter a second."""
    head = f"POST {_PATH} HTTP/1.1\r\nHost: x\r\n"
    length = "Content-Length: 9000000\r\n\r\n"
    body = f"Authorization: Bearer {token}\r\nContent-Type: multipart/form-data; boundary=x\r\n{length}"
    part = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    return {
        "nothing at all": "",
        "a head that does not end": f"{head}X-Filler: ",
        "a body of a letter a second, without a token": f"{head}{length}",
        "a body of a letter a second, of a user": f"{head}{body}{part}",
        "the same after 80 KB": f"{head}{body}{part}{'a' * 80_000}",
    }


async def drip(writers: list[asyncio.StreamWriter]) -> None:
    while True:
        await asyncio.sleep(1)
        for writer in writers:
            if not writer.is_closing():
                writer.write(b"a")


@asynccontextmanager
async def sockets(port: int, sent: str, count: int) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        writers = []
        for _ in range(count):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(sent.encode())
            writers.append(writer)
        dripping = asyncio.create_task(drip(writers[:] if sent else []))
        stack.callback(dripping.cancel)
        yield


async def uploads(base_url: str, token: str) -> list[float]:
    """Seconds that each of several uploads takes, one after the other."""
    taken = []
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=_PATIENCE_SECONDS) as client:
        for number in range(_UPLOADS):
            began = time.perf_counter()
            answer = await client.post(_PATH, files={"file": (f"{number}.txt", b"A note. " * 6_250, "text/plain")})
            answer.raise_for_status()
            taken.append(time.perf_counter() - began)
    return taken


def told(what: str, taken: list[float]) -> str:
    median = sorted(taken)[len(taken) // 2]
    milliseconds = f"median {median * 1000:6.0f} ms   longest {max(taken) * 1000:6.0f} ms"
    return f"{what:<50} {len(taken):>3} of {_UPLOADS} uploads of 50 KB   {milliseconds}"


async def run(stack: EmbeddedStack, count: int) -> int:
    credentials = {name: stack.credentials[name] for name in ("username", "password")}
    async with httpx.AsyncClient(base_url=stack.base_url) as client:
        token = (await client.post("/api/v1/auth/login", json=credentials)).json()["access_token"]
    print(told("alone", await uploads(stack.base_url, token)))
    stopped = 0
    for kind, sent in kinds(token).items():
        async with sockets(stack.port, sent, count):
            try:
                print(told(f"{count} x {kind}", await uploads(stack.base_url, token)), flush=True)
            except httpx.HTTPError as exc:
                stopped += 1
                print(f"{count} x {kind}: an upload was stopped: {type(exc).__name__}")
    return stopped


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=500)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="docrelay-slow-") as folder,
        EmbeddedStack(Path(folder) / "home", environment={"DOCRELAY_LANES_PER_OWNER": "8"}) as stack,
    ):
        return 1 if asyncio.run(run(stack, given.sockets)) else 0


if __name__ == "__main__":
    sys.exit(main())
