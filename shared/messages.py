"""The queue message: ids only, under 1 KB. Owner and everything else is read from the store."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class ProcessMessage(BaseModel):
    """Asks a worker to process one run of one document.

    `send` counts the sends of this run. It is part of the deduplication id, because SQS remembers an id
    for five minutes even after the message was deleted: a resend needs a new one.
    """

    model_config = ConfigDict(frozen=True)

    v: Literal[1] = 1
    type: Literal["document.process"] = "document.process"
    document_id: UUID
    run: int
    send: int
    at: datetime
    traceparent: str | None = None

    @property
    def deduplication_id(self) -> str:
        return f"{self.document_id}.{self.run}.{self.send}"
