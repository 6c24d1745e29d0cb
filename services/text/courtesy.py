"""Sentences that claim nothing: greetings, thanks, offers of help, questions. English and Chinese.

Whole sentences of a fixed list, so that nothing can hide in one: whatever has a number, a date, a code or an
address claims something, and so do "Yes." and "Of course.", which answer.
"""

from __future__ import annotations

import re

from services.text.facts import facts

_ASK = "if you (?:have|need|want|would like)|if there(?:['’]s| is)|should you (?:have|need)|with"
_MORE = (
    "any|anything|more|other|else|another|further|additional|questions?|help|information|assistance|support"
    "|concerns?|about|this|that|it|or|with|i can help|we can help|i can do|we can do"
)
_TAIL = f"(?:[, ]*(?:{_ASK})(?: (?:{_MORE}))+)?"
_SORRY = "for (?:the|any) (?:inconvenience|trouble|confusion|delay)"
_YOUR = "your (?:question|message|patience|understanding|interest|order)"
_POLITE = f"""
(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day))(?:,? (?:there|customer|everyone))?
(?:thanks|thank you)(?: (?:so|very) much| a lot)?
(?:thanks|thank you) for (?:{_YOUR}|contacting us|reaching out(?: to us)?|asking|getting in touch)
you(?:['’]re| are)(?: very| most)? welcome|no problem|my pleasure|great|okay|ok
(?:that['’]s a |a )?(?:great|good) question
(?:(?:i|we) )?hope (?:this|that|it)(?: information| answer)? (?:helps|is helpful|was helpful)(?: you)?
(?:(?:i|we) )?hope (?:this|that|it) answers your question
(?:please )?(?:feel free|do not hesitate|don['’]t hesitate) to (?:ask|reach out|contact us|get in touch){_TAIL}
(?:please |just )?let (?:me|us) know{_TAIL}
(?:i['’]m|i am|we['’]re|we are) (?:always )?(?:happy|glad|here) to (?:help|assist)(?: you)?{_TAIL}
(?:happy|glad) (?:to help|i could help|we could help)
(?:(?:i['’]m|i am|we['’]re|we are|so) )?(?:very |really )?sorry(?: to hear (?:that|this)| about that| {_SORRY})?
(?:we|i) apologi[sz]e(?: {_SORRY})?
have a (?:nice|great|good|lovely|wonderful) (?:day|evening|weekend|time)
here(?:['’]s| is| are) (?:the|some|what|how|a few|an?)(?: \\w+){{0,4}}
(?:best|kind) regards|anything else|welcome(?: back)?|take care|bye|goodbye
您好|你好|好的|没问题|不客气|不用谢|再见|祝(?:您|你)(?:生活|购物|使用)?(?:愉快|顺利)
(?:谢谢|感谢)(?:您|你)?(?:的?(?:提问|咨询|理解|支持|来信|耐心|联系|耐心等待))?
(?:很|非常)?(?:抱歉|对不起)(?:给(?:您|你)带来(?:的)?(?:不便|困扰))?
(?:给(?:您|你)带来(?:的)?不便[，,]?)?(?:我们)?(?:深表歉意|敬请谅解)
希望(?:这|以上|这些|以上信息|这个回答|以上回答)?(?:能够?|会)?对?(?:您|你)?(?:有所|有)?帮助(?:到?(?:您|你))?
(?:如果|如|若)?(?:您|你)?[还仍]?有(?:任何|其他|什么|别的|更多)*(?:问题|疑问|需要)(?:的话)?[，,]?(?:请|欢迎|可以?)?随时(?:联系|告诉|咨询|问)我们?
(?:如果|如|若)?(?:您|你)?[还仍]?有(?:任何|其他|什么|别的|更多)*(?:问题|疑问|需要)(?:的话)?[，,]?(?:请|欢迎)(?:联系|告诉|咨询)我们
很?高兴能?(?:为|帮)(?:您|你)(?:服务|解答)?
"""  # noqa: E501
_WHOLE = re.compile(
    "(?:" + "|".join(_POLITE.strip().splitlines()) + r")[\s,.!。！，~～…:：🙂😊]*", re.IGNORECASE
)
_ASKS = re.compile(r"[?？][\"'”’)）]*\s*$")


def says_nothing(sentence: str) -> bool:
    """Whether a sentence only is polite or only asks: no statement that a source would have to back."""
    if not any(char.isalpha() for char in sentence):
        return not any(char.isdigit() for char in sentence)
    polite = _WHOLE.fullmatch(sentence.strip()) is not None
    return (polite or _ASKS.search(sentence) is not None) and not any(fact.firm for fact in facts(sentence))
