"""Verifies a running Docrelay deployment from outside, over HTTP: `python3 tests/e2e_flow.py --help`.

Standard library only and nothing of the project, so that it works when copied elsewhere. Exit code 0, 1 (a step
failed), 2 (usage) or 3 (unreachable). It makes its own documents and deletes them at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import secrets
import sys
import time
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

API = "/api/v1"
# Longer than the silence of an open stream (15 s) and than the life of one that a gateway buffers (20 s).
SILENCE_SECONDS = 35.0
# A stream whose headers take this long is buffered on its way: its frames come all at once, at its end.
BUFFERED_SECONDS = 2.0
TERMINAL = {"completed", "failed", "cancelled"}
MOVES = {
    "uploading": {"uploaded"},
    "uploaded": {"pending"},
    "pending": {"processing"},
    "processing": {"analyzing", "pending", "processing"},
    "analyzing": {"completed", "pending", "processing"},
}
RESULT_FIELDS = {
    "analysis": "summary topics sentiment action_items classification tags language",
    "analyzer": "name model profile prompt_version schema_version",
    "coverage": "verdict pages_total pages_with_text pages_ocr chars_extracted chars_analyzed "
    "chunks_planned chunks_answered",
    "usage": "calls input_tokens output_tokens cost_usd cached",
}
OOXML = "http://schemas.openxmlformats.org"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


class StepError(Exception):
    """The deployment did not do what it should."""

    exit_code = 1


class UnreachableError(StepError):
    """The deployment was not ready in time."""

    exit_code = 3


def expect(condition: object, why: str) -> None:
    if not condition:
        raise StepError(why)


@dataclass(frozen=True, kw_only=True)
class File:
    name: str
    content_type: str
    body: bytes
    sentence: str = ""


def pdf(name: str, sentence: str) -> File:
    """One page of Helvetica. The sentence is ASCII without parentheses."""
    shown = f"(Quarterly report) Tj T* ({sentence}) Tj T* (Anna will send the audit by Friday.) Tj"
    content = f"BT /F1 10 Tf 14 TL 50 780 Td {shown} ET".encode("ascii")
    page = b"/Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >>"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< %s >>" % page,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    )
    body, table = b"%PDF-1.4\n", b"0000000000 65535 f \n"
    for number, text in enumerate(objects, 1):
        table += b"%010d 00000 n \n" % len(body)
        body += b"%d 0 obj\n%s\nendobj\n" % (number, text)
    trailer = b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(body)
    return File(
        name=name, content_type="application/pdf", body=body + b"xref\n0 6\n" + table + trailer, sentence=sentence
    )


def txt(name: str, sentence: str) -> File:
    text = f"Meeting notes\n\n{sentence}\nThe team was happy with the result. Please review the draft by 3 May.\n"
    return File(name=name, content_type="text/plain", body=text.encode(), sentence=sentence)


def docx(name: str, sentence: str) -> File:
    paragraphs = ("Contract", sentence, "The supplier must deliver the pumps in June.")
    runs = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{OOXML}/package/2006/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{WORD}.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{OOXML}/package/2006/relationships"><Relationship Id="rId1" '
        f'Type="{OOXML}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{OOXML}/wordprocessingml/2006/main"><w:body>{runs}</w:body>'
        "</w:document>",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for part_name, part in parts.items():
            archive.writestr(part_name, part)
    return File(name=name, content_type=WORD, body=packed.getvalue(), sentence=sentence)


def multipart(files: list[File], fields: Mapping[str, str]) -> tuple[bytes, str]:
    """Return body and content type. The fields come after the files, as a form may send them."""
    boundary = f"e2e-{secrets.token_hex(8)}"
    body = b""
    for file in files:
        name = f'name="files"; filename="{file.name}"\r\nContent-Type: {file.content_type}'
        body += f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + file.body + b"\r\n"
    for field_name, value in fields.items():
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{field_name}"\r\n\r\n{value}\r\n'.encode()
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)

    def __str__(self) -> str:
        return f"{self.status}: {self.text[:300]}"


class Client:
    """One connection a request, so that closing a response is all there is to clean up."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise StepError(f"not a base URL: {base_url}")
        self.kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self.address = parts.hostname, parts.port
        self.prefix = parts.path.rstrip("/")
        self.token = ""

    def open(
        self, method: str, path: str, headers: Mapping[str, str], *, body: bytes | None = None, wait_seconds: float
    ) -> HTTPResponse:
        connection = self.kind(*self.address, timeout=wait_seconds)
        authorization = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        connection.request(method, self.prefix + path, body, {"Connection": "close", **authorization, **headers})
        return connection.getresponse()

    def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        wait_seconds: float = 60,
    ) -> Answer:
        with self.open(method, path, headers or {}, body=body, wait_seconds=wait_seconds) as response:
            lowered = {name.lower(): value for name, value in response.getheaders()}
            return Answer(status=response.status, headers=lowered, text=response.read().decode())

    def get(self, path: str) -> Any:
        answer = self.call("GET", API + path)
        expect(answer.status == 200, f"GET {path} answered {answer}")
        return answer.json()

    def upload(self, files: list[File], fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        body, content_type = multipart(files, fields)
        return self.call("POST", f"{API}/documents", {"Content-Type": content_type, **(headers or {})}, body=body)


def frames(response: HTTPResponse, deadline: float) -> Iterator[dict[str, str]]:
    """Yield each frame's fields until the stream or the time ends; heartbeats only pass the time."""
    fields: dict[str, str] = {}
    for raw in response:
        name, _, value = raw.decode().rstrip("\r\n").partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
        elif not value:
            if "event" in fields:
                yield fields
            fields = {}
        if time.monotonic() > deadline:
            return


class Stream:
    """The caller's status feed from a cursor on. It resumes by id whenever a connection ends."""

    def __init__(self, client: Client, cursor: str) -> None:
        self.client = client
        self.last_id = cursor
        self.connections = 0
        self.buffered = False

    def moves(self, wait_seconds: float) -> Generator[dict[str, Any]]:
        """Yield the data of status frames, over as many connections as it takes."""
        deadline = time.monotonic() + wait_seconds
        while time.monotonic() < deadline:
            # After a drop, or a time-out of ours or of a gateway, the next connection goes on where this one ended.
            with contextlib.suppress(OSError, HTTPException), self._connect(deadline) as response:
                for frame in frames(response, deadline):
                    if frame["event"] != "status":
                        expect(frame["event"] in {"bye", "reauth"}, f"the stream sent {frame}")
                        break
                    self._advance(frame.get("id", ""))
                    yield json.loads(frame["data"])
            time.sleep(0.2)

    def _connect(self, deadline: float) -> HTTPResponse:
        asked_at = time.monotonic()
        query = "" if self.connections else f"?cursor={quote(self.last_id)}"
        headers = {"Last-Event-ID": self.last_id} if self.connections else {}
        self.connections += 1
        wait_seconds = min(SILENCE_SECONDS, max(1.0, deadline - asked_at))
        response = self.client.open("GET", f"{API}/documents/stream{query}", headers, wait_seconds=wait_seconds)
        self.buffered = time.monotonic() - asked_at > BUFFERED_SECONDS
        kind = response.headers.get_content_type()
        expect((response.status, kind) == (200, "text/event-stream"), f"the stream answered {response.status}, {kind}")
        return response

    def _advance(self, event_id: str) -> None:
        epoch, _, seq = self.last_id.partition(".")
        expect(event_id == f"{epoch}.{int(seq) + 1}", f"a hole or a repeat: {event_id!r} came after {self.last_id}")
        self.last_id = event_id


@dataclass(kw_only=True)
class Run:
    """What one step learns and a later one needs. `owned` is everything to delete."""

    args: argparse.Namespace
    nonce: str = field(default_factory=lambda: secrets.token_hex(6))
    client: Client = field(init=False)
    stream: Stream = field(init=False)
    files: dict[str, File] = field(default_factory=dict)
    told: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    owned: list[str] = field(default_factory=list)

    @property
    def wait_seconds(self) -> float:
        return float(self.args.timeout)

    @property
    def folder(self) -> str:
        return f"e2e/{self.nonce}"

    def accepted(self, answer: Answer, *, items: int, errors: int = 0) -> list[dict[str, Any]]:
        """Return the items of an upload's answer, now ours to delete."""
        expect(answer.status == 202, f"the upload answered {answer}")
        body = answer.json()
        found: list[dict[str, Any]] = body["items"]
        self.owned += [item["id"] for item in found if item["id"] not in self.owned]
        counts = len(found), len(body["errors"])
        expect(counts == (items, errors), f"expected {items} items and {errors} errors: {answer}")
        return found

    def note(self, move: dict[str, Any]) -> None:
        """Keep what the stream tells about our documents; others may be under way."""
        self.told.get(move["document_id"], []).append(move)

    def wait_for_end(self, document_id: str) -> str:
        deadline = time.monotonic() + self.wait_seconds
        while True:
            status = self.client.get(f"/documents/{document_id}/status?wait=20")
            if status["terminal"]:
                return str(status["status"])
            expect(time.monotonic() < deadline, f"still {status['status']} after {self.wait_seconds:g} s")


def wait_until_ready(run: Run) -> None:
    deadline = time.monotonic() + run.wait_seconds
    while True:
        try:
            run.client = Client(find_target(run.args)["base_url"])
            answer = run.client.call("GET", "/readyz", wait_seconds=5)
            if answer.status == 200:
                return
            problem = f"/readyz answered {answer}"
        except (OSError, HTTPException) as exc:
            problem = f"{type(exc).__name__}: {exc}"
        if time.monotonic() > deadline:
            raise UnreachableError(f"not ready within {run.wait_seconds:g} s: {problem}")
        time.sleep(0.2)


def log_in(run: Run) -> None:
    target = find_target(run.args)
    body = json.dumps({name: target[name] for name in ("username", "password")}).encode()
    answer = run.client.call("POST", f"{API}/auth/login", {"Content-Type": "application/json"}, body=body)
    expect(answer.status == 200, f"the log-in answered {answer}")
    tokens = answer.json()
    expect(tokens["token_type"] == "bearer" and tokens["refresh_token"], "no bearer and refresh token")
    run.client.token = tokens["access_token"]
    run.client.get("/auth/me")


def upload_three(run: Run) -> None:
    run.stream = Stream(run.client, run.client.get("/documents?limit=1")["feed_cursor"])
    files = [
        pdf("report.pdf", f"The turbine hall at Aldermere was inspected under number {run.nonce}p."),
        txt("notes.txt", f"Zoë met the café owners in Zürich — see file {run.nonce}t."),
        docx("contract.docx", f"The harbour pumps are covered by clause {run.nonce}d."),
    ]
    items = run.accepted(run.client.upload(files, {"folder": run.folder}), items=3)
    names = [(item["filename"], item["size"]) for item in items]
    expect(names == [(file.name, len(file.body)) for file in files], f"the items are {names}")
    run.files = {item["id"]: file for item, file in zip(items, files, strict=True)}
    run.told = {document_id: [] for document_id in run.files}


def follow_stream(run: Run) -> None:
    # The first connection is dropped after one frame on purpose: everything else has to come by Last-Event-ID.
    with contextlib.closing(run.stream.moves(run.wait_seconds)) as moves:
        run.note(next(moves, {"document_id": None}))
    for move in run.stream.moves(run.wait_seconds):
        run.note(move)
        if all(told and told[-1]["status"] in TERMINAL for told in run.told.values()):
            break
    for document_id, told in run.told.items():
        last = told[-1] if told else "not in the stream"
        expect(told and told[-1]["status"] == "completed", f"{run.files[document_id].name} is {last}")
        lacking = set(RESULT_FIELDS["analysis"].split()) - set(told[-1]["analysis_result"])
        expect(not lacking, f"the completed frame lacks {sorted(lacking)}")


def read_results(run: Run) -> None:
    for document_id, file in run.files.items():
        document = run.client.get(f"/documents/{document_id}?include=text")
        expect(file.sentence in " ".join(document["text"].split()), f"{file.name}: its sentence is not in the text")
        for part, names in RESULT_FIELDS.items():
            lacking = set(names.split()) - set(document[part] or ())
            expect(not lacking, f"{file.name}: {part} lacks {sorted(lacking)}")
        expect(document["analyzer"]["name"] and document["analysis"]["summary"], f"{file.name}: no analyzer or summary")
        expect(document["coverage"]["verdict"] == "complete", f"{file.name}: coverage is {document['coverage']}")
        text = run.client.call("GET", f"{API}/documents/{document_id}/text")
        expect(text.headers["content-type"] == "text/plain; charset=utf-8", f"the text is {text.headers}")
        expect(text.text == document["text"], f"{file.name}: /text and ?include=text differ")


def check_history(run: Run) -> None:
    for document_id, file in run.files.items():
        history = run.client.get(f"/documents/{document_id}")["history"]
        versions = [entry["version"] for entry in history]
        expect(versions == list(range(1, len(history) + 1)), f"{file.name}: the versions are {versions}")
        path = [history[0]["from"], *(entry["to"] for entry in history)]
        legal = all(after in MOVES.get(before, ()) for before, after in pairwise(path))
        joined = all(before["to"] == after["from"] for before, after in pairwise(history))
        expect(legal and joined and path[-1] == "completed", f"{file.name}: the path is {path}")
        times = [datetime.fromisoformat(entry["at"]) for entry in history]
        expect(times == sorted(times), f"{file.name}: the times run backwards: {times}")
        told = [(move["version"], move["status"]) for move in run.told[document_id]]
        written = [(entry["version"], entry["to"]) for entry in history]
        expect(told == written, f"{file.name}: the stream told {told}, the history says {written}")


def check_lists(run: Run) -> None:
    for document_id in run.files:
        status = run.client.get(f"/documents/{document_id}/status")
        flags = [status[name] for name in ("status", "terminal", "queued", "in_progress", "due_at")]
        expect(flags == ["completed", True, False, False, None], f"the status is {status}")
    listed = ids(run.client.get(f"/documents?status=COMPLETED&folder={run.folder}"))
    expect(sorted(listed) == sorted(run.files), f"completed in {run.folder}: {listed}")
    first = run.client.get(f"/documents?folder={run.folder}&limit=2")
    second = run.client.get(f"/documents?folder={run.folder}&limit=2&cursor={quote(first['next_cursor'])}")
    expect(ids(first) + ids(second) == listed, f"the pages hold {ids(first)} and {ids(second)}, the list {listed}")
    expect(second["next_cursor"] is None, f"a cursor after the last page: {second['next_cursor']}")
    failed = ids(run.client.get(f"/documents?folder={run.folder}&status=failed"))
    expect(not failed, f"failed in {run.folder}: {failed}")
    insight = run.client.get(f"/folders/{run.folder}/insights")
    size = sum(len(file.body) for file in run.files.values())
    counted = [insight["documents"], insight["statuses"], insight["size"]["total"]]
    expect(counted == [len(run.files), {"completed": len(run.files)}, size], f"{run.folder} comes to {counted}")


def ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["items"]]


def send_bad_files(run: Run) -> None:
    program = File(name="setup.pdf", content_type="application/pdf", body=b"MZ\x90\x00" + bytes(300))
    problem = expect_problem(run.client.upload([program], {"folder": run.folder}), {413, 415, 422})
    codes = [error["code"] for error in problem["errors"]]
    expect(codes == ["unsupported_type"], f"a renamed program got {codes}")
    files = [File(name="empty.txt", content_type="text/plain", body=b""), txt("good.txt", run.nonce)]
    answer = run.client.upload(files, {"process": "false", "folder": run.folder})
    item = run.accepted(answer, items=1, errors=1)[0]
    expect((item["filename"], item["status"]) == ("good.txt", "uploaded"), f"the good file is {item}")
    error = answer.json()["errors"][0]
    expect((error["filename"], error["code"]) == ("empty.txt", "empty"), f"the empty file got {error}")


def repeat_upload(run: Run) -> None:
    files, fields, key = [txt("once.txt", run.nonce)], {"folder": run.folder}, {"Idempotency-Key": f"e2e-{run.nonce}"}
    first = run.accepted(run.client.upload(files, fields, key), items=1)[0]["id"]
    answer = run.client.upload(files, fields, key)
    again = run.accepted(answer, items=1)[0]["id"]
    expect(again == first, f"{first} became {again}")
    expect(answer.headers.get("idempotency-replayed") == "true", f"no Idempotency-Replayed: true in {answer.headers}")
    expect_problem(run.client.upload([txt("once.txt", "Something else.")], fields, key), {422})
    run.wait_for_end(first)
    document = run.client.get(f"/documents/{first}")
    expect((document["status"], document["run"]) == ("completed", 1), f"{document['status']} in run {document['run']}")


def ask_for_strangers(run: Run) -> None:
    nobodys = f"{secrets.token_hex(4)}-{secrets.token_hex(2)}-7abc-8abc-{secrets.token_hex(6)}"
    for missing in (nobodys, "not-an-id"):
        for method, rest in (("GET", ""), ("GET", "/status"), ("GET", "/text"), ("DELETE", "")):
            expect_problem(run.client.call(method, f"{API}/documents/{missing}{rest}"), {404})
    for authorization in ("", "Bearer not.a.token"):
        answer = run.client.call("GET", f"{API}/documents", {"Authorization": authorization})
        expect_problem(answer, {401})


def expect_problem(answer: Answer, statuses: set[int]) -> dict[str, Any]:
    expect(answer.status in statuses, f"expected {statuses}, got {answer}")
    expect(answer.headers.get("content-type") == "application/problem+json", f"not a problem: {answer.headers}")
    problem: dict[str, Any] = answer.json()
    lacking = {"type", "title", "status", "detail", "instance", "request_id"} - set(problem)
    expect(not lacking and problem["status"] == answer.status, f"the problem lacks {lacking}: {problem}")
    return problem


def time_one_page(run: Run) -> None:
    started_at = time.monotonic()
    file = pdf("quick.pdf", f"One page, one answer, {run.nonce}.")
    document_id = run.accepted(run.client.upload([file], {"folder": run.folder}), items=1)[0]["id"]
    end = run.wait_for_end(document_id) if run.stream.buffered else streamed_end(run, document_id)
    elapsed_seconds = time.monotonic() - started_at
    expect(end == "completed", f"it is {end}")
    print(f"    upload to completed: {elapsed_seconds:.2f} s")


def streamed_end(run: Run, document_id: str) -> str:
    for move in run.stream.moves(run.wait_seconds):
        if move["document_id"] == document_id and move["status"] in TERMINAL:
            return str(move["status"])
    return f"not at its end within {run.wait_seconds:g} s"


def delete_all(run: Run) -> None:
    for document_id in list(run.owned):
        answer = run.client.call("DELETE", f"{API}/documents/{document_id}")
        expect(answer.status in {200, 202, 204}, f"DELETE answered {answer}")
        expect_problem(run.client.call("GET", f"{API}/documents/{document_id}"), {404})
        run.owned.remove(document_id)
    left = ids(run.client.get(f"/documents?folder={run.folder}"))
    expect(not left, f"still listed: {left}")


STEPS: tuple[tuple[str, Callable[[Run], None]], ...] = (
    ("wait until the deployment is ready", wait_until_ready),
    ("log in", log_in),
    ("upload a PDF, a TXT and a DOCX in one request", upload_three),
    ("follow the stream to their end, across a dropped connection", follow_stream),
    ("read text, analysis, analyzer and coverage", read_results),
    ("history is whole, legal and what the stream told", check_history),
    ("status flags, filters, pages, the folder's insight", check_lists),
    ("a bad file gets a problem, a good one beside it an item", send_bad_files),
    ("an upload repeated with its Idempotency-Key happens once", repeat_upload),
    ("an unknown id is 404, no token is 401", ask_for_strangers),
    ("a one-page PDF on the idle stack", time_one_page),
    ("delete everything", delete_all),
)


def find_target(args: argparse.Namespace) -> dict[str, str]:
    """Return base_url, username and password. The embedded stack writes its file while it starts, so look again."""
    home = Path(os.environ.get("DOCRELAY_HOME") or ".docrelay")
    target = {"base_url": "http://127.0.0.1:8000"}
    for folder in (Path(__file__).resolve().parent.parent / home, home):
        with contextlib.suppress(OSError):
            target |= json.loads((folder / "credentials.json").read_text())
    for name in ("username", "password"):
        target[name] = getattr(args, name) or os.environ.get(f"DOCRELAY_{name.upper()}") or target.get(name, "")
        if not target[name]:
            raise FileNotFoundError(f"no {name}: give --{name}, or run it where {home}/credentials.json is")
    return target | ({"base_url": args.base_url} if args.base_url else {})


def perform(run: Run) -> int:
    started_at = time.monotonic()
    for number, (title, step) in enumerate(STEPS, 1):
        step_started_at = time.monotonic()
        try:
            step(run)
        except StepError as exc:
            print(f"FAIL step {number}: {exc}")
            return exc.exit_code
        except (OSError, HTTPException, LookupError, TypeError, ValueError) as exc:
            print(f"FAIL step {number}: {title}: {type(exc).__name__}: {exc}")
            return 1
        print(f"{number:>2}  {title:<62}{time.monotonic() - step_started_at:6.2f} s", flush=True)
    print(f"PASS {len(STEPS)}/{len(STEPS)} in {time.monotonic() - started_at:.1f} s")
    return 0


def clean_up(run: Run) -> None:
    for document_id in run.owned:
        with contextlib.suppress(OSError, HTTPException):
            run.client.call("DELETE", f"{API}/documents/{document_id}", wait_seconds=10)


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify a running Docrelay deployment from outside, over HTTP.")
    parser.add_argument("--base-url", help="may have a path; default: from credentials.json, or http://127.0.0.1:8000")
    parser.add_argument("--username", help="default: DOCRELAY_USERNAME, or from $DOCRELAY_HOME/credentials.json")
    parser.add_argument("--password", help="default: DOCRELAY_PASSWORD, or from $DOCRELAY_HOME/credentials.json")
    parser.add_argument("--timeout", type=float, default=60, metavar="S", help="seconds that any one wait may take")
    run = Run(args=parser.parse_args())
    try:
        return perform(run)
    finally:
        clean_up(run)


if __name__ == "__main__":
    sys.exit(main())
