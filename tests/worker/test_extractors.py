from __future__ import annotations

import io
import zipfile

import pytest

from shared.errors import BombError, CorruptError, EncryptedError, NoTextError
from tests.support import documents
from tests.support.documents import paragraph
from worker_service.extractors import Extraction, docx, pdf, readable, text

OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def docx_text(body_xml: str) -> str:
    return docx.extract(documents.docx(body_xml=body_xml)).text


def run(text_xml: str) -> str:
    return f"<w:r>{text_xml}</w:r>"


class TestReadable:
    def test_every_line_end_becomes_a_newline(self) -> None:
        assert readable("a\r\nb\rc\u2028d\x0ce\vf") == "a\nb\nc\nd\ne\nf"

    def test_control_characters_go_and_tabs_stay(self) -> None:
        assert readable("a\x00b\x1b\tc\ufeff\x7f\x9fd\ud800") == "ab\tcd"

    def test_at_most_one_blank_line_stands_between_two_lines(self) -> None:
        assert readable("\n\na  \n \n\n\t\nb\n") == "a\n\nb"


class TestPdf:
    def test_pages_are_joined_by_a_blank_line_and_counted(self) -> None:
        extraction = pdf.extract(documents.pdf(["First page\nsecond line", "Zweite Seite: Größe (5 €)"]))
        assert extraction.text == "First page\nsecond line\n\nZweite Seite: Größe (5 €)"
        assert extraction.page_chars == (22, 25)

    def test_page_without_text_counts_as_a_page(self) -> None:
        extraction = pdf.extract(documents.pdf(["One", "", "Three"]))
        assert extraction == Extraction(text="One\n\nThree", page_chars=(3, 0, 5))
        assert (extraction.pages, extraction.pages_with_text) == (3, 2)

    @pytest.mark.parametrize(
        ("lines", "joined"),
        [
            ("an inter-\nnational word", "an international word"),
            ("an X-\nRay", "an X-Ray"),
            ("a state-of-\nart test", "a state-of-art test"),
            ("at example.org/en-\nus/a", "at example.org/en-us/a"),
        ],
    )
    def test_word_broken_at_a_line_end_is_joined(self, lines: str, joined: str) -> None:
        assert pdf.extract(documents.pdf([lines])).text == joined

    @pytest.mark.parametrize(
        "text", ["an angle \U0001d700", "\U00020bb7\u91ce\u5bb6 \ud55c\uae00", "so far \U0001f600"]
    )
    def test_characters_beyond_the_first_65536_stay_whole(self, text: str) -> None:
        assert pdf.extract(documents.pdf_of_glyphs(text)).text == text

    def test_values_typed_into_a_form_are_text(self) -> None:
        assert "Alice Bob" in pdf.extract(documents.pdf_with_form_value("Name:", "Alice Bob")).text

    def test_document_that_needs_a_password_is_encrypted(self) -> None:
        with pytest.raises(EncryptedError):
            pdf.extract(documents.encrypted_pdf("secret", user_password="open sesame"))

    def test_encrypted_document_with_an_empty_password_opens(self) -> None:
        assert pdf.extract(documents.encrypted_pdf("not secret", user_password="")).text == "not secret"

    def test_pages_without_text_are_named_with_ocr_as_the_way_out(self) -> None:
        with pytest.raises(NoTextError, match=r"pages \(3\).*OCR"):
            pdf.extract(documents.pdf_without_text(3))

    def test_document_without_pages_is_corrupt_even_after_an_encrypted_one(self) -> None:
        with pytest.raises(EncryptedError):
            pdf.extract(documents.encrypted_pdf("secret", user_password="x"))
        with pytest.raises(CorruptError, match="no pages"):
            pdf.extract(documents.pdf([]))

    def test_page_tree_that_contains_itself_is_corrupt(self) -> None:
        with pytest.raises(CorruptError):
            pdf.extract(documents.pdf_with_page_tree_loop())

    @pytest.mark.parametrize("data", [b"", b"%PDF-1.7", documents.pdf(["Hello"])[:400], b"%PDF-1.7\n" + bytes(999)])
    def test_damaged_document_is_corrupt(self, data: bytes) -> None:
        with pytest.raises(CorruptError):
            pdf.extract(data)

    def test_pypdf_reads_what_pdfium_cannot_open(self) -> None:
        rootless = documents.pdf(["Still readable"]).replace(b"/Root 1 0 R", b"")
        assert pdf.extract(rootless) == Extraction(text="Still readable", page_chars=(14,))


class TestDocx:
    def test_paragraphs_and_tables_come_in_document_order(self) -> None:
        table = documents.table([["Item", "Price"], ["Paper\nA4", "3 €"], ["Ink", ""]])
        body = paragraph("Before") + table + paragraph("After")
        assert docx_text(body) == "Before\n\nItem\tPrice\nPaper A4\t3 €\nInk\n\nAfter"

    def test_cell_that_spans_the_whole_row_keeps_its_lines(self) -> None:
        assert docx_text(documents.table([["One\nTwo"]])) == "One\nTwo"

    def test_table_in_a_table_stays_in_its_cell(self) -> None:
        inner = documents.table([["b", "c"]])
        outer = f"<w:tbl><w:tr><w:tc>{paragraph('a')}</w:tc><w:tc>{inner}{paragraph('d')}</w:tc></w:tr></w:tbl>"
        assert docx_text(outer) == "a\tb c d"

    def test_headers_come_first_and_footers_and_notes_last(self) -> None:
        stories = {
            "endnotes": paragraph("Endnote"),
            "footnotes": paragraph("Footnote"),
            "footer1": paragraph("Footer"),
            "header1": paragraph("Header"),
        }
        text = docx.extract(documents.docx(["Body"], stories=stories)).text
        assert text == "Header\n\nBody\n\nFooter\n\nFootnote\n\nEndnote"

    def test_same_header_for_first_and_other_pages_appears_once(self) -> None:
        stories = {"header1": paragraph("Header"), "header2": paragraph("Header")}
        assert docx.extract(documents.docx(["Body"], stories=stories)).text == "Header\n\nBody"

    def test_text_box_appears_once_after_its_paragraph(self) -> None:
        box = f"<w:txbxContent>{paragraph('In the box')}</w:txbxContent>"
        drawing = (
            f'<mc:AlternateContent><mc:Choice Requires="wps"><w:drawing>{box}</w:drawing></mc:Choice>'
            f"<mc:Fallback><w:pict>{box}</w:pict></mc:Fallback></mc:AlternateContent>"
        )
        body = f"<w:p>{run('<w:t>Around </w:t>')}{run(drawing)}{run('<w:t>it</w:t>')}</w:p>"
        assert docx_text(body) == "Around it\nIn the box"

    def test_content_controls_hyperlinks_and_formulas_are_text(self) -> None:
        body = (
            f"<w:sdt><w:sdtContent>{paragraph('Control')}</w:sdtContent></w:sdt>"
            f"<w:p><w:hyperlink>{run('<w:t>Link</w:t>')}</w:hyperlink></w:p>"
            "<w:p><m:oMath><m:r><m:t>E=mc²</m:t></m:r></m:oMath></w:p>"
        )
        assert docx_text(body) == "Control\nLink\nE=mc²"

    def test_deleted_and_moved_away_text_is_left_out(self) -> None:
        body = (
            f"<w:p>{run('<w:t>Kept</w:t>')}<w:del>{run('<w:delText>deleted</w:delText>')}</w:del>"
            f"<w:ins>{run('<w:t> and added</w:t>')}</w:ins><w:moveFrom>{run('<w:t>moved</w:t>')}</w:moveFrom></w:p>"
        )
        assert docx_text(body) == "Kept and added"

    def test_breaks_tabs_and_symbols_become_characters(self) -> None:
        characters = '<w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:noBreakHyphen/><w:sym w:char="2612"/>'
        assert docx_text(f"<w:p>{run(characters)}</w:p>") == "a\tb\nc-☒"

    def test_tab_stops_are_not_tabs(self) -> None:
        stops = '<w:pPr><w:tabs><w:tab w:val="left" w:pos="720"/></w:tabs></w:pPr>'
        assert docx_text(f"<w:p>{stops}{run('<w:t>No tab</w:t>')}</w:p>") == "No tab"

    def test_reading_aids_above_a_word_are_left_out(self) -> None:
        aid, word = run("<w:t>とうきょう</w:t>"), run("<w:t>東京</w:t>")
        ruby = f"<w:ruby><w:rt>{aid}</w:rt><w:rubyBase>{word}</w:rubyBase></w:ruby>"
        assert docx_text(f"<w:p>{run(ruby)}</w:p>") == "東京"

    def test_main_part_may_have_any_name(self) -> None:
        assert docx.extract(documents.docx(["Here"], main_part="word/document2.xml")).text == "Here"

    def test_document_without_text_is_named(self) -> None:
        with pytest.raises(NoTextError):
            docx.extract(documents.docx(["", " \t"]))

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"not a zip",
            documents.docx(["Hello"])[:500],
            documents.zip_of({"readme.txt": b"hello"}),
            documents.docx(body_xml="<w:p>"),
            documents.docx(body_xml="<w:tbl>" * 300 + "</w:tbl>" * 300),
        ],
    )
    def test_damaged_or_foreign_archive_is_corrupt(self, data: bytes) -> None:
        with pytest.raises(CorruptError):
            docx.extract(data)

    def test_spreadsheet_is_told_from_a_document(self) -> None:
        with zipfile.ZipFile(io.BytesIO(documents.docx(["Hello"]))) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        parts["word/document.xml"] = b'<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"/>'
        with pytest.raises(CorruptError, match="not a Word document"):
            docx.extract(documents.zip_of(parts))

    def test_damaged_part_is_corrupt(self) -> None:
        data = bytearray(documents.docx(["Hello"]))
        start = data.index(b"word/document.xml") + len("word/document.xml")
        data[start + 10 : start + 20] = bytes(10)
        with pytest.raises(CorruptError):
            docx.extract(bytes(data))

    def test_document_that_office_has_encrypted_is_encrypted(self) -> None:
        with pytest.raises(EncryptedError):
            docx.extract(OLE_MAGIC + bytes(512) + "EncryptedPackage".encode("utf-16-le"))

    def test_old_word_file_is_told_apart_from_an_encrypted_one(self) -> None:
        with pytest.raises(CorruptError, match=r"\.doc\?"):
            docx.extract(OLE_MAGIC + bytes(512) + "WordDocument".encode("utf-16-le"))

    def test_password_protected_zip_is_encrypted(self) -> None:
        data = documents.docx(["Hello"])
        entry = data.rindex(b"PK\x01\x02")
        with pytest.raises(EncryptedError):
            docx.extract(data[: entry + 8] + b"\x01" + data[entry + 9 :])

    @pytest.mark.parametrize(
        "data",
        [
            documents.zip_bomb_docx(),
            documents.zip_of({f"part{number}": b"" for number in range(2_001)}),
        ],
    )
    def test_zip_bomb_is_refused_before_unpacking(self, data: bytes) -> None:
        with pytest.raises(BombError):
            docx.extract(data)

    def test_size_that_the_zip_lies_about_bounds_what_is_read(self) -> None:
        data = documents.zip_bomb_docx()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            declared = archive.getinfo("word/document.xml").file_size.to_bytes(4, "little")
        with pytest.raises(CorruptError):
            docx.extract(data.replace(declared, (1_000).to_bytes(4, "little")))

    def test_document_type_declaration_is_refused(self) -> None:
        with zipfile.ZipFile(io.BytesIO(documents.docx(["&leak;"]))) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        body = parts["word/document.xml"].replace(b"&amp;leak;", b"&leak;")
        entity = b'<!DOCTYPE d [<!ENTITY leak SYSTEM "file:///etc/hostname">]><w:document'
        parts["word/document.xml"] = body.replace(b"<w:document", entity, 1)
        with pytest.raises(CorruptError, match="document type declaration"):
            docx.extract(documents.zip_of(parts))


class TestText:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
    def test_western_text_is_read_in_any_encoding(self, encoding: str) -> None:
        original = "Die Größe beträgt 3 Meter. Où êtes-vous né? Ça va très bien."
        assert text.extract(original.encode(encoding)).text == original

    @pytest.mark.parametrize(
        ("encoding", "original"),
        [
            ("cp1251", "Привет, это обычный русский текст в старой кодировке."),
            ("cp932", "これは日本語のテキストです。請求書を金曜日までに支払ってください。"),
            ("cp949", "이것은 한국어 텍스트입니다. 금요일까지 청구서를 지불하십시오."),
            ("gb18030", "这是一个中文文本。请在星期五之前付款。谢谢您的合作。"),
        ],
    )
    def test_legacy_encoding_is_recognised(self, encoding: str, original: str) -> None:
        assert text.extract(original.encode(encoding)).text == original

    def test_few_broken_bytes_do_not_spoil_utf8(self) -> None:
        data = "日本語 ".encode() * 50 + b"\xff end"
        assert text.extract(data).text.startswith("日本語 日本語")

    def test_text_has_no_pages(self) -> None:
        assert text.extract(b"Hello").pages is None

    @pytest.mark.parametrize("data", [b"", b" \r\n\t ", "\ufeff \n".encode()])
    def test_white_space_alone_is_no_text(self, data: bytes) -> None:
        with pytest.raises(NoTextError):
            text.extract(data)

    @pytest.mark.parametrize("data", [bytes(range(256)) * 10, bytes(100), b"\xff\xfe" + b"\x00\xd8" * 20])
    def test_binary_data_is_corrupt(self, data: bytes) -> None:
        with pytest.raises(CorruptError, match="binary"):
            text.extract(data)
