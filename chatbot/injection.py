"""Text that tries to give a language model orders, made harmless before one reads it.

    as_data(text)       signs that look like our fence or like a role's name lose their shape
    without_orders(…)   sentences of a document that speak to the assistant are blanked, in place
    foreign(sentence)   links, pictures and markup of an answer that its source does not have

These are the outer walls; the inner one is `grounding`: what no passage says is not said. Patterns, no model:
an order in other words than these reaches the model, and what it makes the model say is dropped there.
An extractive answer is not touched by any of this: it quotes a document as text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from services.text.sentences import sentences

_WIDE = {
    code: code - 0xFEE0 for code in (*range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B), 0xFF1C, 0xFF1E, 0xFF5C)
}
_LOOKALIKES = str.maketrans("аеорсухіјѕԁһｖοαν", "aeopcyxijsdhvoav")
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn"}
_TOKEN = re.compile(
    r"<\|[^|<>\n]{0,40}\|>|\[/?INST\]|<</?SYS>>"
    r"|</?(?:s|bos|eos|system|assistant|user|human|tool|think|instructions?|prompt|im_start|im_end"
    r"|start_of_turn|end_of_turn|function_calls?|tool_call)\b[^<>\n]{0,40}>",
    re.IGNORECASE,
)
_ANGLES = re.compile(r"[<>]{2,}")
_ROLE = re.compile(
    r"^(?P<before>[\W_]{0,8})(?P<role>system|assistant|user|human|developer|tool|ai|bot|model|系统|助手|用户)"
    r"(?P<after>[\s*_\]]{0,6})[:：]",
    re.IGNORECASE | re.MULTILINE,
)
_TICKS = re.compile(r"`{3,}|~{3,}")

_ASSISTANT = r"(?:ai|a\.i\.|assistants?|chat ?bots?|bots?|(?:large )?language models?|llms?|gpt|models?)"
_RULES = r"(?:instruct\w*|prompts?|rules?|guidelines?|directions?|directives?|polic\w+|constraints?)"
_ORDERS = re.compile(
    "|".join(
        (
            rf"(?<!not )(?<!n't )(?<!never )\b(?:ignor\w*|disregard|forget|overrid\w*|bypass|skip|drop)\b"
            rf".{{0,50}}\b{_RULES}",
            r"(?<!not )\b(?:ignor\w*|disregard|forget)\b.{0,20}\b(?:above|previous|prior|earlier)\b",
            r"<\||\[/?inst\]|<</?sys>>|<(?:start|end)_of_turn>|<{3}|>{3}",
            r"\byou (?:must|should|have to|will) (?:say|answer|reply|respond|claim)\b",
            r"\b(?:system|developer|hidden|secret|initial|original)[ _-]?"
            r"(?:prompts?|messages?|instructions?)\b",
            r"\byou are (?:now|no longer)\b|\bfrom now on\b.{0,20}\byou\b|\bnew (?:instructions?|rules?)\s*:",
            r"(?:^|[,;:.!]\s*|\byou (?:must|should|will|shall|are to) )(?:now )?"
            r"(?:act|behave|pretend|role-?play)\b.{0,16}\b(?:as|like|to be|that)\b",
            rf"\b{_ASSISTANT}\b.{{0,40}}\b(?:must|should|shall|has to|have to|is to|are to|needs? to)\b",
            rf"\b(?:note|message|notice|instructions?|attention|important|dear|hey|hello)s?\b.{{0,16}}"
            rf"\b(?:to|for|all|any|the)?\s?{_ASSISTANT}\b",
            rf"\b(?:reveal|print|show|repeat|output|leak|display|disclose|recite|translate)\b"
            rf".{{0,24}}\b(?:your|system|hidden|secret|initial|original|above|previous|all)\b.{{0,20}}\b{_RULES}",
            r"\b(?:tell|inform|assure|convince|send|redirect|ask) (?:the|every|all|any|each) "
            r"(?:users?|visitors?|readers?)\b",
            r"\b(?:when|if) (?:asked|anyone asks|a (?:user|visitor) asks)\b",
            r"\b(?:respond|reply|answer|say|output|print|repeat|write)\b.{0,16}\b(?:only|exactly|verbatim)\b",
            r"\bjail ?break|\bdo anything now\b|\b(?:developer|debug|god|admin|dan) mode\b",
            r"\b(?:decode|base64|rot13)\b",
            # the same in other languages
            r"(?:忽略|无视|忘记|忘掉|不要理会|跳过|绕过|忽視|忽略掉).{0,16}(?:指令|指示|提示|规则|命令|设定|要求|規則|内容)",
            r"(?:系统|初始|隐藏|系統)(?:提示词?|指令|消息|提示詞)|提示词|(?:你|您)现在(?:是|扮演|必须)",
            r"(?:扮演|假装|充当)(?:一个|一名|成|是|为)?",
            r"(?:助手|机器人|人工智能|大?模型).{0,8}(?:必须|应该|应当|务必|一定要|需要|得)",
            r"(?:告诉|告知|要求|引导)(?:所有|每个|每位|任何)?(?:用户|访客|客户|顾客)",
            r"\bignor[aeiou]\w*\b.{0,40}\b(?:instruc\w+|consignes|anweisung\w*|istruzion\w*|r[eè]g\w+)",
            r"\boublie[zr]?\b.{0,40}\b(?:instructions|consignes)|\bvergiss\b.{0,40}\banweisung\w*",
            r"игнорируй\w*|забудь.{0,30}инструкци|(?:指示|命令|ルール).{0,8}(?:無視|忘れ)|지시.{0,10}무시",
        )
    ),
    re.IGNORECASE,
)
_HIDDEN = re.compile(
    r"<!--.*?(?:-->|\Z)|!\[[^\]\n]*\]\([^)\n]*\)|<(?:img|script|iframe|style|svg|object)\b[^>]*>|[A-Za-z0-9+/]{60,}={0,2}",
    re.IGNORECASE | re.DOTALL,
)
_MARKUP = re.compile(r"!\[|\]\(|<[a-z/!]|\b(?:javascript|data|vbscript):", re.IGNORECASE)
_ADDRESS = re.compile(
    r"(?:https?|ftp)://[^\s<>()\"'，。；！？）]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|(?<![\w@.])(?:[a-z0-9][a-z0-9-]*\.)+[a-z]{2,24}\b(?:/[^\s<>()\"'，。；！？）]*)?",
    re.IGNORECASE | re.ASCII,
)


def as_data(text: str) -> str:
    """The text with nothing in it that reads as a fence, a role or a model's own token.

    Invisible and control characters go, full-width letters and angles become plain ones, runs of angles and
    of back-ticks become round brackets and apostrophes, and "System:" at the start of a line loses its colon.
    """
    text = visible(text).translate(_WIDE)
    text = _TOKEN.sub(" ", text)
    text = _ANGLES.sub(lambda run: ("(" if run[0][0] == "<" else ")") * len(run[0]), text)
    text = _TICKS.sub("'''", text)
    return _ROLE.sub(lambda found: f"{found['before']}{found['role']}{found['after']} -", text)


def visible(text: str) -> str:
    """The text without control, formatting and unassigned characters and replacement signs."""
    kept = (c for c in text if c in "\n\t" or unicodedata.category(c) not in _INVISIBLE)
    return "".join(kept).replace("\ufffd", "")


def gives_orders(sentence: str) -> bool:
    """Whether a sentence speaks to an assistant, or about its instructions, rather than to a reader."""
    return bool(_ORDERS.search(folded(sentence)))


def without_orders(text: str, blocks: Sequence[tuple[int, int]] = ()) -> str:
    """The text, of the same length, with blanks where it gives orders: from there to the end of its block.

    `blocks`: (start, end) of paragraphs, items and rows; without them a block ends with its line.
    Hidden things (comments, pictures, long encoded runs) are blanked as well.
    """
    for start, end in _orders(text, blocks):
        text = text[:start] + _blank(text[start:end]) + text[end:]
    return _HIDDEN.sub(lambda found: _blank(found[0]), text)


def foreign(sentence: str, source: str) -> bool:
    """Whether a sentence has markup, or an address (link, domain, e-mail) that its source does not have."""
    if _MARKUP.search(sentence):
        return True
    known = {_plain(found) for found in _ADDRESS.findall(source)}
    return any(_plain(found) not in known for found in _ADDRESS.findall(sentence))


def folded(text: str) -> str:
    """For looking only: compatibility forms, letters that look Latin and invisible characters undone."""
    seen = "".join(c for c in text if unicodedata.category(c) not in _INVISIBLE or c.isspace())
    plain = unicodedata.normalize("NFKD", seen).translate(_LOOKALIKES)
    return re.sub(r"\s+", " ", "".join(c for c in plain if not unicodedata.combining(c)).lower())


def _orders(text: str, blocks: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for block_start, block_end in blocks or _lines(text):
        if not gives_orders(text[block_start:block_end]):
            continue
        spans = sentences(text[block_start:block_end])
        first = (s.start for s in spans if gives_orders(s.of(text[block_start:block_end])))
        yield block_start + next(first, 0), block_end


def _lines(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for line in text.splitlines(keepends=True):
        yield at, at + len(line)
        at += len(line)


def _blank(text: str) -> str:
    return "".join("\n" if char == "\n" else " " for char in text)


def _plain(address: str) -> str:
    return re.sub(r"^https?://(?:www\.)?|^www\.", "", address.lower()).rstrip("/.,;:!?")
