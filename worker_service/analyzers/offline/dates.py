"""By when: due dates as English, German and French documents put them. The words are kept; no date is worked out."""

from __future__ import annotations

import re

_MONTH = (
    r"(?:jan(?:uary|uar|vier)?|feb(?:ruary|ruar)?|févr?(?:ier)?|mar(?:ch|s)?|märz|apr(?:il)?|avr(?:il)?|may|mai|june?|juni|juin|"
    r"july?|juli|juillet|aug(?:ust)?|août|sept?(?:ember|embre)?|o[ck]t(?:ober|obre)?|nov(?:ember|embre)?|"
    r"d[eé][cz](?:ember|embre)?)\b\.?"
)
_WEEKDAY = (
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|"
    r"sonntag|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche)\b"
)
_YEAR = r"(?:,?\s+\d{4}\b)?"
_CALENDAR = (
    rf"(?:\d{{1,2}}(?:st|nd|rd|th|er|\.)?\s+(?:of\s+)?{_MONTH}{_YEAR}|{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?\b{_YEAR}|"
    r"\d{4}-\d{2}-\d{2}\b|\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})\b|\d{1,2}\.\d{1,2}\.|"
    rf"{_MONTH}\s+\d{{4}}\b|Q[1-4]\b(?:\s+\d{{4}})?|KW\s*\d{{1,2}}\b)"
)
_PERIOD = (
    rf"(?:(?:the\s+)?(?:close|end)\s+of\s+(?:the\s+|this\s+|next\s+)?(?:day|week|month|quarter|year|business(?:\s+day)?|"
    rf"{_MONTH}{_YEAR}|Q[1-4])|mid-?\s?{_MONTH}|EOW|tomorrow|today|tonight|noon|next\s+(?:week|month|quarter|meeting)|"
    rf"(?:Ende|Mitte|Anfang)\s+(?:(?:der|des|dieser|dieses|nächster|nächsten)\s+)?(?:Woche|Monats|Quartals|Jahres|{_MONTH}{_YEAR})|"
    r"übermorgen|morgen|heute|(?:zur\s+)?nächste[rn]?\s+(?:Woche|Sitzung)|nächsten\s+Monat|"
    rf"(?:la\s+)?(?:fin|mi)[-\s]+(?:(?:de\s+la|du|de\s+l'|de)\s*)?(?:semaine|mois|trimestre|année|{_MONTH}{_YEAR})|"
    r"demain|aujourd'hui|la\s+semaine\s+prochaine|le\s+mois\s+prochain)"
)
_DAY = (
    rf"(?:(?:(?:next|this|coming|nächsten|kommenden|diesen)\s+)?{_WEEKDAY}(?:\s+(?:prochain|morning|afternoon|evening))?"
    rf"(?:\s*,?\s*(?:the\s+|den\s+|dem\s+|le\s+)?{_CALENDAR})?)"
)
_END_OF = rf"(?:(?:EOD|COB)(?:\s+(?:on\s+)?(?:{_DAY}|{_CALENDAR}))?)"
_CLOCK = r"(?:\s*,?\s*(?:at|um|à)\s+\d{1,2}(?:[:.h]\d{2})?(?:\s*(?:am|pm|a\.m\.|p\.m\.|Uhr|h))?)?"
# As in noon on Tuesday, or in tomorrow, 6 May.
_ON_A_DAY = rf"(?:\s+(?:on\s+)?{_DAY}|(?:\s+on|,)\s+{_CALENDAR})?"
_AT_FIRST = r"(?:\d{1,2}(?:[:.]\d{2})?\s*(?:am\b|pm\b|a\.m\.|p\.m\.)?\s*on\s+)?"
_BEFORE = (
    r"(?:by|before|until|till|no\s+later\s+than|not\s+later\s+than|on\s+or\s+before|at\s+the\s+latest|due(?:\s+date)?|"
    r"deadline(?:\s+is)?|bis|spätestens|vor|frist|fällig|termin|zum|avant|d'ici|jusqu'(?:au|à)|au\s+plus\s+tard|pour|"
    r"échéance|date\s+limite|délai)"
)
_LINK = (
    r"(?:\s*:\s*|\s+(?:by|on|the|no\s+later\s+than|spätestens|zum|zur|zu|am|den|dem|einschließlich|bis|le|la|au|à)\b)*"
)
_COUNT = (
    r"(?:\d{1,3}|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fourteen|twenty|thirty|sixty|ninety|"
    r"einer|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|zwölf|vierzehn|zwanzig|dreißig)"
)
_SPAN = (
    rf"(?:within\s+(?:the\s+next\s+)?{_COUNT}\s+(?:\(\d+\)\s+)?(?:business\s+|working\s+|calendar\s+)?(?:hour|day|week|month)s?\b"
    r"(?:\s+(?:of|after|from|following)\s+[^,.;()]{3,40})?|"
    rf"(?:innerhalb\s+(?:von\s+)?|binnen\s+){_COUNT}\s+(?:Stunden?|\w*[Tt]agen?|Wochen?|Monaten?)\b(?:\s+(?:nach|ab)\s+[^,.;()]{{3,30}})?|"
    r"(?:dans\s+un\s+délai\s+de|dans\s+les|sous)\s+(?:\d{1,3}|deux|trois|quatre|six|huit|dix|quinze|vingt|trente)\s+(?:heures?|jours?|semaines?|mois)\b"
    r"(?:\s+(?:ouvrés|ouvrables|calendaires))?)"
)
_DUE = re.compile(
    rf"\b{_BEFORE}{_LINK}\s*(?P<day>(?:{_END_OF}|{_PERIOD}{_ON_A_DAY}|{_AT_FIRST}(?:{_DAY}|{_CALENDAR})){_CLOCK})|\b(?P<span>{_SPAN})",
    re.IGNORECASE,
)
_BARE = re.compile(rf"\b(?P<day>{_DAY}|{_CALENDAR}|{_END_OF})", re.IGNORECASE)


def due_in(text: str, *, listed: bool = False) -> str | None:
    """Return the due date in the document's own words, such as `Friday`, `12 March 2026` or `within 30 days`.

    In `listed` text, from a list of actions, a date needs no word such as "by" before it.
    """
    plain = text.replace("\u2019", "'")
    found = _DUE.search(plain) or (_BARE.search(plain) if listed else None)
    if found is None:
        return None
    # One sign was put for one sign, so the place is the same in the original.
    start, end = found.span(found.lastgroup or 0)
    return text[start:end].strip(" ,.")
