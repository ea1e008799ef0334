"""The tone of an English document: VADER sentence by sentence, because its score for a whole text means nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Literal

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from shared.analysis import Sentiment
from worker_service.analyzers.offline.segmentation import Sentence, is_readable, is_table_row

# VADER learnt from tweets. In business prose these name a thing or are courtesy, and say nothing about the tone.
_MATTER_OF_FACT = """
ability accept accepted accepts accident active actively admit agree agreed agreement agreements agrees allow alone
approval approved argument arguments asset assets assurance authority avoid avoided award awarded benefit benefits
best block blocked bonus capable care careful casualty certain challenge charged charges charities charity clear
clearly commit commitment commitments committed confidence confident create created credit credits critical cut dear
debt defect defects demand deny determined dispute disputes dynamic ease easily effective effectively emergency
encourage energy engage engaged ensure entitled error errors excluded exclusive exempt exposed fair faithful fault
fine fire flexibility flexible forced free freedom fun gain gained gains gift giving grant granted grants gross
growing growth hand heaven help helpful helping helps honor ignore ignored ill important importantly improve improved
improvement improvements improves increase innovation innovative intelligence interest interested interests join kind
kindly leave legal liability like likes limitation limited loss losses low mandatory matter matters merit natural no
number ok okay original outstanding parties party pay penalty play please pressure prevent problem problems profit
profits promise promised promote promotes protect protected ready recommend rejected relief resolve resolved respected
restrict restricted reward rewards risk risks safe safely safety secure secured securely security share shared shares
sharing significant sincerely smart solution solutions solve special stop straight strength strengthen strengths
suffer support supported supporting supports sure suspend thank thanks top treasure treasury true trust trusted trusts
unemployment united useful usefully value valued values violation violations virtue vision vulnerability want warn
warning warnings weak weakness weaknesses welcome well wish withdrawal worth yes
"""
_WORD = re.compile(r"[a-z']+")

# Nearer to zero a sentence has no tone; a document has one when enough of its sentences agree.
_DEAD_ZONE = 0.3
_TONE = 0.12
_MIXED_SHARE = 0.15


def sentiment_of(sentences: Iterable[Sentence], *, language: str) -> Sentiment:
    """Return the average tone; neutral for any language but English, which VADER does not know."""
    if language != "en":
        return Sentiment(label="neutral", score=0.0)
    tones = [_tone(each.text) for each in sentences if len(each.text) > 15 and not is_table_row(each.text)]
    if not tones:
        return Sentiment(label="neutral", score=0.0)
    score = sum(tones) / len(tones)
    return Sentiment(label=_label(tones, score), score=round(score, 3))


def _label(tones: list[float], score: float) -> Literal["positive", "neutral", "negative", "mixed"]:
    glad = sum(tone > 0 for tone in tones) / len(tones)
    sad = sum(tone < 0 for tone in tones) / len(tones)
    if min(glad, sad) >= _MIXED_SHARE and abs(score) < 2 * _TONE:
        return "mixed"
    if abs(score) < _TONE:
        return "neutral"
    return "positive" if score > 0 else "negative"


def _tone(text: str) -> float:
    # Most sentences have no word that VADER knows, and looking is a hundred times faster than asking.
    if _vader().lexicon.keys().isdisjoint(_WORD.findall(text.lower())) or not is_readable(text):
        return 0.0
    compound = float(_vader().polarity_scores(text)["compound"])
    return compound if abs(compound) > _DEAD_ZONE else 0.0


@cache
def _vader() -> SentimentIntensityAnalyzer:
    analyzer = SentimentIntensityAnalyzer()
    for word in _MATTER_OF_FACT.split():
        analyzer.lexicon.pop(word, None)
    return analyzer
