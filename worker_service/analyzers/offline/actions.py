"""Action items: what a document asks somebody to do, by the cues of three languages."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shared.analysis import ActionItem
from worker_service.analyzers.offline.dates import due_in
from worker_service.analyzers.offline.owners import TASK_VERBS, is_given_out, owner_in, subject_of
from worker_service.analyzers.offline.segmentation import Sentence, is_readable

_MAX_ITEMS = 20
_MAX_CHARS = 400

# Texts that tell every reader what to do: there, only a day in the calendar makes an instruction a task.
_GENERAL_RULES = frozenset({"contract", "form", "manual", "policy"})

_LABELS = (
    r"(?:(?:(?:open|agreed|outstanding|immediate)\s+)(?:actions?|items?|issues?|points?|tasks?)|actions\s+arising|"
    r"action(?:\s+(?:items?|log|plan|points?|required|à\s+mener))?|actions|to[-\s]?dos?|next\s+steps?|tasks?|follow[-\s]?ups?|"
    r"recommend(?:ations|ed\s+actions)|aufgaben?|maßnahmen?|zu\s+erledigen|nächste\s+schritte?|offene\s+punkte|empfehlungen|"
    r"à\s+faire|tâches?|prochaines?\s+étapes?|suites?\s+à\s+donner|actions\s+à\s+mener|recommandations)"
)
_LABEL = re.compile(rf"{_LABELS}\s*#?\d*\s*[:\u2013—-]\s*(?=\S)|TODO\b\s*:?\s*(?=\S)", re.IGNORECASE)
_HEADING = re.compile(rf"(?:\d+[.)]?\s+|\*\*)?{_LABELS}\s*:?(?:\*\*)?:?", re.IGNORECASE)
_REQUEST = re.compile(
    r"\b(?:please|kindly|(?:could|can|would)\s+you|you\s+(?:are|will\s+be)\s+(?:kindly\s+)?(?:requested|required|asked|expected)\s+to|"
    r"(?:we|I)\s+(?:kindly\s+)?(?:ask|request|urge)\s+(?:you|that|all)|"
    r"make\s+sure|(?:don't|do\s+not)\s+forget\s+to|remember\s+to|"
    r"bitte|(?:könnten|können|würden)\s+Sie|(?:könntest|kannst|würdest)\s+du|(?:könntet|könnt|würdet)\s+ihr|"
    r"(?:vergessen\s+Sie|vergesst|vergiss)\s+(?:bitte\s+)?nicht|denke?n?t?\s+(?:Sie\s+)?(?:bitte\s+)?daran|n'oubliez\s+pas\s+d[e']|pensez\s+à|bitten\s+(?:wir\s+)?(?:Sie|um)|werden\s+gebeten|"
    r"veuillez|merci\s+(?:de|d'|par\s+avance\s+de|de\s+bien\s+vouloir)|prière\s+de|(?:pourriez|pouvez)-vous|(?:pourrais|peux)-tu|"
    r"nous\s+vous\s+(?:prions|demandons|invitons)\s+(?:de|à))(?=[\s,'])",
    re.IGNORECASE,
)
_COURTESY = re.compile(
    r"\b(?:please|kindly)\s+(?:note|see|find|refer|be\s+advised|do\s+not|don't|feel|accept|contact|visit|consult|let\s+\w+\s+know\s+if)|"
    r"\bbitte\s+(?:beachten|siehe|wenden|entschuldigen|nicht|zögern)|zögern\s+Sie|"
    r"\bmerci\s+(?:de|pour)\s+(?:votre|vos|ta|ton|tes)\b|"
    r"\bveuillez\s+(?:agréer|recevoir|noter|trouver|croire|accepter)|\bprions\s+d'agréer|n'hésitez",
    re.IGNORECASE,
)
_DUTY = re.compile(
    r"\b(?:must|shall|needs?\s+to|ha(?:s|ve)\s+to|(?:is|are)\s+(?:required\s+|expected\s+)?to|(?:is|are|falls)\s+due|payable|"
    r"muss|müssen|soll|sollen|fällig|zahlbar|(?:ist|sind|hat|haben)\b.+\b(?:zu\s+\w+|\w{2,}zu\w+)en|"
    r"doit|doivent|devra|devront|(?:est|sont)\s+à|exigible)\b",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+|\s=(?=\s)|(?<=\()=(?=\s)")
_IMPERATIVE = re.compile(TASK_VERBS, re.IGNORECASE)
_DETAIL = re.compile(
    r"[\s,;|(\u2013—-]*\b(?:owner|responsible|assignee|assigned\s+to|due(?:\s+date)?|deadline|verantwortlich|zuständig|frist|"
    r"termin|fällig|responsable|pilote|échéance|date\s+limite)\s*:.*",
    re.IGNORECASE,
)
_SPAN = re.compile(r"(?:within|innerhalb|binnen|dans|sous)\b", re.IGNORECASE)
_DONE_BOX = re.compile(r"[-*•]?\s?(?:\[[xX]\]|[☑☒])$")
# Elsewhere they are bullets like others.
_DONE_IN_A_LIST = {"✓", "✔"}
_OPEN_BOX = re.compile(r"[-*•]?\s?(?:\[\s?\]|☐|□)$")


def action_items_of(sentences: Iterable[Sentence], *, label: str) -> list[ActionItem]:
    """Return up to twenty items in document order. `label` is the kind of document, as the classification has it."""
    found: list[ActionItem] = []
    heading: Sentence | None = None
    block = last = 0
    for sentence in sentences:
        if _DONE_BOX.match(sentence.bullet) or (heading and sentence.bullet in _DONE_IN_A_LIST):
            continue
        listed = heading is not None and _belongs(sentence, heading)
        if _HEADING.fullmatch(sentence.text):
            heading = sentence
        elif found and sentence.block <= block + 3 and (detail := _DETAIL.fullmatch(sentence.text)):
            found[-1] = _detailed(found[-1], detail[0])
        elif item := _item(sentence, listed=listed, label=label):
            found.append(item)
            block = sentence.block
        elif heading and _ends_list(sentence, heading, last=last):
            heading = None
        last = sentence.block if sentence.bullet else last
    return list({item.text: item for item in found}.values())[:_MAX_ITEMS]


def _belongs(sentence: Sentence, heading: Sentence) -> bool:
    """Whether it is an item under the heading and not the next heading."""
    if sentence.bullet:
        is_item = len(sentence.text.split()) > 2 or _IMPERATIVE.match(sentence.text)
        return bool(is_item) and not _is_next_heading(sentence, heading)
    return bool(_IMPERATIVE.match(sentence.text) or subject_of(sentence.text) or is_given_out(sentence.text))


def _ends_list(sentence: Sentence, heading: Sentence, *, last: int) -> bool:
    """Whether what is no item ends the list: no bullet that is not understood does, nor more words below the `last`."""
    if sentence.bullet:
        return _is_next_heading(sentence, heading)
    return sentence.block > heading.block + 1 and sentence.block != last


def _is_next_heading(sentence: Sentence, heading: Sentence) -> bool:
    return sentence.bullet[0] == "#" or (sentence.bullet[0].isdigit() and heading.bullet[:1].isdigit())


def _item(sentence: Sentence, *, listed: bool, label: str) -> ActionItem | None:
    text = sentence.text.replace("**", "")
    labelled = _LABEL.match(text)
    # A task may well say where to send something or what a sum is made of.
    if len(text) > _MAX_CHARS or not is_readable(_ADDRESS.sub("", text)):
        return None
    text = text[labelled.end() :] if labelled else text
    # A form's boxes are choices, not tasks.
    ticked = label != "form" and _OPEN_BOX.match(sentence.bullet) is not None
    listed = listed or labelled is not None or ticked
    due = due_in(text, listed=listed)
    if not listed and not _asks(text, due, general=label in _GENERAL_RULES):
        return None
    return ActionItem(text=_DETAIL.sub("", text) or text, owner=owner_in(text, listed=listed), due=due)


def _asks(text: str, due: str | None, *, general: bool) -> bool:
    plain = text.replace("\u2019", "'")
    if due is None or (general and _SPAN.match(due)):
        return not general and bool(_REQUEST.search(plain)) and not _COURTESY.search(plain)
    return bool(_REQUEST.search(plain) or _DUTY.search(plain) or _IMPERATIVE.match(plain) or subject_of(plain))


def _detailed(item: ActionItem, detail: str) -> ActionItem:
    owner, due = item.owner or owner_in(detail), item.due or due_in(detail, listed=True)
    return item.model_copy(update={"owner": owner, "due": due})
