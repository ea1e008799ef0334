"""`python -m api_service`: the API under uvicorn."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from contextlib import suppress
from types import FrameType

import uvicorn
import uvloop
from fastapi import FastAPI

from api_service.app import create_app
from api_service.dependencies import Services
from api_service.http_protocol import LimitedHttpProtocol
from api_service.metrics import Metered
from shared.bootstrap import open_backends
from shared.process import run_service
from shared.settings import Settings

STOP_SECONDS = 10
# Longer than a load balancer keeps an idle connection (60 s at nginx and AWS): who closes first must not be us, or a
# request that is on its way just then is lost.
_IDLE_SECONDS = 75
# From malloc.h of the GNU C library.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


class Server(uvicorn.Server):
    """Ends open streams on the first signal; uvicorn alone would wait for their clients to leave."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        asyncio.get_running_loop().call_soon_threadsafe(self._services.hub.close)
        super().handle_exit(sig, frame)


async def serve(settings: Settings) -> None:
    # A secret that will not do is told at once, not after a store that does not answer.
    settings.signing_key()
    async with open_backends(settings) as backends:
        app = create_app(settings, backends)
        await run(app, settings)


async def run(app: FastAPI, settings: Settings) -> None:
    # What is here by now stays. A full collection of garbage, in which every stream stands still, need not look at it.
    gc.collect()
    gc.freeze()
    await Server(server_config(app, settings), app.state.services).serve()


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        Metered(app),
        host=settings.host,
        port=settings.port,
        http=LimitedHttpProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # uvicorn alone would believe whatever comes from loopback.
        proxy_headers=settings.trusted_proxies is not None,
        forwarded_allow_ips=settings.trusted_proxies or "",
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def keep_files_apart() -> None:
    """Have files lie in memory of their own, which grows without a copy and goes back to the system whole.

    By itself the GNU C library does so only until it has freed the first of 10 MB; what comes later leaves holes in its
    heap. The C libraries of other systems have no such call.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 2**20)
        mallopt(_M_TRIM_THRESHOLD, 2**24)


def main() -> int:
    keep_files_apart()
    return run_service("api", serve, run=uvloop.run)


if __name__ == "__main__":
    sys.exit(main())
