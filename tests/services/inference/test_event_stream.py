"""Server-sent events, cut in every place."""

from __future__ import annotations

import pytest

from services.inference.runtimes.event_stream import EventStream, EventTooLong

TEXT = '\ufeff: hello\r\ndata: {"a": "你好 👋"}\r\n\r\n'
TEXT += "event: x\rid: 4\rdata:one\rdata: two\r\r\ndata: [DONE]\n\n"
EXPECTED = ['{"a": "你好 👋"}', "one\ntwo", "[DONE]"]


def read(*chunks: bytes, most_bytes: int = 2**20) -> list[str]:
    stream = EventStream(most_bytes)
    found = [data for chunk in chunks for data in stream.feed(chunk)]
    return [*found, *stream.end()]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_wherever_the_bytes_are_cut_the_same_events_come_out(size: int) -> None:
    raw = TEXT.encode()
    assert read(*(raw[start : start + size] for start in range(0, len(raw), size))) == EXPECTED


def test_a_cut_between_cr_and_lf_is_one_line_end_even_with_an_empty_chunk_between() -> None:
    assert read(b"data: a\r", b"", b"\ndata: b\r", b"\n\r", b"\n") == ["a\nb"]


def test_an_event_without_its_last_empty_line_is_given_out_at_the_end() -> None:
    assert read(b"data: a\n\ndata: b") == ["a", "b"]


def test_lines_without_data_are_no_event() -> None:
    assert read(b": ping\n\n\n\nevent: x\n\nretry: 3\n\n") == []


def test_broken_utf8_spoils_only_its_own_characters() -> None:
    assert read(b"data: a\xffb\n\n") == ["a\ufffdb"]


@pytest.mark.parametrize("raw", [b"data: " + b"x" * 50, b"data: 123456789\n" * 4, b": " + b"x" * 50])
def test_a_line_or_an_event_over_the_limit_is_an_error(raw: bytes) -> None:
    with pytest.raises(EventTooLong):
        read(raw[:20], raw[20:], most_bytes=32)
