"""The Lambda functions together: a document goes in through API Gateway's events and comes out completed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest

from shared.bootstrap import open_backends, provision
from shared.clock import utc_now
from shared.moves import commit, dispatch
from shared.settings import Settings
from tests.support.builders import S, moves, new_document
from tests.support.lambda_process import Function, function
from tests.support.runners import record_of

FORM = "--b\r\nContent-Disposition: form-data; name=file; filename=a.txt\r\n\r\nAda met Bob.\r\n--b--\r\n"
ADMIN = {"DOCRELAY_USERNAME": "first", "DOCRELAY_PASSWORD": "a-password-of-the-first-admin"}


@pytest.fixture
async def settings(stack_settings: Settings) -> Settings:
    """A table, bucket and queue of this test's own, with no user yet."""
    name = f"l{uuid4().hex[:12]}"
    changed = {"store": "dynamodb", "table": name, "bucket": name, "queue_name": name, "username": None}
    made = stack_settings.model_copy(update=changed)
    await provision(made)
    return made


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Function]:
    async with function(
        "api_service.lambda_handler:handler", settings, **ADMIN, DOCRELAY_STREAM_SECONDS="2"
    ) as running:
        yield running


async def test_document_goes_from_an_api_event_through_an_sqs_event_to_its_stream(
    settings: Settings, api: Function
) -> None:
    token = await logged_in(api)
    headers = {"content-type": "multipart/form-data; boundary=b", "authorization": token}
    answer = await api.request("POST", "/api/v1/documents", headers=headers, body=FORM)
    uploaded = json.loads(answer["body"])
    async with function("worker_service.lambda_handler:handler", settings) as worker:
        assert await worker.invoke(received(settings), seconds=400) == {"batchItemFailures": []}
    found = await api.request("GET", f"/api/v1/documents/{uploaded['id']}", headers={"authorization": token})
    stream = await api.request("GET", "/api/v1/documents/stream", query="cursor=0", headers={"authorization": token})
    assert (answer["statusCode"], answer["headers"]["location"]) == (202, f"/api/v1/documents/{uploaded['id']}")
    assert json.loads(found["body"])["status"] == "completed"
    assert stream["headers"]["content-type"].startswith("text/event-stream")
    statuses = [
        json.loads(line[6:])["status"] for line in stream["body"].splitlines() if line.startswith('data: {"doc')
    ]
    assert statuses == ["uploaded", "pending", "processing", "analyzing", "completed"]


async def test_problem_is_one_behind_the_gateway_too(api: Function) -> None:
    answer = await api.request("GET", "/api/v1/documents", headers={"authorization": "Bearer no"})
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (401, "application/problem+json")


async def test_bucket_says_that_a_presigned_upload_is_there(settings: Settings, api: Function) -> None:
    headers = {"content-type": "application/json", "authorization": await logged_in(api)}
    asked = json.dumps({"filename": "a.txt", "size": 12, "content_type": "text/plain"})
    begun = json.loads((await api.request("POST", "/api/v1/documents/uploads", headers=headers, body=asked))["body"])
    event = {"Records": [{"s3": {"object": {"key": begun["fields"]["key"]}}}, {"s3": {"object": {"key": "else"}}}]}
    async with function("api_service.lambda_uploaded:handler", settings) as uploaded, httpx.AsyncClient() as bucket:
        await uploaded.invoke(event)
        early = await api.request("GET", f"/api/v1/documents/{begun['id']}", headers=headers)
        await bucket.post(begun["url"], data=begun["fields"], files={"file": b"Ada met Bob."})
        for _ in range(2):
            assert await uploaded.invoke(event) is None
    finished = await api.request("GET", f"/api/v1/documents/{begun['id']}", headers=headers)
    assert json.loads(early["body"])["status"] == "uploading"
    assert [entry["to"] for entry in json.loads(finished["body"])["history"]] == ["uploaded", "pending"]


async def test_scheduled_sweep_removes_an_abandoned_upload(settings: Settings) -> None:
    async with open_backends(settings) as backends:
        document = new_document()
        await backends.documents.insert(document)
        async with function("worker_service.lambda_upkeep:sweep", settings) as sweep:
            assert await sweep.invoke({"source": "aws.events"}) is None
        swept = await backends.documents.get(document.id)
    assert swept is not None
    assert swept.entombed


async def test_dead_letter_fails_its_document_and_what_nobody_knows_is_kept(settings: Settings) -> None:
    async with open_backends(settings) as backends:
        document = new_document()
        await backends.documents.insert(document)
        pending = await commit(backends.documents, *moves(document, S.UPLOADED, S.PENDING))
        await dispatch(pending, queue=backends.queue, documents=backends.documents, clock=utc_now)
        event = received(settings)
        event["Records"].append(event["Records"][0] | {"messageId": "unknown", "body": "{}"})
        async with function("worker_service.lambda_upkeep:bury", settings) as bury:
            assert await bury.invoke(event) == {"batchItemFailures": [{"itemIdentifier": "unknown"}]}
        failed = await backends.documents.get(document.id)
    assert failed is not None
    assert failed.failure is not None
    assert failed.failure.code == "dead_lettered"


async def logged_in(api: Function) -> str:
    credentials = {"username": ADMIN["DOCRELAY_USERNAME"], "password": ADMIN["DOCRELAY_PASSWORD"]}
    headers = {"content-type": "application/json"}
    answer = await api.request("POST", "/api/v1/auth/login", headers=headers, body=json.dumps(credentials))
    return f"Bearer {json.loads(answer['body'])['access_token']}"


def received(settings: Settings) -> dict[str, Any]:
    """What is in the queue, as an SQS event."""
    client = boto3.client(
        "sqs",
        endpoint_url=settings.aws_endpoint_url,
        region_name=settings.aws_region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    url = client.get_queue_url(QueueName=f"{settings.queue_name}.fifo")["QueueUrl"]
    answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"])
    return {"Records": [record_of(dict(message)) for message in answer["Messages"]]}
