"""Stop strings, wherever the pieces break."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.inference.stopping import StopFilter


def _shown(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    held = StopFilter(stops)
    shown = ""
    for piece in pieces:
        part, over = held.take(piece)
        shown += part
        if over:
            assert held.take("more") == ("", True)
            assert held.rest() == ""
            return shown, True
    return shown + held.rest(), False


def test_the_text_ends_before_a_stop_string_that_comes_in_pieces() -> None:
    assert _shown(["one two", "\n\nUs", "er: hello"], ["\n\nUser:"]) == ("one two", True)


def test_what_only_began_like_a_stop_string_is_shown() -> None:
    assert _shown(["a\n", "\nU", "ncle"], ["\n\nUser:"]) == ("a\n\nUncle", False)
    assert _shown(["ends in a\n\nUs"], ["\n\nUser:"]) == ("ends in a\n\nUs", False)


def test_what_cannot_begin_a_stop_string_is_shown_at_once() -> None:
    held = StopFilter(["END"])
    assert held.take("plain words") == ("plain words", False)
    assert held.take("then E") == ("then ", False)
    assert held.take("xtra") == ("Extra", False)


def test_no_stop_strings_change_nothing() -> None:
    assert _shown(["a", "", "b"], []) == ("ab", False)
    assert _shown(["a", "b"], [""]) == ("ab", False)


@given(st.text("ab。", max_size=24), st.lists(st.text("ab。", min_size=1, max_size=4), max_size=4), st.data())
def test_where_the_pieces_break_makes_no_difference(text: str, stops: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    shown, over = _shown(pieces, stops)
    assert (shown, over) == _shown(list(text), stops)
    assert over == any(stop in text for stop in stops)
    assert text.startswith(shown)
    assert not any(stop in shown for stop in stops)
