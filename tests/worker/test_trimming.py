"""Every worker takes away what is kept no longer, beside its sweeps."""

from __future__ import annotations

import asyncio

from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.builders import S, moves, new_document
from tests.support.running import until
from worker_service.assembly import assemble


async def test_worker_trims_old_events_while_it_sweeps(own_settings: Settings, own_backends: Backends) -> None:
    """The builders' events are from a long time ago."""
    document = new_document()
    await own_backends.documents.insert(document)
    await own_backends.documents.apply(*moves(document, S.UPLOADED))
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
    await own_backends.documents.apply(*moves(document, S.UPLOADED))
    await assemble(own_settings, own_backends).reconciler.trim(stopping)
    assert (await own_backends.feed.heads([document.owner]))[document.owner].floor == 0
