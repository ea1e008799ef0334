"""The offline analyzer: the same answers without a model, a network or a cent, and honest about what it cannot know.

Its cost is linear in the text, about a millisecond per kilobyte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.analysis import Analysis, AnalyzerInfo, Label, Labelling, Report, Usage
from shared.errors import LLMTimeoutError
from shared.profiles import SHIPPED, Profile
from worker_service.analyzers import coverage_of
from worker_service.analyzers.offline.actions import action_items_of
from worker_service.analyzers.offline.classification import classify, excerpt_of
from worker_service.analyzers.offline.labels import choose_label
from worker_service.analyzers.offline.language import language_of
from worker_service.analyzers.offline.ranking import summary_of
from worker_service.analyzers.offline.segmentation import sentences_of
from worker_service.analyzers.offline.sentiment import sentiment_of
from worker_service.analyzers.offline.topics import tags_of, topics_of
from worker_service.calls import Calls
from worker_service.extractors import Extraction

# Raise it with any change that changes an answer.
MODEL = "offline-4"
# A few seconds of one thread, which a stop has to wait for. The coverage receipt tells when it was not enough.
MAX_CHARS = 1_000_000


class OfflineAnalyzer:
    """Extracts and counts where a model would write: every summary sentence is the document's own."""

    name = "offline"

    def info(self, profile: Profile) -> AnalyzerInfo:
        """A profile's prompt and model are for models."""
        return AnalyzerInfo(
            name="offline", model=MODEL, profile=profile.name, profile_version=profile.version, prompt_version="none"
        )

    async def warm(self) -> None:
        """Load the language model in a thread, so that the first document does not wait for it."""
        await asyncio.to_thread(language_of, "warm")

    async def aclose(self) -> None:
        """Nothing is open."""

    async def analyze(
        self,
        extraction: Extraction,
        *,
        calls: Calls,  # noqa: ARG002 - the port has it; there is nothing to pay for here
        timeout_seconds: float,
        profile: Profile = SHIPPED,
    ) -> Report:
        try:
            async with asyncio.timeout(timeout_seconds):
                analysis = await asyncio.to_thread(
                    analysis_of, extraction.text[:MAX_CHARS], lines_are_whole=extraction.lines_are_whole
                )
        except TimeoutError:
            raise LLMTimeoutError("The analysis took longer than allowed.") from None
        coverage = coverage_of(extraction, chars_analyzed=min(len(extraction.text), MAX_CHARS))
        return Report(analysis=analysis, analyzer=self.info(profile), coverage=coverage, usage=Usage())

    async def classify(
        self,
        extraction: Extraction,
        labels: Sequence[Label],
        *,
        calls: Calls,  # noqa: ARG002
        timeout_seconds: float,
        profile: Profile = SHIPPED,
    ) -> Labelling:
        try:
            async with asyncio.timeout(timeout_seconds):
                label, confidence = await asyncio.to_thread(choose_label, extraction.text, labels)
        except TimeoutError:
            raise LLMTimeoutError("The classification took longer than allowed.") from None
        return Labelling(
            label=label,
            confidence=confidence,
            labels=tuple(label.name for label in labels),
            analyzer=self.info(profile),
            chars_extracted=len(extraction.text),
            chars_analyzed=len(excerpt_of(extraction.text)) - 1,
            usage=Usage(),
        )


def analysis_of(text: str, *, lines_are_whole: bool = False) -> Analysis:
    language = language_of(text)
    sentences = sentences_of(text, language=language, lines_are_whole=lines_are_whole)
    kind = classify(text)
    topics = topics_of(sentences, language=language)
    return Analysis(
        summary=summary_of(sentences, language=language),
        topics=topics,
        sentiment=sentiment_of(sentences, language=language),
        action_items=action_items_of(sentences, label=kind.label),
        classification=kind,
        tags=tags_of(topics, kind.label),
        language=language,
    )
