"""The product's code, broken on purpose: a mutant for each invariant, and the drill whose history is refused then.

`python -m tests.chaos.mutants` prints the list; `make mutants` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import api_service.idempotency
import shared.adapters.postgres.documents
import shared.document
import worker_service.consumer
import worker_service.disposition
from shared.adapters.dynamodb.documents import DynamoDBDocumentStore
from shared.adapters.dynamodb.ledger import DynamoDBCallLedger
from shared.adapters.postgres.documents import PostgresDocumentStore
from shared.adapters.postgres.ledger import PostgresCallLedger
from shared.adapters.s3 import S3BlobStore
from shared.adapters.sqs import SQSJobQueue
from shared.document import TRANSITIONS, Change, Document, DocumentStatus
from shared.errors import InterruptedByStopError, MoveRefusedError
from shared.messages import ProcessMessage
from tests.chaos import drills, model_mutants
from tests.chaos.checker import INVARIANTS
from worker_service.disposition import Retry
from worker_service.reconciler import Reconciler

S = DocumentStatus
Breaking = Callable[[ExitStack], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    """`name` says what is wrong with the code; `drill` is run on `store`, and breaks `invariant` as `kind`."""

    invariant: str
    name: str
    drill: drills.Script
    kind: str
    breaks: Breaking
    store: str = "postgres"

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as changes:
            self.breaks(changes)
            yield


def _swap(changes: ExitStack, target: Any, name: str, value: Any) -> Any:
    """Put `value` in the place of an attribute until the stack unwinds; returns what was there."""
    was = getattr(target, name)
    changes.callback(setattr, target, name, was)
    setattr(target, name, value)
    return was


async def _nothing(*_: Any, **__: Any) -> None:
    return None


def _no_resend(changes: ExitStack) -> None:
    _swap(changes, Reconciler, "_resend", _nothing)


def _same_deduplication_id(changes: ExitStack) -> None:
    _swap(changes, ProcessMessage, "deduplication_id", property(lambda self: f"{self.document_id}.{self.run}"))


def _last_write_wins(changes: ExitStack) -> None:
    """As if the condition on version, fence and status were not there: whoever writes last wins."""
    for store in (PostgresDocumentStore, DynamoDBDocumentStore):
        original = store.apply

        async def apply(self: Any, *moves: Change, original: Any = original, **more: Any) -> None:
            try:
                await original(self, *moves, **more)
            except MoveRefusedError:
                await original(self, _rebased(moves[0], await self.get(moves[0].before.id)), **more)

        _swap(changes, store, "apply", apply)


def _rebased(change: Change, stored: Document) -> Change:
    version = stored.version + 1
    return Change(
        before=stored,
        after=replace(change.after, version=version),
        entry=replace(change.entry, version=version, previous=stored.status),
    )


def _claims_leave_no_history(changes: ExitStack) -> None:
    adapter = shared.adapters.postgres.documents
    kept = adapter._MOVE.replace("    FROM moved\n), head", "    FROM moved WHERE %(status)s <> 'processing'\n), head")
    assert kept != adapter._MOVE
    _swap(changes, adapter, "_MOVE", kept)


def _completed_may_fail(changes: ExitStack) -> None:
    changes.callback(TRANSITIONS.__setitem__, S.COMPLETED, TRANSITIONS[S.COMPLETED])
    TRANSITIONS[S.COMPLETED] |= {S.FAILED}


def _no_lease_is_live(changes: ExitStack) -> None:
    _swap(changes, Document, "lease_is_live", lambda *_: False)


def _answers_are_ignored(changes: ExitStack) -> None:
    for ledger in (PostgresCallLedger, DynamoDBCallLedger):
        begin = ledger.begin

        async def replacing(self: Any, call: Any, *, begin: Any = begin, **given: Any) -> Any:
            return await begin(self, call, **{**given, "replace": True})

        _swap(changes, ledger, "answer", _nothing)
        _swap(changes, ledger, "begin", replacing)


def _keys_are_not_recognised(changes: ExitStack) -> None:
    _swap(changes, api_service.idempotency, "key_hash", lambda *_: uuid4().hex)


def _no_message_groups(changes: ExitStack) -> None:
    _swap(changes, SQSJobQueue, "_group", lambda *_: uuid4().hex)


def _attempts_without_end(changes: ExitStack) -> None:
    for name in ("decide", "judge"):
        original = getattr(worker_service.consumer, name)

        def endless(*given: Any, original: Any = original, **more: Any) -> Any:
            return original(*given, **{**more, "max_attempts": 1_000})

        _swap(changes, worker_service.consumer, name, endless)


def _objects_are_left(changes: ExitStack) -> None:
    _swap(changes, S3BlobStore, "delete_prefix", _nothing)


def _due_next_year(changes: ExitStack) -> None:
    original = shared.document._due_at

    def late(document: Document, to: DocumentStatus, *, at: datetime, **more: Any) -> datetime | None:
        return at + timedelta(days=365) if to is S.PROCESSING else original(document, to, at=at, **more)

    _swap(changes, shared.document, "_due_at", late)


def _a_stop_burns_the_attempt(changes: ExitStack) -> None:
    original = worker_service.disposition.decide

    def burning(error: Exception, **more: Any) -> Any:
        verdict = original(error, **more)
        if isinstance(error, InterruptedByStopError) and isinstance(verdict, Retry):
            return replace(verdict, burn_attempt=True)
        return verdict

    _swap(changes, worker_service.consumer, "decide", burning)


def _a_stop_keeps_the_message(changes: ExitStack) -> None:
    _swap(changes, SQSJobQueue, "extend", _nothing)


def _mutant(invariant: str, kind: str, name: str, drill: drills.Script, breaks: Breaking, store: str) -> Mutant:
    return Mutant(invariant=invariant, kind=kind, name=name, drill=drill, breaks=breaks, store=store)


_PG, _DYNAMO = "postgres", "dynamodb"
# fmt: off
MUTANTS = [
    _mutant("I1", "stuck", "the sweep does not send again", drills.lost_send, _no_resend, _DYNAMO),
    _mutant("I1", "stuck", "same deduplication id on resend", drills.lost_with_its_worker, _same_deduplication_id, _PG),
    _mutant("I2", "illegal", "claims leave no history", drills.one_run, _claims_leave_no_history, _PG),
    _mutant("I2", "duplicated", "what is completed may fail", drills.failed_after_all, _completed_may_fail, _DYNAMO),
    _mutant("I3", "stale writes", "no fence: the last write wins", drills.zombie, _last_write_wins, _PG),
    _mutant("I3", "stale writes", "no fence: the last write wins", drills.zombie, _last_write_wins, _DYNAMO),
    _mutant("I4", "two leases", "no lease is live", drills.delivered_twice, _no_lease_is_live, _PG),
    _mutant("I5", "avoidable calls", "kept answers are ignored", drills.same_text_twice, _answers_are_ignored, _PG),
    _mutant("I6", "keys", "keys are not recognised", drills.same_key_twice, _keys_are_not_recognised, _DYNAMO),
    _mutant("I7", "out of order", "each message is its own group", drills.two_in_a_row, _no_message_groups, _PG),
    _mutant("I8", "poison", "attempts without an end", drills.poison, _attempts_without_end, _DYNAMO),
    _mutant("I10", "undeleted", "objects of deleted documents are left", drills.deleted, _objects_are_left, _PG),
    _mutant("I11", "stuck", "a claim is due next year", drills.lost_with_its_worker, _due_next_year, _DYNAMO),
    _mutant("I12", "attempts burnt", "a stop burns the attempt", drills.stopped, _a_stop_burns_the_attempt, _PG),
    _mutant("I12", "left in flight", "a stop keeps the message", drills.stopped, _a_stop_keeps_the_message, _DYNAMO),
]
# fmt: on


def main() -> None:
    print("Mutants of the code: what tests/chaos/test_mutants.py breaks, and what the checker then reports\n")
    for mutant in MUTANTS:
        print(f"  {mutant.invariant:4} {mutant.name:42} {mutant.store:9} {mutant.drill.__name__} -> {mutant.kind}")
    print("  I9   the stream's: tests/chaos/test_stream_mutants.py")
    print("\nThe invariants\n")
    for name, (sentence, _) in INVARIANTS.items():
        print(f"  {name:4} {sentence}")
    print("\nMutants of the model: what tests/chaos/test_model.py breaks, and what the search then finds\n")
    for name, broken in model_mutants.MUTANTS.items():
        print(f"  {name} -> {broken.breaks}")
    print("\nNot caught, because they break nothing by themselves\n")
    for name, (_, reason) in model_mutants.HARMLESS.items():
        print(f"  {name}: {reason}")


if __name__ == "__main__":
    main()
