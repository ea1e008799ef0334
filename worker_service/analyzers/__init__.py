"""The analyzer port, and the receipt that every analyzer gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shared.analysis import Coverage, Label, Labelling, Report
from shared.profiles import SHIPPED, Profile
from worker_service.calls import Calls
from worker_service.extractors import Extraction


class Analyzer(Protocol):
    @property
    def name(self) -> str: ...

    async def warm(self) -> None:
        """Load what is slow to load, so that the first document does not wait for it."""
        ...

    async def aclose(self) -> None: ...

    async def analyze(
        self, extraction: Extraction, *, calls: Calls, timeout_seconds: float, profile: Profile = SHIPPED
    ) -> Report:
        """Return the whole report, receipts included. What costs money goes through `calls`.

        Raises AnalysisError with a named cause, never anything of the vendor's; and what `calls` raises.
        """
        ...


class Classifier(Protocol):
    async def classify(
        self,
        extraction: Extraction,
        labels: Sequence[Label],
        *,
        calls: Calls,
        timeout_seconds: float,
        profile: Profile = SHIPPED,
    ) -> Labelling:
        """Say which of the labels fits, or none. Raises as `analyze` does."""
        ...


def coverage_of(
    extraction: Extraction, *, chars_analyzed: int, chunks_planned: int = 1, chunks_answered: int = 1
) -> Coverage:
    """The receipt; `complete` when all of the text was analyzed and no page shows what nobody has read."""
    chars_extracted = len(extraction.text)
    return Coverage(
        verdict="complete" if chars_analyzed >= chars_extracted and not extraction.unread_pages else "partial",
        pages_total=extraction.pages,
        pages_with_text=extraction.pages_with_text,
        pages_ocr=extraction.pages_ocr,
        chars_extracted=chars_extracted,
        chars_analyzed=chars_analyzed,
        chunks_planned=chunks_planned,
        chunks_answered=chunks_answered,
    )
