"""Word documents, workbooks, tables and plain text become sections that can be quoted."""

from __future__ import annotations

import io
from datetime import date, datetime
from typing import Any

import openpyxl
import pytest
from docx.enum.style import WD_STYLE_TYPE

from chatbot.converting import DOCX, XLSX
from chatbot.formats import archive, word, workbook
from chatbot.formats.parts import Part
from chatbot.formats.refusal import Refusal
from chatbot.formats.tables import has_head
from chatbot.parsing import Section, document_title, read_sections
from services.errors import InvalidInput, TooLarge
from tests.chatbot import made_files as made

MOMENT = datetime(2026, 3, 4, 9, 5)  # noqa: DTZ001 - a workbook's times have no zone


def parts(data: bytes) -> list[Part]:
    stream = io.BytesIO(data)
    assert archive.check(stream) == archive.DOCX
    return word.read(stream)


def rows(data: bytes) -> list[list[str]]:
    stream = io.BytesIO(data)
    assert archive.check(stream) == archive.XLSX
    return [row for sheet in workbook.read(stream) for _number, row in sheet.rows]


def points_at_its_words(sections: list[Section]) -> bool:
    return all("\n".join(s.text[b.start : b.end] for b in s.blocks) == s.text for s in sections)


def test_a_word_document_keeps_headings_lists_and_table_rows() -> None:
    sections = read_sections(made.returns_docx(), DOCX, "file")
    assert [section.title_path for section in sections] == [
        ("Returns",),
        ("Returns", "Refunds"),
        ("Returns", "Refunds", "Can I return sale items?"),
    ]
    assert sections[0].text == "You may return goods within 30 days."
    assert [block.kind for block in sections[1].blocks] == ["item", "item", "row", "row"]
    assert "Country: Norway; Time: 3-5 days" in sections[1].text
    assert points_at_its_words(sections)
    assert document_title(sections, DOCX) == "Returns"


def test_headings_are_known_by_descent_and_stand_under_the_title() -> None:
    def make(document: Any) -> None:
        own = document.styles.add_style("Kapitel", WD_STYLE_TYPE.PARAGRAPH)
        own.base_style = document.styles["Heading 1"]
        document.add_paragraph("Handbook", style="Title")
        document.add_paragraph("Delivery", style="Kapitel")
        document.add_paragraph("Three days.")

    assert [(part.level, part.words) for part in parts(made.word(make))] == [
        (1, "Handbook"),
        (2, "Delivery"),
        (0, "Three days."),
    ]


def test_tracked_changes_are_read_as_accepted() -> None:
    def make(document: Any) -> None:
        paragraph = document.add_paragraph("Returns take ")
        made.changed(paragraph, "14", "del")
        made.changed(paragraph, "30", "ins")
        paragraph.add_run(" days")
        made.changed(paragraph, " (moved away)", "moveFrom")
        made.changed(paragraph, " from arrival.", "moveTo")

    assert [part.words for part in parts(made.word(make))] == ["Returns take 30 days from arrival."]


def test_hidden_text_contents_heads_and_feet_are_not_read() -> None:
    def make(document: Any) -> None:
        document.sections[0].header.paragraphs[0].text = "Running head"
        document.styles.add_style("toc 1", WD_STYLE_TYPE.PARAGRAPH)
        document.add_paragraph("Returns ........ 3", style="toc 1")
        document.add_heading("Returns", 1)
        paragraph = document.add_paragraph("For everyone.")
        paragraph.add_run(" Internal: refuse Mr Smith.").font.hidden = True

    assert [part.words for part in parts(made.word(make))] == ["Returns", "For everyone."]


def test_merged_cells_of_a_word_table_count_in_each_row() -> None:
    def make(document: Any) -> None:
        table = made.table(
            document,
            [("Country", "Service", "Days"), ("Norway", "standard", "5"), ("", "express", "1")],
        )
        table.cell(1, 0).merge(table.cell(2, 0))

    assert [part.words for part in parts(made.word(make))] == [
        "Country: Norway; Service: standard; Days: 5",
        "Country: Norway; Service: express; Days: 1",
    ]


def test_a_workbook_is_read_as_its_program_shows_it() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Price", "Share", "From", "At", "Large", "Plain", "Wrong", "Open"])
    sheet.append([6.9, 0.155, date(2026, 3, 4), MOMENT, 1234.5, 0.1 + 0.2, "#N/A", True])
    for cell, form in zip("ABE", ['0.00 "EUR"', "0.0%", "[$€-407]#,##0.00"], strict=True):
        sheet[f"{cell}2"].number_format = form
    assert rows(made.saved(book))[1] == [
        "6.90 EUR", "15.5%", "2026-03-04", "2026-03-04 09:05", "€1,234.50", "0.3", "", "TRUE",
    ]  # fmt: skip


def test_each_sheet_is_a_table_and_one_with_questions_an_faq() -> None:
    data = made.workbook(
        Delivery=[
            ["Delivery times 2026"],
            [],
            ["Country", "Time"],
            ["Norway", "3-5 days"],
            ["Spain", "4 days"],
        ],
        FAQ=[
            ["Question", "Answer", "Variants"],
            ["How long?", "Five days.\nTo Norway six.", "when|how soon"],
        ],
        Fragen=[["问题", "答案"], ["多久到货？", "三天。"]],
    )
    sections = read_sections(data, XLSX, "Shop")
    assert [(s.title_path, s.is_faq) for s in sections] == [
        (("Shop", "Delivery", "Delivery times 2026"), False),
        (("How long?",), True),
        (("多久到货？",), True),
    ]
    assert sections[0].text == "Country: Norway; Time: 3-5 days\nCountry: Spain; Time: 4 days"
    assert sections[1].text == "Five days.\nTo Norway six."
    assert sections[1].variants == ("when", "how soon")
    assert sections[2].language == "zh-hans"
    assert points_at_its_words(sections)


def test_an_faq_row_without_an_answer_is_named_with_its_sheet() -> None:
    data = made.workbook(Help=[["question", "answer"], ["How?", "So."], ["Why?", None]])
    with pytest.raises(InvalidInput, match=r"Row 3 .*Help.* no answer") as caught:
        read_sections(data, XLSX, "f")
    assert caught.value.field == "answer"


def test_hidden_sheets_are_left_out_and_merged_cells_filled() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (["Country", "Service", "Days"], ["Norway", "standard", 5], [None, "express", 1]):
        sheet.append(row)
    sheet.merge_cells("A2:A3")
    hidden = book.create_sheet("Margins")
    hidden.append(["secret", "numbers"])
    hidden.sheet_state = "hidden"
    sections = read_sections(made.saved(book), XLSX, "Times")
    assert [section.title_path for section in sections] == [("Times",)]
    assert sections[0].text.endswith("Country: Norway; Service: express; Days: 1")


def test_two_tables_of_a_sheet_have_their_own_column_names() -> None:
    data = made.workbook(
        S=[
            ["A", "B"],
            ["one", "two"],
            [],
            ["still", "A and B"],
            [],
            ["Prices"],
            ["C", "D"],
            ["three", "four"],
        ]
    )
    sections = read_sections(data, XLSX, "t")
    assert [s.text for s in sections] == ["A: one; B: two\nA: still; B: A and B", "C: three; D: four"]


def test_a_sheet_that_is_too_long_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MAX_ROWS", 3)
    with pytest.raises(Refusal) as caught:
        rows(made.workbook(Long=[["a", "b"]] * 4))
    assert (caught.value.code, caught.value.facts["sheet"]) == ("rows", "Long")


def test_a_table_in_csv_is_quoted_by_its_column_names_whatever_parts_them() -> None:
    for parted in (b"Country,Time\nNorway,3-5 days\n", b"Country;Time\nNorway;3-5 days\n"):
        section = read_sections(parted, "text/csv", "Times")[0]
        assert (section.title_path, section.text) == (("Times",), "Country: Norway; Time: 3-5 days")
        assert not section.is_faq


def test_an_faq_in_csv_may_be_parted_by_semicolons_or_headed_in_chinese() -> None:
    data = "问题;答案;相似问法\n多久？;五天，包邮。;几天|多长时间\n".encode()
    entry = read_sections(data, "text/csv", "f")[0]
    assert (entry.title_path, entry.text, entry.variants) == (
        ("多久？",),
        "五天，包邮。",
        ("几天", "多长时间"),
    )
    assert entry.is_faq


@pytest.mark.parametrize(("head", "missing"), [(b"Question,Reply", "answer"), (b"q,a", "question")])
def test_a_table_that_means_to_be_an_faq_is_told_what_it_lacks(head: bytes, missing: str) -> None:
    with pytest.raises(InvalidInput, match=missing) as caught:
        read_sections(head + b"\nHow long?,Five days.\n", "text/csv", "f")
    assert caught.value.field == missing


def test_a_csv_table_of_too_many_rows_is_refused() -> None:
    with pytest.raises(TooLarge) as caught:
        read_sections(b"a,b\n" + b"1,2\n" * 20_001, "text/csv", "f")
    assert caught.value.field == "file"


def test_plain_text_has_headings_paragraphs_and_items() -> None:
    text = b"""Returns
=======

You can send goods back within
thirty days of their arrival here.

 - the label is free
 - keep the receipt, since we can-
   not help without it

Opening hours

Monday to Friday from nine to five, and never on Saturdays or on public holidays.
"""
    sections = read_sections(text, "text/plain", "f")
    assert [section.title_path for section in sections] == [("Returns",), ("Returns", "Opening hours")]
    assert sections[0].text.split("\n") == [
        "You can send goods back within thirty days of their arrival here.",
        "the label is free",
        "keep the receipt, since we cannot help without it",
    ]
    assert points_at_its_words(sections)


@pytest.mark.parametrize(
    ("grid", "bold", "expected"),
    [
        ([["Country", "Time"], ["Norway", "3 days"], ["Spain", "4 days"]], False, True),
        ([["Orders", "+47 22"], ["Returns", "+47 23"]], False, False),
        ([["Orders", "Anna"], ["Returns", "Ben"]], False, False),
        ([["What", "Who"], ["Returns", "Ben"]], True, True),
        ([["Country", "2025", "2026"], ["Norway", "5", "6"]], False, True),
        ([["Only", "one row"]], True, False),
        ([["Same", "Same"], ["1", "2"]], False, False),
    ],
)
def test_a_first_row_is_a_head_when_it_looks_like_one(
    grid: list[list[str]], bold: bool, expected: bool
) -> None:
    assert has_head(grid, is_bold=bold) is expected
