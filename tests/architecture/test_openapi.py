"""docs/openapi.json is what the application says of itself, and says it completely."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.architecture.checkout import ROOT
from tests.support.openapi_document import document

WRITTEN = (ROOT / "docs" / "openapi.json").read_text()
OPENAPI: dict[str, Any] = json.loads(WRITTEN)
OPERATIONS = {
    f"{method} {path}": operation for path, methods in OPENAPI["paths"].items() for method, operation in methods.items()
}


def test_written_description_is_that_of_the_application() -> None:
    assert document() == WRITTEN, "The API has changed: make openapi"


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def test_every_reference_leads_somewhere() -> None:
    schemas = OPENAPI["components"]["schemas"]
    assert {name for name in references(OPENAPI) if name.removeprefix("#/components/schemas/") not in schemas} == set()


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_is_described_with_every_error_as_a_problem(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation.get("summary")
    for status, answer in operation["responses"].items():
        assert "X-Request-ID" in answer["headers"]
        if status >= "400":
            (media_type,) = answer["content"]
            assert media_type == "application/problem+json"
            assert answer["content"][media_type]["example"]["status"] == int(status)
    wanted = {"401", "429", "503"} if operation.get("security") else set()
    assert wanted <= operation["responses"].keys()
    if "429" in operation["responses"]:
        assert "Retry-After" in operation["responses"]["429"]["headers"]


def test_streams_may_be_opened_by_a_ticket_and_nothing_else_may() -> None:
    with_ticket = {name for name, one in OPERATIONS.items() if {"StreamTicket": []} in one.get("security", [])}
    assert with_ticket == {"get /api/v1/documents/stream", "get /api/v1/admin/stream"}


def test_every_json_body_has_an_example() -> None:
    bodies = {name: one["requestBody"]["content"] for name, one in OPERATIONS.items() if "requestBody" in one}
    without = [name for name, body in bodies.items() if "example" not in body.get("application/json", {"example": 0})]
    assert without == []
