"""Documents brought to a status by the moves that lead there."""

from __future__ import annotations

from shared.bootstrap import Backends
from shared.document import Document, DocumentStatus
from tests.support.builders import moves, new_document

S = DocumentStatus
# The shortest way to each status, for tests that need a document there.
PATHS: dict[DocumentStatus, tuple[DocumentStatus, ...]] = {
    S.UPLOADING: (),
    S.UPLOADED: (S.UPLOADED,),
    S.PENDING: (S.UPLOADED, S.PENDING),
    S.PROCESSING: (S.UPLOADED, S.PENDING, S.PROCESSING),
    S.ANALYZING: (S.UPLOADED, S.PENDING, S.PROCESSING, S.ANALYZING),
    S.COMPLETED: (S.UPLOADED, S.PENDING, S.PROCESSING, S.ANALYZING, S.COMPLETED),
    S.FAILED: (S.UPLOADED, S.PENDING, S.PROCESSING, S.FAILED),
    S.CANCELLED: (S.UPLOADED, S.PENDING, S.CANCELLED),
    S.DELETING: (S.UPLOADED, S.DELETING),
}


async def stored(backends: Backends, status: DocumentStatus, document: Document | None = None) -> Document:
    document = document or new_document()
    await backends.documents.insert(document)
    for change in moves(document, *PATHS[status]):
        await backends.documents.apply(change)
        document = change.after
    return document
