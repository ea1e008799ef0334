"""`POST /documents` as a client sees it."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import httpx
import pytest

from shared.bootstrap import Backends
from shared.clock import utc_now
from shared.document import DocumentStatus
from shared.settings import Settings
from tests.support.builders import moves
from tests.support.documents import docx, pdf
from tests.support.running import logged_in, serving

TXT = ("note.txt", b"A note.", "text/plain")


def files(*parts: tuple[str, bytes, str]) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("files", part) for part in parts]


async def test_one_file_is_accepted_with_location_id_and_status(client: httpx.AsyncClient) -> None:
    answer = await client.post("/documents", files={"file": TXT})
    assert answer.status_code == 202
    body = answer.json()
    (item,) = body["items"]
    assert item == {"id": body["id"], "filename": "note.txt", "status": "pending", "size": 7}
    assert (body["status"], body["errors"]) == ("pending", [])
    assert answer.headers["location"] == f"/api/v1/documents/{body['id']}"
    assert UUID(body["id"]).version == 7


async def test_many_files_are_accepted_in_order(client: httpx.AsyncClient) -> None:
    parts = files(("a.pdf", pdf(["A"]), "x/y"), ("b.docx", docx(["B"]), "x/y"), TXT)
    answer = await client.post("/documents", files=parts)
    body = answer.json()
    assert answer.status_code == 202
    assert [item["filename"] for item in body["items"]] == ["a.pdf", "b.docx", "note.txt"]
    assert "id" not in body
    assert "location" not in answer.headers


async def test_accepted_files_and_refused_ones_stand_side_by_side(client: httpx.AsyncClient) -> None:
    answer = await client.post("/documents", files=files(("empty.txt", b"", "text/plain"), TXT))
    body = answer.json()
    assert answer.status_code == 202
    assert [item["filename"] for item in body["items"]] == ["note.txt"]
    assert [(error["filename"], error["code"]) for error in body["errors"]] == [("empty.txt", "empty")]


@pytest.mark.parametrize(
    ("part", "status", "code"),
    [
        (("program.pdf", b"MZ\x90\x00" + bytes(60), "application/pdf"), 415, "unsupported_type"),
        (("archive.zip", b"PK\x03\x04" + bytes(60), "application/zip"), 415, "unsupported_type"),
        (("note.txt", b"%PDF-1.7\n%", "text/plain"), 415, "unsupported_type"),
        (("empty.pdf", b"", "application/pdf"), 422, "empty"),
        (("/", b"text", "text/plain"), 422, "missing_filename"),
    ],
)
async def test_refused_file_is_a_problem_with_its_cause(
    client: httpx.AsyncClient, part: tuple[str, bytes, str], status: int, code: str
) -> None:
    answer = await client.post("/documents", files={"file": part})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert [error["code"] for error in problem["errors"]] == [code]
    assert problem["code"] == code
    assert problem["request_id"] == answer.headers["x-request-id"]


async def test_part_without_a_filename_is_named_as_such(client: httpx.AsyncClient) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--x--\r\n'
    answer = await client.post("/documents", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "missing_filename")


async def test_refusals_of_different_kinds_are_unprocessable(client: httpx.AsyncClient) -> None:
    parts = files(("a.exe", b"MZ", "x/y"), ("b.txt", b"", "x/y"))
    answer = await client.post("/documents", files=parts)
    assert answer.status_code == 422
    assert [error["code"] for error in answer.json()["errors"]] == ["unsupported_type", "empty"]


async def test_fields_may_come_after_the_files(client: httpx.AsyncClient, backends: Backends) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="n.txt"\r\n\r\ntext\r\n'
        b'--x\r\nContent-Disposition: form-data; name="process"\r\n\r\nfalse\r\n'
        b'--x\r\nContent-Disposition: form-data; name="folder"\r\n\r\n/in/./../box/\r\n--x--\r\n'
    )
    answer = await client.post("/documents", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert (answer.status_code, answer.json()["status"]) == (202, "uploaded")
    document = await backends.documents.get(UUID(answer.json()["id"]))
    assert document is not None
    assert (document.folder, document.status, document.due_at) == ("in/box", DocumentStatus.UPLOADED, None)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        # As .NET's HttpClient has it.
        (b"filename=\"=?utf-8?B?bmHDr3ZlLnR4dA==?=\"; filename*=utf-8''na%C3%AFve.txt", "naïve.txt"),
        (b"filename*=ISO-8859-1'en'na%EFve.txt", "naïve.txt"),
        (b"filename*=utf-8''%FF.txt", "\ufffd.txt"),
    ],
)
async def test_name_may_be_given_in_the_extended_form(client: httpx.AsyncClient, given: bytes, name: str) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file"; ' + given + b"\r\n\r\ntext\r\n--x--\r\n"
    answer = await client.post("/documents", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert (answer.status_code, answer.json()["items"][0]["filename"]) == (202, name)


async def test_name_with_a_quote_is_what_its_owner_calls_it(client: httpx.AsyncClient) -> None:
    parts = files(('50% off "x" 100%25.txt', b"x", "text/plain"), ("line\r\nend.txt", b"x", "text/plain"))
    body = (await client.post("/documents", files=parts)).json()
    assert [item["filename"] for item in body["items"]] == ['50% off "x" 100%25.txt', "lineend.txt"]


async def test_names_lose_their_path_and_their_control_characters(client: httpx.AsyncClient) -> None:
    parts = files(("../../etc/pass\u202ewd.txt", b"x", "x/y"), ("C:\\temp\\Übung.txt", b"x", "x/y"))
    body = (await client.post("/documents", files=parts)).json()
    assert [item["filename"] for item in body["items"]] == ["passwd.txt", "Übung.txt"]


@pytest.mark.parametrize(
    ("field", "value"), [("process", "maybe"), ("profile", "unheard-of")], ids=["process", "profile"]
)
async def test_field_with_a_wrong_value_is_refused(client: httpx.AsyncClient, field: str, value: str) -> None:
    answer = await client.post("/documents", files={"file": TXT}, data={field: value})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 415),
        (b"", "multipart/form-data", 415),
        (b"nonsense", "multipart/form-data; boundary=x", 422),
        (b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nab', "multipart/form-data; boundary=x", 422),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 422),
    ],
    ids=["json", "no boundary", "malformed", "cut off", "no file"],
)  # fmt: skip
async def test_malformed_body_is_a_problem(
    client: httpx.AsyncClient, body: bytes, content_type: str, status: int
) -> None:
    answer = await client.post("/documents", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_limits_are_kept_while_reading(stack_settings: Settings) -> None:
    settings = stack_settings.model_copy(update={"max_file_bytes": 1000, "max_files": 2})
    async with serving(settings) as base_url, logged_in(base_url, settings) as client:
        fits = ("fits.txt", b"x" * 1000, "text/plain")
        exceeds = ("exceeds.txt", b"x" * 1001, "text/plain")
        both = (await client.post("/documents", files=files(exceeds, fits))).json()
        assert [item["filename"] for item in both["items"]] == ["fits.txt"]
        assert [error["code"] for error in both["errors"]] == ["too_large"]
        alone = await client.post("/documents", files={"file": exceeds})
        assert (alone.status_code, alone.json()["code"]) == (413, "too_large")
        too_many = await client.post("/documents", files=files(fits, fits, fits))
        assert (too_many.status_code, too_many.json()["code"]) == (413, "too_large")


async def test_body_that_stalls_is_given_up(stack_settings: Settings) -> None:
    settings = stack_settings.model_copy(update={"body_idle_seconds": 0.2})
    async with serving(settings) as base_url, logged_in(base_url, settings) as client:
        # httpx would not read an answer before its own body is sent.
        url = httpx.URL(base_url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        headers = (
            "POST /api/v1/documents HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n"
            f"Authorization: {client.headers['authorization']}\r\n\r\n--x\r\n"
        )
        writer.write(headers.encode())
        answer = (await reader.read()).decode()
        assert answer.startswith("HTTP/1.1 408 ")
        assert '"code":"request_timeout"' in answer
        writer.close()


async def test_same_key_and_files_give_the_same_documents(client: httpx.AsyncClient) -> None:
    headers, parts = {"Idempotency-Key": uuid4().hex}, files(TXT, ("b.pdf", pdf(["B"]), "x/y"))
    first = await client.post("/documents", files=parts, headers=headers)
    again = await client.post("/documents", files=parts, headers=headers)
    assert again.status_code == first.status_code == 202
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers


async def test_same_key_at_the_same_time_gives_one_set_of_documents(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    answers = await asyncio.gather(
        *(client.post("/documents", files={"file": TXT}, headers=headers) for _ in range(10))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await client.get("/documents")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("parts", "data"),
    [
        (files(("note.txt", b"Other.", "text/plain")), {}),
        (files(("other.txt", b"A note.", "text/plain")), {}),
        (files(TXT), {"folder": "other"}),
        (files(TXT, TXT), {}),
    ],
    ids=["content", "name", "field", "number"],
)
async def test_same_key_with_another_request_is_refused(
    client: httpx.AsyncClient, parts: list[tuple[str, tuple[str, bytes, str]]], data: dict[str, str]
) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    await client.post("/documents", files=files(TXT), headers=headers)
    answer = await client.post("/documents", files=parts, data=data, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    assert len((await client.get("/documents")).json()["items"]) == 1


async def test_key_of_a_refused_request_is_good_for_the_mended_one(
    client: httpx.AsyncClient, backends: Backends
) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    refused = await client.post("/documents", files={"file": TXT}, data={"process": "maybe"}, headers=headers)
    assert refused.status_code == 422
    (left,) = (await client.get("/documents")).json()["items"]
    document = await backends.documents.get(UUID(left["id"]))
    assert document is not None
    # As the sweep does after a while.
    (change,) = moves(document, DocumentStatus.DELETING)
    await backends.documents.apply(change)
    await backends.documents.entomb(change.after, now=utc_now())
    mended = await client.post("/documents", files={"file": TXT}, headers=headers)
    assert mended.status_code == 202
    again = await client.post("/documents", files={"file": TXT}, headers=headers)
    assert again.json() == mended.json()
    assert [item["id"] for item in (await client.get("/documents")).json()["items"]] == [mended.json()["id"]]


async def test_keys_of_two_users_are_independent(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    mine = await client.post("/documents", files={"file": TXT}, headers=headers)
    theirs = await stranger.post("/documents", files={"file": TXT}, headers=headers)
    assert mine.json()["id"] != theirs.json()["id"]


async def test_upload_without_the_bucket_answers_503_and_leaves_nothing(stack_settings: Settings) -> None:
    settings = stack_settings.model_copy(update={"bucket": "no-such-bucket"})
    async with serving(settings) as base_url, logged_in(base_url, settings) as client:
        answer = await client.post("/documents", files={"file": TXT})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert (await client.get("/documents")).json()["items"] == []


async def test_upload_without_the_queue_is_accepted_and_due(stack_settings: Settings) -> None:
    settings = stack_settings.model_copy(update={"queue_name": "no-such-queue"})
    async with serving(settings) as base_url, logged_in(base_url, settings) as client:
        answer = await client.post("/documents", files={"file": TXT})
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        status = (await client.get(f"/documents/{answer.json()['id']}/status")).json()
        assert status["due_at"] is not None
