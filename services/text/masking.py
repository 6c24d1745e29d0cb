"""Personal data out of a visitor's words, before they are logged or shown to a model.

What carries a check digit is looked for first (IBAN, Chinese identity number, payment card), then
logins and e-mail addresses, then telephone and US social security numbers: by shape, by libphonenumber's
word, and by the words beside them ("call", "order no."). What is found is filled in before the next kind
looks, so the strongest evidence wins and nothing is found twice.

Not masked on purpose: order, tracking and customer numbers, product codes, and IP addresses. In support
talk those are nearly always routers and servers ("192.168.1.1 does not open"), the answer depends on
them, and four dotted groups are a version number as often.
Not seen: names, postal addresses, birthdays; a card or IBAN with a typing error (its check digit is taken
at its word); what is written to be missed (digit by digit, "name at host dot com" without brackets).
Ten digits without a mark or a word beside them are no US telephone number here: they are an order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import phonenumbers

from services.text.language import HAN, HANGUL, KANA

KINDS = ("login", "iban", "id", "card", "email", "phone")
"""What is masked, strongest evidence first; the placeholder is the kind in square brackets."""
REGIONS = ("US", "GB", "DE", "FR", "CN")
"""Countries whose national way of writing telephone numbers is always tried."""
_MOST_LOOKS = 8  # a span found may set free another that was glued to it; no text has longer chains


@dataclass(frozen=True, slots=True)
class Hidden:
    """One stretch of personal data: a kind of `KINDS`, characters `start` up to `end` of the original."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Masked:
    """A text without its personal data, and what is needed to put that back.

    `spans` are in order and do not overlap. `values` holds what they covered, one each; it is left out of
    `repr`, so that printing or logging the object tells nothing.
    """

    text: str
    spans: tuple[Hidden, ...]
    values: tuple[str, ...] = field(repr=False)

    def restore(self) -> str:
        """The original, letter for letter: for an agent's eyes, never for a log."""
        parts, read, place = [], 0, 0
        for span, value in zip(self.spans, self.values, strict=True):
            until = read + span.start - place
            parts += [self.text[read:until], value]
            read, place = until + len(span.kind) + 2, span.end
        return "".join([*parts, self.text[read:]])


def mask(text: str, *, region: str = "US") -> Masked:
    """Replace personal data by `[login]`, `[email]`, `[iban]`, `[id]`, `[card]` and `[phone]`.

    `region`: the ISO 3166 code of the country whose telephone numbers may be written without a country
    code, besides `REGIONS`. Masking a masked text again changes nothing. Time grows with the length of
    the text, whatever it holds. Raises ValueError when the region is unknown.
    """
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"no country is written {region!r}: give an ISO 3166 code such as 'US'")
    work, spans = text.translate(_FOLD), list[Hidden]()
    for _ in range(_MOST_LOOKS):
        spans += (found := _found(work, region))
        if not found:
            break
        work = _filled(work, found)
    spans.sort(key=lambda span: span.start)
    parts, place = [], 0
    for span in spans:
        parts += [text[place : span.start], f"[{span.kind}]"]
        place = span.end
    values = tuple(text[span.start : span.end] for span in spans)
    return Masked("".join([*parts, text[place:]]), tuple(spans), values)


def _found(work: str, region: str) -> list[Hidden]:
    """What one look finds; each kind sees the text without the kinds before it."""
    spans: list[Hidden] = []
    for find in (_logins, _ibans, _checked, _emails, partial(_phones, region=region)):
        spans += (new := list(find(work)))
        work = _filled(work, new)
    return sorted(spans, key=lambda span: span.start)


def _filled(work: str, spans: list[Hidden]) -> str:
    """The text with brackets over the spans, of the same length: they stop a search as `[kind]` does."""
    parts, place = [], 0
    for span in spans:
        parts += [work[place : span.start], "[", "]" * (span.end - span.start - 1)]
        place = span.end
    return "".join([*parts, work[place:]])


# --- one character for one, so that places stay: full-width and Arabic signs, dashes, odd spaces
_SPACES = (0xA0, 0xAD, *range(0x2000, 0x2010), *range(0x202A, 0x2030), 0x2060, 0x3000, 0xFEFF)
_FOLD = {
    **{wide: wide - 0xFEE0 for wide in {*range(0xFF01, 0xFF5F)} - set(map(ord, "！，；？"))},
    **{zero + digit: 0x30 + digit for zero in (0x660, 0x6F0) for digit in range(10)},
    **dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0xFE63), 0x2D),
    **dict.fromkeys(_SPACES, 0x20),
}

# --- logins and e-mail addresses; every run of signs is read once, from its first, so nothing is slow
_EAST = HAN + KANA + HANGUL
_LETTER = "A-Za-z\u00c0-\u024f\u0370-\u052f"
_NAME = rf"((?<![{_LETTER}\d_.+'-])[{_LETTER}\d_.+'-]++|[{_EAST}]{{1,20}}+)"
_LABEL = rf"(?:[{_LETTER}\d_]++(?:-++[{_LETTER}\d_]++)*+|[{_EAST}]++)"
_FILE = r"(?i:png|jpe?g|gif|webp|svg|bmp|pdf|css|js|json|html?|exe|apk|mp[34])(?![A-Za-z\d])"
_EAST_TOP = "中国|中國|公司|网络|網絡|网址|香港|台湾|台灣|在线|中文网|集团|测试|測試|みんな|コム|한국|닷컴"
_TOP = rf"(?!{_FILE})(?:xn--[a-z\d-]{{2,59}}+|[{_LETTER}]{{2,24}}+(?![\d-])|{_EAST_TOP})"
_STOP = r"(?:\.|。(?=(?:com|cn|net|org|io|de|fr|co)(?![A-Za-z])))"
_EMAIL = re.compile(rf"{_NAME}(?:@|%40)(?:{_LABEL}{_STOP}){{1,8}}{_TOP}")
_SPELT_AT = r" ?[(\[{] ?(?i:at|ät|arobase|@) ?[)\]}] ?"
_SPELT_DOT = r" ?[(\[{] ?(?i:dot|punkt|point|\.) ?[)\]}] ?"
_SPELT = re.compile(rf"{_NAME}{_SPELT_AT}(?:{_LABEL}(?:\.|{_SPELT_DOT})){{1,8}}{_TOP}")
_LOGIN = re.compile(r"(?<=://)[^\s/@:\[\]]{1,64}+:[^\s/@\[\]]{1,256}+(?=@[\w\[])")


def _logins(work: str) -> Iterator[Hidden]:
    """The user and password in https://user:password@host."""
    for match in _LOGIN.finditer(work):
        yield Hidden("login", *match.span())


def _emails(work: str) -> Iterator[Hidden]:
    """Addresses, also name (at) host (dot) com. A Chinese name is taken with the words written onto it."""
    place = 0
    for match in sorted([*_EMAIL.finditer(work), *_SPELT.finditer(work)], key=re.Match.start):
        name = match[1].lstrip(".'-+")
        if name and match.start() >= place:
            yield Hidden("email", match.end(1) - len(name), place := match.end())


# --- IBAN (ISO 13616): countries and lengths as in the registry
_IBAN_LENGTHS = dict(
    re.findall(
        r"([A-Z]{2})(\d\d)",
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18"
        "FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21"
        "LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24"
        "SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30",
    )
)
_IBAN = re.compile(r"(?<![A-Za-z\d])([A-Za-z]{2}) ?\d\d(?=[ .-]?[A-Za-z\d])")

_ACCOUNT = r"(?:[A-Za-z\d][ .-]?){%d}[A-Za-z\d](?![A-Za-z\d])"


def _ibans(work: str) -> Iterator[Hidden]:
    for match in _IBAN.finditer(work):
        length = int(_IBAN_LENGTHS.get(match[1].upper(), 0))
        whole = length and re.compile(_ACCOUNT % (length - 1)).match(work, match.start())
        if whole and _is_iban(whole[0]):
            yield Hidden("iban", *whole.span())


def _is_iban(written: str) -> bool:
    """Check digits, and blocks such as a bank writes: each with a digit, or a few capitals."""
    blocks = re.split("[ .-]", written)
    if not all(re.search(r"\d|^[A-Z]{1,4}$", block) for block in blocks):
        return False
    signs = "".join(blocks)
    return int("".join(str(int(sign, 36)) for sign in signs[4:] + signs[:4])) % 97 == 1


# --- runs of digit groups: what cards, identity and telephone numbers are all written as
_DIGITS = r"[0-9]++(?:(?: {1,2}| ?[-.()/]{1,2} ?)[0-9]++)*+"
_RUN = re.compile(rf"((?:(?:https?|ftp|rtsp|wss?)://|www\.)[^\s<>\"'，。；！？{_EAST}]++)|{_DIGITS}")
_VALUE = re.compile(rf"(?:=|wa\.me/)({_DIGITS})(?=[&#.,)]|$)")
_GROUP, _MOST_GROUPS = re.compile(r"[0-9]+"), 8
_FINAL_X = r"[ -]?[Xx](?![A-Za-z0-9])"
_EXTENSION = r"(?i: ?(?:ext(?:ension)?\.?|x|durchwahl|poste|转|轉|分机)[ :]?\d{1,6}(?![.,:-]?\w))"
# Part of something longer: a code, an amount, a date, a machine's address.
_GLUED_BEFORE = re.compile(
    r"(?<![A-Za-z])(?!(?i:tel|phone|mobile?|cell|fax|id|ssn|visa)$)[A-Za-z]+$|[_@]$|[A-Za-z\d]-$|\d[.,:]$"
    r"|(?<!\d)(?<!\d[ .-])\d{1,6}/$"
)
_GLUED_AFTER = re.compile(
    rf"(?!{_FINAL_X}|{_EXTENSION})(?:[A-Za-z_@]|-[A-Za-z\d]|[.,:]\d|/\d{{1,6}}+(?![ .-]\d{{3}}))"
)


class _Window(NamedTuple):
    """Neighbouring groups of digits: characters `start` to `end` of `work`."""

    work: str
    start: int
    end: int
    shape: str
    """The groups joined with "-"."""
    opens: bool
    """Whether it is no later part of a longer number: first in its run, or after a number of its own."""


def _windows(work: str, fewest: int, most: int) -> Iterator[_Window]:
    """The free-standing stretches of so many digits, in order, of those that begin alike the longest first.

    Inside a link only the whole value of a parameter counts: the rest is an address.
    """
    for run in _RUN.finditer(work):
        spans = [value.span(1) for value in _VALUE.finditer(work, *run.span())] if run[1] else [run.span()]
        for span in spans:
            places = [match.span() for match in _GROUP.finditer(work, *span)]
            for first, (start, _) in enumerate(places):
                if not _GLUED_BEFORE.search(work[max(0, start - 8) : start]):
                    yield from _from(work, places, first, range(fewest, most + 1))


def _from(work: str, places: list[tuple[int, int]], first: int, sizes: range) -> Iterator[_Window]:
    """The windows that begin with one group; nobody writes a number digit by digit."""
    groups = [work[start:end] for start, end in places[first : first + _MOST_GROUPS]]
    totals = list(accumulate(map(len, groups)))
    opens = not first or "(" in (left := work[places[first - 1][0] : places[first][0]]) or len(left) > 5
    for count in range(len(groups), 0, -1):
        total, end = totals[count - 1], places[first + count - 1][1]
        if total in sizes and 2 * total >= 3 * count and not _GLUED_AFTER.match(work, end):
            yield _Window(work, places[first][0], end, "-".join(groups[:count]), opens)


# --- numbers with a check digit
_BRANDS = re.compile(
    r"4(?:\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|(?:6011|65\d\d|64[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)
"""Issuers and their lengths: Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay."""
_LAYOUTS = {"4-4-4-4", "4-4-4-4-3", "4-6-5", "4-6-4", "6-13", "13", "14", "15", "16", "17", "18", "19"}
_CARD_WORD = re.compile(
    r"(?i)credit|debit|bank ?[ck]ar|visa|maestro|dankort|kreditk|carte b|[行用蓄记]卡|卡号"
)
_CHINESE_ID = re.compile(  # province and county, birthday, serial number, check digit
    r"(?:1[1-5]|2[123]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[123])\d{4}"
    r"(?:18|19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]"
)


def _checked(work: str) -> Iterator[Hidden]:
    """Chinese identity numbers (GB 11643) and payment cards (ISO/IEC 7812)."""
    place = 0
    for window in _windows(work, 13, 19):
        if window.start < place:
            continue
        if end := _chinese_id(window):
            yield Hidden("id", window.start, place := end)
        elif _is_card(window):
            yield Hidden("card", window.start, place := window.end)


def _chinese_id(window: _Window) -> int:
    """Where the identity number ends that begins with the window; 0 when it is none."""
    digits, end = window.shape.replace("-", ""), window.end
    if len(digits) == 17 and (last := re.compile(_FINAL_X).match(window.work, end)):
        digits, end = digits + "X", last.end()
    if not _CHINESE_ID.fullmatch(digits):
        return 0
    weighed = sum(int(digit) * pow(2, 17 - at, 11) for at, digit in enumerate(digits[:17]))
    return end if "10X98765432"[weighed % 11] == digits[17] else 0


def _is_card(window: _Window) -> bool:
    """Luhn's check digit, an issuer's number or the word for a card before it, groups as on a card."""
    digits = window.shape.replace("-", "")
    if not window.opens and "-".join(str(len(group)) for group in window.shape.split("-")) not in _LAYOUTS:
        return False
    return _luhn(digits) and bool(_BRANDS.fullmatch(digits) or _CARD_WORD.search(_words_before(window)))


def _luhn(digits: str) -> bool:
    doubled = "".join(str(2 * int(digit)) for digit in digits[-2::-2])
    return sum(map(int, digits[::-2] + doubled)) % 10 == 0


# --- telephone and social security numbers: shapes, and the words beside them
_SHAPES = [
    # country, groups, and whether libphonenumber need only call it possible
    ("US", re.compile(r"(?:1-)?[2-9]\d\d-[2-9]\d\d-\d{4}"), False),
    ("CN", re.compile(r"1[3-9]\d(?:-?\d{4}-?\d{4}|-\d{3}-\d{5})|[48]00-(?:\d{3}-\d{4}|\d{4}-\d{3})"), False),
    ("CN", re.compile(r"0\d{2,3}-(?:\d{7,8}|\d{3,4}-\d{4})"), False),
    ("GB", re.compile(r"07\d{3}-?(?:\d{6}|\d{3}-\d{3})|07\d\d-\d{4}-\d{4}|02\d-\d{4}-\d{4}"), True),
    ("GB", re.compile(r"0(?:1\d1|11\d|[38]\d\d)-\d{3}-\d{4}|0\d{4}-(?:\d{6}|\d{3}-\d{3})"), True),
    ("FR", re.compile(r"0[1-9](?:-\d\d){4}|0[67]\d\d(?:-?\d\d){3}"), True),
    ("DE", re.compile(r"(?=[\d-]{10})0[2-9]\d{1,3}-\d{3,9}(?:-\d{1,5})?|01[5-7]\d{1,2}-?\d{7,8}"), False),
]
_PHONE_WORD = re.compile(
    r"(?i)\b(?:call|phone|tel|mob|cell|whats|wa\.me|te?xt|sms|fax|dial|r[iau]ng\b|reach|contact|number(?! of)"
    r"|landline|hotline|voicemail|handy|nummer|rufn|rückr|anruf|ruf|erreich|portable|fixe|appel|joi[gn]|numéro|tél)"
    r"|电话|電話|手机|手機|号码|號碼|致电|拨|联系|座机|固话|传真|微信|短信|热线|打"
)
_CODE_WORD = re.compile(
    r"(?i)(?:\b(?:orders?|invoice|tracking|parcel|shipment|ticket|case|ref(?:erence)?|réf(?:érence)?|booking"
    r"|confirmation|transaction|contract|policy|claim|rma|sku|part|item|model|serial|s/n|imei|isbn|ean|upc|gtin"
    r"|barcode|batch|lot|voucher|coupon|code|key|po|quote|customer|member|product|oem|notice|ups|usps|dhl|fedex"
    r"|bestell\w*|auftrag\w*|rechnung\w*|kundenn\w*|artikel\w*|teile\w*|kit|sendung\w*|serienn\w*|vertrag\w*|vorgang\w*"
    r"|commande|facture|dossier|colis|suivi|article|contrat)"
    r"|订单|訂單|单号|單號|运单|工单|快递|物流|货号|型号|编号|编码|发票|流水|批次|批号|条码|条形码|序列号|合同|会员)"
    r"(?:[\s:：#=(（\"“'.,–-]|no|nr|n[º°o]|numbers?|num|nummer|numéro|de|id|is|was|are|code|号码?|號碼?|编号|是|为)*$"
)
_LOCAL_WORD = re.compile(
    r"(?i)(?:\b(?:tel(?:efon|ephone)?|phone|call|dial|ring|text)|电话|電話|座机|固话)"
    r"(?:[\s:：.是为]|me|us|at|on|is|no|number|nummer)*$"
)
_SSN = re.compile(r"(?!000|666)\d{3}-(?!00)\d\d-(?!0000)\d{4}|\d{9}")
_NO_PHONE = re.compile(r"(?<!ph)(?<!phone)(?<!phone )(?<!tel)(?<!mobile)(?<!whatsapp)[#=] ?$|[$€£¥￥] ?$")
_UNIT = re.compile(r" ?(?:[%$€£¥￥°元块円]|EUR|USD|JPY|(?:ml|mm|cm|kg|pcs|psi)\b)")
_REACH = 40


def _words_before(window: _Window) -> str:
    """The words left of a number, back to the last digit or bracket: what it is called."""
    return re.split(r"[\d\[\]]", window.work[max(0, window.start - _REACH) : window.start])[-1]


def _phones(work: str, region: str) -> Iterator[Hidden]:
    """Telephone numbers with their extensions, and US social security numbers."""
    place = 0
    for window in _windows(work, 7, 15):
        if window.start < place:
            continue
        if 0 < place >= window.start - 2:  # a list of numbers
            window = window._replace(opens=True)
        if _is_ssn(window):
            yield Hidden("id", window.start, place := window.end)
        elif _is_phone(window, region):
            extension = re.compile(_EXTENSION).match(work, window.end)
            yield Hidden("phone", _opening(window), place := extension.end() if extension else window.end)


def _opening(window: _Window) -> int:
    """Where the number begins: with its plus sign, or with the bracket round its area code."""
    work, start = window.work, window.start - window.work.endswith("+", 0, window.start)
    return start - (work[start - 1 : start] == "(" and ")" in work[start : window.end])


def _is_ssn(window: _Window) -> bool:
    """Three, two and four digits with dashes that are no part number, or called by their name."""
    if not _SSN.fullmatch(window.shape):
        return False
    before = _words_before(window)
    if re.search(r"(?i)\bssn\b|social security", before):
        return True
    dashed = len(window.shape) == 11 and window.work.startswith(window.shape, window.start)
    return dashed and not _CODE_WORD.search(before)


def _is_phone(window: _Window, region: str) -> bool:
    work, shape, digits = window.work, window.shape, window.shape.replace("-", "")
    shaped = [(country, loose) for country, pattern, loose in _SHAPES if pattern.fullmatch(shape)]
    if not (window.opens or (shaped and shape == digits)):
        return False
    before = _words_before(window)
    if _NO_PHONE.search(before) or _CODE_WORD.search(before) or _UNIT.match(work, window.end):
        return False
    if work.endswith("+", 0, window.start):
        return _dialled("+" + work[window.start : window.end], None) > 0
    after = re.split(r"[\d\[\]]", work[window.end : window.end + _REACH // 2])[0]
    named = bool(_PHONE_WORD.search(before) or _PHONE_WORD.search(after))
    if re.match("00[1-9]", digits):
        return _dialled("+" + digits[2:], None) >= (1 if named else 2)
    if any(_dialled(digits, country) >= (1 if loose or named else 2) for country, loose in shaped):
        return True
    if region not in REGIONS and (named or digits[0] == "0") and _dialled(digits, region) == 2:
        return True
    return named and _has_name(window)


def _has_name(window: _Window) -> bool:
    """Whether digits that the words call a telephone number can be one, however they are grouped."""
    shape, digits = window.shape, window.shape.replace("-", "")
    if re.match(r"0\.|[1-9]\D+[01]", window.work[window.start : window.end]):
        return False  # a decimal fraction, a list
    if digits[0] == "0":
        return any(_dialled(digits, country) == 2 for country in REGIONS[1:])
    if re.fullmatch(r"[2-9]\d{2,3}-?\d{4}", shape):
        return bool(_LOCAL_WORD.search(_words_before(window)))
    return _dialled(digits, "US") == 2 or _dialled("+" + digits, None) == 2


def _dialled(written: str, region: str | None) -> int:
    """2 when libphonenumber knows the number's range, 1 when only its length is right, else 0."""
    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return 0
    return 2 if phonenumbers.is_valid_number(number) else int(phonenumbers.is_possible_number(number))
