"""What must not be in the tree: addresses of registries, paths of one machine, unfinished work, unwanted licences.

The patterns are put together from pieces, or this file would be the first to match them.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.architecture.checkout import ROOT, name_of, tracked

REGISTRIES = re.compile(
    "|".join(
        re.escape(name + "." + end)
        for name, end in [
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("npmjs", "org"),
            ("npmjs", "com"),
            ("yarnpkg", "com"),
            ("deb.debian", "org"),
            ("security.debian", "org"),
            ("archive.ubuntu", "com"),
            ("security.ubuntu", "com"),
            ("docker", "io"),
            ("ghcr", "io"),
            ("quay", "io"),
            ("public.ecr", "aws"),
            ("proxy.golang", "org"),
            ("static.crates", "io"),
        ]
    ),
    re.IGNORECASE,
)
# At the start of a path: after a space, a quote or a colon, not in the middle of another path.
FOLDERS = "|".join(["wo" + "rk", "ro" + "ot", "ho" + "me", "Us" + "ers"])
MACHINE_PATHS = re.compile(rf"(?<![\w./}}*-])/(?:{FOLDERS})\b")
UNFINISHED = re.compile(r"\b(?:" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")
UNWRITTEN = re.compile(r"\braise NotImplemented" + "Error")
SKIPPED = re.compile("|".join([r"mark\.sk" + "ip", r"pytest\.sk" + r"ip\(", "import" + "orskip", r"mark\.x" + "fail"]))

MAY_BE_UNWRITTEN = {"docrelay/embedded/child.py": "the methods that each kind of child process has to bring"}

PERMISSIVE = re.compile(r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Dual License", re.IGNORECASE)
RESTRICTIVE = re.compile(r"GPL|Affero|MPL|Mozilla|EUPL|CDDL|SSPL|BUSL|Commons Clause|Commercial", re.IGNORECASE)
ACCEPTED = {
    "psycopg": "LGPL: imported as it comes, replaceable by its user, not changed by us",
    "psycopg-binary": "LGPL: as psycopg",
    "psycopg-pool": "LGPL: as psycopg",
    "certifi": "MPL: a list of certificates, not changed by us",
    "orjson": "MPL: for whoever chooses a LangGraph stage, and for tests",
    "hypothesis": "MPL: for tests only",
    "pathspec": "MPL: for building and checking only",
}


def texts() -> Iterator[tuple[str, str]]:
    """Name and content of every tracked text file."""
    for path in tracked():
        content = path.read_bytes()
        if b"\x00" not in content:
            yield name_of(path), content.decode()


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, content in texts()
        for number, line in enumerate(content.splitlines(), 1)
        if pattern.search(line)
    ]


def comments(name: str, content: str) -> list[str]:
    """A Python file's comments, for its code may have to do with the words in other people's documents."""
    if not name.endswith(".py"):
        return content.splitlines()
    tokens = tokenize.generate_tokens(io.StringIO(content).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def test_no_registry_is_named() -> None:
    assert lines_matching(REGISTRIES) == []


def test_no_path_of_one_machine_is_named() -> None:
    assert lines_matching(MACHINE_PATHS) == []


def test_nothing_is_left_to_be_finished() -> None:
    said = ((name, line) for name, content in texts() for line in comments(name, content))
    assert [f"{name}: {line}" for name, line in said if UNFINISHED.search(line)] == []


def test_only_abstract_methods_are_unwritten() -> None:
    unwritten = {line.partition(":")[0] for line in lines_matching(UNWRITTEN)}
    assert unwritten == set(MAY_BE_UNWRITTEN)


def test_no_test_is_skipped() -> None:
    assert lines_matching(SKIPPED) == []


def locks() -> list[Path]:
    return sorted((ROOT / "locks").glob("*.lock"))


def all_locks() -> list[Path]:
    """Those of the deployment test too, whose environments are not this one."""
    return sorted((ROOT / "locks").rglob("*.lock"))


def requirements(lock: Path) -> list[str]:
    """Each requirement of a lock with its hashes, on one line."""
    joined = lock.read_text().replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("lock", all_locks(), ids=lambda lock: lock.stem)
def test_lock_pins_and_hashes_every_requirement(lock: Path) -> None:
    loose = [
        line.split()[0]
        for line in requirements(lock)
        if not re.match(r"[a-z0-9][a-z0-9._-]*==\S+ ", line) or not re.search(r"--hash=sha256:[0-9a-f]{64}\b", line)
    ]
    assert requirements(lock)
    assert loose == []


@pytest.mark.parametrize("lock", all_locks(), ids=lambda lock: lock.stem)
def test_lock_names_no_address(lock: Path) -> None:
    assert [line for line in lock.read_text().splitlines() if "://" in line or "--index" in line or " @ " in line] == []


@pytest.mark.parametrize("lock", locks(), ids=lambda lock: lock.stem)
def test_lock_has_the_versions_that_are_tested(lock: Path) -> None:
    assert pins(lock) <= pins(ROOT / "locks" / "dev.lock")


def pins(lock: Path) -> set[str]:
    return {line.split()[0] for line in requirements(lock)}


def test_every_licence_is_permissive_or_accepted_by_name() -> None:
    refused = {one.name: licence_of(one) for one in locked_and_installed() if not acceptable(one)}
    assert refused == {}


def test_accepted_licences_are_those_in_use() -> None:
    restrictive = {canonicalize_name(one.name) for one in locked_and_installed() if RESTRICTIVE.search(licence_of(one))}
    assert restrictive == set(ACCEPTED)


def locked_and_installed() -> list[Distribution]:
    """The distributions of all locks, as far as this platform has them."""
    locked = {canonicalize_name(line.partition("==")[0]) for lock in locks() for line in requirements(lock)}
    installed = {canonicalize_name(one.name) for one in distributions()}
    return [distribution(name) for name in sorted(locked & installed)]


def licence_of(one: Distribution) -> str:
    """The licence in the metadata: the expression if there is one, else the old field's first line and classifiers."""
    metadata = one.metadata
    if expression := metadata.get_all("License-Expression"):
        return " ".join(expression)
    classifiers = [text for text in metadata.get_all("Classifier", []) if text.startswith("License")]
    stated = [text.partition("\n")[0] for text in metadata.get_all("License", [])]
    return "; ".join([*stated, *classifiers])


def acceptable(one: Distribution) -> bool:
    if canonicalize_name(one.name) in ACCEPTED:
        return True
    licence = licence_of(one)
    return bool(PERMISSIVE.search(licence)) and not RESTRICTIVE.search(licence)
