"""What every document store promises to an owner who looks for documents."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from shared.bootstrap import Backends
from shared.document import DocumentStatus
from shared.lists import ListFilter, ListPosition
from tests.contracts.paths import stored
from tests.support.builders import NOW, move, new_document
from tests.support.mixed_documents import labelled

S = DocumentStatus
SECOND = timedelta(seconds=1)


async def test_foreign_and_deleting_documents_are_not_found(backends: Backends) -> None:
    document = await stored(backends, S.COMPLETED)
    assert await backends.documents.find(document.id, owner=document.owner) == document
    assert await backends.documents.find(document.id, owner=uuid4()) is None
    await backends.documents.apply(move(document, S.DELETING))
    assert await backends.documents.find(document.id, owner=document.owner) is None
    page = await backends.documents.page(document.owner, where=ListFilter(), limit=10, after=None)
    assert page == []


async def test_pages_are_newest_first_and_meet_without_gap_or_overlap(backends: Backends) -> None:
    owner = uuid4()
    # Three share one time, so that the id has to decide.
    times = [NOW, NOW, NOW, NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)]
    documents = [new_document(owner=owner, at=at) for at in times]
    for document in documents:
        await backends.documents.insert(document)
    expected = [d.id for d in sorted(documents, key=lambda d: (d.created_at, d.id), reverse=True)]
    seen, after = [], None
    for _ in range(3):
        page = await backends.documents.page(owner, where=ListFilter(), limit=2, after=after)
        seen += [document.id for document in page]
        after = ListPosition(created_at=page[-1].created_at, id=page[-1].id)
    assert seen == expected


async def test_lists_filter_by_status_and_by_folder_with_subfolders(backends: Backends) -> None:
    owner = uuid4()
    for folder in ("a", "a/b", "ab", "a%"):
        await backends.documents.insert(new_document(owner=owner, folder=folder))
    await stored(backends, S.COMPLETED, new_document(owner=owner, folder="a"))

    async def folders(where: ListFilter) -> list[str]:
        page = await backends.documents.page(owner, where=where, limit=10, after=None)
        return sorted(document.folder for document in page)

    assert await folders(ListFilter(folder="a")) == ["a", "a", "a/b"]
    assert await folders(ListFilter(status=S.COMPLETED)) == ["a"]
    assert await folders(ListFilter(status=S.FAILED)) == []


async def test_rare_matches_fill_the_page(backends: Backends) -> None:
    owner = uuid4()
    for number in range(30):
        folder = "rare" if number % 10 == 0 else "common"
        await backends.documents.insert(new_document(owner=owner, folder=folder, at=NOW - timedelta(seconds=number)))
    where = ListFilter(folder="rare", status=S.UPLOADING)
    first = await backends.documents.page(owner, where=where, limit=2, after=None)
    after = ListPosition(created_at=first[-1].created_at, id=first[-1].id)
    second = await backends.documents.page(owner, where=where, limit=2, after=after)
    assert [document.created_at for document in first + second] == [NOW - timedelta(seconds=s) for s in (0, 10, 20)]


async def test_lists_filter_by_what_only_the_document_knows(backends: Backends) -> None:
    owner = uuid4()
    for name, content_type in (("Über Bienen.PDF", "application/pdf"), ("notes.txt", "text/plain")):
        await stored(backends, S.COMPLETED, new_document(owner=owner, filename=name, content_type=content_type))
    await backends.documents.insert(new_document(owner=owner, filename="new.txt", content_type="text/plain"))

    async def names(where: ListFilter) -> list[str]:
        page = await backends.documents.page(owner, where=where, limit=10, after=None)
        return sorted(document.filename for document in page)

    assert await names(ListFilter(content_type="text/plain")) == ["new.txt", "notes.txt"]
    # The builder's report has it.
    assert await names(ListFilter(label="OTHER")) == ["notes.txt", "Über Bienen.PDF"]
    assert await names(ListFilter(label="othe")) == []
    document, label = labelled(owner)
    await backends.documents.insert(replace(document, filename="given.pdf"))
    assert await names(ListFilter(label=label.upper())) == ["given.pdf"]
    await backends.documents.discard(document)
    assert await names(ListFilter(name="über b")) == ["Über Bienen.PDF"]
    assert await names(ListFilter(name="%")) == []
    assert await names(ListFilter(name="N", content_type="text/plain", label="other")) == ["notes.txt"]


async def test_lists_filter_by_time_of_upload(backends: Backends) -> None:
    owner = uuid4()
    for second in range(4):
        await backends.documents.insert(new_document(owner=owner, at=NOW + timedelta(seconds=second)))

    async def seconds(since: int | None, until: int | None, *, after: ListPosition | None = None) -> list[float]:
        first, end = (None if one is None else NOW + timedelta(seconds=one) for one in (since, until))
        where = ListFilter(since=first, until=end)
        page = await backends.documents.page(owner, where=where, limit=10, after=after)
        return [(document.created_at - NOW).total_seconds() for document in page]

    assert await seconds(1, None) == [3, 2, 1]
    assert await seconds(None, 2) == [1, 0]
    assert await seconds(1, 3) == [2, 1]
    assert await seconds(3, 1) == []
    (last,) = await backends.documents.page(owner, where=ListFilter(), limit=1, after=None)
    position = ListPosition(created_at=last.created_at, id=last.id)
    assert await seconds(None, None, after=position) == [2, 1, 0]
    assert await seconds(1, 9, after=position) == [2, 1]
    assert await seconds(5, 9, after=position) == []


async def test_documents_that_the_index_cannot_tell_apart_fill_the_page(backends: Backends) -> None:
    owner = uuid4()
    # More than are read at a time.
    documents = [
        new_document(owner=owner, filename="rare" if number in {3, 120, 121} else "common", at=NOW - number * SECOND)
        for number in range(125)
    ]
    await asyncio.gather(*(backends.documents.insert(document) for document in documents))
    page = await backends.documents.page(owner, where=ListFilter(name="RARE"), limit=2, after=None)
    assert [document.created_at for document in page] == [NOW - 3 * SECOND, NOW - 120 * SECOND]
    after = ListPosition(created_at=page[-1].created_at, id=page[-1].id)
    page = await backends.documents.page(owner, where=ListFilter(name="RARE"), limit=2, after=after)
    assert [document.created_at for document in page] == [NOW - 121 * SECOND]
