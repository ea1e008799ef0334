"""Every point of every scenario: where its actor is killed, in the order of its steps."""

from __future__ import annotations

_CLAIM = ("queue.receive", "documents.get", "documents.apply processing")
_CALL = ("ledger.begin", "ledger.settle")
_ANALYSIS = ("blobs.put text", "documents.apply analyzing", *_CALL, "documents.apply completed", "queue.delete")
_CALLER = ("accounts.user", "documents.find")
_SEND = ("queue.send", "documents.postpone")

# What changes nothing.
READS = (
    "accounts.user",
    "blobs.get",
    "blobs.inspect",
    "documents.due",
    "documents.find",
    "documents.get",
    "idempotency.recall",
    "ledger.answer",
    "ledger.calls",
)

POINTS: dict[str, tuple[str, ...]] = {
    "upload": (
        "accounts.user",
        "idempotency.recall",
        "documents.insert",
        "blobs.put original",
        "documents.apply pending",
        *_SEND,
        "idempotency.remember",
    ),
    "finish a form's upload": (*_CALLER, "blobs.inspect", "documents.apply pending", *_SEND),
    "work": (*_CLAIM, "blobs.get original", *_ANALYSIS),
    "work slowly": (*_CLAIM, "blobs.get original", "documents.extend_lease", "queue.extend", *_ANALYSIS),
    "fail": (*_CLAIM, "blobs.get original", "documents.get #2", "documents.apply failed", "queue.delete"),
    "give back": (*_CLAIM, "documents.get #2", "documents.apply pending", "queue.extend"),
    "wait for long": (
        *_CLAIM,
        "documents.get #2",
        "documents.apply pending",
        "documents.get #3",
        "documents.postpone",
        "queue.delete",
    ),
    "send again": ("documents.due", "documents.count_send", *_SEND),
    "give up": ("documents.due", "documents.apply failed"),
    "abandon": ("documents.due", "documents.apply deleting", "blobs.delete_prefix", "documents.entomb"),
    "erase": ("documents.due", "blobs.delete_prefix", "documents.entomb"),
    "remove tombstone": ("documents.due", "blobs.delete_prefix", "documents.discard"),
    "dead letter": ("dead_letters.receive", "documents.get", "documents.apply failed", "dead_letters.delete"),
    "restart": (*_CALLER, "idempotency.recall", "documents.apply pending", *_SEND),
    "cancel": (*_CALLER, "documents.apply cancelled"),
    "delete": (*_CALLER, "documents.apply deleting"),
}
