"""How much one owner may keep: a new document gets its row only while there is room."""

from __future__ import annotations

import asyncio
from typing import Self
from uuid import UUID
from weakref import WeakValueDictionary

from shared.document import Document
from shared.errors import QuotaExceededError
from shared.ports import DocumentStore
from shared.settings import Settings


class Quotas:
    def __init__(self, *, documents: DocumentStore, max_documents: int | None, max_bytes: int | None) -> None:
        """None is no limit."""
        self._documents = documents
        self._max_documents = max_documents
        self._max_bytes = max_bytes
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @classmethod
    def of(cls, settings: Settings, documents: DocumentStore) -> Self:
        return cls(
            documents=documents,
            max_documents=settings.max_documents_per_user,
            max_bytes=settings.max_bytes_per_user,
        )

    async def insert(self, document: Document) -> bool:
        """Store a new document; False when its id exists. Raises QuotaExceededError when there is no room for it."""
        if self._max_documents is None and self._max_bytes is None:
            return await self._documents.insert(document)
        # One after the other, or what is asked for at the same time would find the same room.
        async with self._turns.setdefault(document.owner, asyncio.Lock()):
            full = await self._full(document)
            if full is None:
                return await self._documents.insert(document)
            if await self._documents.get(document.id):
                # A repeat of a request that had its room.
                return False
            raise QuotaExceededError(full)

    async def _full(self, document: Document) -> str | None:
        """Why there is no room for the document; None when there is."""
        held = await self._documents.holdings(document.owner, with_bytes=self._max_bytes is not None)
        if self._max_documents is not None and held.documents >= self._max_documents:
            return f"You keep {held.documents} documents. The limit is {self._max_documents}: delete some."
        if self._max_bytes is not None and held.size_bytes + document.size > self._max_bytes:
            return f"You keep {held.size_bytes} bytes, this file has {document.size}. The limit is {self._max_bytes}."
        return None
