"""Files as people make them are read, and what is wrong with them is said line by line."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from services.errors import InvalidInput
from services.training.dataset import Example, Span
from services.training.reading import Reading, read, rows, usable
from services.training.validation import SENTENCES, Problem

LABELS = ("negative", "neutral", "positive")
LINES = [f"Firm {i} {'soars' if i % 2 else 'sinks'},{LABELS[2 * (i % 2)]}" for i in range(24)]
GOOD = "text,label\n" + "\n".join(LINES) + "\n"


def found(text: str | bytes, shape: str = "labelled", name: str = "a.csv", labels=LABELS, **more) -> Reading:  # type: ignore[no-untyped-def]
    return read(text.encode() if isinstance(text, str) else text, name, shape, labels, **more)  # type: ignore[arg-type]


def resident_mb() -> float:
    """What this process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def told(reading: Reading) -> dict[int, str]:
    return {problem.line: problem.text() for problem in reading.problems}


def noted(reading: Reading) -> set[str]:
    return {note.code for note in reading.notes}


def test_a_good_file_is_read_whole() -> None:
    reading = found(GOOD)
    assert usable(reading, "a.csv") == reading.examples
    assert reading.examples[1] == Example("Firm 1 soars", label="positive")
    assert (reading.wrong, reading.notes, reading.counts) == (0, (), {"negative": 12, "positive": 12})
    assert (reading.columns, reading.ignored) == (("text", "label"), ())


@pytest.mark.parametrize("sign", [";", "\t"])
def test_semicolons_and_tabs_are_told_from_commas(sign: str) -> None:
    text = f"id{sign}label{sign}text\n" + "".join(
        f"{i}{sign}{LABELS[i % 3]}{sign}a, b and {i}\n" for i in range(30)
    )
    reading = found(text)
    assert (reading.wrong, len(reading.examples)) == (0, 30)
    assert reading.examples[0] == Example("a, b and 0", label="negative", id="0")


@pytest.mark.parametrize(
    ("encoding", "words", "kept", "says"),
    [
        ("utf-8", "Café schließt", "utf-8-sig", False),
        ("utf-8-sig", "Café schließt", "utf-8-sig", False),
        ("utf-16", "Café 宏达", "utf-16", False),
        ("utf-16-le", "Cafe closes", "utf-16-le", False),
        ("utf-16-be", "Cafe closes", "utf-16-be", False),
        ("gb18030", "宏达股份今天上涨", "gb18030", True),
        ("gb18030", "宏达股份，涨停！《证券报》", "gb18030", True),
        ("cp1252", "Café “schließt” naïve", "cp1252", True),
        ("latin-1", "Señor Fabrikaträger \x81", "latin-1", True),
    ],
)
def test_files_in_the_usual_encodings_are_read_and_a_guess_is_said(
    encoding: str, words: str, kept: str, says: bool
) -> None:
    text = "text,label\n" + "".join(f"{words} {i},{LABELS[i % 2]}\n" for i in range(30))
    reading = found(text.encode(encoding))
    assert reading.wrong == 0
    assert reading.encoding == kept
    assert reading.examples[3].text == f"{words} 3"
    assert noted(reading) == ({"fallback_encoding"} if says else set())


def test_lines_in_another_encoding_than_the_file_are_named() -> None:
    data = GOOD.encode() + "Zürich steigt,positive\n".encode() + "Zürich fällt,negative\n".encode("cp1252")
    reading = found(data + b"last,neutral\n")
    assert told(reading) == {27: "this line is in another encoding than the file, which is UTF-8"}
    assert len(reading.examples) == 26


def test_a_missing_column_is_named_with_what_was_likely_meant() -> None:
    assert told(found("text,lable\nup,positive\n")) == {
        0: "the column “label” is missing; did you mean it by “lable”?"
    }
    assert told(found("text,mood\nup,positive\n")) == {
        0: "the column “label” is missing; the file has text, mood"
    }
    assert "“label” is missing" in told(found('{"text": "up"}\n', name="a.jsonl"))[0]


def test_every_wrong_line_is_named_with_its_own_line_number() -> None:
    reading = found(
        'id,text,label\n1,fine,neutral\n2,,neutral\n3,"two\nlines",sideways\n4,a, b,positive\n5,last,\n'
        f"1,again,neutral\n6,{'x' * 20_001},neutral\n7,NaN,neutral\n8,fine,nan\n\n" + "9,good,positive\n"
    )
    assert told(reading) == {
        3: "“text” is empty",
        4: "the label is “sideways”, not one of negative, neutral, positive",
        6: "more values than columns; put quotes around texts that hold “,”",
        7: "the label is empty",
        8: "the id “1” was already on line 2",
        9: "“text” has 20001 characters; at most 20000 can be used",
        10: "“text” is NaN, which a table program writes where nothing is known",
        11: "“label” is NaN, which a table program writes where nothing is known",
        0: "2 examples are too few to learn from: at least 10 are needed",
    }
    assert reading.wrong == 9
    with pytest.raises(InvalidInput, match="9 problems; the first is 2 examples are too few") as caught:
        usable(reading, "a.csv")
    assert caught.value.extra["problems"] == 9
    assert len(caught.value.extra["lines"]) == 9


def test_a_quote_left_open_does_not_hide_the_rest_of_a_large_file() -> None:
    text = 'text,label\n"open,positive\n' + "fills the page,neutral\nand more,negative\n" * 6000
    reading = found(text)
    assert reading.problems[0] == Problem(2, "broken_csv")
    assert len(reading.examples) > 2000


def test_one_class_three_rows_and_an_empty_file_are_problems_of_the_whole() -> None:
    assert told(found("text,label\n" + "up,positive\n" * 30)) == {
        0: "all examples have the label “positive”: there is nothing to tell apart"
    }
    assert told(found("text,label\na,positive\nb,negative\nc,neutral\n")) == {
        0: "3 examples are too few to learn from: at least 10 are needed"
    }
    for empty in ("", "text,label\n", "\n\n"):
        assert told(found(empty)) == {0: "the file holds no examples"}
    assert told(found("", name="a.jsonl")) == {0: "the file holds no examples"}


def test_files_that_are_no_text_are_refused_by_kind() -> None:
    assert "spreadsheet" in told(found(b"PK\x03\x04" + bytes(100)))[0]
    assert "one JSON list" in told(found('[{"text": "up"}]', name="a.json"))[0]


def test_a_file_over_the_limit_is_refused_and_not_read_on() -> None:
    reading = found(GOOD, limit=5)
    assert len(reading.examples) == 5
    assert told(reading) == {0: "the file has more than 5 rows: split it, or raise the limit"}


def test_what_need_not_be_mended_is_noted() -> None:
    lines = [
        f"Acme {i} rises,{entity},{i % 2},x\n" for i, entity in enumerate(["Acme"] * 28 + ["Borealis"] * 2)
    ]
    twice = "Acme 3 rises,Acme,0,x\n"
    reading = found("text,entity,label,mood\n" + "".join(lines) + twice, labels=None)
    assert reading.wrong == 0
    assert reading.ignored == ("mood",)
    texts = [note.text() for note in reading.notes]
    assert texts == [
        "these columns are not used: mood",
        "the labels are numbers; they are taken as names",
        "in 2 rows the text does not hold the entity as it is written; the first is row 29",
        "1 texts are there with different labels; the first is row 31",
    ]
    rare = found(GOOD + "flat,neutral\n")
    assert [note.text() for note in rare.notes] == [
        "the label “neutral” has only 1 examples; 10 or more show whether it is learned"
    ]


def test_numbers_as_labels_are_names_in_json_as_well() -> None:
    text = "".join(json.dumps({"text": f"t {i}", "label": [1, 2.0][i % 2]}) + "\n" for i in range(24))
    reading = found(text, name="a.jsonl", labels=("1", "2"))
    assert (reading.wrong, reading.counts) == (0, {"1": 12, "2": 12})
    assert "numeric_labels" in noted(reading)
    broken = found(
        text + '{"text": "x", "label": NaN}\n{"text": 5, "label": 1}\n{"text": "x"}\nnot json\n',
        name="a.jsonl",
        labels=("1", "2"),
    )
    assert [(p.line, p.code) for p in broken.problems] == [
        (25, "not_a_number"),
        (26, "not_a_text"),
        (27, "label_empty"),
        (28, "broken_json"),
    ]


CASES = {
    "multi": (
        [{"text": "wheat and oil", "labels": ["wheat", "oil", "wheat"]}, {"text": "none", "labels": []}],
        [Example("wheat and oil", labels=("wheat", "oil")), Example("none")],
        [({"text": "a", "labels": 5}, "labels_format"), ({"text": "a", "labels": ["iron"]}, "unknown_label")],
        ("wheat", "oil"),
    ),
    "spans": (
        [{"text": " Acme in Rome", "spans": [[9, 13, "PLACE"], {"start": 1, "end": 5, "label": "ORG"}]}],
        [Example(" Acme in Rome", spans=(Span(1, 5, "ORG"), Span(9, 13, "PLACE")))],
        [
            ({"text": "Acme", "spans": [[0, 5, "ORG"]]}, "span_outside"),
            ({"text": "Acme", "spans": [[2, 2, "ORG"]]}, "span_outside"),
            ({"text": "Acme Corp", "spans": [[0, 6, "ORG"], [5, 9, "ORG"]]}, "span_overlap"),
            ({"text": "Acme", "spans": [[0, "4", "ORG"]]}, "spans_format"),
            ({"text": "Acme", "spans": "{"}, "spans_format"),
        ],
        ("ORG", "PLACE"),
    ),
    "pairs": (
        [{"question": "how?", "answer": "so", "negative": "no"}, {"text": "why?", "second": "because"}],
        [Example("how?", second="so", negative="no"), Example("why?", second="because")],
        [({"question": "how?", "answer": ""}, "text_empty")],
        None,
    ),
    "rewrites": (
        [{"text": "long", "summary": "short", "time": "2026-03-31", "group": 7}],
        [Example("long", second="short", time="2026-03-31", group="7")],
        [({"text": "long", "second": "s", "time": "yesterday"}, "time_format")],
        None,
    ),
    "dialogues": (
        [{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}],
        [Example("hello", messages=(("user", "hi"), ("assistant", "hello")))],
        [
            ({"messages": [{"role": "user", "content": "hi"}]}, "last_not_assistant"),
            ({"messages": [{"role": "boss", "content": "hi"}]}, "unknown_role"),
            ({"messages": [{"role": "assistant", "content": " "}]}, "text_empty"),
            ({"messages": "hello"}, "messages_format"),
            ({"messages": [{"content": "hi"}]}, "messages_format"),
        ],
        None,
    ),
    "texts": ([{"text": " only text "}], [Example("only text")], [({"text": None}, "text_empty")], None),
}


@pytest.mark.parametrize("shape", CASES)
def test_every_shape_is_read_and_checked(shape: str) -> None:
    good, examples, bad, labels = CASES[shape]
    lines = [json.dumps(row) for row in [*good, *(row for row, _ in bad)]]
    reading = found("\n".join(lines), shape, "a.jsonl", labels)
    assert list(reading.examples) == examples
    assert [(p.line, p.code) for p in reading.problems if p.line] == [
        (len(good) + at, code) for at, (_, code) in enumerate(bad, 1)
    ]
    assert all("{" not in problem.text() for problem in reading.problems)


def test_lists_in_csv_columns_are_read_from_json_or_from_bars() -> None:
    text = 'text,labels\nboth,wheat|oil\nbarley,"[""wheat""]"\nnone,\n'
    assert [e.labels for e in found(text, "multi", labels=("wheat", "oil")).examples] == [
        ("wheat", "oil"),
        ("wheat",),
        (),
    ]
    spans = 'text;spans\nAcme rises;"[[0, 4, ""ORG""]]"\n'
    assert found(spans, "spans", labels=None).examples[0].spans == (Span(0, 4, "ORG"),)


def test_a_file_that_is_not_there_is_said_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"^a\.csv cannot be read \(No such file"):
        read(tmp_path / "a.csv", "a.csv", "labelled", LABELS)


def test_two_hundred_thousand_rows_pass_in_little_memory() -> None:
    stream = io.BytesIO(b"text,label\n" + b"".join(f"{line}\n".encode() for line in LINES) * 8334)
    before, most, count = resident_mb(), 0.0, 0
    for row in rows(stream, "a.csv", "labelled", LABELS):
        count += isinstance(row, Example)
        if count % 20_000 == 0:
            most = max(most, resident_mb())
    assert count == 200_016
    assert most - before < 15
    assert not stream.closed


def test_every_sentence_can_be_filled_in() -> None:
    for code, sentence in SENTENCES.items():
        names = {part.split("}")[0] for part in sentence.split("{")[1:]}
        assert "{" not in Problem(1, code, dict.fromkeys(names, "x")).text()
