"""A PDF becomes text again: reading order, paragraphs, headings, tables, and no running heads."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from reportlab.lib import colors
from reportlab.platypus import Paragraph, Spacer

from chatbot.converting import PDF
from chatbot.formats import pdf
from chatbot.formats.parts import Part
from chatbot.formats.prose import join
from chatbot.formats.refusal import Refusal
from chatbot.parsing import document_title, read_sections
from tests.chatbot import made_files as made


def parts(data: bytes) -> list[Part]:
    return pdf.read(io.BytesIO(data))


def words(data: bytes, kind: str = "paragraph") -> list[str]:
    return [part.words for part in parts(data) if part.kind == kind]


def test_headings_by_their_size_become_title_paths_under_the_title() -> None:
    sections = read_sections(made.handbook(), PDF, "file name")
    paths = list(dict.fromkeys(section.title_path for section in sections))
    assert paths[:3] == [
        ("Customer handbook", "1. Parcels of kind 1"),
        ("Customer handbook", "1. Parcels of kind 1", "1.1 Delivery in case 1"),
        ("Customer handbook", "1. Parcels of kind 1", "1.2 Delivery in case 2"),
    ]
    assert len(paths) == 9
    assert document_title(sections, PDF) == "Customer handbook"


def test_running_heads_and_page_numbers_are_left_out() -> None:
    said = " ".join(part.words for part in parts(made.handbook()))
    assert "Alder" not in said
    assert "Page" not in said


def test_every_paragraph_is_whole_again_even_across_a_page_break() -> None:
    data = made.handbook()
    said = words(data)
    expected = {made.prose(10 * c + n) for c in (1, 2, 3) for n in (0, 2, 3, 4, 5)}
    assert set(said) == expected
    assert max(part.page for part in parts(data)) > 1


def test_blocks_know_their_page_and_point_at_their_words() -> None:
    pages = set()
    for section in read_sections(made.handbook(), PDF, "h"):
        assert "\n".join(section.text[b.start : b.end] for b in section.blocks) == section.text
        pages |= {block.as_json()["page"] for block in section.blocks}
    assert pages == set(range(1, max(pages) + 1))
    assert len(pages) > 2


def test_list_items_and_table_rows_are_told_from_paragraphs() -> None:
    data = made.handbook(1)
    assert words(data, "item") == [f"Point {n} of 1.{section}" for section in (1, 2) for n in (1, 2)]
    assert words(data, "row") == ["Country: Norway; Time: 3-5 days; Price: 1.90 EUR"]


def test_columns_are_read_one_after_the_other() -> None:
    data = made.two_columns()
    assert words(data, "heading") == [f"Topic {n}" for n in range(1, 9)]
    assert words(data) == [made.prose(n, 9) for n in range(1, 9)]


def test_chinese_lines_join_without_spaces_and_tell_their_language() -> None:
    sections = read_sections(made.chinese(), PDF, "f")
    assert [section.title_path for section in sections] == [("退货政策",), ("配送",)]
    assert " " not in sections[0].text
    assert sections[0].text.count("三十天内") == 2
    assert sections[0].language == "zh-hans"


def test_a_word_broken_at_the_end_of_a_line_is_one_word_again() -> None:
    page = [
        (60, 100, "Parcels are sent within three business days of your order, and every cus-"),
        (60, 114, "tomer is told the day before. Our well-known service costs 3-"),
        (60, 128, "5 EUR in all countries of the union, including pre- and post-paid parcels of self-"),
        (60, 142, "service stations and of everyone else who sends them out before the late afternoon."),
    ]
    said = " ".join(words(made.lines(page)))
    assert "every customer is" in said
    assert "3-5 EUR" in said
    assert "self-service stations" in said


@pytest.mark.parametrize(
    ("before", "after", "joined"),
    [
        ("every cus-", "tomer", "every customer"),
        ("Vor-", "und Nachteile", "Vor- und Nachteile"),
        ("up to 3-", "5 days", "up to 3-5 days"),
        ("the Nord-", "Süd line", "the Nord-Süd line"),
        ("in a co-", "op shop", "in a co-op shop"),
        ("七天", "无理由", "七天无理由"),
        ("七天", "refund", "七天 refund"),
    ],
)
def test_two_lines_join_as_a_reader_would_join_them(before: str, after: str, joined: str) -> None:
    assert join(before, after, {"co-op"}) == joined


def test_a_table_that_goes_on_over_the_page_keeps_its_column_names() -> None:
    rows = [["Country", "Time"], *[[f"Country {n}", f"{n} days"] for n in range(1, 80)]]
    for repeated in (0, 1):
        said = words(made.pdf([made.ruled(rows, repeatRows=repeated)]), "row")
        assert said == [f"Country: Country {n}; Time: {n} days" for n in range(1, 80)]


def test_a_table_of_names_that_goes_on_does_not_take_a_person_for_a_column() -> None:
    rows = [["Name", "Role", "Office"], *[[f"Person {chr(65 + n % 26)}", "Clerk", "Oslo"] for n in range(60)]]
    said = words(made.pdf([made.ruled(rows)]), "row")
    assert len(said) == 60
    assert all(row.startswith("Name: Person") and row.endswith("Office: Oslo") for row in said)


def test_a_cell_that_spans_rows_counts_in_each_of_them() -> None:
    rows = [["Country", "Service", "Time"], ["Norway", "standard", "5 days"], ["", "express", "1 day"]]
    said = words(made.pdf([made.ruled(rows, ("SPAN", (0, 1), (0, 2)))]), "row")
    assert said[1] == "Country: Norway; Service: express; Time: 1 day"


def test_a_shaded_first_row_names_the_columns() -> None:
    rows = [["What", "Who helps"], ["Returns", "Anna and her team"], ["Invoices", "The accounts department"]]
    shaded = made.ruled(rows, ("BACKGROUND", (0, 0), (-1, 0), colors.lightgrey))
    assert words(made.pdf([shaded]), "row")[0] == "What: Returns; Who helps: Anna and her team"
    plain = made.ruled(rows[1:])
    assert words(made.pdf([plain]), "row")[0] == "Returns: Anna and her team"


def test_words_in_columns_without_rules_are_a_table_too() -> None:
    rows = [("Country", "Time", "Price"), ("Norway", "3 days", "7 EUR"), ("Spain", "4 days", "9 EUR")]
    page = [(60 + 150 * c, 100 + 16 * r, cell) for r, row in enumerate(rows) for c, cell in enumerate(row)]
    assert words(made.lines(page), "row") == [
        "Country: Norway; Time: 3 days; Price: 7 EUR",
        "Country: Spain; Time: 4 days; Price: 9 EUR",
    ]


def test_a_bold_line_by_itself_heads_what_follows() -> None:
    story = [
        Paragraph("<b>Can I return sale items?</b>", made.BODY),
        Paragraph(made.prose(1), made.BODY),
        Spacer(1, 20),
        Paragraph("<b>Who pays?</b>", made.BODY),
        Paragraph(made.prose(2), made.BODY),
    ]
    assert words(made.pdf(story), "heading") == ["Can I return sale items?", "Who pays?"]


def test_pages_without_a_heading_are_sections_of_their_own() -> None:
    pages = [[(60, 200, f"The rules of page {n} are short and they end here.")] for n in ("one", "two")]
    sections = read_sections(made.lines(*pages), PDF, "House rules")
    assert [section.title_path for section in sections] == [
        ("House rules", "page 1"),
        ("House rules", "page 2"),
    ]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (made.scanned, "pictures"),
        (made.unmapped_pdf, "unmapped"),
        (lambda: made.lines([(60, 100, "secret")], encrypt="password"), "password"),
        (lambda: made.handbook(1)[:-600], "broken"),
        (lambda: made.handbook(1)[:2000], "broken"),
        (lambda: b"%PDF-1.7\nnothing\n%%EOF", "broken"),
    ],
)
def test_what_cannot_be_read_has_its_reason(make: Callable[[], bytes], code: str) -> None:
    with pytest.raises(Refusal) as caught:
        parts(make())
    assert caught.value.code == code


def test_too_many_pages_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MAX_PAGES", 2)
    with pytest.raises(Refusal) as caught:
        parts(made.lines(*[[(60, 100, "words")]] * 3))
    assert caught.value.facts == {"pages": 3, "limit": 2}
