"""What needs no knowledge: a greeting, thanks, a goodbye, abuse, "are you a bot?", the wish for a person.

Patterns, English and Chinese. Conservative: only a message that is nothing else counts, so a greeting or
thanks with a question behind it is a question. Also the words that end an open form or pass a question by.
"""

from __future__ import annotations

import re
import unicodedata

KINDS = ("person", "stop", "greeting", "thanks", "agreed", "goodbye", "bot", "abuse")
LONGEST = 120
"""Characters; what is longer is never small talk."""

_OK = (
    r"(?:ok|okay|oh|ah|great|perfect|cool|alright|all right|awesome|super|good|nice|wonderful|got it"
    r"|fine|yes|no|well)"
)
_THANKS = (
    r"(?:many thanks|thanks|thank you|thank u|thx|ty|cheers)"
    r"(?: so much| very much| a lot| a million| again| bot| indeed| then| for (?:your|the|all your)"
    r"(?: quick| kind)? (?:help|time|answer|reply|support|information|info))*"
)
_HELPED = (
    r"(?:that|it|this) (?:helped|helps|was (?:very |really )?helpful|is (?:very |really )?helpful"
    r"|worked|works)"
)
_BYE = (
    r"(?:bye|bye bye|goodbye|good bye|good night|see you|see you (?:later|soon)|cya|farewell|that s all"
    r"|that is all"
    r"|nothing else|have a (?:nice|good|great|lovely) (?:day|one|evening|weekend))"
)
_HELLO = (
    r"(?:hi|hello|hey|hiya|howdy|yo|greetings|hallo|good (?:morning|afternoon|evening|day))"
    r"(?: (?:there|all|team|everyone|everybody|bot|you|again|folks|guys|sir|madam))?"
)
_HOW_ARE_YOU = (
    r"(?:how are you(?: doing)?(?: today)?|how s it going|how is it going|what s up|sup|nice to meet you)"
)
_SOMEBODY = (
    r"(?:human|human being|person|agent|someone|somebody|representative|rep|operator|colleague|advisor"
    r"|adviser"
    r"|staff|staff member|member of staff|employee|manager|supervisor|customer (?:service|support)"
    r"|support team)"
)
_KIND_OF = (
    r"(?:(?:a|an|the|your|some|one of your|real|live|actual|human|customer|service|support"
    r"|another) )*"
)
_MACHINE = (
    r"(?:(?:a|an|the|real|actual|live|just) )*(?:bot|robot|chat ?bot|machine|computer|ai|human"
    r"|human being|person|real)"
)

_ENGLISH = {
    "greeting": rf"(?:{_HELLO} ?){{1,3}}(?:{_HOW_ARE_YOU})?|{_HOW_ARE_YOU}",
    "thanks": rf"(?:{_OK} ){{0,3}}(?:{_THANKS})(?: (?:{_HELPED}|{_OK}))?|(?:{_OK} )?{_HELPED}"
    rf"(?: {_THANKS})?",
    "agreed": rf"{_OK}(?: {_OK})?|i see|understood|i understand",
    "goodbye": rf"(?:{_OK} ){{0,2}}(?:{_THANKS} (?:and )?)?{_BYE}(?: (?:{_BYE}|{_THANKS}))?",
    "bot": rf"(?:wait |so |hey )?(?:(?:are|r) (?:you|u)|is (?:this|that|it)|am i (?:talking|speaking"
    rf"|chatting|writing)"
    rf" (?:to|with)) {_MACHINE}(?: or (?:not|{_MACHINE}))?|you (?:are|re) {_MACHINE} (?:right|aren t you)"
    r"|who are you|what are you|who am i (?:talking|speaking|chatting) (?:to|with)",
    "abuse": r"(?:(?:you|u|this|it|what|that) ?)?(?:(?:are|re|r|is|s|bot|so|such|just|a|an|fucking"
    r"|totally|really|absolutely) )*"
    r"(?:useless|stupid|dumb|idiot|idiotic|moron|crap|shit|garbage|rubbish|trash|pathetic|worthless)"
    r"(?: (?:bot|robot|machine|thing|chatbot|service|assistant|answer))?"
    r"|(?:fuck|screw|damn)(?: (?:you|off|this|it))?|shut up|you suck|this sucks|go to hell|piss off"
    r"|bullshit|wtf"
    r"|asshole|bastard|kiss my ass",
    "stop": r"(?:(?:please|ok|okay|no|oh|actually|sorry) )*(?:never ?mind|nvm|cancel|cancel (?:that"
    r"|this|it)|stop|stop (?:it|this)"
    r"|forget (?:it|that|this|about it)|no thanks|no thank you|quit|exit|abort|leave it|not now"
    r"|it doesn t matter"
    r"|doesn t matter|don t bother|i changed my mind|drop it)(?: (?:please|thanks|thank you))*",
    "person": rf"(?:(?:please|can|could|may|i|we|want|need|would|like|d|to|get|me|have|give|wanna|a|an"
    rf"|just) )*"
    rf"(?:(?:real|live|actual|human|customer|service|support) )*(?:{_SOMEBODY})(?: (?:please|now|instead))*"
    r"|live chat(?: please)?|(?:is|are) there (?:a |an |any )?(?:real |live |human )?(?:person|people"
    r"|human|humans|agent|agents)"
    r"(?: (?:here|there|available|i can (?:talk|speak|write) (?:to|with)))*",
}  # fmt: skip
_CHINESE = {
    "greeting": r"(?:你好|您好|嗨|哈喽|哈啰|哈罗|早上好|上午好|中午好|下午好|晚上好|早安|晚安|大家好"
    r"|在吗|在么|在不在|有人吗|有人在吗|喂|hello|hi)+"
    r"(?:呀|啊|哦|哈|亲|客服|小助手)*",
    "thanks": r"(?:好的?|嗯+|行|明白了?|知道了|懂了|太好了)*(?:非常|十分|多)?(?:谢谢|感谢|谢了|多谢"
    r"|辛苦了|3q|thx)(?:你们?|您|啦|了|啊|哈|帮助"
    r"|的帮助)*",
    "agreed": r"(?:好的?|嗯+|行|可以|明白了?|知道了|懂了|了解了?|收到|ok|没问题|太好了)(?:的|吧|啦|了)?",
    "goodbye": r"(?:好的?|谢谢|谢谢你)?(?:再见|拜拜|88|下次见|回见|没事了|没有了|没别的了)(?:啦|了|谢谢)?",
    "bot": r"(?:请问)?(?:你|您|这|这里)?(?:是|是不是)(?:一?个)?(?:机器人|真人|人工|真的人|ai|智能客服"
    r"|电脑)(?:客服)?(?:还是(?:真人|机器人|人工|人))?"
    r"(?:吗|么|啊|吧|呢|回复)*|(?:你|您)是谁|(?:你|您)是人吗|(?:你|您)是人还是机器人?",
    "abuse": r"(?:你|你们)?(?:真|太|好|这个?|是个?|就是个?|什么|简直)*(?:垃圾|傻逼|傻x|傻b|sb|白痴|废物"
    r"|蠢货?|智障|混蛋|弱智|破)"
    r"(?:机器人|客服|东西|玩意儿?|了|啊|死了)*|滚(?:蛋|开)?(?:吧)?|去死(?:吧)?|(?:他|你)?妈的|tmd|操你妈?",
    "stop": r"(?:那|先|还是|我)*(?:取消|算了|不用了|不要了|不问了|停|停止|退出|没事了|不查了|不弄了"
    r"|不需要了|当我没说|别问了)(?:吧|谢谢|啦)*",
    "person": r"(?:请|麻烦|帮我|给我|我|想|要|需要|可以|能不能|能|直接)*(?:转接?|找|换|叫|接|要|来)?"
    r"(?:一?个|到)?(?:人工|真人)(?:客服|服务|坐席"
    r"|处理|来)?"
    r"(?:吗|吧|啊|谢谢)*|(?:请|麻烦|帮我|我|想|要|能不能|能)*(?:转接?|找|叫)(?:一?个)?客服(?:人员)?(?:吗"
    r"|吧|谢谢)*"
    r"|(?:我|想|要|能不能|能|可以)*(?:和|跟|与)(?:一?个)?(?:人工|真人|客服|活人)(?:客服)?(?:聊|谈|说|讲"
    r"|沟通|对话|说话)(?:一下|聊|谈)?(?:吗"
    r"|吧)*|有(?:没有)?(?:人工|真人)(?:客服)?(?:吗|么)?",
}
_WANTS_PERSON = re.compile(
    rf"\b(?:talk|speak|chat|write|connect|connected|transfer|transferred|pass|passed|put|hand|escalate"
    rf"|switch|forward)"
    rf"(?: me| us| this| it)?(?: through| over| on)?(?: to| with) {_KIND_OF}{_SOMEBODY}\b"
)
_ABOUT_CONTACT = re.compile(
    r"\b(?:opening|open|hours|phone|telephone|number|e ?mail|address|where|when|how (?:long|much)|why"
    r"|cost|costs|without)\b"
    r"|\b(?:don t|do not|not|never|rather than|didn t|refused) (?:want |need |have |like )?(?:to )?"
)
_DECLINES = re.compile(
    r"(?:sorry |no |well )*(?:i )?(?:do not|don t|can t|cannot) (?:know|have|find|remember)(?: it| that"
    r"| one| this"
    r"| the| my| number| order| any more| anymore| right now)*|(?:i have )?no idea|(?:i(?: ve)? )?"
    r"(?:lost|forgot|forgotten) it"
    r"|i forgot|not sure|dunno|idk|i have (?:no|none)(?: number| order number)?"
)
_DECLINES_ZH = re.compile(
    r"(?:我)?(?:不知道|不清楚|忘了|忘记了|没有|找不到|不记得)(?:了|订单号|号码|单号)*|没有?(?:订单号|单号)"
)
_ASKS = re.compile(
    r"^(?:and |but |so |hey |hi |hello |wait )*(?:what|how|when|where|why|who|whose|which|can|could|do"
    r"|does|did|is|are|was|will"
    r"|would|should|may|what s|how s)\b"
)
_ASKS_ZH = re.compile(
    r"吗|呢$|怎么|怎样|什么|多少|多久|几[天个点号]|哪|为何|能不能|可不可以|是不是|有没有|如何|能否"
)

_COMPILED = [
    (kind, re.compile(_ENGLISH[kind]), re.compile(_CHINESE[kind])) for kind in KINDS
]  # fmt: skip


def kind_of(text: str) -> str:
    """One of KINDS, or "" when the message is anything else, or anything more."""
    if len(text) > LONGEST:
        return ""
    words = plain(text)
    run = words.replace(" ", "")
    for kind, english, chinese in _COMPILED:
        if english.fullmatch(words) or chinese.fullmatch(run):
            return kind
    return "person" if _WANTS_PERSON.search(words) and not _ABOUT_CONTACT.search(words) else ""


def declines(text: str) -> bool:
    """Whether it says that what was asked for is not known or not to be had."""
    words = plain(text)
    return bool(_DECLINES.fullmatch(words) or _DECLINES_ZH.fullmatch(words.replace(" ", "")))


def is_question(text: str) -> bool:
    """Whether a message asks something, by its mark or its words."""
    words = plain(text)
    return "?" in text or "？" in text or bool(_ASKS.search(words) or _ASKS_ZH.search(words.replace(" ", "")))


def plain(text: str) -> str:
    """Lower-case words with single spaces between them: no marks, no emoji, full width made narrow."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return re.sub(r"(?:[^\w]|_)+", " ", folded).strip()
