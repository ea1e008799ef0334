"""Files with a few pieces changed end as sound text or with a named cause; `make fuzz` tries for minutes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.fuzzing import Trial, trial
from tests.support.mutations import SEEDS, mutated


@pytest.fixture(scope="module")
def files() -> Iterator[Trial]:
    with trial() as started:
        yield started


def test_what_is_mutated_is_sound(files: Trial) -> None:
    for seed in SEEDS:
        files.give(seed.content_type, seed.data)
    assert files.ends["text"] >= 0.8 * len(SEEDS)


@settings(max_examples=400, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(file=mutated())
def test_mutated_file_ends_as_text_or_with_its_cause(files: Trial, file: tuple[str, bytes]) -> None:
    files.give(*file)
