"""An S3 that takes every object and keeps none; what is no PUT goes on to the emulator behind it."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator

from aiohttp import ClientSession, web

_BEHIND = web.AppKey("behind", str)
_CLIENT = web.AppKey("client", ClientSession)
_HOP_BY_HOP = {"connection", "content-encoding", "content-length", "transfer-encoding"}


async def swallow(request: web.Request) -> web.Response:
    """Read the body and forget it. The server has answered `Expect: 100-continue` before."""
    async for _ in request.content.iter_any():
        pass
    return web.Response(headers={"ETag": '"0"'})


async def pass_on(request: web.Request) -> web.Response:
    url = f"{request.app[_BEHIND]}{request.raw_path}"
    body = await request.read()
    async with request.app[_CLIENT].request(request.method, url, headers=request.headers, data=body) as answer:
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
        return web.Response(status=answer.status, headers=headers, body=await answer.read())


async def client(app: web.Application) -> AsyncIterator[None]:
    async with ClientSession(auto_decompress=False) as session:
        app[_CLIENT] = session
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--behind", required=True, help="the emulator's URL")
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    app = web.Application(client_max_size=0)
    app[_BEHIND] = args.behind
    app.cleanup_ctx.append(client)
    app.router.add_put("/{key:.*}", swallow)
    app.router.add_route("*", "/{key:.*}", pass_on)
    web.run_app(app, host="127.0.0.1", port=args.port, print=None)


if __name__ == "__main__":
    main()
