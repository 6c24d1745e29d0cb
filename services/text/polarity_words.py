"""The words that `polarity` knows: what negates, what only looks as if it did, and pairs of opposites.

Patterns stand one a line. A pair is written "some words | their opposites"; the words of one side count as
one idea. Those marked with ! say no by themselves on their right side ("refused" = "not accepted").
"""

from __future__ import annotations

import re


def _either(patterns: str) -> str:
    return "|".join(pattern.strip() for pattern in patterns.strip().splitlines())


_NO_NEGATION = r"""
\bnot only\b(?=.{0,300}\b(?:but|also|too|as well)\b)|\bnot (?:least|to mention|unlike)\b
(?<!can )(?<!could )(?<!do )(?<!does )(?<!will )\bnot (?:just|merely|simply)\b
\bno (?:doubt|matter|wonder)\b
\bno\.? ?(?=\d)
\b(?:whether or not|or not|nothing but|if not|why not|yes or no|cannot but|notwithstanding)\b
\bcan(?:no|['’])t help but\b
\bnot (?:so|as) much as\b
不仅|不但|不只|不光|不单|不止|不过|不同|不久|不断|不错|不管|不论|无论|不少(?!于)|不妨|不得不|不可不|不如|不禁|不愧
不锈|不动产|不等式|不好意思|不客气|没关系|没问题|无线|无人机|无非|未来|未必|非常|非洲|除非|是非|并非不|非但|莫非
能不能|可不可以|是不是|会不会|要不要|有没有|有无|对不起|差不多|要不|来不及|毫不|不停|不足为
"""
NO_NEGATION = re.compile(_either(_NO_NEGATION), re.IGNORECASE)
"""Read over: not a negation of what follows."""

_CUES = r"""
\b(?:no[ -]one|not|never|cannot|nobody|nothing|nowhere|neither|nor|none|without|unable)\b
\b(?:hardly|scarcely|rarely|seldom)\b
\bno(?= )|(?<=: )no\b
\b[a-z]+n['’]t\b
\b(?:cant|wont|dont|doesnt|isnt|arent|didnt|wasnt)\b
不|没有|没|无法|无需|无须|无权|无(?=[法效需须关误意任权偿])|拒不
尚未|从未|未(?=[能经使开付满达到发收被曾有做提])|并非|(?<![请务])切勿|请勿|勿
(?:请|千万|先)别|非(?=会员|质量|本|法|人为|营业|工作|标|正)
"""
CUES = re.compile(_either(_CUES), re.IGNORECASE)

_AT_LEAST = r"""
at (?:the very )?least|(?:no|not) (?:less|fewer) than|(?:a )?minimum of|more than|upwards of
(?:over|above)(?= [\d$€£])|exceeds?|exceeding|(?:greater|longer|higher|larger|older) than
至少|最少|起码|不少于|不低于|不小于|多于|大于|高于|超过|满(?=[\d一二三四五六七八九十两百千])
"""
_AT_MOST = r"""
at (?:the very )?most|(?:no|not) (?:more|longer|higher|larger|greater) than|up to|(?:to )?(?:a )?maximum of
not exceed(?:ing)?|(?:less|fewer|shorter|lower|smaller|younger) than|(?:under|below)(?= [\d$€£])
最多|至多|不超过|不多于|不高于|不大于|不得超过|不能超过|少于|小于|低于|不足|不到
"""
BOUNDS = {1: _either(_AT_LEAST), -1: _either(_AT_MOST)}
"""Sign -> what comes before a number and says from there up, or up to there."""
BOUNDS_AFTER = {
    1: r"or (?:more|longer|over|above|older|higher)|and (?:above|over)|及以上|以上|或以上|或更多",
    -1: r"or (?:less|fewer|under|below|younger|lower|shorter)|and (?:below|under)"
    r"|及以下|以下|或以下|以内|之内|或更少",
}
LATEST = r"no later than|not later than|at the latest|最迟|最晚|不晚于"
EARLIEST = r"no earlier than|not earlier than|not before|at the earliest|最早|不早于"

_PAIRS = """
allow permit authorize authorise let 允许 准许 许可 | ! forbid forbidden prohibit ban disallow prevent 禁止
accept approve grant 接受 同意 批准 受理 | ! refuse reject decline deny denied 拒绝 拒收 驳回
include contain comprise 包括 包含 含 | ! exclude omit except 排除 除外 不含 不包括 不包含
enable activate turn-on switch-on 启用 开启 打开 激活 | disable deactivate turn-off switch-off 停用 禁用 关闭
succeed success successful 成功 | ! fail failure unsuccessful 失败
possible | ! impossible
available 可用 有货 | ! unavailable 缺货 无货
valid effective 有效 生效 | ! invalid void expired 无效 失效 过期
eligible qualify | ! ineligible
active | ! inactive
complete | ! incomplete
correct right 正确 | ! incorrect wrong 错误
sufficient enough | ! insufficient
direct | indirect
compatible 兼容 | ! incompatible
legal lawful 合法 | ! illegal unlawful 非法 违法
same identical 相同 一样 | different 不同
agree | ! disagree
connect | ! disconnect
encrypt | decrypt
install | uninstall
lock | unlock
required mandatory compulsory obligatory must 必须 必填 必需 | optional voluntary 可选 选填 自愿
charge chargeable fee fees 收费 付费 自付 收运费 要运费 | ! free-of-charge free 免费 包邮 免运费
before prior earlier 之前 以前 提前 | after later afterwards 之后 以后 延后
open 打开 开放 营业 | close closed shut 关闭 关门 休息
increase rise rose risen grow grew raise 增加 上升 提高 | decrease fall fell fallen drop reduce 减少 下降 降低
extend 延长 | shorten 缩短
more 更多 | less fewer 更少
most | least fewest
above over 高于 | below under beneath 低于
maximum max highest 最大 最高 上限 | minimum min lowest 最小 最低 下限
high higher | low lower
large big great larger largest bigger greater | small little smaller smallest
early earliest | late latest
first 首先 | last 最后
public 公开 | private 私有 私密
internal inside indoor 内部 室内 | external outside outdoor 外部 室外
start begin began begun 开始 | stop end finish 结束 停止
buy purchase 购买 | sell sold 出售
win won gain | lose lost
fast quick faster quicker rapid | slow slower
long longer | short shorter
easy simple | hard difficult
online 线上 | offline 线下
add | remove delete
upload 上传 | download 下载
import 进口 导入 | export 出口 导出
send sent 发送 寄出 | receive 收到
enter | leave exit
arrive | depart
input | output
strong | weak
cheap cheaper | expensive
new newer | old older
hot warm | cold cool
left | right-hand
positive | negative
true | false
safe 安全 | dangerous unsafe 危险
full | empty
wet | dry
upper | lower-part
incoming inbound | outgoing outbound
ascending 升序 | descending 降序
horizontal | vertical
asynchronous | synchronous
static | dynamic
single sole | multiple several many
permanent 永久 | temporary 临时
manual 手动 | automatic 自动
alive | dead
common 常见 | rare 罕见
near close-to | far
present | absent
refundable | ! non-refundable
exempt | liable
profit 盈利 | loss 亏损
credit | debit
domestic 国内 | abroad overseas 国外 海外
inclusive | exclusive
better best | worse worst
young younger | elder
"""


def _pairs() -> dict[str, tuple[str, int, bool]]:
    found: dict[str, tuple[str, int, bool]] = {}
    for line in _PAIRS.strip().splitlines():
        plus, minus = line.split("|")
        name = plus.split()[0]
        says_no = minus.strip().startswith("!")
        for word in plus.split():
            found.setdefault(word.replace("-", " "), (name, 1, False))
        for word in minus.replace("!", " ").split():
            found.setdefault(word.replace("-", " "), (name, -1, says_no))
    return found


OPPOSITES = _pairs()
"""Word -> (idea, side +1 or -1, whether it says no by itself)."""

HAN_ORDER = re.compile(
    r"(?<![之以目当然最提今此])(?P<before>前)(?![往台提后])|(?<![之以最然今此往随])(?P<after>后)(?![台续者果来])"
)
"""签收前, 签收后: before and after without 之 or 以."""

_STOP = """
a an the this that these those it its they them their he him his she her we us our you your i me my one ones
is are was were be been being am do does did done have has had having can will would shall should could may
might of to in on at by for from as into onto about and or but so then there here than too very also just
still yet even such any some another other others else which who whom whose what when where how if because
since while although though unless until both either per via s t d ll re ve m however therefore thus please
get got not no nor own 需 被 将 把 的 了 吗 呢 吧 啊 是 在 有 和 与 及 或 我 你 您 他 她 它 们 会 要 就 都
也 很 请 对 于 为 以 其 此 该 这 那 个 能 可 得 法 再 用 上 下 中 内 从 到 由 并 且 而 则 时 后 前 所 还 只
才 又
"""
STOP = frozenset(_STOP.split())
"""Words too common to say which clause of a text is meant."""
