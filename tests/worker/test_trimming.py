"""Every worker takes away what is kept no longer, beside its sweeps."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from shared.bootstrap import Backends
from shared.clock import utc_now
from shared.events import FEED_KEPT_FOR
from shared.settings import Settings
from tests.support.builders import S, moves, new_document
from tests.support.running import until
from worker_service.assembly import assemble

OLD = utc_now() - FEED_KEPT_FOR - timedelta(hours=1)


async def test_worker_trims_old_events_while_it_sweeps(own_settings: Settings, own_backends: Backends) -> None:
    document = new_document()
    await own_backends.documents.insert(document)
    await own_backends.documents.apply(*moves(document, S.UPLOADED, at=OLD))
    stopping = asyncio.Event()
    reconciler = assemble(own_settings, own_backends).reconciler
    running = asyncio.create_task(reconciler.run(stopping, every_seconds=0.05))

    async def trimmed() -> bool:
        return (await own_backends.feed.heads([document.owner]))[document.owner].floor == 1

    await until(trimmed)
    stopping.set()
    await running


async def test_trimming_stops_with_the_worker(own_settings: Settings, own_backends: Backends) -> None:
    stopping = asyncio.Event()
    stopping.set()
    document = new_document()
    await own_backends.documents.insert(document)
    await own_backends.documents.apply(*moves(document, S.UPLOADED, at=OLD))
    await assemble(own_settings, own_backends).reconciler.trim(stopping)
    assert (await own_backends.feed.heads([document.owner]))[document.owner].floor == 0
