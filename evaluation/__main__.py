"""`make eval`: prints what the analyses of our own documents are worth, offline and, with a key, by the model too."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from evaluation.measures import Case, Score, cases, score
from shared.analysis import Analysis
from shared.model_server import model_server
from shared.settings import Settings
from worker_service.analyzers.offline import MODEL, analysis_of
from worker_service.assembly import choose_analyzer
from worker_service.extractors import Extraction
from worker_service.unrecorded import unrecorded

HALVES = ("tuning", "held_back")
FOLDER = Path(__file__).parent


def offline(half: str) -> Score:
    return score([(case, analysis_of(case.text)) for case in cases(FOLDER / half)])


async def by_model(half: str, settings: Settings) -> Score:
    analyzer = choose_analyzer(settings)
    # An evaluation asks everything anew, and its bill is whoever's key it is.
    calls = unrecorded(attempts=settings.llm_max_attempts)

    async def analyzed(case: Case) -> tuple[Case, Analysis]:
        report = await analyzer.analyze(Extraction(text=case.text), calls=calls, timeout_seconds=settings.llm_seconds)
        return case, report.analysis

    try:
        return score([await analyzed(case) for case in cases(FOLDER / half)])
    finally:
        await analyzer.aclose()


def lines_of(title: str, found: Score) -> list[str]:
    return [
        title,
        f"  must-contain fact in the summary  {found.facts}",
        f"  action items, precision           {found.precision}",
        f"  action items, recall              {found.recall}",
        f"  classification, accuracy          {found.labels}",
        f"  language, accuracy                {found.languages}",
    ]


def show(title: str, found: Score, *, misses: bool) -> None:
    told = [f"    {miss}" for miss in found.misses] if misses else []
    print("\n".join([*lines_of(title, found), *told]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--misses", action="store_true", help="list every miss of the tuning half")
    options = parser.parse_args()
    settings = Settings.load()
    for half in HALVES:
        # Nobody shall tune on what is held back.
        show(f"{MODEL}, {half} half", offline(half), misses=options.misses and half == "tuning")
        if model_server(settings):
            found = asyncio.run(by_model(half, settings))
            show(f"{settings.openai_model}, {half} half", found, misses=options.misses and half == "tuning")


if __name__ == "__main__":
    main()
