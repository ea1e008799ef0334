"""Runs a worker until a signal stops it."""

from __future__ import annotations

import asyncio
import signal

from shared import log
from shared.bootstrap import open_backends
from shared.settings import Settings
from worker_service.assembly import Worker, assemble

_log = log.get(__name__)


async def serve(settings: Settings) -> None:
    """Consume and sweep until SIGTERM or SIGINT, then finish what is running; a second signal gives it back.

    Raises BackendUnavailableError: with a bucket or a queue that is not there, nothing is taken from anybody.
    """
    async with open_backends(settings) as backends:
        await backends.ping()
        worker = assemble(settings, backends)
        stopping = _stopped_by_signals(worker)
        await worker.start()
        try:
            stages = [stage.name for stage in worker.handler.pipeline.stages]
            _log.info(
                "worker.started",
                analyzer=worker.analyzer.name,
                stages=stages,
                concurrency=settings.concurrency,
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(worker.reconciler.run(stopping, every_seconds=settings.sweep_seconds))
                tasks.create_task(worker.dead_letters.run(stopping, every_seconds=settings.dead_letter_seconds))
                tasks.create_task(worker.consumer.run(stopping, grace_seconds=settings.shutdown_seconds))
        finally:
            await worker.aclose()
    _log.info("worker.stopped")


def _stopped_by_signals(worker: Worker) -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets. The second one ends the patience with what still runs."""
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            worker.consumer.hurry()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    return stopping
