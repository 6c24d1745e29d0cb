"""Units after or before a number, each as what it measures and how many of the smallest it is.

    "hours" -> ("time", 3600)   "GB" -> ("data", 10**9)   "€" -> ("EUR", 1)   工作日 -> ("workday", 1)

Months and years are one measure, seconds to weeks another: a month has no fixed number of days.
Currencies are never converted. A word that is ambiguous ("pounds", "¥") has several readings.
"""

from __future__ import annotations

import re
from fractions import Fraction

Unit = tuple[str, Fraction]

_MEASURES = {
    "time": {
        "1/1000": "ms msec millisecond milliseconds 毫秒",
        "1": "s sec secs second seconds 秒 秒钟",
        "60": "min mins minute minutes minutely 分钟 分鐘",
        "3600": "h hr hrs hour hours hourly 小时 小時 个小时 個小時 钟头 个钟头",
        "86400": "d day days daily 天 日",
        "604800": "week weeks weekly wk wks 周 週 星期 个星期 礼拜 个礼拜 周内",
    },
    "nights": {"1": "night nights 晚"},
    "months": {
        "1": "month months monthly mo 个月 個月 月",
        "3": "quarter quarters quarterly 季度 个季度",
        "12": "year years yearly annual annually yr yrs 年",
        "120": "decade decades",
        "1200": "century centuries 世纪",
    },
    "workday": {"1": "business-day business-days working-day working-days workday workdays 工作日 个工作日"},
    "percent": {"1": "% ％ percent per-cent pct"},
    "percentage point": {"1": "percentage-point percentage-points pp 个百分点 百分点"},
    "data": {
        "1": "byte bytes 字节",
        "1000": "kb kilobyte kilobytes",
        "1000000": "mb megabyte megabytes",
        "1000000000": "gb gigabyte gigabytes",
        "1000000000000": "tb terabyte terabytes",
        "1000000000000000": "pb petabyte petabytes",
        "1024": "kib kibibyte kibibytes",
        "1048576": "mib mebibyte mebibytes",
        "1073741824": "gib gibibyte gibibytes",
        "1099511627776": "tib tebibyte tebibytes",
    },
    "bits": {"1": "bit bits 位", "1000": "kbit kbps", "1000000": "mbit mbps", "1000000000": "gbit gbps"},
    "weight": {
        "1/1000": "mg milligram milligrams 毫克",
        "1": "g gram grams gramme grammes 克",
        "500": "斤",
        "1000": "kg kgs kilo kilos kilogram kilograms 公斤 千克",
        "1000000": "tonne tonnes 吨 噸",
    },
    "avoirdupois": {"1": "oz ounce ounces", "16": "lb lbs pound pounds"},
    "ton": {"1": "ton tons"},
    "length": {
        "1": "mm millimetre millimetres millimeter millimeters 毫米",
        "10": "cm centimetre centimetres centimeter centimeters 厘米 公分",
        "1000": "m metre metres meter meters 米",
        "1000000": "km kilometre kilometres kilometer kilometers 公里 千米",
        "254/10": "inch inches 英寸",
        "3048/10": "ft foot feet 英尺",
        "9144/10": "yard yards",
        "1609344": "mile miles mi 英里",
    },
    "area": {"1": "m² m2 sqm square-metre square-metres square-meter square-meters 平方米 平米"},
    "square km": {
        "1": "km² km2 square-kilometre square-kilometres square-kilometer square-kilometers 平方公里"
    },
    "square mile": {"1": "square-mile square-miles sq-mi"},
    "acre": {"1": "acre acres 英亩"},
    "hectare": {"1": "ha hectare hectares 公顷"},
    "volume": {
        "1": "ml millilitre millilitres milliliter milliliters 毫升",
        "1000": "l litre litres liter liters 升",
    },
    "gallon": {"1": "gallon gallons"},
    "celsius": {"1": "°c ℃ celsius degrees-celsius 摄氏度 ° degree degrees 度"},
    "fahrenheit": {"1": "°f ℉ fahrenheit degrees-fahrenheit 华氏度 ° degree degrees 度"},
    "degree": {"1": "° degree degrees 度"},
    "power": {
        "1": "w watt watts 瓦",
        "1000": "kw kilowatt kilowatts 千瓦",
        "1000000": "mw megawatt megawatts",
    },
    "energy": {"1": "wh", "1000": "kwh"},
    "charge": {"1": "mah", "1000": "ah"},
    "voltage": {"1": "v volt volts 伏"},
    "frequency": {"1": "hz hertz", "1000": "khz", "1000000": "mhz", "1000000000": "ghz"},
    "light": {"1": "lux"},
    "lumen": {"1": "lumen lumens 流明"},
    "pixels": {"1": "px pixel pixels 像素"},
    "mph": {"1": "mph"},
    "km/h": {"1": "km/h kph kmh"},
    "age": {"1": "years-old year-old 岁"},
    "times": {"1": "x × times 倍"},
    "USD": {"1": "$ us$ usd dollar dollars us-dollar us-dollars 美元 美金", "1/100": "cent cents ¢"},
    "EUR": {"1": "€ eur euro euros 欧元 歐元", "1/100": "cent cents"},
    "GBP": {"1": "£ gbp pound pounds 英镑", "1/100": "pence"},
    "CNY": {"1": "¥ ￥ cny rmb yuan 元 块 块钱 人民币 元人民币"},
    "JPY": {"1": "¥ jpy yen 日元"},
    "CHF": {"1": "chf francs-suisses"},
    "franc": {"1": "franc francs 法郎"},
    "krone": {"1": "kr krone kroner krona kronor"},
    "NOK": {"1": "nok"},
    "SEK": {"1": "sek"},
    "DKK": {"1": "dkk"},
    "INR": {"1": "₹ inr rupee rupees 卢比"},
    "KRW": {"1": "₩ krw won"},
    "AUD": {"1": "aud a$"},
    "CAD": {"1": "cad c$"},
    "HKD": {"1": "hkd hk$ 港币 港元"},
    "TWD": {"1": "twd nt$ 新台币"},
    "折": {"1": "折"},
}
UNITS: dict[str, tuple[Unit, ...]] = {}
"""Lower-case spelling (hyphens for spaces) -> its readings."""
for _measure, _sizes in _MEASURES.items():
    for _size, _spellings in _sizes.items():
        for _spelling in _spellings.split():
            UNITS[_spelling] = (*UNITS.get(_spelling, ()), (_measure, Fraction(_size)))

_NEED_CASE = {"m", "l", "x", "s", "h", "d", "g", "v", "w", "mo", "ha", "mi"}
"""Short ones, read in this case only and right after the number."""
_SPELLED = "|".join(
    re.escape(name).replace(r"\-", "[ -]")
    for name in sorted(UNITS, key=len, reverse=True)
    if name not in _NEED_CASE
)
_SHORT = "|".join(sorted(_NEED_CASE, key=len, reverse=True))
_BETWEEN = (
    r"(?:(?:more|full|calendar|consecutive|additional|extra|further|long|short|whole|an?"
    r"|(?:business|working)(?! days?\b)) |个|個)?"
)
AFTER = re.compile(
    rf"[ \u00a0-]?{_BETWEEN}(?P<unit>(?i:{_SPELLED})(?![A-Za-z])|(?<=[\d \u00a0])(?:{_SHORT})(?![\w’'-]))"
)
"""A unit right after a number's end; group `unit`."""
_SIGNS = "US$ HK$ NT$ A$ C$ $ € £ ¥ ￥ ₹ ₩ USD EUR GBP CNY RMB JPY CHF NOK SEK DKK INR AUD CAD HKD 人民币"
BEFORE = re.compile(r"(?P<unit>" + "|".join(map(re.escape, _SIGNS.split())) + r"|百分之)[ \u00a0]?$")
"""A currency's sign or 百分之 right before a number's start."""
_ANYWHERE = re.compile(rf"(?<![A-Za-z])(?i:{_SPELLED})(?![A-Za-z])")


def readings(spelling: str) -> tuple[Unit, ...]:
    """What a unit as written may be; () when it is none."""
    if spelling == "百分之":
        return UNITS["%"]
    return UNITS.get(re.sub(r"[ \u00a0]", "-", spelling.lower()), ())


def named(text: str) -> frozenset[Unit]:
    """Every unit that a text names, with or without a number ("Delivery time in days")."""
    return frozenset(unit for match in _ANYWHERE.finditer(text) for unit in readings(match.group()))
