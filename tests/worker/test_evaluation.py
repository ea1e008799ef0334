"""The offline analyzer is as good as its last published evaluation, and that is good enough."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from evaluation.__main__ import FOLDER, HALVES, lines_of, offline
from evaluation.measures import cases, score
from worker_service.analyzers.offline import MODEL, analysis_of

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "evaluation.md"


@pytest.mark.parametrize("half", HALVES)
def test_half_reaches_its_thresholds(half: str) -> None:
    found = offline(half)
    assert found.facts.value >= 0.7
    assert found.precision.value >= 0.8
    assert found.recall.value >= 0.6
    assert found.labels.value >= 0.75


@pytest.mark.parametrize("half", HALVES)
def test_published_result_is_that_of_this_code(half: str) -> None:
    assert "\n".join(lines_of(f"{MODEL}, {half} half", offline(half))) in RESULTS.read_text()


def test_halves_share_no_document_and_hold_several_kinds_and_languages() -> None:
    tuning, held_back = (cases(FOLDER / half) for half in HALVES)
    assert not {case.text for case in tuning} & {case.text for case in held_back}
    assert len(tuning) + len(held_back) >= 40
    for half in (tuning, held_back):
        assert len({case.label for case in half}) >= 10
        assert min(Counter(case.language for case in half)[language] for language in ("en", "de", "fr")) >= 3


def test_nothing_right_scores_nothing() -> None:
    wrong = analysis_of("Twelve herons stood in the shallow water. Nobody came near them.")
    found = score([(case, wrong) for case in cases(FOLDER / "tuning")])
    assert (found.facts.hits, found.precision.hits, found.recall.hits) == (0, 0, 0)
    assert found.recall.of == sum(len(case.actions) for case in cases(FOLDER / "tuning"))
    assert len(found.misses) > len(cases(FOLDER / "tuning"))
