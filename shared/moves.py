"""Making moves: written, then logged; and a pending document's message, sent after its move is committed."""

from __future__ import annotations

from collections.abc import Callable

from shared import log
from shared.clock import Clock
from shared.document import Change, Document, due_after_send
from shared.errors import BackendUnavailableError, MoveRefusedError
from shared.idempotency import IdempotencyRecord
from shared.messages import ProcessMessage
from shared.ports import DocumentStore, JobQueue

_log = log.get(__name__)

# A document makes a handful of moves in its life; more refusals than that are a fault.
_TRIES = 8


async def commit(documents: DocumentStore, *changes: Change, remember: IdempotencyRecord | None = None) -> Document:
    """Write consecutive moves of one document in one transaction, log each, and return the document after them.

    Raises MoveRefusedError when the stored document is no longer the one that the moves begin with, KeyTakenError when
    the key of the answer to `remember` has one.
    """
    await documents.apply(*changes, remember=remember)
    for change in changes:
        _log.info(
            "document.transitioned",
            document_id=str(change.after.id),
            previous=change.before.status,
            status=change.after.status,
            version=change.after.version,
            run=change.after.run,
            attempt=change.after.attempt,
            reason=change.entry.reason,
        )
    return changes[-1].after


async def insist(
    documents: DocumentStore,
    document: Document,
    move: Callable[[Document], Change | None],
    *,
    answer: Callable[[Document], IdempotencyRecord | None] = lambda _: None,
) -> Document:
    """Commit a move that somebody asked for, from wherever the document has got to in the meantime.

    `move` makes the change from the document as it is then, or None when there is nothing to do; what it raises ends
    the tries. `answer` is what is kept in the move's transaction, made from the document after it. Raises
    MoveRefusedError when the document keeps moving or is gone, KeyTakenError.
    """
    for _ in range(_TRIES):
        change = move(document)
        if change is None:
            return document
        try:
            return await commit(documents, change, remember=answer(change.after))
        except MoveRefusedError:
            stored = await documents.get(document.id)
            if stored is None:
                raise
            document = stored
    raise MoveRefusedError


async def dispatch(document: Document, *, queue: JobQueue, documents: DocumentStore, clock: Clock) -> None:
    """Send the message of the document's current run and send; then put off the next look at it.

    Raises BackendUnavailableError; the document is then due again soon and needs nothing from the caller.
    """
    now = clock()
    message = ProcessMessage(
        document_id=document.id, run=document.run, send=document.send, at=now, traceparent=log.traceparent()
    )
    await queue.send(message, owner=document.owner)
    await documents.postpone(document, due_at=due_after_send(document.send, at=now))


async def announce(document: Document, *, queue: JobQueue, documents: DocumentStore, clock: Clock) -> bool:
    """Send a pending document's message; a lost send is left to the due sweep, and False."""
    try:
        await dispatch(document, queue=queue, documents=documents, clock=clock)
    except BackendUnavailableError as exc:
        _log.warning("queue.send_failed", document_id=str(document.id), cause=str(exc))
        return False
    return True
