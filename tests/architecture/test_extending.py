"""What docs/extending.md shows is what the tests install."""

from __future__ import annotations

import re

import pytest

from tests.architecture.checkout import ROOT

PACKAGES = ROOT / "tests" / "packages"
SHOWN = (ROOT / "docs" / "extending.md").read_text()


@pytest.mark.parametrize("module", ["contacts/docrelay_contacts.py", "triage/docrelay_triage.py"])
def test_shown_module_is_the_one_that_is_tested(module: str) -> None:
    assert f"```python\n{(PACKAGES / module).read_text()}```" in SHOWN


def test_shown_entry_points_are_those_that_are_tested() -> None:
    metadata = (PACKAGES / "contacts/docrelay_contacts-1.0.dist-info/entry_points.txt").read_text()
    offered = dict(re.findall(r"^(\w+) = (\S+)$", metadata, re.MULTILINE))
    assert dict(re.findall(r'^(\w+) = "(docrelay_\w+:\w+)"$', SHOWN, re.MULTILINE)) == offered
