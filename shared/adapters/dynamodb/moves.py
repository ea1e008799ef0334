"""The one transaction that makes consecutive moves of one document: document, history, feed head, events, answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from shared.adapters.dynamodb import items
from shared.adapters.dynamodb.expressions import NEW, SHOWN, Request, Values, put, update
from shared.adapters.dynamodb.table import REFUSED, Action, CanceledError
from shared.document import IDLE, TRANSITIONS, Change, Document
from shared.errors import IllegalMoveError, MoveRefusedError
from shared.events import FeedHead

SAME = "#version = :version AND #fence = :fence AND #status = :status"


def identity(document: Document) -> Values:
    """What the stored document must still have, for `SAME`."""
    return {"version": document.version, "fence": document.fence, "status": document.status}


def check(changes: Sequence[Change]) -> None:
    """Refuse what a relational database refuses by its constraints. DynamoDB has none.

    Raises IllegalMoveError; MoveRefusedError when a change does not begin where the one before ended.
    """
    for change in changes:
        before, after = change.before, change.after
        if after.status not in TRANSITIONS[before.status]:
            raise IllegalMoveError(f"A document that is {before.status} cannot become {after.status}.")
        if (after.due_at is None) != (after.status in IDLE):
            raise IllegalMoveError(f"A document that is {after.status} cannot be due at {after.due_at}.")
    for first, second in pairwise(changes):
        if identity(first.after) != identity(second.before):
            raise MoveRefusedError


@dataclass(frozen=True, kw_only=True, slots=True)
class MoveTransaction:
    """`head` is the feed head as it was read; the transaction is canceled when it has moved since.

    `answer` is the write that keeps the answer to the request that asked for the moves.
    """

    changes: Sequence[Change]
    head: FeedHead | None
    answer: Request | None = None

    def actions(self) -> list[Action]:
        numbered = list(enumerate(self.changes, (self.head.seq if self.head else 0) + 1))
        return [
            ("Update", self._document()),
            ("Put", put(items.history_values(self.changes, numbered[-1][0]), condition=NEW)),
            self._head(),
            *(("Put", put(items.event_values(change, seq), condition=NEW)) for seq, change in numbered),
            *([("Put", self.answer)] if self.answer else []),
        ]

    def refused_by(self, codes: Sequence[str]) -> bool:
        """Whether the document itself has moved on, by the codes of the canceled actions."""
        return REFUSED in codes[:2]

    def head_found_by(self, canceled: CanceledError) -> FeedHead | None:
        """The head that is there instead, if that is what the transaction was refused for."""
        found = canceled.found[2]
        return items.head_from(found) if found else None

    def answered_by_another(self, codes: Sequence[str]) -> bool:
        """Whether the key of the answer has one already."""
        return self.answer is not None and codes[-1] == REFUSED

    def _document(self) -> Request:
        first, last = self.changes[0].before, self.changes[-1].after
        values = items.document_values(last)
        if last.run == first.run:
            # `send` is raised by sweepers on their own: a move only sets it when a new run begins.
            del values["send"]
        return update(items.document_key(first.id), values, condition=SAME, given=identity(first))

    def _head(self) -> Action:
        owner, rise, at = self.changes[0].before.owner, len(self.changes), self.changes[0].after.updated_at
        if self.head is None:
            return "Put", {**put(items.new_head_values(owner, at=at, seq=rise), condition=NEW), **SHOWN}
        given: Values = {"seq": self.head.seq}
        risen = update(items.head_key(owner), {"seq": self.head.seq + rise}, condition="#seq = :seq", given=given)
        return "Update", {**risen, **SHOWN}
