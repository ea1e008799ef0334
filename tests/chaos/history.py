"""What happened in one scenario: what was done to processes, what clients were told, what the stores hold at the end.

Records only. Nothing here says what is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from shared.document import Document, HistoryEntry
from shared.events import FeedEvent
from shared.ledger import Call


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """Something done to a process or a server: kill, stop, continue, terminate, restart."""

    at: float
    what: str
    whom: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a client was told, in the end. `name` is the file's, unique in the scenario; `status` 0 is no answer."""

    request: str
    owner: UUID
    name: str
    status: int
    document_id: UUID | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Keyed:
    """An answer to a request with an Idempotency-Key: the same one again, a changed one, one for a foreign document."""

    request: str
    owner: UUID
    key: str
    variant: Literal["same", "changed", "foreign"]
    status: int
    body: str
    document_id: UUID | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Life:
    """A document and its history, as the store has them at the end."""

    document: Document
    entries: tuple[HistoryEntry, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Billed:
    """One call in the provider's journal. `id` is the client's own name for it, `name` the file that it was about."""

    id: str
    name: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One frame that a client of the stream got."""

    seq: int
    document_id: UUID
    status: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """What a SIGTERM came to: the seconds until the exit, and the messages that were in flight then."""

    seconds: float
    in_flight: int
    allowed_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovery:
    """From the kill of everything until the stack was ready, and until what the workers held then had ended."""

    seconds: float
    ready_seconds: float
    held: int
    allowed_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """What is left when everything is quiet: messages, due documents, keys in the bucket."""

    visible: int = 0
    in_flight: int = 0
    dead: int = 0
    due: tuple[UUID, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    answers: tuple[Answer, ...]
    lives: Mapping[UUID, Life]
    acts: tuple[Act, ...] = ()
    feeds: Mapping[UUID, tuple[FeedEvent, ...]] = field(default_factory=dict)
    seen: Mapping[UUID, tuple[Seen, ...]] = field(default_factory=dict)
    billed: tuple[Billed, ...] = ()
    ledger: tuple[Call, ...] = ()
    keyed: tuple[Keyed, ...] = ()
    stops: tuple[Stop, ...] = ()
    recoveries: tuple[Recovery, ...] = ()
    faults: Mapping[str, int] = field(default_factory=dict)
    left: Left = field(default_factory=Left)
    lease_seconds: float = 0.0
    # 0: not looked at.
    max_attempts: int = 0
    # Whether nothing that was done gives a document a reason to fail.
    spotless: bool = False
    # What the queue keeps in order; nothing when a message was lost or its sender killed.
    ordered: Literal["", "owner", "global"] = ""

    def asked(self, request: str) -> Iterable[Answer]:
        return (answer for answer in self.answers if answer.request == request)

    def kept(self, request: str) -> dict[UUID, Answer]:
        """The promises: answers with 2xx, by document."""
        return {
            answer.document_id: answer
            for answer in self.asked(request)
            if 200 <= answer.status < 300 and answer.document_id is not None
        }

    def counted(self, what: str) -> int:
        return Counter(act.what for act in self.acts)[what]
