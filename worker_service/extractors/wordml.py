"""Turns one WordprocessingML part (body, header, notes) into lines of text while its XML streams by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import IO

from lxml import etree

from shared.errors import CorruptError

_WORD = (
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",
)
_MATH = (
    "http://schemas.openxmlformats.org/officeDocument/2006/math",
    "http://purl.oclc.org/ooxml/officeDocument/math",
)
_COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006"

_ROOTS = {"document", "hdr", "ftr", "footnotes", "endnotes"}
# Deleted or moved-away text, properties (their `tab` is a tab stop), ruby annotations, a drawing's second copy.
_SKIPPED = {"del", "moveFrom", "pPr", "rt", "Fallback"}
_CHARACTERS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_BLOCKS = {"p", "tbl", "tr", "tc", "txbxContent"}

# Qualified names to local names, of the few elements that matter.
_NAMES = {
    f"{{{space}}}{name}": name for space in _WORD for name in {*_ROOTS, *_SKIPPED, *_CHARACTERS, *_BLOCKS, "t", "sym"}
}
_NAMES |= {f"{{{space}}}t": "t" for space in _MATH}
_NAMES[f"{{{_COMPATIBILITY}}}Fallback"] = "Fallback"


def lines_of(part: IO[bytes]) -> list[str]:
    """Return one line for each paragraph and table row; cells are separated by tabs.

    Raises CorruptError if the part is not WordprocessingML, and lxml's XMLSyntaxError.
    """
    story: _Story | None = None
    events = etree.iterparse(
        part,
        events=("start", "end"),
        tag=tuple(_NAMES),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    for event, element in events:
        name = _NAMES[element.tag]
        if story is None:
            _check_root(name, element)
            story = _Story()
        if event == "start":
            story.start(name)
        else:
            story.end(name, element)
            if name in _BLOCKS:
                _forget(element)
    if story is None:
        raise CorruptError("The file is an Office file, but not a Word document.")
    return story.lines


def _check_root(name: str, element: etree._Element) -> None:
    if name not in _ROOTS:
        raise CorruptError("The file is an Office file, but not a Word document.")
    if element.getroottree().docinfo.internalDTD is not None:
        raise CorruptError("The document has a document type declaration, which Word never writes.")


def _forget(element: etree._Element) -> None:
    """Free what has been read, or the tree of a long document fills the memory."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


@dataclass(slots=True)
class _Paragraph:
    text: list[str] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)


class _Story:
    """The open paragraphs, cells and rows. The lowest entry of each stack takes what stands in no valid place."""

    def __init__(self) -> None:
        self._lines: list[list[str]] = [[]]
        self._rows: list[list[list[str]]] = [[]]
        self._paragraphs = [_Paragraph()]
        self._skipping = 0

    @property
    def lines(self) -> list[str]:
        return self._lines[0]

    def start(self, name: str) -> None:
        if name in _SKIPPED:
            self._skipping += 1
        elif self._skipping:
            return
        elif name == "p":
            self._paragraphs.append(_Paragraph())
        elif name in {"tc", "txbxContent"}:
            self._lines.append([])
        elif name == "tr":
            self._rows.append([])
        elif name == "tbl":
            self._lines[-1].append("")

    def end(self, name: str, element: etree._Element) -> None:
        if name in _SKIPPED:
            self._skipping -= 1
        elif self._skipping:
            return
        elif name == "t":
            self._paragraphs[-1].text.append(element.text or "")
        elif name in _CHARACTERS:
            self._paragraphs[-1].text.append(_CHARACTERS[name])
        elif name == "sym":
            self._paragraphs[-1].text.append(_symbol(element))
        elif name in _BLOCKS:
            self._end_block(name)

    def _end_block(self, name: str) -> None:
        if name == "p":
            paragraph = self._paragraphs.pop()
            self._lines[-1] += ["".join(paragraph.text), *paragraph.boxes]
        elif name == "txbxContent":
            self._paragraphs[-1].boxes += self._lines.pop()
        elif name == "tc":
            self._rows[-1].append(self._lines.pop())
        elif name == "tr":
            self._lines[-1].append(_row(self._rows.pop()))
        elif name == "tbl":
            self._lines[-1].append("")


def _row(cells: Iterable[list[str]]) -> str:
    """Join cells by tabs, each on one line; a row of one cell is layout and keeps its lines."""
    filled = [[line for line in cell if line.strip()] for cell in cells]
    if len(filled) == 1:
        return "\n".join(filled[0])
    return "\t".join(" ".join(" ".join(cell).split()) for cell in filled)


def _symbol(element: etree._Element) -> str:
    """Return the character, unless it is one of a symbol font, which means nothing without the font."""
    word = etree.QName(element).namespace
    try:
        code = int(element.get(f"{{{word}}}char", "0"), 16)
    except ValueError:
        return ""
    return chr(code) if 0 < code < 0xE000 or 0xF8FF < code <= 0xFFFF else ""
