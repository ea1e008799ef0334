"""From the parts of an upload to pending documents. Fields may come after files, so files are staged first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from uuid import UUID

from api_service.multipart import Part
from api_service.names import clean_name
from api_service.quotas import Quotas
from shared import log
from shared.analysis import RunOptions
from shared.clock import Clock, NewId
from shared.document import UPLOAD_GRACE, Change, Document, DocumentStatus, Facts, advance, blob_prefix
from shared.errors import (
    BackendUnavailableError,
    EmptyFileError,
    IdempotencyMismatchError,
    IntakeError,
    MissingFilenameError,
    MoveRefusedError,
    TooLargeError,
)
from shared.filetype import SNIFFED_BYTES, content_type_of
from shared.idempotency import KEPT_FOR, derived_id, request_hash
from shared.moves import announce, commit
from shared.ports import BlobStore, DocumentStore, JobQueue

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """One file that was not accepted."""

    filename: str | None
    error: IntakeError


@dataclass(kw_only=True, slots=True)
class Upload:
    """One upload request while its body is read."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[tuple[str | None, str]] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    held_at: datetime | None = None
    refusals: list[Refusal] = field(default_factory=list)

    def note(self, part: Part) -> None:
        """Record what was asked for."""
        if part.is_file:
            self.files.append((part.filename, part.sha256))
        else:
            # A control that was left empty asks for nothing.
            given = part.data.getvalue().decode(errors="replace")
            self.fields[part.name] = given or self.fields.get(part.name, "")

    @property
    def request_hash(self) -> str:
        """What the request asked for: its fields, and its files by name and content in order."""
        return request_hash([self.fields, self.files])


@dataclass(frozen=True, kw_only=True, slots=True)
class Intake:
    documents: DocumentStore
    blobs: BlobStore
    queue: JobQueue
    quotas: Quotas
    clock: Clock
    new_id: NewId

    async def stage(
        self, upload: Upload, parts: AsyncIterator[Part], *, owner: UUID, max_files: int, key_hash: str | None
    ) -> None:
        """Store every acceptable file of the body as a document that is still uploading, and note it in `upload`.

        Raises TooLargeError for more than `max_files`, IdempotencyMismatchError when `key_hash` belongs to other
        files, BackendUnavailableError.
        """
        async for part in parts:
            upload.note(part)
            if not part.is_file:
                continue
            if len(upload.files) > max_files:
                raise TooLargeError(f"One request may carry at most {max_files} files.")
            try:
                document = await self._row(part, owner=owner, key_hash=key_hash, index=len(upload.files) - 1)
                if document.status is DocumentStatus.UPLOADING:
                    if document.due_at is not None and document.due_at < self.clock() + UPLOAD_GRACE * 2 / 3:
                        # An earlier try with the same key has left it: it is held from the next piece on.
                        upload.held_at = None
                    await self._store(document, part)
                upload.documents.append(document)
            except IntakeError as exc:
                upload.refusals.append(Refusal(filename=clean_name(part.filename), error=exc))

    async def hold(self, upload: Upload) -> None:
        """Have the due sweep wait for files whose request goes on; called with every piece of its body."""
        now = self.clock()
        if upload.held_at is not None and now < upload.held_at + UPLOAD_GRACE / 3:
            return
        upload.held_at = now
        for document in upload.documents:
            if document.status is DocumentStatus.UPLOADING:
                with suppress(BackendUnavailableError):
                    await self.documents.postpone(document, due_at=now + UPLOAD_GRACE)

    async def abandon(self, upload: Upload) -> None:
        """Remove what was staged for a request that is refused; what cannot be removed now is left to the due sweep."""
        with suppress(BackendUnavailableError):
            for document in upload.documents:
                await self.blobs.delete_prefix(document.prefix)
                await self.documents.discard(document)

    async def commit(self, staged: list[Document], *, folder: str, process: bool, profile: str) -> list[Document]:
        """Move staged documents on: to pending, then send their messages, or to uploaded when they are to wait."""
        committed = [await self._commit(one, folder=folder, process=process, profile=profile) for one in staged]
        for before, after in zip(staged, committed, strict=True):
            moved = before.status is DocumentStatus.UPLOADING and after.status is DocumentStatus.PENDING
            # Each try takes long when the queue is away: what it does not take is left to the due sweep.
            if moved and not await self.send(after):
                break
        return committed

    async def _commit(self, document: Document, *, folder: str, process: bool, profile: str) -> Document:
        if document.status is not DocumentStatus.UPLOADING:
            return document
        changes = self._changes(document, folder=folder, process=process, profile=profile)
        try:
            return await commit(self.documents, *changes)
        except MoveRefusedError as exc:
            stored = await self.documents.get(document.id)
            if stored is None or stored.status is DocumentStatus.DELETING:
                raise BackendUnavailableError("The file was taken away before its request had ended.") from exc
            # The same request, sent twice at once, was faster with the same bytes.
            return stored

    async def send(self, document: Document) -> bool:
        """Send a pending document's message; a lost send is left to the due sweep, and False."""
        return await announce(document, queue=self.queue, documents=self.documents, clock=self.clock)

    async def _row(self, part: Part, *, owner: UUID, key_hash: str | None, index: int) -> Document:
        """The new row of a file, or the one that an earlier try with the same key has left."""
        for generation in count():
            document_id = derived_id(owner, key_hash, index, generation) if key_hash else self.new_id()
            document = self._admit(part, owner=owner, document_id=document_id)
            if await self.quotas.insert(document):
                return document
            stored = await self.documents.get(document_id)
            if stored is None or stored.status is DocumentStatus.DELETING:
                # What an earlier try left was swept, or is about to be.
                continue
            # A key is forgotten after a while; then the same one means another request.
            if stored.created_at > self.clock() - KEPT_FOR:
                if (stored.filename, stored.sha256) != (document.filename, document.sha256):
                    raise IdempotencyMismatchError
                return stored
        raise AssertionError("count() does not end")

    async def _store(self, document: Document, part: Part) -> None:
        try:
            await self.blobs.put(
                document.blob_key, part.data, content_type=document.content_type, sha256=document.sha256
            )
        except BackendUnavailableError:
            # It may be there although its reply was lost, or come late: the due sweep removes it, and nobody sees it
            # meanwhile. Unless the same request, sent twice at once, was faster; then it is that one's.
            taken = advance(
                document, DocumentStatus.DELETING, at=self.clock(), write_id=self.new_id(), reason="abandoned"
            )
            with suppress(BackendUnavailableError, MoveRefusedError):
                await commit(self.documents, taken)
            raise

    def _admit(self, part: Part, *, owner: UUID, document_id: UUID) -> Document:
        """Refuse what no worker could read. Raises IntakeError."""
        filename = clean_name(part.filename)
        if filename is None:
            raise MissingFilenameError
        if part.size == 0:
            raise EmptyFileError
        if part.too_large:
            limit = f"{part.max_bytes} bytes ({part.max_bytes / 1_048_576:g} MiB)"
            raise TooLargeError(f"The file has {part.size} bytes. The limit is {limit}.")
        now = self.clock()
        return Document(
            id=document_id,
            owner=owner,
            filename=filename,
            folder="",
            content_type=content_type_of(filename, part.beginning(SNIFFED_BYTES)),
            size=part.size,
            sha256=part.sha256,
            blob_key=f"{blob_prefix(owner, document_id)}original",
            write_id=self.new_id(),
            due_at=now + UPLOAD_GRACE,
            created_at=now,
            updated_at=now,
        )

    def _changes(self, document: Document, *, folder: str, process: bool, profile: str) -> list[Change]:
        now = self.clock()
        facts: Facts = {"folder": folder, "options": RunOptions(profile=profile)}
        uploaded = advance(document, DocumentStatus.UPLOADED, at=now, write_id=self.new_id(), **facts)
        if not process:
            return [uploaded]
        return [uploaded, advance(uploaded.after, DocumentStatus.PENDING, at=now, write_id=self.new_id())]


async def digest(upload: Upload, parts: AsyncIterator[Part]) -> str:
    """Read an upload for its request hash alone; nothing is stored."""
    async for part in parts:
        upload.note(part)
    return upload.request_hash
