"""Which of somebody's own labels fits a document, asked of a model. What it answers is one of them, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from shared.analysis import Label
from shared.visible import as_read
from worker_service.analyzers.cleaning import within
from worker_service.analyzers.openai_answers import invalid
from worker_service.analyzers.openai_endpoint import Prompt
from worker_service.analyzers.prompt import LABELS_INSTRUCTIONS, with_labels


class Chosen(BaseModel):
    """What the model is asked for."""

    model_config = ConfigDict(extra="forbid")

    label: str | None = Field(description="The name of one of the given labels; null when none fits.")
    confidence: float = Field(description="From 0 to 1.")


def question_about(labels: Sequence[Label], text: str, *, model: str) -> Prompt[Chosen]:
    return Prompt(
        model=model,
        instructions=LABELS_INSTRUCTIONS,
        content=with_labels(labels, text),
        parameters={"labels": len(labels)},
        schema=Chosen,
        accept=partial(_one_of, names={as_read(label.name): label.name for label in labels}),
    )


def _one_of(chosen: Chosen, *, names: dict[str, str]) -> Chosen:
    """The choice, spelled as the label is. Raises CallFailedError for anything that is none of them."""
    name = names.get(as_read(chosen.label or ""))
    if chosen.label is not None and name is None:
        raise invalid("The model's answer is none of the labels.")
    return Chosen(label=name, confidence=within(0.0, chosen.confidence, 1.0))
