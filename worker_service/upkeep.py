"""What has to be done beside the messages, put together from settings and backends: the due sweep and dead letters."""

from __future__ import annotations

from shared.bootstrap import Backends
from shared.clock import utc_now, uuid7
from shared.settings import Settings
from worker_service.dead_letters import DeadLetters
from worker_service.reconciler import Reconciler


def reconciler_of(settings: Settings, backends: Backends) -> Reconciler:
    return Reconciler(
        documents=backends.documents,
        blobs=backends.blobs,
        queue=backends.queue,
        retention=backends.retention,
        max_attempts=settings.max_attempts,
        clock=utc_now,
        new_id=uuid7,
    )


def dead_letters_of(settings: Settings, backends: Backends) -> DeadLetters:
    return DeadLetters(
        queue=backends.dead_letters,
        documents=backends.documents,
        max_attempts=settings.max_attempts,
        clock=utc_now,
        new_id=uuid7,
    )
