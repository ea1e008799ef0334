"""Labels of the caller's own, as requests bring them, and what classifying a folder answers."""

from __future__ import annotations

import unicodedata
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field

from api_service.schemas import Schema
from shared.analysis import Label
from shared.visible import as_read, visible

MAX_BODY_BYTES = 65_536
MAX_LABELS = 50


def _plain(text: str) -> str:
    """Refuses what nobody sees: it could only make two labels look the same, or say something to a model alone."""
    if text != text.strip() or any(unicodedata.category(char)[0] == "C" for char in text):
        raise ValueError("Must not have control or invisible characters, nor spaces at its ends.")
    return text


def _meaningful(name: str) -> str:
    if not any(char.isalnum() for char in visible(name)):
        raise ValueError("Must have a letter or a digit.")
    return name


def _different(labels: list[LabelIn]) -> list[LabelIn]:
    if len({as_read(label.name) for label in labels}) < len(labels):
        raise ValueError("Must have names that look different, in any case.")
    return labels


class LabelIn(Schema):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, AfterValidator(_plain), AfterValidator(_meaningful)] = Field(min_length=1, max_length=64)
    description: Annotated[str, AfterValidator(_plain)] | None = Field(
        None, max_length=300, description="Which documents it is for."
    )


class ClassifyIn(Schema):
    """The labels to choose from. `force` asks for a new answer where there is one already."""

    model_config = ConfigDict(extra="forbid")

    labels: Annotated[list[LabelIn], AfterValidator(_different)] = Field(min_length=1, max_length=MAX_LABELS)
    force: bool = False

    def chosen_from(self) -> tuple[Label, ...]:
        return tuple(Label(name=label.name, description=label.description) for label in self.labels)


class SkippedDocument(Schema):
    id: UUID
    filename: str
    code: str
    detail: str


class FolderClassifyOut(Schema):
    """What became of a folder's documents; those that were started are on the stream from `feed_cursor` on.

    With a `next_cursor` there are more: ask again with it.
    """

    folder: str
    started: int
    unchanged: int = Field(description="Already classified with these labels, or about to be.")
    skipped: list[SkippedDocument]
    next_cursor: str | None
    feed_cursor: str
