"""P2's other half: the word F1 of a DOCX's body text against reference texts that somebody else's converter made.

A reference has its document's name and ends in .txt, or in .native for pandoc's own notation. Converters leave out
headers and footers, so the goal is for the body and its notes; the whole text is scored beside it.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.errors import DocumentError
from worker_service.extractors.docx import Story, stories_of

GOAL = 0.88
# Words of a pandoc document stand in strings, with `Space` and the like between them.
_NATIVE = re.compile(
    r'\b(?P<glued>Str|Math \w+|Code\s*\([^)]*\))\s*"(?P<text>(?:[^"\\]|\\.)*)"|(?P<string>"(?:[^"\\]|\\.)*")|\b\w+\b'
)
_GLUE = {"Emph", "Strong", "Underline", "Strikeout", "Superscript", "Subscript", "SmallCaps", "Span", "Link"}
_ESCAPE = re.compile(r"\\(?:(\d+)|x([0-9a-fA-F]+)|&|(.))")


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    name: str
    body: float
    whole: float


def main() -> None:
    args = arguments()
    references = {path.stem: path for ending in ("txt", "native") for path in args.references.rglob(f"*.{ending}")}
    documents = [path for path in sorted(args.documents.rglob("*.docx")) if path.stem in references]
    scores = [score for path in documents if (score := score_of(path, text_of(references[path.stem])))]
    if not scores:
        sys.exit("No document has a reference with words in it.")
    for score in sorted(scores, key=lambda score: score.body)[: args.worst]:
        print(f"  {score.body:.3f}  {score.name}")
    body = statistics.mean(score.body for score in scores)
    print(f"P2  word F1 of {len(scores)} DOCX against their references, mean over the documents")
    print(f"  body and notes  {body:.3f}  goal >= {GOAL}: {'met' if body >= GOAL else 'MISSED'}")
    print(f"  whole text      {statistics.mean(score.whole for score in scores):.3f}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("documents", type=Path, help="a folder of DOCX files, searched with its subfolders")
    parser.add_argument("references", type=Path, help="a folder of reference texts, searched with its subfolders")
    parser.add_argument("--worst", type=int, default=10, help="show that many of the lowest scores")
    return parser.parse_args()


def score_of(path: Path, reference: str) -> Score | None:
    """Compare a document with its reference; one that cannot be read has no words. None if there is nothing to find."""
    wanted = words(reference)
    if not wanted:
        return None
    stories = read(path)
    body = [story.text for story in stories if story.is_body]
    whole = list(dict.fromkeys(story.text for story in stories))
    return Score(name=path.name, body=f1(words("\n".join(body)), wanted), whole=f1(words("\n".join(whole)), wanted))


def read(path: Path) -> list[Story]:
    try:
        return stories_of(path.read_bytes())
    except DocumentError as error:
        print(f"  {path.name}: {error.code}")
        return []


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.casefold()))


def f1(found: Counter[str], wanted: Counter[str]) -> float:
    return 2 * (found & wanted).total() / (found.total() + wanted.total())


def text_of(reference: Path) -> str:
    text = reference.read_text(encoding="utf-8", errors="replace")
    return "".join(_from_native(text)) if reference.suffix == ".native" else text


def _from_native(text: str) -> Iterator[str]:
    for token in _NATIVE.finditer(text):
        if token["glued"]:
            yield _ESCAPE.sub(_unescaped, token["text"])
        elif not token["string"] and token[0] not in _GLUE:
            yield " "


def _unescaped(escape: re.Match[str]) -> str:
    if escape[1] or escape[2]:
        return chr(int(escape[1]) if escape[1] else int(escape[2], 16))
    return {"n": "\n", "t": "\t"}.get(escape[3] or "", escape[3] or "")


if __name__ == "__main__":
    main()
