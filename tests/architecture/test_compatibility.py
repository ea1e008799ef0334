"""Every row of docs/compatibility.md names a test that exists, or says what is different and why."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.checkout import ROOT

TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
# What each system documented: it is to be found in a table.
DOCUMENTED = [
    "/auth/login",
    "/auth/refresh",
    "/documents/upload",
    "/upload",
    "/documents",
    "/documents/{id}",
    "/documents/{id}/status",
    "/documents/stream",
    "/documents/{id}/process",
    "/api/v1/documents/",
    "/api/v1/documents/{job_id}",
    "/docs",
    "/folder-insights/{folder_path}/get_folder_files_metadata",
    "extracted_text",
    "analysis_result",
    "result",
    "error",
    "timestamp",
    "document_id",
    "filename",
    "status",
    "error_message",
    "pending",
    "processing",
    "analyzing",
    "completed",
    "failed",
    "UPLOADED",
    "PENDING",
    "PROCESSING",
    "COMPLETED",
    "FAILED",
    "OPENAI_API_KEY",
    "OPENAI_MODEL",
    "JWT_SECRET",
    "JWT_SECRET_KEY",
    "JWT_EXPIRY_MINUTES",
    "JWT_EXPIRY",
]


def rows() -> list[list[str]]:
    lines = (ROOT / "docs" / "compatibility.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if len(row) == 4 and row[0] != "system"]


def functions_in(path: str) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, functions)}


def test_every_row_has_a_test_that_exists_or_a_deviation_with_its_reason() -> None:
    assert len(rows()) > 40
    for row in rows():
        named = TEST.fullmatch(row[3])
        if named:
            assert named[2] in functions_in(named[1]), row
        else:
            reason = row[3].removeprefix("Deviation: ")
            assert reason != row[3], row
            assert len(reason.split()) > 6, row


@pytest.mark.parametrize("word", DOCUMENTED)
def test_what_a_system_documented_is_in_a_table(word: str) -> None:
    said = " ".join(f"{documented} " for _, documented, *_ in rows())
    assert re.search(rf"(?<![\w/{{]){re.escape(word)}(?![\w/{{])", said), word
