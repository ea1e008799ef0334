"""The analysis of one document: the schema handed to a model, stored and returned, all the same model.

No pattern, format or length limit: structured-output APIs refuse or ignore them.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

SCHEMA_VERSION = "1"

Verdict = Literal["complete", "partial"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @classmethod
    def from_stored(cls, values: dict[str, Any]) -> Self:
        """What a later version has written, beside this one or before it was rolled back, may have more fields."""
        return cls.model_validate(values, extra="ignore")

    @field_validator("*", mode="after")
    @classmethod
    def _without_nul(cls, value: Any) -> Any:
        # A model may answer one; PostgreSQL refuses it, and nobody misses it.
        if isinstance(value, str):
            return value.replace("\0", "")
        if isinstance(value, dict):
            return {cls._without_nul(key): cls._without_nul(item) for key, item in value.items()}
        return [cls._without_nul(item) for item in value] if isinstance(value, list) else value


class Sentiment(_Part):
    label: Literal["positive", "neutral", "negative", "mixed"]
    score: float = Field(description="From -1 (very negative) to 1 (very positive).")

    @field_validator("label", mode="before")
    @classmethod
    def _as_written(cls, label: Any) -> Any:
        return label.lower() if isinstance(label, str) else label


class ActionItem(_Part):
    text: str = Field(description="What has to be done, close to the document's own words.")
    owner: str | None = Field(description="Who has to do it, as the document names them; null when it does not say.")
    due: str | None = Field(description="By when, as the document puts it; null when it does not say.")

    @model_validator(mode="before")
    @classmethod
    def _left_out_is_null(cls, values: Any) -> Any:
        # The schema wants both; a model that is not held to it leaves out what the document does not say.
        return {"owner": None, "due": None, **values} if isinstance(values, dict) else values


class Classification(_Part):
    label: str = Field(description="The kind of document in one or two lower-case words, such as invoice or contract.")
    confidence: float = Field(description="From 0 to 1.")


class Analysis(_Part):
    """What a document says, from a model or from the offline analyzer."""

    summary: str = Field(description="Three to five sentences that a busy reader can rely on.")
    topics: list[str] = Field(description="Up to eight topics, most important first.")
    sentiment: Sentiment
    action_items: list[ActionItem]
    classification: Classification
    tags: list[str] = Field(description="Up to eight short lower-case tags for search.")
    language: str = Field(description="ISO 639-1 code of the document's main language.")


class Label(_Part):
    """One of the labels that a document may get, chosen by whoever asks for it."""

    name: str
    description: str | None = None


class RunOptions(_Part):
    """What a run was asked to do; with `labels`, to say which of them fits the document."""

    profile: str = "default"
    labels: tuple[Label, ...] = ()


class AnalyzerInfo(_Part):
    """Who made an analysis, precisely enough to make it again."""

    name: Literal["openai", "offline"]
    model: str
    profile: str = "default"
    profile_version: str | None = None
    arm: str | None = Field(None, description="The split that chose the profile, and its arm: `<split>/<arm>`.")
    prompt_version: str
    schema_version: str = SCHEMA_VERSION


class Coverage(_Part):
    """The receipt that says how much of the document the analysis really covers."""

    verdict: Verdict
    pages_total: int | None
    pages_with_text: int | None
    pages_ocr: int = 0
    chars_extracted: int
    chars_analyzed: int
    chunks_planned: int = 1
    chunks_answered: int = 1


class Usage(_Part):
    """What an analysis cost. `cost_usd` is null when nobody knows: the model has no price in the settings, or
    its API did not say what it counted."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    cached: bool = False

    def plus(self, other: Usage) -> Usage:
        """Both together; no price is known when one of them has none."""
        unpriced = self.cost_usd is None or other.cost_usd is None
        calls = self.calls + other.calls
        return Usage(
            calls=calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=None if unpriced else round((self.cost_usd or 0) + (other.cost_usd or 0), 6),
            cached=not calls and (self.cached or other.cached),
        )


class Labelling(_Part):
    """Which of the caller's labels fits a document, from a model or from the offline analyzer."""

    label: str | None = Field(description="One of `labels`; null when none fits.")
    confidence: float
    labels: tuple[str, ...] = Field(description="What there was to choose from.")
    analyzer: AnalyzerInfo
    chars_extracted: int
    chars_analyzed: int = Field(description="What the choice was made by: the beginning of a long document.")
    usage: Usage


class StageResult(_Part):
    """What a stage that was added to the pipeline has found, and which version of it."""

    version: str
    result: JsonValue


class Report(_Part):
    """What is known of a document: the analysis, its three receipts, what added stages have found, by their names, and
    which of the caller's labels fits."""

    analysis: Analysis
    analyzer: AnalyzerInfo
    coverage: Coverage
    usage: Usage
    stages: dict[str, StageResult] = {}
    classification: Labelling | None = None
