"""What every document store promises to an owner who looks for documents."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from shared.bootstrap import Backends
from shared.document import DocumentStatus
from shared.ports import ListFilter, ListPosition
from tests.contracts.paths import stored
from tests.support.builders import NOW, move, new_document

S = DocumentStatus


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
