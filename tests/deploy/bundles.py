"""The built bundles under AWS's own runtime client, with events as API Gateway and SQS send them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.deploy.emulated_aws import CREDENTIALS, ROOT, EmulatedAWS
from tests.deploy.runtime_api import RuntimeAPI, runtime
from tests.support.runners import record_of
from tests.support.sam_template import counted_by

JOB = "worker_service.lambda_handler.handler"
LOGIN = "/api/v1/auth/login"


def megabytes(folder: Path) -> int:
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1_048_576)


def check(aws: EmulatedAWS, folder: Path) -> str:
    """Log in, upload one good and one damaged document, have both processed in one batch, and read them."""
    api, worker = aws.function("ApiFunction"), aws.function("WorkerFunction")
    queue = paused(aws)
    with runtime(folder / "ApiFunction", api["Handler"], environment(aws, api)) as gateway:
        ready = gateway.invoke(json.loads((ROOT / "events" / "api.json").read_text()))
        assert (ready["statusCode"], json.loads(ready["body"])) == (200, {"status": "ok"}), ready
        token = log_in(gateway, password(aws, api))
        names = ("first.txt", "damaged.pdf", "third.txt")
        uploaded = [upload(gateway, token, name) for name in names]
        records = receive(aws, queue)
        with runtime(folder / "WorkerFunction", JOB, environment(aws, worker)) as working:
            working.seconds = 300
            # One that nobody knows must come again, and holds back nothing but its own group.
            unknown = json.loads((ROOT / "events" / "sqs.json").read_text())["Records"][0] | {"body": "{}"}
            answer = working.invoke({"Records": [*records, unknown]})
        assert answer == {"batchItemFailures": [{"itemIdentifier": unknown["messageId"]}]}, answer
        documents = [read(gateway, token, one) for one in uploaded]
    lines = [json.loads(line) for line in (folder / "WorkerFunction.log").read_text().splitlines()]
    failed = [line["document_id"] for line in lines if counted_by("FailedDocuments", line)]
    assert failed == [str(uploaded[1])], lines
    for record in records:
        aws.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=record["receiptHandle"])
    assert [one["status"] for one in documents] == ["completed", "failed", "completed"], documents
    assert documents[1]["error"]["code"] == "corrupt", documents[1]
    ends = [one["updated_at"] for one in documents]
    assert ends == sorted(ends), ends
    return "awslambdaric serves API events; of a batch of three, in order, the damaged one alone fails, and is counted"


def environment(aws: EmulatedAWS, function: dict[str, Any]) -> dict[str, str]:
    variables: dict[str, str] = function["Environment"]["Variables"]
    return {**CREDENTIALS, "AWS_ENDPOINT_URL": aws.url, **variables}


def password(aws: EmulatedAWS, api: dict[str, Any]) -> str:
    arn = api["Environment"]["Variables"]["DOCRELAY_PASSWORD"]
    return str(aws.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])


def paused(aws: EmulatedAWS) -> str:
    """Take the queue out of the deployed worker's hands; return its URL."""
    functions = aws.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        if "WorkerFunction" in mapping["FunctionArn"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    return str(aws.client("sqs").get_queue_url(QueueName="docrelay-jobs.fifo")["QueueUrl"])


def receive(aws: EmulatedAWS, url: str) -> list[dict[str, Any]]:
    answer = aws.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5, MessageSystemAttributeNames=["All"]
    )
    return [record_of(message) for message in answer["Messages"]]


def log_in(gateway: RuntimeAPI, secret: str) -> str:
    body = json.dumps({"username": "admin", "password": secret})
    token: str = request(gateway, "POST", LOGIN, body=body, headers={"content-type": "application/json"})[
        "access_token"
    ]
    return token


def upload(gateway: RuntimeAPI, token: str, name: str) -> UUID:
    content = "%PDF-1.4 and nothing of what a PDF needs" if name.endswith(".pdf") else "Ada met Bob in Paris."
    form = f'--b\r\nContent-Disposition: form-data; name=file; filename="{name}"\r\n\r\n{content}\r\n--b--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b", "authorization": f"Bearer {token}"}
    return UUID(request(gateway, "POST", "/api/v1/documents", body=form, headers=headers)["id"])


def read(gateway: RuntimeAPI, token: str, document_id: UUID) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {token}"}
    return request(gateway, "GET", f"/api/v1/documents/{document_id}", headers=headers)


def request(gateway: RuntimeAPI, method: str, path: str, *, headers: dict[str, str], body: str = "") -> dict[str, Any]:
    event = json.loads((ROOT / "events" / "api.json").read_text())
    event |= {"rawPath": path, "body": body, "headers": event["headers"] | headers}
    event["requestContext"]["http"] |= {"method": method, "path": path}
    answer = gateway.invoke(event)
    assert answer["statusCode"] < 300, answer
    found: dict[str, Any] = json.loads(answer["body"])
    return found
