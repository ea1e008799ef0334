"""A profile named on upload, on a form for an upload and on a new run, through an API that has some."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.bootstrap import Backends
from shared.document import DocumentStatus
from shared.settings import Settings
from tests.support.callers import Caller, calling
from tests.support.running import serving

S = DocumentStatus
NOTE = ("note.txt", b"Call Ada on Monday.")


@pytest.fixture(scope="module")
async def choosing(stack_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """An API with two profiles more."""
    folder: Path = tmp_path_factory.mktemp("profiles")
    for name in ("short", "longer"):
        (folder / f"{name}.toml").write_text('version = "1"')
    async with serving(stack_settings.model_copy(update={"profiles": folder})) as base_url:
        yield base_url


@pytest.fixture
async def me(choosing: str, stack_settings: Settings, backends: Backends) -> AsyncIterator[Caller]:
    async with calling(choosing, stack_settings, backends) as caller:
        yield caller


async def profile_of(me: Caller, answer: Any) -> str:
    document = await me.backends.documents.get(UUID(answer.json()["id"]))
    assert document is not None
    return document.options.profile


async def test_upload_names_its_profile(me: Caller) -> None:
    answer = await me.client.post("/documents", files={"file": NOTE}, data={"profile": "short"})
    assert await profile_of(me, answer) == "short"
    assert await profile_of(me, await me.client.post("/documents", files={"file": NOTE})) == "default"


async def test_form_for_an_upload_names_its_profile(me: Caller) -> None:
    answer = await me.client.post("/documents/uploads", json={"filename": "a.txt", "size": 9, "profile": "longer"})
    assert await profile_of(me, answer) == "longer"


async def test_run_keeps_the_documents_profile_unless_another_is_named(me: Caller) -> None:
    answer = await me.client.post("/documents", files={"file": NOTE}, data={"profile": "short", "process": "false"})
    document_id = answer.json()["id"]
    assert await profile_of(me, await me.client.post(f"/documents/{document_id}/process")) == "short"
    other = await me.document(S.FAILED)
    renamed = await me.client.post(f"/documents/{other.id}/process", json={"profile": "longer"})
    assert await profile_of(me, renamed) == "longer"


async def test_completed_document_is_processed_again_by_another_profile_only(me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    same = await me.client.post(f"/documents/{document.id}/process", json={"profile": "default"})
    assert (same.status_code, same.json()["run"]) == (200, 1)
    other = await me.client.post(f"/documents/{document.id}/process", json={"profile": "short"})
    assert (other.status_code, other.json()["run"]) == (202, 2)
    meanwhile = await me.client.post(f"/documents/{document.id}/process", json={"profile": "longer"})
    assert (meanwhile.status_code, meanwhile.json()["code"]) == (409, "under_way")


@pytest.mark.parametrize("way", ["upload", "form", "process"])
async def test_unknown_profile_is_refused_with_those_that_there_are(me: Caller, way: str) -> None:
    match way:
        case "upload":
            answer = await me.client.post("/documents", files={"file": NOTE}, data={"profile": "none"})
        case "form":
            answer = await me.client.post(
                "/documents/uploads", json={"filename": "a.txt", "size": 9, "profile": "none"}
            )
        case _:
            document = await me.document(S.FAILED)
            answer = await me.client.post(f"/documents/{document.id}/process", json={"profile": "none"})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == "profile"
    assert error["detail"] == "There is no such profile. There are: default, longer, short."
