"""What a model wrote, made fit to be stored and shown: no markup, nothing invisible, no more than there is room for.

A document may have told its model what to write; so nothing of an answer is trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from shared.analysis import ActionItem, Analysis, Classification, Sentiment
from shared.visible import visible

# Each stops at the next opening bracket: an answer of nothing but brackets takes no longer than another.
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!?[A-Za-z][^<>]*$")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*(?:\s[^()]*)?\)")
_BRACKETS = str.maketrans("", "", "<>[]")
# Nobody writes markup inside of markup that often.
_MAX_DEPTH = 10
# A text is cut before it is cleaned, with room for that much markup for each character of it.
_ROOM = 4
# And a list, with room for that many texts that come to nothing for each that is kept.
_EMPTY = 10
# So many of its words in a row are no chance.
_ECHO_WORDS = 7
_WORD = re.compile(r"\w+")


def cleaned(analysis: Analysis) -> Analysis:
    """The same analysis as plain text within limits. What the schema cannot state, such as ranges, is enforced."""
    sentiment, kind = analysis.sentiment, analysis.classification
    return Analysis(
        summary=_plain(analysis.summary, 4_000),
        topics=_some(analysis.topics, count=8, chars=200),
        sentiment=Sentiment(label=sentiment.label, score=within(-1.0, sentiment.score, 1.0)),
        action_items=[_item(item) for item in analysis.action_items[:50] if _plain(item.text, 1_000)],
        classification=Classification(
            label=_plain(kind.label, 60).lower() or "other", confidence=within(0.0, kind.confidence, 1.0)
        ),
        tags=_some(analysis.tags, count=8, chars=60),
        language=_plain(analysis.language, 16),
    )


def echoes(analysis: Analysis, instructions: str, *, document: str) -> bool:
    """Whether the answer repeats the instructions, which only a model does that obeys somebody else."""
    told = set(_runs(instructions))
    said = {run for text in _texts(analysis) for run in _runs(text) if run in told}
    return bool(said) and not said <= set(_runs(document))


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return zip(*(words[start:] for start in range(_ECHO_WORDS)), strict=False)


def _texts(analysis: Analysis) -> list[str]:
    items = [part for item in analysis.action_items for part in (item.text, item.owner, item.due) if part]
    return [analysis.summary, *analysis.topics, *analysis.tags, *items, analysis.classification.label]


def _item(item: ActionItem) -> ActionItem:
    return ActionItem(
        text=_plain(item.text, 1_000),
        owner=_plain(item.owner or "", 200) or None,
        due=_plain(item.due or "", 200) or None,
    )


def _some(texts: list[str], *, count: int, chars: int) -> list[str]:
    return [plain for text in texts[: _EMPTY * count] if (plain := _plain(text, chars))][:count]


def _plain(text: str, chars: int) -> str:
    text = visible(text[: _ROOM * chars])
    # Until nothing changes: what is taken away may have held a tag together.
    for _ in range(_MAX_DEPTH):
        before, text = text, _LINK.sub(r"\1", _TAG.sub("", _uncommented(text)))
        if text == before:
            break
    else:
        text = text.translate(_BRACKETS)
    return text.strip()[:chars].rstrip()


def _uncommented(text: str) -> str:
    kept, place = [], 0
    while (begin := text.find("<!--", place)) >= 0 and (end := text.find("-->", begin)) >= 0:
        kept.append(text[place:begin])
        place = end + len("-->")
    return "".join([*kept, text[place:]])


def within(least: float, value: float, most: float) -> float:
    return min(max(least, value), most) if value == value else 0.0  # noqa: PLR0124 - nan is not itself
