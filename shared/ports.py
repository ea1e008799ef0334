"""The ports: what the services need from a bucket, a queue and a store. Domain types in and out, async only.

Each adapter translates its vendor's errors at its edge: BackendUnavailableError when the backend does not
answer, the errors named at each method otherwise.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO
from typing import Protocol
from uuid import UUID

from shared.accounts import RefreshFamily, User
from shared.document import Change, Document, HistoryEntry
from shared.events import FeedEvent, FeedHead
from shared.folders import FolderCount, FolderInsight
from shared.idempotency import IdempotencyRecord
from shared.ledger import Admission, Call, DayUsage, StoredAnswer
from shared.lists import ListFilter, ListPosition
from shared.messages import ProcessMessage


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One received queue message; `receipt` is good until the visibility time-out ends.

    Messages of one `group` come in order and wait for each other; a queue without order has none.
    """

    body: str
    receipt: str
    receive_count: int
    group: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Holdings:
    """What an owner keeps, uploads under way included, deletions not."""

    documents: int
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadForm:
    """Where and with which form fields a client may put one object by itself, with a POST."""

    url: str
    fields: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class BlobFacts:
    """What an object turned out to be. `head` is its beginning, `labels` what it was stored with."""

    size: int
    sha256: str
    head: bytes
    labels: Mapping[str, str]


class Pingable(Protocol):
    async def ping(self) -> None:
        """Raise BackendUnavailableError unless the backend answers and is set up."""
        ...


class BlobStore(Pingable, Protocol):
    async def put(self, key: str, body: bytes | BytesIO, *, content_type: str, sha256: str | None = None) -> None:
        """Store an object; with its `sha256` (hexadecimal), only if that is what arrives."""
        ...

    async def get(self, key: str) -> bytes:
        """Raises BlobMissingError."""
        ...

    def pieces(self, key: str) -> AsyncGenerator[bytes]:
        """An object piece by piece; nothing is held while the caller is busy with one. Raises BlobMissingError."""
        ...

    async def upload_form(
        self, key: str, *, content_type: str, max_bytes: int, labels: Mapping[str, str], expires_seconds: int
    ) -> UploadForm:
        """Let whoever has the form store this object once: exactly this key, type and labels, 1 to `max_bytes`."""
        ...

    async def inspect(self, key: str, *, max_bytes: int) -> BlobFacts:
        """Read an object through without keeping it. Raises BlobMissingError, TooLargeError beyond `max_bytes`."""
        ...

    async def delete_prefix(self, prefix: str) -> None:
        """Delete every version of every object under `prefix`; none is fine."""
        ...

    async def download_url(self, key: str, *, filename: str, expires_seconds: int) -> str: ...


class MessageSource(Protocol):
    """A queue as its consumer sees it; so is a dead-letter queue."""

    async def receive(self, *, limit: int, wait_seconds: int, visibility_seconds: int) -> list[Delivery]:
        """Wait for up to `limit` (1 to 10) messages."""
        ...

    async def extend(self, receipt: str, *, visibility_seconds: int) -> None:
        """Hide a received message for that long from now; 0 gives it back. A stale receipt is ignored."""
        ...

    async def delete(self, receipt: str) -> None:
        """Delete a received message. A stale receipt is ignored: the message comes again and finds its work done."""
        ...


class JobQueue(MessageSource, Pingable, Protocol):
    async def send(self, message: ProcessMessage, *, owner: UUID) -> None: ...


class DocumentStore(Pingable, Protocol):
    async def insert(self, document: Document) -> bool:
        """Store a new document; False when its id exists."""
        ...

    async def get(self, document_id: UUID, *, owner: UUID | None = None) -> Document | None:
        """With its likely `owner`, who meant to move it: a store may read at once what the move needs as well. Raises
        ValueError, as any look at it, when another version has written what this one does not know.
        """
        ...

    async def find(self, document_id: UUID, *, owner: UUID) -> Document | None:
        """The document as its owner may see it: None when it is another's or being deleted."""
        ...

    async def page(self, owner: UUID, *, where: ListFilter, limit: int, after: ListPosition | None) -> list[Document]:
        """Newest first."""
        ...

    async def holdings(self, owner: UUID, *, with_bytes: bool) -> Holdings:
        """How much the owner keeps; `with_bytes` may cost a read for each document."""
        ...

    async def history(self, document_id: UUID) -> list[HistoryEntry]: ...

    async def apply(self, *changes: Change, remember: IdempotencyRecord | None = None) -> None:
        """Write consecutive moves of one document, with history, feed and the answer to keep, in one transaction.

        Recognises its own earlier write whose reply was lost. Raises MoveRefusedError when the stored document is no
        longer the first change's `before`, KeyTakenError when the key has an answer; then nothing was written.
        """
        ...

    async def postpone(self, document: Document, *, due_at: datetime) -> None:
        """Put off the next look at a document unless it moved on: it was sent, or cannot be helped now."""
        ...

    async def count_send(self, document: Document, *, due_at: datetime) -> Document | None:
        """Raise `send` of a due document before it is sent again; None when somebody else was first."""
        ...

    async def extend_lease(self, document_id: UUID, *, fence: int, until: datetime) -> bool:
        """False when the fence is no longer this one."""
        ...

    async def expire_leases(self, holder: str, *, now: datetime) -> int:
        """Make every document that `holder` leases due now, because it is known to be dead; returns how many."""
        ...

    async def hasten(self, *, now: datetime) -> int:
        """Make every document that waits for its message due now, because the queue was lost; returns how many."""
        ...

    async def due(self, *, now: datetime, limit: int) -> list[Document]:
        """Longest due first. What this version cannot read is logged, due again later, and left out."""
        ...

    async def discard(self, document: Document) -> None:
        """Remove the row, if it still is this version: an upload never acknowledged, or an old tombstone."""
        ...

    async def entomb(self, document: Document, *, now: datetime) -> None:
        """Erase everything of a deleting document but its id, owner and fence, in store and feed."""
        ...


class FolderStore(Protocol):
    """An owner's folders, as they follow from the documents. A folder of nobody is like an empty one."""

    async def folders(self, owner: UUID) -> list[FolderCount]:
        """Every folder with its subfolders' documents, by path; first the one without a name, which holds all."""
        ...

    async def insight(self, owner: UUID, folder: str) -> FolderInsight:
        """What the documents of a folder and its subfolders come to; those of all, when it has no name."""
        ...


class Feed(Protocol):
    async def heads(self, owners: Sequence[UUID]) -> Mapping[UUID, FeedHead]:
        """Every owner's head in one read; an owner without events yet gets one as well."""
        ...

    async def owners(self) -> list[UUID]:
        """Everybody who has a feed; one that has just begun may be missing for a moment."""
        ...

    async def events(self, owner: UUID, *, after: int, limit: int) -> list[FeedEvent]:
        """Events with `seq > after`, in order, without a hole. Raises FeedTrimmedError for what is no longer kept."""
        ...


class Retention(Protocol):
    async def trim(self, *, now: datetime) -> int:
        """Take away some of what is kept no longer: events after FEED_KEPT_FOR, expired answers and log-ins.

        Returns how many events went; there may be more until it returns 0. Any number of callers is harmless.
        """
        ...

    async def begin_anew(self) -> int:
        """Give every feed a new epoch, so that no cursor of before counts; returns how many feeds there are."""
        ...


class IdempotencyStore(Protocol):
    async def recall(self, owner: UUID, key_hash: str, *, now: datetime) -> IdempotencyRecord | None: ...

    async def remember(self, record: IdempotencyRecord) -> bool:
        """Keep the first answer; False when there was one for the same key."""
        ...


class CallLedger(Protocol):
    """Which calls were paid for, what is kept of them, and what is left of the budgets."""

    async def answer(self, owner: UUID, call_key: str, *, now: datetime) -> StoredAnswer | None:
        """The answer that is kept under this key; None when there is none, or none any more."""
        ...

    async def begin(self, call: Call, *, replace: bool, day_limit_micro_usd: int | None) -> Admission:
        """Write the intent of a call, in one transaction with everything that it depends on.

        Accepted when the document is analyzing under the call's fence, no answer is kept (or it shall be replaced), no
        other intent under that key is live, and the owner's day is not spent. A superseded intent becomes ambiguous.
        """
        ...

    async def settle(self, call: Call, *, keep: StoredAnswer | None, replace: bool) -> None:
        """Close a call with its bill and keep its answer, whoever holds the document by now.

        The first answer is kept, unless `replace`; none is for a document that is being deleted. Settling again
        changes nothing.
        """
        ...

    async def reuse(self, call: Call, *, saved: StoredAnswer) -> None:
        """Note, once for each run and key, that a kept answer served a document."""
        ...

    async def calls(self, document_id: UUID, *, run: int) -> list[Call]:
        """The ledger of one run, oldest first."""
        ...

    async def usage(self, owner: UUID | None, *, since: date, until: date) -> list[DayUsage]:
        """What the days from `since` to `until` came to, for one owner or for all, newest first, by model.

        Deleted documents are part of it: their money is gone too.
        """
        ...


class AccountStore(Protocol):
    async def add_user(self, user: User) -> bool:
        """False when the name is taken, in any case."""
        ...

    async def user_named(self, name: str) -> User | None: ...

    async def user(self, user_id: UUID) -> User | None: ...

    async def has_users(self) -> bool: ...

    async def users(self, *, after: str | None, limit: int) -> list[User]:
        """Users in the order of their names, in any case; `after` is the last name of the page before."""
        ...

    async def change_user(self, user: User) -> bool:
        """Store the user with the next `token_epoch`; False when that is not the next one any more."""
        ...

    async def start_family(self, family: RefreshFamily) -> None: ...

    async def family(self, family_id: UUID) -> RefreshFamily | None: ...

    async def rotate(self, family_id: UUID, *, counter: int, now: datetime) -> bool:
        """Move the family from `counter` to the next; False when it is not at `counter` or revoked."""
        ...

    async def revoke(self, family_id: UUID) -> None: ...
