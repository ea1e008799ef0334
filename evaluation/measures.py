"""Precision, recall and accuracy of analyses against what is expected of them. Pure; knows no analyzer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.analysis import Analysis


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One document. One of `facts` must be in its summary; each of `actions` is words of one action item."""

    name: str
    text: str
    label: str
    language: str
    facts: tuple[str, ...]
    actions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    hits: int
    of: int

    @property
    def value(self) -> float:
        return self.hits / self.of if self.of else 1.0

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.hits} of {self.of})"


@dataclass(kw_only=True, slots=True)
class Score:
    facts: Ratio
    precision: Ratio
    recall: Ratio
    labels: Ratio
    languages: Ratio
    misses: list[str] = field(default_factory=list)


def cases(folder: Path) -> list[Case]:
    expected = json.loads((folder / "expected.json").read_text())
    return [
        Case(
            name=name,
            text=(folder / f"{name}.txt").read_text(),
            label=one["label"],
            language=one["language"],
            facts=tuple(one["facts"]),
            actions=tuple(one["actions"]),
        )
        for name, one in expected.items()
    ]


def score(results: Sequence[tuple[Case, Analysis]]) -> Score:
    found = [(case, analysis, _matched(case, analysis)) for case, analysis in results]
    return Score(
        facts=_share([_has_fact(case, analysis) for case, analysis in results]),
        precision=Ratio(
            hits=sum(len(matched) for _, _, matched in found),
            of=sum(len(analysis.action_items) for _, analysis in results),
        ),
        recall=Ratio(
            hits=sum(len(set(matched)) for _, _, matched in found), of=sum(len(case.actions) for case, _ in results)
        ),
        labels=_share([case.label == analysis.classification.label for case, analysis in results]),
        languages=_share([case.language == analysis.language for case, analysis in results]),
        misses=[miss for case, analysis, matched in found for miss in _misses(case, analysis, matched)],
    )


def _share(hits: list[bool]) -> Ratio:
    return Ratio(hits=sum(hits), of=len(hits))


def _has_fact(case: Case, analysis: Analysis) -> bool:
    return any(_flat(fact) in _flat(analysis.summary) for fact in case.facts)


def _matched(case: Case, analysis: Analysis) -> list[str]:
    """For each item that was expected, which one; a second item for the same expectation counts as none."""
    items = [_flat(item.text) for item in analysis.action_items]
    return [action for action in case.actions if any(_flat(action) in item for item in items)]


def _misses(case: Case, analysis: Analysis, matched: list[str]) -> list[str]:
    misses = [] if _has_fact(case, analysis) else [f"{case.name}: no fact in the summary"]
    misses += [f"{case.name}: missed action: {action}" for action in case.actions if action not in matched]
    surplus = [
        item.text for item in analysis.action_items if not any(_flat(one) in _flat(item.text) for one in case.actions)
    ]
    misses += [f"{case.name}: surplus action: {text}" for text in surplus]
    if analysis.classification.label != case.label:
        misses.append(f"{case.name}: {analysis.classification.label} instead of {case.label}")
    if analysis.language != case.language:
        misses.append(f"{case.name}: language {analysis.language} instead of {case.language}")
    return misses


def _flat(text: str) -> str:
    return " ".join(text.split()).casefold()
