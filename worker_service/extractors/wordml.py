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

_OFF = {"0", "false", "off"}
# The boxes and ticks of forms. Both fonts put their characters into the private use area, where the low byte counts.
_BOXES = {
    "Wingdings": {0x6F: "☐", 0x78: "☒", 0xA8: "☐", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑"},
    "Wingdings 2": {0x4F: "✗", 0x50: "✓", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0xA3: "☐"},
}

# Qualified names to local names, of the few elements that matter.
_NAMES = {
    f"{{{space}}}{name}": name
    for space in _WORD
    for name in {*_ROOTS, *_SKIPPED, *_CHARACTERS, *_BLOCKS, "t", "sym", "vanish"}
}
_NAMES |= {f"{{{space}}}t": "t" for space in _MATH}
_NAMES[f"{{{_COMPATIBILITY}}}Fallback"] = "Fallback"


def lines_of(part: IO[bytes], *, is_long: bool) -> tuple[list[str], int]:
    """Return one line for each paragraph and table row, cells separated by tabs, and how many characters are hidden.

    A part that `is_long` is forgotten as it is read, which takes a while. Raises CorruptError if the part is not
    WordprocessingML, and lxml's XMLSyntaxError.
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
            if is_long and name in _BLOCKS:
                _forget(element)
    if story is None:
        raise CorruptError("The file is an Office file, but not a Word document.")
    return story.lines, story.hidden_chars


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
        self._hidden_run: etree._Element | None = None
        self.hidden_chars = 0

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
            self._add(element.text or "", element)
        elif name in _BLOCKS:
            self._end_block(name)
        elif name == "vanish":
            self._hidden_run = _run_of(element)
        elif name == "sym":
            self._add(_symbol(element), element)
        else:
            self._add(_CHARACTERS.get(name, ""), element)

    def _add(self, text: str, element: etree._Element) -> None:
        if self._hidden_run is not None and element.getparent() is self._hidden_run:
            self.hidden_chars += len(text)
        else:
            self._paragraphs[-1].text.append(text)

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


def _run_of(vanish: etree._Element) -> etree._Element | None:
    """Return the run that is hidden by its own properties; None if these say that it is not."""
    properties = vanish.getparent()
    value = vanish.get(f"{{{etree.QName(vanish).namespace}}}val", "true")
    return None if properties is None or value in _OFF else properties.getparent()


def _symbol(element: etree._Element) -> str:
    """Return the character. One of a symbol font means nothing without the font, but for the boxes that forms have."""
    word = etree.QName(element).namespace
    try:
        code = int(element.get(f"{{{word}}}char", "0"), 16)
    except ValueError:
        return ""
    boxes = _BOXES.get(element.get(f"{{{word}}}font", ""), {})
    if code & 0xFF in boxes:
        return boxes[code & 0xFF]
    return chr(code) if 0 < code < 0xE000 or 0xF8FF < code <= 0xFFFF else ""
