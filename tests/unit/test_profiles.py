"""Profiles as files: what is read, what is refused, and how a split shares documents out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from shared.clock import uuid7
from shared.errors import ConfigurationError, UnknownProfileError
from shared.profiles import Profiles, load_profiles

SPLIT = """
version = "1"
[arms]
long = { profile = "default", weight = 3 }
short = { profile = "short" }
"""
FILES = {"short": 'version = "2"\nmodel = "gpt-4.1-mini"\ninstructions = "- summary: one sentence."', "trial": SPLIT}


def profiles(folder: Path, **files: str) -> Profiles:
    for name, content in files.items():
        (folder / f"{name}.toml").write_text(content)
    return load_profiles(folder)


def test_shipped_profile_is_there_without_any_file() -> None:
    assert load_profiles().names == ["default"]


def test_folder_adds_to_it(tmp_path: Path) -> None:
    found = profiles(tmp_path, **FILES)
    assert found.names == ["default", "short", "trial"]
    short = found.choose("short", uuid4())
    assert (short.profile.version, short.profile.model, short.arm, short.label) == ("2", "gpt-4.1-mini", None, "short")


def test_profile_without_instructions_has_the_shipped_ones(tmp_path: Path) -> None:
    found = profiles(tmp_path, cheap='version = "1"\nmodel = "gpt-4.1-nano"')
    assert found.by_name["cheap"].instructions == load_profiles().by_name["default"].instructions


def test_profile_of_the_folder_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    found = profiles(tmp_path, default='version = "9"\ninstructions = "- summary: none."')
    assert found.by_name["default"].version == "9"


def test_same_name_and_version_with_other_words_is_another_profile(tmp_path: Path) -> None:
    fingerprints = {
        profiles(tmp_path, one=content).by_name["one"].fingerprint
        for content in (
            'version = "1"\ninstructions = "a"',
            'version = "1"\ninstructions = "b"',
            'version = "2"\ninstructions = "b"',
            'version = "2"\ninstructions = "b"\nmodel = "m"',
        )
    }
    assert len(fingerprints) == 4


def test_option_of_a_stage_changes_nothing_of_what_is_asked_before_it(tmp_path: Path) -> None:
    contents = ('version = "1"\n[stages.reading_time]\nper_minute = 180', 'version = "1"\n[stages.late]\nx = 2')
    fingerprints = {profiles(tmp_path, one=content).by_name["one"].fingerprint for content in contents}
    assert len(fingerprints) == 1


def test_split_of_1000_documents_is_within_3_points(tmp_path: Path) -> None:
    found = profiles(tmp_path, **FILES)
    chosen = [found.choose("trial", UUID(int=number)) for number in range(1_000)]
    shares = Counter((one.arm, one.profile.name) for one in chosen)
    assert shares.keys() == {("trial/long", "default"), ("trial/short", "short")}
    assert abs(shares["trial/long", "default"] - 750) <= 30


def test_document_stays_in_its_arm_and_splits_differ(tmp_path: Path) -> None:
    found, ids = profiles(tmp_path, again=SPLIT, **FILES), [uuid7() for _ in range(200)]
    arms = [found.choose("trial", one).arm for one in ids]
    assert [found.choose("trial", one).arm for one in ids] == arms
    assert [found.choose("again", one).profile for one in ids] != [found.choose("trial", one).profile for one in ids]


def test_unknown_profile_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownProfileError, match=r"no profile gone .* There are: default, short, trial"):
        profiles(tmp_path, **FILES).choose("gone", uuid4())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("version = ", r"odd\.toml: Invalid value"),
        ('model = "m"', "version: Field required"),
        ('version = "1"\nprompt = "x"', "prompt: Extra inputs are not permitted"),
        ('version = "1"\nschema = "7"', "written for schema 7; results have 1"),
        ('version = "1"\nmodel = "m"\n[arms.a]\nprofile = "default"', "A profile with arms has nothing else"),
        ('version = "1"\n[arms.a]\nprofile = "nobody"', "odd names nobody in its arm a: there is none"),
        ('version = "1"\n[arms.a]\nprofile = "odd"', "odd names odd in its arm a, which is a split too"),
        (
            'version = "1"\n[arms.a]\nprofile = "default"\nweight = 0',
            r"arms\.a\.weight: Input should be greater",
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_file(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        profiles(tmp_path, odd=content)


def test_odd_names_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="a profile's name has lower-case letters"):
        profiles(tmp_path, **{"Two Words": 'version = "1"'})
    with pytest.raises(ConfigurationError, match="is no folder"):
        load_profiles(tmp_path / "missing")
