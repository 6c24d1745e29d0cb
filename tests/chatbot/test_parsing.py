"""Files become sections of plain text whose blocks point back into it."""

from __future__ import annotations

import pytest

from chatbot.parsing import media_type_of, read_sections
from services.errors import InvalidInput, UnsupportedMediaType
from tests.builders import RETURNS_MD, SAMPLE


def test_markdown_headings_become_title_paths() -> None:
    sections = read_sections(RETURNS_MD, "text/markdown", "returns")
    assert [s.title_path for s in sections] == [("Returns", "Refunds"), ("Returns", "Size exchange")]


def test_a_table_row_becomes_a_sentence_with_its_column_names() -> None:
    size = read_sections(RETURNS_MD, "text/markdown", "returns")[1]
    assert "Country: Norway; Label: 6.90 EUR" in size.text.split("\n")


def test_every_block_of_the_sample_points_at_its_own_words() -> None:
    for path in sorted((SAMPLE / "knowledge").iterdir()):
        if path.name == "questions.jsonl":
            continue
        for section in read_sections(path.read_bytes(), media_type_of(path.name), path.stem):
            words = [section.text[block.start : block.end] for block in section.blocks]
            assert "\n".join(words) == section.text, path.name
            assert all(words), path.name


def test_page_furniture_and_scripts_are_left_out_of_html() -> None:
    html = (SAMPLE / "knowledge" / "gift-card-terms.html").read_bytes()
    text = " ".join(s.text for s in read_sections(html, "text/html", "gift cards"))
    assert "3 years" in text
    assert "cookie" not in text.lower()
    assert "function" not in text


def test_an_inner_list_keeps_the_words_of_its_outer_item_once() -> None:
    data = b"# A\n\n- outer words\n  - inner words\n"
    section = read_sections(data, "text/markdown", "a")[0]
    assert section.text.split("\n") == ["outer words", "inner words"]


def test_a_long_section_is_cut_between_paragraphs() -> None:
    data = ("# Long\n\n" + "\n\n".join(f"Paragraph {i} " + "word " * 60 for i in range(12))).encode()
    sections = read_sections(data, "text/markdown", "long")
    assert len(sections) > 1
    assert all(s.text.startswith("Paragraph") for s in sections)
    assert sum(s.text.count("Paragraph") for s in sections) == 12


def test_faq_variants_are_read_from_csv_and_jsonl_alike() -> None:
    table = b"question,answer,variants\nHow long?,Five days.,how long | when\n"
    lines = '{"question": "多久？", "answer": "五天。", "variants": ["几天"]}'.encode()
    assert read_sections(table, "text/csv", "f")[0].variants == ("how long", "when")
    chinese = read_sections(lines, "application/jsonl", "f")[0]
    assert chinese.variants == ("几天",)
    assert chinese.language == "zh-hans"


@pytest.mark.parametrize(
    ("data", "media_type", "field"),
    [
        (b"", "text/markdown", "file"),
        (b"  \n", "text/html", "file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "text/markdown", "file"),
        (b"q,a\n1,2\n", "text/csv", "question"),
        (b"question,answer\nHow?,\n", "text/csv", "answer"),
        (b'{"question": "How?"}', "application/jsonl", "answer"),
        (b"not json", "application/jsonl", "file"),
        (b"[1]", "application/jsonl", "file"),
        (b"<html><script>x()</script></html>", "text/html", "file"),
    ],
)
def test_an_unreadable_file_is_refused_naming_the_field(data: bytes, media_type: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_sections(data, media_type, "title")
    assert caught.value.field == field


def test_a_bad_line_is_named_by_its_number() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_sections(b'{"question": "a", "answer": "b"}\n{oops', "application/jsonl", "f")
    assert "2" in caught.value.detail


def test_text_in_an_old_chinese_encoding_is_still_read() -> None:
    section = read_sections("# 退货\n\n七天无理由退货。".encode("gb18030"), "text/markdown", "r")[0]
    assert "七天" in section.text


def test_control_characters_do_not_reach_a_passage() -> None:
    section = read_sections(b"# A\n\nwo\x07rds\x1b here", "text/markdown", "a")[0]
    assert section.text == "words here"


def test_an_unknown_ending_names_those_that_are_read() -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        media_type_of("malware.exe")
    assert ".md" in caught.value.detail
