"""Who has to act: the person or role that a sentence names, in English, German and French."""

from __future__ import annotations

import re

TASK_VERBS = (
    r"(?:add|approve|arrange|ask|assign|book|build|call|check|circulate|clarify|clean|close|collect|compile|complete|"
    r"conduct|confirm|contact|coordinate|create|decide|deliver|discuss|distribute|document|draft|ensure|evaluate|file|"
    r"finali[sz]e|find|fix|follow\s+up|forward|get|hand|hire|identify|implement|inform|install|invite|investigate|lead|"
    r"look|make|meet|migrate|monitor|move|negotiate|notify|obtain|order|organi[sz]e|pay|plan|post|prepare|present|"
    r"produce|propose|provide|publish|raise|register|remember|remove|renew|repair|replace|reply|report|request|resolve|"
    r"respond|return|review|revise|rewrite|run|schedule|send|set\s+up|share|sign|speak|start|submit|supply|talk|test|"
    r"train|transfer|translate|update|upload|verify|visit|write)\b"
)
_TITLE = r"(?:(?:Mr|Mrs|Ms|Dr|Prof|Herrn?|Frau|Mme|Mlle|M|Monsieur|Madame)\b\.?\s+)"
_WORD = r"[A-ZÀ-ÖØ-Þ](?:[^\W\d_]|['-])+(?!\w)"
_NAME = (
    r"(?:[A-Z]\.\s?){0,3}"
    rf"{_WORD}(?:\s+(?:[A-Z]\.|{_WORD}|(?:van|von|de|der|du|la|and|und|et|&)(?=\s+{_WORD}))){{0,4}}"
)
_PERSON = rf"{_TITLE}{{1,2}}{_NAME}"
_ROLE = (
    r"(?:(?:[Tt]he|[Ee]ach|[Ee]very|[Aa]ll|[Oo]ur)\s+(?:[\w-]+\s+){0,3}?[\w-]+|[Ee]veryone|"
    r"(?:Der|Die|Das|Alle|Jeder?)\s+(?:[\w-]+\s+)?[A-ZÄÖÜ][\w-]+|"
    r"(?:Le|La|Les|Chaque|Tous\s+les)\s+(?:[\w-]+\s+){0,3}?[\w-]+|L'[\w-]+)"
)
_MUST = (
    r"(?:must|shall|needs?\s+to|ha(?:s|ve)\s+to|(?:is|are)\s+(?:required|expected|asked)\s+to|(?:agree|decide)[sd]?\s+to|"
    rf"(?:to|will|should)(?=\s+{TASK_VERBS})|muss|müssen|soll|sollen|ist\s+verpflichtet|verpflichtet\s+sich|"
    r"(?:hat|haben)\b(?=.*\b(?:zu\s+\w+|\w{2,}zu\w+)en\b)|"
    r"doit|doivent|devra|devront|s'engagent?\s+à|est\s+tenue?\s+d[e']|est\s+chargée?\s+d[e']|se\s+charge\s+d[e'])"
)
# Present tense is how German and French minutes assign work, but only a name makes it work to do.
_DOES = (
    r"(?:übernimmt|erstellt|prüft|klärt|liefert|sendet|schickt|verschickt|organisiert|bereitet|reicht|informiert|bucht|"
    r"kümmert\s+sich|prépare|envoie|enverra|transmet|rédige|vérifie|organise|contacte|fournit|réserve)"
)
_SUBJECT = re.compile(
    rf"(?:(?P<role>{_ROLE})\s+{_MUST}|(?P<person>{_PERSON})\s+(?:{_MUST}|{_DOES}|will|wird)|"
    rf"(?P<owner>{_NAME})\s+(?:{_MUST}|{_DOES}))(?=[\s'])"
)
_ANYBODY = rf"(?P<owner>(?:the\s+)?{_TITLE}{{0,2}}{_NAME})"
_GREETING = re.compile(r"\b(?:hi|hello|hey|dear|hallo|liebe[rs]?|bonjour|salut|ch(?:ère?|er)s?)\s+", re.IGNORECASE)
_ADDRESSED = re.compile(rf"{_ANYBODY},\s+(?:please|could|can|would|bitte|merci|veuillez|peux|pouvez|pourriez)\b")
_LABELLED = re.compile(
    r"\b(?i:owner|responsible|assignee|assigned\s+to|action\s+by|verantwortlich|zuständig|responsable|pilote)"
    rf"\s*:?\s+{_ANYBODY}"
)
_AGENT = re.compile(
    rf"\b(?:by|durch|par)\s+{_ANYBODY}(?=\s+(?:by|before|until|no|within|bis|avant|d'ici|au)\b|[.,;)]|$)"
)
_LISTED = re.compile(rf"{_ANYBODY}\s*(?::|\s[\u2013—-])\s|(?P<person>{_PERSON})\s+[a-zà-ÿ]")
_GIVEN_OUT = re.compile(rf"{_ANYBODY}\s*:\s+(?i:{TASK_VERBS})")
_HANDLE = re.compile(r"@(?P<owner>[\w.-]*\w)")
_APPENDED = re.compile(rf"[(\[]{_ANYBODY}(?:\s*[,;:/][^)\]]*)?[)\]]\s*\.?$")
_DASHED = re.compile(rf"\s[\u2013—-]\s+{_ANYBODY}(?:\s*[,;/].*)?$")
_PASSIVE = re.compile(r"\bbe\s+(?!responsible|able|ready|present|in\s)\w+|\bêtre\s+\w+|\w+\s+werden\b[.!]?$")
_NO_NAMES = """
action actions all alle am an and any approval april as at august bis bitte both but by ce cela cet cette cob das day
deadline december der dezember die dienstag dimanche donnerstag due elle elles en end ende eod er es every februar
february fin for freitag friday frist from fällig he ich if ihr il ils in it its januar january je jeudi juli july
june juni la last le les lundi mai man march mardi may merci mercredi mittwoch mon monday montag most my märz new next
no not note nous november now october of oktober on one our out payment please prior q samedi samstag saturday second
september she sie since so some sonntag such sunday tbc tbd termin that then there these they this those thursday to
today tomorrow tous tuesday und until us vendredi veuillez via vom von vous wann we wednesday week wer what when where
who why wir with yes you your zum échéance
"""
_NOT_A_NAME = frozenset(_NO_NAMES.split())


def owner_in(text: str, *, listed: bool = False) -> str | None:
    """Return who has to act, in the document's words.

    In `listed` text, from a list of actions, a bare name before a colon or in brackets at the end is the owner.
    """
    plain = _GREETING.sub("", text.replace("\u2019", "'"), count=1)
    found = [_LABELLED.search(plain), subject_of(plain), _ADDRESSED.match(plain), _AGENT.search(plain)]
    if listed:
        found += [_LISTED.match(plain), _HANDLE.search(plain), _APPENDED.search(plain), _DASHED.search(plain)]
    return next((match[match.lastgroup or 0] for match in found if match and not _misread(match)), None)


def subject_of(text: str) -> re.Match[str] | None:
    """Match the person or role that a sentence of duty begins with."""
    plain = text.replace("\u2019", "'")
    found = None if _PASSIVE.search(plain) else _SUBJECT.match(plain)
    return None if found is None or _misread(found) else found


def is_given_out(text: str) -> bool:
    """Whether it is a task behind a name and a colon."""
    found = _GIVEN_OUT.match(text.replace("\u2019", "'"))
    return found is not None and not _misread(found)


def _misread(match: re.Match[str]) -> bool:
    return match.lastgroup == "owner" and match["owner"].split(maxsplit=1)[0].lower().strip(".") in _NOT_A_NAME
