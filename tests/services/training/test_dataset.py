"""Labelled files are read whole or refused with every wrong line named."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.errors import InvalidInput
from services.training.dataset import Example, fingerprint, read_csv

LABELS = ("negative", "neutral", "positive")


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "train.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_texts_entities_and_labels_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path, 'text,entity,label\n"Acme, again",Acme,positive\n 宏达上涨 ,,neutral\n', "utf-8-sig"
    )
    assert read_csv(path, LABELS) == (
        Example("Acme, again", "Acme", "positive"),
        Example("宏达上涨", None, "neutral"),
    )


def test_the_entity_column_may_be_left_out(tmp_path: Path) -> None:
    assert read_csv(write(tmp_path, "label,text\npositive,Up\n"), LABELS) == (
        Example("Up", None, "positive"),
    )


def test_every_wrong_line_is_named(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'text,entity,label\nfine,,neutral\n,,neutral\n"two\nlines",,1\nAcme, up,,positive\nlast,,\nshort\n',
    )
    with pytest.raises(InvalidInput) as caught:
        read_csv(path, LABELS)
    problems = {entry["line"]: entry["problem"] for entry in caught.value.extra["lines"]}
    assert list(problems) == [3, 5, 6, 7, 8]
    assert problems[3] == "the text is empty"
    assert "'1', not one of negative, neutral, positive" in problems[5]
    assert "quotes" in problems[6]
    assert problems[7] == problems[8] == "the label is empty"
    assert caught.value.extra["problems"] == 5


def test_at_most_twenty_lines_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_csv(write(tmp_path, "text,label\n" + "a,maybe\n" * 50), LABELS)
    assert (len(caught.value.extra["lines"]), caught.value.extra["problems"]) == (20, 50)


@pytest.mark.parametrize(
    ("text", "encoding", "said"),
    [
        ("text,entity\nUp,Acme\n", "utf-8", "lacks the column label"),
        ("", "utf-8", "lacks the column label"),
        ("text,label\n", "utf-8", "holds no examples"),
        ("text,label\nNaïve,neutral\n", "latin-1", "not UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_the_reason(
    tmp_path: Path, text: str, encoding: str, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_csv(write(tmp_path, text, encoding), LABELS)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"train\.csv cannot be read"):
        read_csv(tmp_path / "train.csv", LABELS)


def test_the_fingerprint_knows_content_and_not_order() -> None:
    one, two = Example("a", None, "neutral"), Example("a", "b", "neutral")
    assert fingerprint([one, two]) == fingerprint([two, one])
    assert len({fingerprint([one]), fingerprint([two]), fingerprint([one, one])}) == 3
