"""`.env.example` lists every setting once, explained, with its default, and nothing else."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from shared.settings import Settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"
ASSIGNMENT = re.compile(r"#?([A-Za-z_][A-Za-z0-9_]*)=(.*)")


def canonical_name(field_name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return str(alias or f"DOCRELAY_{field_name.upper()}")


def assignments() -> list[tuple[str, str]]:
    matches = (ASSIGNMENT.fullmatch(line) for line in EXAMPLE.read_text().splitlines())
    return [(match[1], match[2]) for match in matches if match]


DEFAULTS = {canonical_name(name, field): field.default for name, field in Settings.model_fields.items()}


def test_every_setting_is_listed_once_and_nothing_else() -> None:
    assert sorted(name for name, _ in assignments()) == sorted(DEFAULTS)


def test_only_settings_without_a_default_are_empty() -> None:
    empty = {name for name, value in assignments() if not value}
    assert empty == {name for name, default in DEFAULTS.items() if default is None}


def test_listed_values_are_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "DOCRELAY_", "JWT_", "OPENAI_")):
            monkeypatch.delenv(name)
    uncommented = tmp_path / "env"
    uncommented.write_text("".join(f"{name}={value}\n" for name, value in assignments()))
    listed = Settings(_env_file=uncommented)
    assert listed.model_fields_set == {
        name for name, field in Settings.model_fields.items() if field.default is not None
    }
    assert listed == Settings(_env_file=None)


def test_every_setting_is_explained_in_the_line_above() -> None:
    lines = EXAMPLE.read_text().splitlines()
    unexplained = [line for above, line in pairwise(lines) if ASSIGNMENT.fullmatch(line) and not above.startswith("# ")]
    assert unexplained == []
