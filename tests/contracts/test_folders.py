"""What every store says of an owner's folders."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.analysis import Label, Labelling, Report, RunOptions, StageResult
from shared.bootstrap import Backends
from shared.document import Document, DocumentStatus
from shared.folders import FolderInsight
from tests.contracts.paths import stored
from tests.support.builders import NOW, move, new_document, report
from tests.support.mixed_documents import FOLDERS, folder_counts, mixed, recount

S = DocumentStatus
DOCUMENTS = 200


@pytest.fixture
async def documents(backends: Backends) -> list[Document]:
    owner = uuid4()
    made = mixed(owner, DOCUMENTS, seed=8)
    await asyncio.gather(*(backends.documents.insert(document) for document in made))
    return made


def owner_of(documents: list[Document]) -> UUID:
    return documents[0].owner


async def test_insight_of_each_folder_is_what_a_recount_gives(backends: Backends, documents: list[Document]) -> None:
    for folder in FOLDERS:
        insight = await backends.folders.insight(owner_of(documents), folder)
        assert asdict(insight) == recount(documents, folder), folder
        # The order of the most frequent is a promise, too.
        assert list(insight.topics) == list(recount(documents, folder)["topics"])
    assert (await backends.folders.insight(owner_of(documents), "a")).documents > 0


async def test_folders_have_their_subfolders_documents(backends: Backends, documents: list[Document]) -> None:
    folders = await backends.folders.folders(owner_of(documents))
    assert {folder.path: folder.documents for folder in folders} == folder_counts(documents)
    assert [folder.path for folder in folders] == sorted(folder.path for folder in folders)


async def test_folder_says_how_its_documents_stand_and_when_the_newest_came(
    backends: Backends, documents: list[Document]
) -> None:
    folders = {folder.path: folder for folder in await backends.folders.folders(owner_of(documents))}
    for path in ("", "a", "Ä"):
        expected = recount(documents, path)
        assert (dict(folders[path].statuses), folders[path].newest_at) == (
            expected["statuses"],
            expected["uploaded"]["last"],
        )


async def test_folder_above_exists_without_documents_of_its_own(backends: Backends) -> None:
    document = await stored(backends, S.UPLOADED, new_document(folder="x/y/z"))
    folders = await backends.folders.folders(document.owner)
    assert [(folder.path, folder.documents) for folder in folders] == [("", 1), ("x", 1), ("x/y", 1), ("x/y/z", 1)]


async def test_document_counts_while_its_file_is_there(backends: Backends) -> None:
    document = await stored(backends, S.UPLOADING, new_document(folder="x"))
    assert await backends.folders.folders(document.owner) == []
    assert (await backends.folders.insight(document.owner, "x")).documents == 0
    deleting = await stored(backends, S.DELETING, new_document(folder="x"))
    assert await backends.folders.folders(deleting.owner) == []
    assert await backends.folders.insight(deleting.owner, "") == FolderInsight()


async def test_folder_of_another_owner_is_like_an_empty_one(backends: Backends, documents: list[Document]) -> None:
    assert await backends.folders.folders(uuid4()) == []
    assert await backends.folders.insight(uuid4(), "a") == FolderInsight()
    assert await backends.folders.insight(owner_of(documents), "nowhere") == FolderInsight()


def classified() -> Report:
    plain = report()
    labelling = Labelling(
        label="Acme",
        confidence=0.9,
        labels=("Acme",),
        analyzer=plain.analyzer,
        chars_extracted=13,
        chars_analyzed=13,
        usage=plain.usage,
    )
    stages = {"triage": StageResult(version="1", result="Acme")}
    return plain.model_copy(update={"stages": stages, "classification": labelling})


async def test_what_a_file_states_and_a_run_was_asked_is_kept_until_the_document_is_erased(backends: Backends) -> None:
    options = RunOptions(labels=(Label(name="Acme", description="Letters of Acme."),))
    facts: dict[str, Any] = {"words": 7, "title": "A plan", "author": "Ada", "authored_at": NOW, "options": options}
    document = await stored(backends, S.ANALYZING, new_document(**facts))
    change = move(document, S.COMPLETED, report=classified())
    await backends.documents.apply(change)
    assert await backends.documents.get(document.id) == change.after
    await backends.documents.apply(move(change.after, S.DELETING))
    await backends.documents.entomb(change.after, now=NOW)
    tombstone = await backends.documents.get(document.id)
    assert tombstone is not None
    assert {name: getattr(tombstone, name) for name in facts} == dict.fromkeys(facts) | {"options": RunOptions()}
    assert tombstone.report is None
