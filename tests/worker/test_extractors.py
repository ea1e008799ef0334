from __future__ import annotations

import pytest

from shared.errors import CorruptError, EncryptedError, NoTextError
from tests.support import documents
from worker_service.extractors import Extraction, pdf, readable, text


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


class TestText:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
    def test_western_text_is_read_in_any_encoding(self, encoding: str) -> None:
        original = "Die Größe beträgt 3 Meter. Où êtes-vous né? Ça va très bien."
        assert text.extract(original.encode(encoding)).text == original

    @pytest.mark.parametrize(
        ("encoding", "original"),
        [
            ("cp1250", "Zażółć gęślą jaźń, proszę bardzo"),
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
        extraction = text.extract(data)
        assert extraction.text.startswith("日本語 日本語")
        assert (extraction.encoding, extraction.encoding_confidence) == ("utf-8", 0.99)

    @pytest.mark.parametrize("original", ["The caf\ufffd takes 3 €.", "Straßen, Öl, \ufffd", "\ufffd\ufffd abc\n" * 30])
    def test_characters_that_others_lost_do_not_spoil_utf8(self, original: str) -> None:
        extraction = text.extract(original.encode())
        assert extraction.text == original.strip()
        assert (extraction.encoding, extraction.encoding_confidence) == ("utf-8", 1.0)

    @pytest.mark.parametrize("original", ["Line of a mail.\n" * 40 + "ok 🎉", "Öl und Café", "Line of a mail, Café"])
    def test_utf8_that_was_cut_in_a_character_is_read_without_it(self, original: str) -> None:
        extraction = text.extract(original.encode()[:-1])
        assert (extraction.text, extraction.encoding) == (original[:-1].strip(), "utf-8")

    @pytest.mark.parametrize(
        ("data", "encoding", "confidence"),
        [
            (b"Hello", "utf-8", 1.0),
            ("\ufeffHello".encode("utf-32"), "utf-32", 1.0),
            ("Hello".encode("utf-16-be"), "utf-16-be", 0.9),
            ("Die Größe beträgt 3 Meter. Où êtes-vous né?".encode("cp1252"), "cp1252", 0.5),
        ],
    )
    def test_encoding_comes_with_a_confidence(self, data: bytes, encoding: str, confidence: float) -> None:
        extraction = text.extract(data)
        assert (extraction.encoding, extraction.encoding_confidence) == (encoding, confidence)

    @pytest.mark.parametrize("original", ["x² ± 5 µm", "Größe, Länge, Öl", "café", "Müller & Söhne GmbH"])
    def test_too_little_to_tell_by_counts_as_western_and_unsure(self, original: str) -> None:
        extraction = text.extract(original.encode("cp1252"))
        assert (extraction.text, extraction.encoding, extraction.encoding_confidence) == (original, "cp1252", 0.5)

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
