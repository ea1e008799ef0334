"""Moves as server-sent events: what a stream sends, each event encoded once for all listeners. Knows no connection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from uuid import UUID

from shared import log
from shared.document import DocumentStatus
from shared.events import FeedCursor, FeedEvent
from shared.ports import DocumentStore

_log = log.get(__name__)

HEARTBEAT = b": heartbeat\n\n"
GREETING = b": connected\nretry: 1000\n\n"
BYE = b"event: bye\nretry: 1000\ndata: {}\n\n"
REAUTH = b'event: reauth\nretry: 1000\ndata: {"detail": "The token has expired."}\n\n'


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One event as the listeners of its owner's feed get it."""

    event: FeedEvent
    data: bytes


class Encoder:
    """Turns feed events into frames; the result of a completed document is read by reference."""

    def __init__(self, *, documents: DocumentStore) -> None:
        self._documents = documents

    async def frame(self, event: FeedEvent, *, owner: UUID, epoch: str) -> Frame:
        cursor = FeedCursor(epoch=epoch, seq=event.seq)
        return Frame(event=event, data=status(str(cursor), await self.told(event, owner)))

    async def told(self, event: FeedEvent, owner: UUID) -> dict[str, Any]:
        """The fields that tell of an event."""
        fields = _fields(event)
        if event.status == DocumentStatus.COMPLETED:
            fields |= await self._result(event, owner)
        return fields

    async def _result(self, event: FeedEvent, owner: UUID) -> dict[str, Any]:
        try:
            document = await self._documents.find(event.document_id, owner=owner)
        except ValueError:
            # Another version has written what this one cannot read; whoever listens goes on without it.
            _log.error("document.unreadable", document_id=str(event.document_id))
            return {}
        if document is None or document.report is None:
            return {}
        report = document.report.model_dump(mode="json")
        labelled = {"classification": report["classification"]} if report["classification"] else {}
        return {"analysis_result": report["analysis"], "coverage": report["coverage"], **labelled}


def status(cursor: str, fields: Mapping[str, Any]) -> bytes:
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return f"id: {cursor}\nevent: status\ndata: {text}\n\n".encode()


def reset(cursor: str) -> bytes:
    return f'event: reset\ndata: {{"cursor":"{cursor}"}}\n\n'.encode()


def _fields(event: FeedEvent) -> dict[str, Any]:
    if not event.filename:
        # Of a deleted document no more than this is left.
        return {"document_id": str(event.document_id), "status": event.status}
    fields: dict[str, Any] = {
        "document_id": str(event.document_id),
        "filename": event.filename,
        "folder": event.folder,
        "version": event.version,
        "status": event.status,
        "at": event.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "attempt": event.attempt,
    }
    if event.reason:
        fields["reason"] = event.reason
    if event.error_code:
        fields |= {"error_code": event.error_code, "error_message": event.error_detail}
    return fields
