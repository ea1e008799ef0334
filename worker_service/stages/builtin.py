"""The stages of our own: extract, ocr, analyze, classify. Each keeps its time and names its failures."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from shared.errors import NoTextError, StageFailedError
from worker_service.analyzers import Analyzer, Classifier
from worker_service.extractors import Extraction, NoTextOnPagesError
from worker_service.ocr import PageReader
from worker_service.stages import Phase, Stage, Work


class Extractor(Protocol):
    async def extract(self, data: bytes, content_type: str) -> Extraction:
        """Raises ExtractionError with a named cause."""
        ...


class Extract(Stage):
    """From bytes to text, in the sandbox."""

    name = "extract"
    phase: Phase = "processing"

    def __init__(self, *, extractor: Extractor, seconds: float) -> None:
        self.extractor = extractor
        self.seconds = seconds

    async def run(self, work: Work, *, seconds: float) -> Work:  # noqa: ARG002 - the sandbox has a clock of its own
        try:
            extraction = await self.extractor.extract(work.data, work.document.content_type)
        except NoTextOnPagesError as error:
            return replace(work, extraction=error.found, unread=error)
        return replace(work, extraction=extraction)


class Ocr(Stage):
    """The pages without text, read from their pictures; no reader where the program is not installed."""

    name = "ocr"
    phase: Phase = "processing"

    def __init__(self, *, reader: PageReader | None, seconds: float) -> None:
        self.reader = reader
        self.seconds = seconds

    async def run(self, work: Work, *, seconds: float) -> Work:
        if self.reader is None or work.extraction is None:
            return work
        try:
            found = await self.reader.fill(
                work.extraction, work.data, work.document.content_type, seconds=min(self.seconds, seconds)
            )
        except NoTextError as error:
            return replace(work, unread=error)
        return replace(work, extraction=found, unread=work.unread if found is work.extraction else None)


class Analyze(Stage):
    """From text to the report."""

    name = "analyze"

    def __init__(self, *, analyzer: Analyzer, seconds: float) -> None:
        self.analyzer = analyzer
        self.seconds = seconds

    async def warm(self) -> None:
        await self.analyzer.warm()

    async def aclose(self) -> None:
        await self.analyzer.aclose()

    async def run(self, work: Work, *, seconds: float) -> Work:
        assert work.extraction is not None, "the pipeline has looked"
        report = await self.analyzer.analyze(
            work.extraction, calls=work.calls, timeout_seconds=seconds, profile=work.choice.profile
        )
        analyzer = report.analyzer.model_copy(update={"arm": work.choice.arm})
        return replace(work, report=report.model_copy(update={"analyzer": analyzer}))


class Classify(Stage):
    """Which of the caller's labels fits, in a run that was asked for it."""

    name = "classify"

    def __init__(self, *, classifier: Classifier, seconds: float) -> None:
        self.classifier = classifier
        self.seconds = seconds

    async def run(self, work: Work, *, seconds: float) -> Work:
        labels = work.document.options.labels
        if not labels:
            return work
        if work.extraction is None or work.report is None:
            raise StageFailedError("There is no analysis that a label could be added to.")
        labelling = await self.classifier.classify(
            work.extraction, labels, calls=work.calls, timeout_seconds=seconds, profile=work.choice.profile
        )
        analyzer = labelling.analyzer.model_copy(update={"arm": work.choice.arm})
        labelling = labelling.model_copy(update={"analyzer": analyzer})
        return replace(work, report=work.report.model_copy(update={"classification": labelling}))
