"""Files that go straight to the bucket: begun with a form, finished when the file is there. Knows no HTTP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Unpack
from uuid import UUID

from api_service.names import clean_name
from api_service.quotas import Quotas
from shared.analysis import RunOptions
from shared.clock import Clock, NewId
from shared.document import UPLOAD_GRACE, Change, Document, DocumentStatus, Facts, Failure, advance, blob_prefix
from shared.errors import (
    EmptyFileError,
    IntakeError,
    MissingFilenameError,
    MoveRefusedError,
    TooLargeError,
    UnsupportedTypeError,
)
from shared.filetype import content_type_named, content_type_of
from shared.moves import announce, commit
from shared.ports import BlobFacts, BlobStore, DocumentStore, JobQueue, UploadForm

# Much shorter than UPLOAD_GRACE: after the sweep, nobody has a form for what it removed.
_FORM_LIFE = timedelta(minutes=5)
# What clients send that do not know a file's type.
_UNKNOWN_TYPES = {"", "application/octet-stream"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    document: Document
    form: UploadForm
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class PresignedUploads:
    documents: DocumentStore
    blobs: BlobStore
    queue: JobQueue
    quotas: Quotas
    max_file_bytes: int
    clock: Clock
    new_id: NewId

    async def begin(
        self, *, owner: UUID, filename: str, size: int, content_type: str, folder: str, process: bool, profile: str
    ) -> Begun:
        """Make the document's row and the form for its file. Raises IntakeError for what would be refused anyway."""
        document = self._admit(owner=owner, filename=filename, size=size, content_type=content_type)
        document = replace(document, folder=folder, options=RunOptions(profile=profile))
        await self.quotas.insert(document)
        form = await self.blobs.upload_form(
            document.blob_key,
            content_type=document.content_type,
            max_bytes=size,
            # Whoever finishes it, the client or the bucket's notification, finds it there.
            labels={"process": "true" if process else "false"},
            expires_seconds=int(_FORM_LIFE.total_seconds()),
        )
        return Begun(document=document, form=form, expires_at=document.created_at + _FORM_LIFE)

    async def finish(self, document: Document) -> Document:
        """Check the file and move its document on, once, whoever asks first; return the document as it is then.

        A file that intake would have refused fails the document. Raises BlobMissingError when there is no file yet,
        MoveRefusedError when the document is being deleted.
        """
        if document.status is not DocumentStatus.UPLOADING:
            return document
        try:
            blob = await self.blobs.inspect(document.blob_key, max_bytes=self.max_file_bytes)
            content_type_of(document.filename, blob.head)
            changes = self._accept(document, blob)
        except IntakeError as exc:
            failure = Failure(code=exc.code, detail=str(exc))
            changes = [self._move(document, DocumentStatus.FAILED, reason=exc.code, failure=failure)]
        try:
            moved = await commit(self.documents, *changes)
        except MoveRefusedError:
            stored = await self.documents.get(document.id)
            if stored is None or stored.status is DocumentStatus.DELETING:
                raise
            return stored
        if moved.status is DocumentStatus.PENDING:
            await announce(moved, queue=self.queue, documents=self.documents, clock=self.clock)
        return moved

    def _admit(self, *, owner: UUID, filename: str, size: int, content_type: str) -> Document:
        name = clean_name(filename)
        if name is None:
            raise MissingFilenameError
        if size == 0:
            raise EmptyFileError
        if size > self.max_file_bytes:
            raise TooLargeError(f"The file has {size} bytes. The limit is {self.max_file_bytes} bytes.")
        now, document_id = self.clock(), self.new_id()
        return Document(
            id=document_id,
            owner=owner,
            filename=name,
            folder="",
            content_type=_agreed_type(name, content_type),
            size=size,
            sha256="",
            blob_key=f"{blob_prefix(owner, document_id)}original",
            write_id=self.new_id(),
            due_at=now + UPLOAD_GRACE,
            created_at=now,
            updated_at=now,
        )

    def _accept(self, document: Document, blob: BlobFacts) -> list[Change]:
        uploaded = self._move(document, DocumentStatus.UPLOADED, size=blob.size, sha256=blob.sha256)
        if blob.labels.get("process") == "false":
            return [uploaded]
        return [uploaded, self._move(uploaded.after, DocumentStatus.PENDING)]

    def _move(
        self, document: Document, to: DocumentStatus, *, reason: str | None = None, **facts: Unpack[Facts]
    ) -> Change:
        return advance(document, to, at=self.clock(), write_id=self.new_id(), reason=reason, **facts)


def _agreed_type(name: str, given: str) -> str:
    """The type that the name says, if the client says no other."""
    named = content_type_named(name)
    if given.partition(";")[0].strip().lower() not in _UNKNOWN_TYPES | {named}:
        raise UnsupportedTypeError(f"The name says {named}, but the content type says {given[:100]}.")
    return named
