"""Which language a text is in, told by its script: no model, microseconds a text.

Enough to choose a tokeniser, a stop-word list or a greeting. What it cannot do, by design: languages
that share a script are not told apart (French, German and Spanish all come out as "en", Ukrainian as
"ru", Persian as "ar"), and a text of very few letters says little. A text that mixes scripts is given
to the one that carries its meaning: Chinese with a product name in Latin letters is Chinese.
"""

from __future__ import annotations

import re

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ebef"
"""The ranges of Han characters, for use inside a regular expression's brackets."""
KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"

_SCRIPTS = {
    "han": re.compile(f"[{HAN}]"),
    "kana": re.compile(f"[{KANA}]"),
    "ko": re.compile(f"[{HANGUL}]"),
    "ru": re.compile("[\u0400-\u052f]"),
    "ar": re.compile("[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff]"),
    "he": re.compile("[\u0590-\u05ff]"),
    "el": re.compile("[\u0370-\u03ff\u1f00-\u1fff]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
    "hi": re.compile("[\u0900-\u097f]"),
}
_LATIN_WORD = re.compile("[A-Za-z\u00c0-\u024f]+")

# Characters written one way only on each side; common enough that a sentence rarely lacks them all.
_SIMPLIFIED = frozenset(
    "们个这说时间问题会为与东买卖车长门开关电话网络订单发货时样价钱费请谢对错还让应该变动实现"
    "产品业务员员号码账户进读写认识话语见观义无过运达选边远连迟适给经统红级约纪线终结绝继续维综"
    "绿缓编缩织证评试诉词译详误调谁课谈护担报拥择损换据数断旧显术条极权标样检楼欢步残气汇没温湿"
)
_TRADITIONAL = frozenset(
    "們個這說時間問題會為與東買賣車長門開關電話網絡訂單發貨樣價錢費請謝對錯還讓應該變動實現產業"
    "務員號碼賬戶進讀寫認識語見觀義無過運達選邊遠連遲適給經統紅級約紀線終結絕繼續維綜綠緩編縮織"
    "證評試訴詞譯詳誤調誰課談護擔報擁擇損換據數斷舊顯術條極權標檢樓歡殘氣匯沒溫濕"
)
_ONLY_SIMPLIFIED = _SIMPLIFIED - _TRADITIONAL
_ONLY_TRADITIONAL = _TRADITIONAL - _SIMPLIFIED


def detect(text: str, default: str = "en") -> str:
    """The language tag of a text: "en", "zh-hans", "zh-hant", "ja", "ko", "ru", "ar", "he", "el", "th", "hi".

    A Latin word counts as one and a half characters of another script: long product names do not decide.
    `default` is returned when there is no letter of a known script (digits, emoji, an empty text).
    """
    weights: dict[str, float] = {name: len(found.findall(text)) for name, found in _SCRIPTS.items()}
    weights["latin"] = 1.5 * len(_LATIN_WORD.findall(text))
    han, kana = weights.pop("han"), weights.pop("kana")
    weights["cjk"] = han + kana
    script, weight = max(weights.items(), key=lambda item: item[1])
    if weight == 0:
        return default
    if script == "latin":
        return "en"
    if script != "cjk":
        return script
    # Japanese text of any length has kana; Chinese text has at most a borrowed sign or two.
    return "ja" if kana > 0.1 * (han + kana) else _chinese(text)


def is_chinese(language: str) -> bool:
    """Whether a language tag is one of Chinese ("zh", "zh-hans", "zh-CN", ...)."""
    return language.lower().split("-")[0] == "zh"


def _chinese(text: str) -> str:
    simplified = sum(char in _ONLY_SIMPLIFIED for char in text)
    traditional = sum(char in _ONLY_TRADITIONAL for char in text)
    return "zh-hant" if traditional > simplified else "zh-hans"
