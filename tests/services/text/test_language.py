"""Telling a language by its script."""

import pytest

from services.text.language import detect, is_chinese


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I return this?", "en"),
        ("退货需要多久？", "zh-hans"),
        ("退貨需要多長時間？", "zh-hant"),
        ("iPhone 14 Pro 怎么退货", "zh-hans"),
        ("返品はできますか", "ja"),
        ("반품하고 싶어요", "ko"),
        ("Как вернуть товар?", "ru"),
        ("كيف أعيد المنتج", "ar"),
        ("Please deliver to 北京 by Friday, thank you very much", "en"),
    ],
)
def test_a_text_is_in_the_language_that_carries_its_meaning(text: str, language: str) -> None:
    assert detect(text) == language


def test_a_text_without_letters_is_in_the_default_language() -> None:
    assert detect("12345 !!! 🙂", default="zh-hans") == "zh-hans"


def test_every_tag_of_chinese_counts_as_chinese() -> None:
    assert all(is_chinese(tag) for tag in ("zh", "zh-hans", "zh-Hant", "zh-CN"))
    assert not is_chinese("ja")
