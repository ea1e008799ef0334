"""What the prose names exists: commands, targets, links and settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from docrelay.cli import app
from tests.architecture.checkout import ROOT, code_in, name_of, prose, tracked, without_code

TARGET = re.compile(r"(?:^|&& |; )(?:[A-Z_]+=\S+ )*make (?:[A-Z_]+=\S+ )*([a-z][a-z-]*)", re.MULTILINE)
RULE = re.compile(r"^([a-z][a-z-]*):(?!=)", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)")
COMMAND = re.compile(r"(?:^|[\s/])docrelay((?: [a-z][a-z-]*)+)", re.MULTILINE)
VARIABLE = re.compile(r"\bDOCRELAY_[A-Z0-9_]*[A-Z]\b")
INSTALLED = re.compile(r"\bapt(?:-get)? install ([a-z0-9 .+-]+)")

# No setting of Docrelay's: docker-compose.yml itself takes the emulator's image from it.
COMPOSE_ONLY = {"DOCRELAY_AWS_IMAGE"}


def readme() -> str:
    return code_in((ROOT / "README.md").read_text())


def links(document: Path) -> Iterator[str]:
    for target in LINK.findall(without_code(document.read_text())):
        if not re.match(r"[a-z]+:|#", target):
            yield target.partition("#")[0]


def spoken_commands() -> set[tuple[str, ...]]:
    """The words that follow `docrelay` in the code of every document, up to the first that is no lower-case word."""
    found = (words.split() for path in prose() for words in COMMAND.findall(code_in(path.read_text())))
    return {tuple(words) for words in found}


def exists(words: tuple[str, ...]) -> bool:
    """Whether the command line has this command; words after a command without subcommands are its arguments."""
    command = typer.main.get_command(app)
    for word in words:
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            return True
        if word not in subcommands:
            return False
        command = subcommands[word]
    return not hasattr(command, "commands")


@pytest.mark.parametrize("command", ["make dev", "make test", "python3 tests/e2e_flow.py"])
def test_readme_names_command(command: str) -> None:
    assert command in readme()


def test_prose_calls_python_as_every_system_does() -> None:
    """Debian has no `python`. docs/compatibility.md quotes the commands of other systems."""
    calling = [name_of(path) for path in prose() if re.search(r"(?<![/\w])python tests/", code_in(path.read_text()))]
    assert calling == ["docs/compatibility.md"]


def test_readme_names_every_system_package_that_ci_installs() -> None:
    wanted = set(re.findall(r"^\s*need ([a-z0-9.+-]+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE))
    named = {package for line in INSTALLED.findall(readme()) for package in line.split()}
    assert wanted
    assert wanted <= named


def test_every_make_target_in_prose_exists() -> None:
    targets = set(RULE.findall((ROOT / "Makefile").read_text()))
    named = {target for path in prose() for target in TARGET.findall(code_in(path.read_text()))}
    assert {"dev", "test", "check"} <= targets
    assert named - targets == set()


def test_every_relative_link_leads_somewhere() -> None:
    broken = [
        f"{name_of(path)}: {target}"
        for path in prose()
        for target in links(path)
        if not (path.parent / target).exists()
    ]
    assert broken == []


def test_every_docrelay_command_in_prose_exists() -> None:
    assert [" ".join(words) for words in sorted(spoken_commands()) if not exists(words)] == []


def test_every_setting_in_prose_and_yaml_exists() -> None:
    settings = set(VARIABLE.findall((ROOT / ".env.example").read_text())) | COMPOSE_ONLY
    unknown = {
        f"{name_of(path)}: {variable}"
        for path in tracked()
        if path.suffix in {".md", ".yml", ".yaml"}
        for variable in VARIABLE.findall(path.read_text())
        if variable not in settings
    }
    assert unknown == set()
