"""Whether a question can be understood without what was said before it. English and Chinese, rules only.

A question leans when something in it points outside ("it", "that one", "there", "the same"), when it begins
like "and for" or "what about", or when it names nothing at all ("How much?", 要多久). A word that points to
something in the same question does not count ("My tent is wet, how do I dry it?"), nor does a word that only
looks like one ("is it possible to", "is there").

It cannot see a bare noun that leans ("Norway?" after a price), nor a pronoun that seems to have its noun in
the same question and means another.
"""

from __future__ import annotations

import re
from functools import cache

from services.search.tokens import STOP_WORDS, tokenize
from services.text.language import HAN, detect


def leans(question: str) -> bool:
    """Whether a question, asked in a conversation that has begun, points to what was said before it."""
    text = question.strip(" \t\n.…,-–—")
    if not text or is_small_talk(text) or _CODE.search(text):
        return False
    return _leans_zh(text) if detect(text).startswith("zh") else _leans_en(text.replace("’", "'"))


def is_small_talk(text: str) -> bool:
    """Thanks, greetings, yes and no, asking for a person: nothing to search for, nothing to add to."""
    return bool(_SMALL_TALK.fullmatch(text.strip()))


def telling(text: str, known: set[str], *, asking: bool = True) -> list[str]:
    """The words of a text that name something and whose terms are not in `known`, as they stand there.

    With `asking`, also those that only ask ("long", "cost").
    """
    if detect(text).startswith("zh"):
        return _stretches(text, [term for term in distinct(text) if term not in known])
    found: list[str] = []
    for word in re.findall(r"[^\W_]+(?:[-_.'’/][^\W_]+)*", text):
        terms = tokenize(word)
        kept = [t for t in terms if t not in stops() and t not in known and (asking or t not in _ONLY_ASKING)]
        if kept:
            known = known | set(terms)
            found.append(word)
    return found


def asks(question: str) -> bool:
    """Whether a question says itself what is asked, as "and for boots?" does not."""
    return bool(_VERB.search(question) or _ZH_ASKS.search(question))


def is_generic(term: str) -> bool:
    """Whether a term names nothing by itself: "long", "cost", 多久."""
    return term in _GENERIC or term in _ZH_GENERIC or term.isdigit()


@cache
def stops() -> frozenset[str]:
    """Terms of the commonest words, stemmed as texts are."""
    return frozenset({*STOP_WORDS, *tokenize(" ".join(STOP_WORDS)), "s", "t", "re", "ve", "ll", "d", "m"})


def distinct(text: str) -> list[str]:
    """The naming terms of a Chinese text, without the pieces that longer ones hold."""
    naming = [term for term in tokenize(text) if not is_generic(term) and term not in STOP_WORDS]
    terms = [term for term in dict.fromkeys(term.strip(_PARTICLES) for term in naming) if term]
    return [term for term in terms if not any(term != other and term in other for other in terms)]


_PARTICLES = "的了吗呢吧啊呀么"
_CODE = re.compile(r"\b[a-z]{1,6}[-_]\d[\w-]*\b|\b\d{5,}\b|\S+@\S+\.\w+", re.IGNORECASE | re.ASCII)
_SMALL_TALK = re.compile(
    r"(?:(?:hi|hello|hey|thanks?|thank you|thx|ok(?:ay)?|great|perfect|cool|nice|good|super|bye|goodbye|yes"
    r"|no|nope"
    r"|yep|sure|please|that helps|that helped|that is all|that's all|that was all|got it|never ?mind|i see"
    r"|so much"
    r"|very much|a lot|it works|that works|you|for that|for your help|who are you|what are you"
    r"|are you a (?:ro)?bot"
    r"|(?:can i |i want to |i'd like to |let me |please )*(?:talk|speak|chat) (?:to|with) (?:a |an "
    r"|some)?\w+(?: \w+)?"
    r"|谢谢(?:你|您)?|多谢|好的?|嗯+|是的?|不是|对|没有了?|不用了?|再见|你好|您好|明白了?|知道了|可以了"
    r"|转人工|人工客服?|找人工|我?(?:要|想)?(?:找|转)?人工(?:客服)?)"
    r"[\s,.!?~，。！？～🙂😊👍]*)+",
    re.IGNORECASE,
)

# English

_GENERIC = frozenset(
    tokenize(
        "take takes long much many cost costs price pay charge charged fee fees extra work works happen"
        " happens need"
        " needed do go come get apply applies possible allowed available free expensive cheap cheaper"
        " cheapest faster"
        " fastest quicker slower longer shorter bigger smaller larger better best exception exceptions"
        " difference"
        " case cases time often soon late early exactly really still also too again else more less other"
        " another"
        " next first second last third same one ones thing things way option options explain tell know mean"
        " means"
        " said say mentioned help detail details example instead only both either neither all every each"
        " use using"
        " send make necessary required include included minimum maximum limit deadline year years day days"
        " week"
        " weeks month months okay ok right correct true sure wait waiting think find see ask yes maybe then"
        " than"
        " already before after earlier later must everything anything something nothing far bad good fast"
        " old new"
        " now until till since up down out off over further not normal problem ever never always usually"
        " roughly"
        " approximately amount sum value"
    )
)
_ONLY_ASKING = frozenset(tokenize("long much many take takes cost costs often need work works happen"))
_OPENERS = re.compile(
    r"(?:ok(?:ay)?|so|and|but|or|then|also|plus|hm+|alright|right|well|sorry|yes|no|sure|thanks|please)[\s,.!…-]+",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"(?:(?:and|so|or|but|then) )*(?:why|how|when|where|which|then|what then|how come|since when"
    r"|until when)"
    r"(?: not| so| then| else| exactly| one| ones)?[\s?!.]*",
    re.IGNORECASE,
)
_MAY_I = re.compile(r"(?:can|could|may|should|must) (?:i|we) \w+[?\s]*", re.IGNORECASE)
_THIS_IS = re.compile(r"(?:this|that|it)(?:'s| is| was) [^,.;?]*[,.;]\s*(?=\w+ \w+)", re.IGNORECASE)
"""A remark about how things are ("It is broken, ..."): what leans, leans in what follows."""
_ABOUT = re.compile(r"(?:and |but |so |or )?(?:what|how) about\b|(?:what|how) if\b", re.IGNORECASE)
_IF = re.compile(r"(?:even )?(?:if|unless|in case)\b(?![^?]*[,;])", re.IGNORECASE)
_CONJUNCTION = re.compile(r"(?:and|or|but|then|also|plus)\b", re.IGNORECASE)
_PREPOSITION = re.compile(
    r"(?:for|in|to|from|with|without|by|at|on|of|after|before|until|during|via|per|within|outside|inside"
    r"|except"
    r"|only|even|not|as|over|under|above|below|between)\b",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"\b(?:is|are|am|was|were|do|does|did|can|could|will|would|shall|should|may|might|must|have|has|had"
    r"|don't"
    r"|doesn't|didn't|can't|won't|isn't|aren't|need|want|get|got|how|what|where|when|why|which|who|i'm|i've"
    r"|i'd"
    r"|it's|what's|where's|how's|who's)\b",
    re.IGNORECASE,
)
_AT_WHAT = re.compile(
    r"(?:at|in|from|to|for|on|by|with|until) (?:what|which|how)\b(?: \w+){1,2}[?\s]*$", re.IGNORECASE
)
_ASKS = re.compile(r"\b(?:how|what|where|when|why|which|who)\b", re.IGNORECASE)
_EXPLETIVE = re.compile(
    r"\bit(?:'s)?\s+(?:(?:will|would|does|can|may|usually|normally|is|be|was|not|still|also|even|really"
    r"|ever|too)\s+)*"
    r"(?:takes?|took|costs?|possible|impossible|necessary|required|safe|ok(?:ay)?|allowed|true|normal|worth"
    r"|better"
    r"|best|hard|easy|difficult|late|early|free|legal|correct|enough|advisable|mandatory|cheaper|faster"
    r"|important"
    r"|good|bad|a problem|clear|cold|hot|matters?)\b(?=.{0,40}?\b(?:to|that|if|for|when|whether)\s+(?!it\b"
    r"|that\b)\w)"
    r"|\bit\s+(?:rains?|snows?|is raining|is snowing)\b|\bthat's (?:it|all)\b|\b(?:is|was) that (?:it|all)\b",
    re.IGNORECASE,
)
_THERE_IS = re.compile(
    r"\b(?:is|are|was|were|will|would|be|has|have|isn't|aren't)\s+there\b(?! (?:too|also|as well))"
    r"|\bthere(?:'s| is| are| was| were| will| has| have)\b|\b(?:hi|hello|hey) there\b",
    re.IGNORECASE,
)
_OWN = (
    r"(?:website|site|shop|store|company|chat|page|app|week|month|year|morning|afternoon|evening|weekend"
    r"|summer"
    r"|winter|autumn|spring|season|time|moment)"
)
_THAT_CLAUSE = re.compile(
    rf"\b(?:this|these)\s+{_OWN}s?\b"
    r"|(?<=\w)\s+that\s+(?:i|you|we|they|he|she|the|my|your|our|a|an|is|are|was|were|has|have|had|can|could"
    r"|will"
    r"|would|does|do|did|doesn't|don't|didn't|isn't|aren't|won't|can't|fits?|comes?|came|goes|works?|broke"
    r"|arrived"
    r"|needs?|got|bought|ordered|never|no|not|all|some|there)\b",
    re.IGNORECASE,
)
_POINTS = re.compile(
    r"\b(?:it|its|they|them|their|theirs|this|that|there|ones|he|she|him|mine)\b"
    r"|\b(?:these|those)\b(?! [a-z]+s\b.* \w)|\bone\b(?=\s*(?:[?!.,]|$))"
    r"|\b(?:the|a|an|any|this|that|which|another|other|\w+er|\w+est) one\b"
    r"|(?<=\w )then(?=\s*(?:[?!.]|$))"
    r"|\b(?:the same|the other|the others|the former|the latter|the rest|otherwise)\b"
    r"|\b(?:you|u) (?:just )?(?:said|say|mentioned|told|wrote|meant?)\b|\bas (?:above|before|said)\b"
    r"|\b(?:which|either|neither|both|all|none|some|any|one|two|half) of (?:it|them|these|those|the two)\b",
    re.IGNORECASE,
)
_BOUNDARY = re.compile(
    r"[,;:.!?–—(]|\b(?:and|or|but|so|if|when|after|before|while|because|since|once|until|unless|although"
    r"|though|as"
    r"|which|then|how|what|where|why|whether)\b",
    re.IGNORECASE,
)


def _leans_en(text: str) -> bool:
    text = _THIS_IS.sub("", text)
    rest = _without_openers(text)
    if _MAY_I.fullmatch(rest) or _BARE.fullmatch(text) or _BARE.fullmatch(rest):
        return True
    naming = [term for term in _terms(rest) if not is_generic(term)]
    if _ABOUT.match(text):
        return len(naming) <= 2 or _points_outside(rest)
    if _points_outside(rest):
        return True
    if not naming:
        return bool(_terms(rest))
    if _IF.match(rest) and not _ASKS.search(rest):
        return True
    if len(naming) == 1 and _AT_WHAT.match(rest):
        return True
    if _PREPOSITION.match(rest) and not _VERB.search(rest) and len(rest.split()) <= 6:
        return True
    return bool(_CONJUNCTION.match(text)) and (not _VERB.search(rest) or len(naming) <= 1)


def _without_openers(text: str) -> str:
    while (found := _OPENERS.match(text)) and found.end() < len(text):
        text = text[found.end() :]
    return text


def _points_outside(text: str) -> bool:
    """Whether a word points outside: no expletive, and nothing named before it in another clause."""
    plain = _THERE_IS.sub(lambda m: " " * len(m[0]), text)
    plain = _EXPLETIVE.sub(
        lambda m: "  " + m[0][2:] if m[0].lower().startswith("it") else " " * len(m[0]), plain
    )
    plain = _THAT_CLAUSE.sub(lambda m: " " * len(m[0]), plain)
    return any(
        not _named_before(plain, found.start(), anywhere=found[0].lower() in {"its", "their"})
        for found in _POINTS.finditer(plain)
    )


def _named_before(text: str, at: int, *, anywhere: bool) -> bool:
    """Whether something is named before a place: in another clause, or anywhere."""
    before = text[:at]
    return any(
        _names(word[0]) and (anywhere or _BOUNDARY.search(before, word.end()))
        for word in re.finditer(r"(?<!how )(?<!How )\b[\w'-]+", before)
    )


def _names(word: str) -> bool:
    return any(not is_generic(term) for term in _terms(word))


def _terms(text: str) -> list[str]:
    return [term for term in tokenize(text) if term not in stops()]


# Chinese

_ZH_OPENERS = re.compile(
    r"^(?:那么|那(?![个些种边款双件里儿])|还有|以及|或者|但是|可是|不过|而且|另外|所以|如果是|如果|要是|嗯"
    r"|哦|好的|请问|[，,\s])+"
)
_ZH_STARTS = re.compile(r"^(?:那么|那(?![个些种边款双件里儿])|还有|以及|或者|但是|可是|不过|而)")
_ZH_POINTS = re.compile(
    r"它们?|(?:这|那)(?:个|些|种|样|款|项)(?!网站|商店|店铺|公司|页面|号码|订单号)|其中|前者|后者|刚才|上述"
    r"|上面|同样"
    r"|也(?:是|要|可以|能|一样|行)|(?:这|那)(?:要|得|需要|会|能|可以|是|怎么|多少|呢)|另一?个|别的|其他的"
    r"|哪一?个|哪种"
    r"|那边|那里|那儿"
)
_ZH_WHICH = re.compile(r"(?:哪些|哪个|哪种|什么)[^，,]{0,5}(?:可以|能|行|有)(?:吗|呢)?")
_ZH_ASKS = re.compile(r"多久|多少|怎么|如何|什么|哪|几|吗|么|是否|能不能|可不可以|可以|为什么|何时|谁")
_ZH_GENERIC_WORDS = """
花 花钱 多久 多少 多少钱 钱 怎么 怎么办 办理 办 时候 时间 一般 大概 需要 可以 收费 免费 费用 价格 贵 便宜 更
最 最多 最少 快 慢 多长 多长时间 长时间 几天 几 天 例外 区别 不同 选项 方式 方法 流程 条件 要求 用
去 到 给 做 弄 行 支持 包括 包含 限制 期限 截止 为什么 原因 哪种 哪里 哪儿 具体 详细 然后 之后 以后
接着 后 呢 吗 吧 啊 还 再 又 没 不 不能 不行 不了 请问 如果 是 说 想 问 知道 看 找 一样 同样 也 都
别的 其他 那 这 那么 还有 或者 以及 但是 不过 可是 而且 另外 算 收 付 交 要 得 多 少 久 样 种 个 款
件 次 哪个 哪些 什么样 什么 有 必须 一定 应该 能 会 被 把 从 在 和 与 跟 对 对于 关于 至少 现在 今天
明天 一点 便宜一点 点 一些 些 么 这么 这样 那样 长 呀 了 的 够 行吗 好 它
"""
_ZH_GENERIC = frozenset(_ZH_GENERIC_WORDS.split())


def _leans_zh(question: str) -> bool:
    text = re.sub(r"[\s。！？?!.]+$", "", question)
    rest = _ZH_OPENERS.sub("", text)
    naming = distinct(rest)
    if not naming:
        return bool(re.search(f"[{HAN}]", rest))
    if (found := _ZH_POINTS.search(rest)) and not _named_before_zh(rest, found.start()):
        return True
    if _ZH_WHICH.fullmatch(rest):
        return True
    if text.endswith("呢") and not _ZH_ASKS.search(rest):
        return True
    return bool(_ZH_STARTS.match(text)) and (not _ZH_ASKS.search(rest) or len(naming) <= 1)


def _named_before_zh(text: str, at: int) -> bool:
    """Whether an earlier clause of the question names something."""
    return any(distinct(clause) for clause in re.split(r"[，,。；;！!？?\s]", text[:at])[:-1])


def _stretches(text: str, terms: list[str]) -> list[str]:
    """The terms as they stand in the text, neighbours together: 礼品 and 卡 as 礼品卡."""
    covered = [False] * len(text)
    for term in terms:
        for found in re.finditer(re.escape(term), text, re.IGNORECASE):
            covered[found.start() : found.end()] = [True] * len(found[0])
    marked = "".join(char if kept else "\n" for char, kept in zip(text, covered, strict=True))
    return list(dict.fromkeys(marked.split()))
