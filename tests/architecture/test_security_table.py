"""docs/security.md names tests for its requirements: each of them exists, and what has none says that it is not met."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.checkout import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
ROWS = [line for line in PAGE.partition("## Requirements and tests")[2].splitlines() if line.startswith("| ")]


def test_table_names_tests() -> None:
    assert len(NAMED) >= 40


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_named_test_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in functions


def test_row_without_a_test_says_that_it_is_not_met_or_whose_it_is() -> None:
    without = [row for row in ROWS if row.rstrip().endswith("| |")]
    assert [row for row in without if "not met" not in row and "the operator's" not in row] == []
    assert len(without) < 6
