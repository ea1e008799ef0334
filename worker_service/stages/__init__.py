"""The stage port: one step of a document's way through the worker, and what is handed from one to the next.

A package adds a stage, or replaces one, by an entry point; see docs/extending.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, runtime_checkable

from pydantic import JsonValue

from shared.analysis import Report, StageResult
from shared.document import Document
from shared.errors import NoTextError, StageFailedError
from shared.profiles import SHIPPED, Choice
from worker_service.calls import Calls
from worker_service.extractors import Extraction

# The status of the document while the stage works.
Phase = Literal["processing", "analyzing"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What is known of a claimed document so far; each stage returns it with more in it.

    `choice` is the profile that it is analyzed by. `unread` is why there is no text yet: a later stage may find some.
    `results` are what added stages have found, by their names. `fingerprint` is made of the added stages that had a say
    so far: it is part of the key of every call. `asked` are the keys that added stages have asked for.
    """

    document: Document
    data: bytes
    choice: Choice = field(default_factory=lambda: Choice(profile=SHIPPED))
    extraction: Extraction | None = None
    unread: NoTextError | None = None
    report: Report | None = None
    results: Mapping[str, StageResult] = field(default_factory=dict)
    fingerprint: str = ""
    paid_calls: Calls | None = None
    asked: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text, as extracted or as an earlier stage has left it."""
        return self.extraction.text if self.extraction else ""

    @property
    def calls(self) -> Calls:
        """The way to a model, through the ledger. Raises StageFailedError while the document is processing."""
        if self.paid_calls is None:
            raise StageFailedError("A stage may call a model only when the document is analyzing.")
        return self.paid_calls

    def options(self, stage: Stage) -> Mapping[str, JsonValue]:
        """What the profile says about a stage."""
        return self.choice.profile.stages.get(stage.name, {})

    def with_text(self, text: str) -> Work:
        """The same with another text, which is the one that is kept and analyzed."""
        if self.extraction is None:
            raise StageFailedError("There is no text to be replaced before the document is extracted.")
        unread = None if text.strip() else self.unread
        return replace(self, extraction=replace(self.extraction, text=text), unread=unread)

    async def reported(self) -> Report:
        """The report with what added stages have found, and with what they have cost."""
        if self.report is None:
            raise StageFailedError("No stage has analyzed the document.")
        report = self.report.model_copy(update={"stages": dict(self.results)})
        if not self.asked:
            return report
        return report.model_copy(update={"usage": report.usage.plus(await self.calls.usage(self.asked))})

    def with_result(self, stage: Stage, result: JsonValue) -> Work:
        """The same with what a stage has found: JSON, stored and shown under the stage's name."""
        return replace(self, results={**self.results, stage.name: StageResult(version=stage.version, result=result)})


@runtime_checkable
class Stage(Protocol):
    """One step. Derive from it, set `name`, and write `run`; the rest has defaults.

    `version` is to be raised with any change that changes a result. `seconds` are for all `tries` of one attempt
    together.
    """

    name: str
    version: str = "1"
    phase: Phase = "analyzing"
    seconds: float = 30.0
    tries: int = 1

    async def warm(self) -> None:
        """Load what is slow to load, so that the first document does not wait for it."""
        return None  # noqa: RET501 - an empty method of a Protocol would be abstract

    async def aclose(self) -> None:
        """Close what is open."""
        return None  # noqa: RET501

    async def run(self, work: Work, *, seconds: float) -> Work:
        """Return the work with more in it, within so many seconds.

        Raises DocumentError with a named cause, StageFailedError for another try; what `work.calls` raises may pass.
        """
        ...
