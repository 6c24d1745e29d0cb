"""Does the check of an answer against its passages see what was changed, and let pass what was not?

`python -m benchmarks.grounding --data DIR [--json FILE] [--seed N] [--cases N] [--show N]`: DIR holds
passages.jsonl (id, title, text: plain or Markdown, English or Chinese). Texts are read by the product's own
reader. Sentences are drawn from them and judged against their passage, its neighbours and a random one, as a
search would give them: as they stand and reworded (to be kept), and with one thing changed (to be dropped).
The changes are made by `benchmarks.tampering`, which shares no list and no pattern with the checker.

A kind with few places in the texts is filled up with planted sentences ("The reference is LM-204518."), put
into the passage and then tampered with. caught_number: another number. caught_negation: "not" added, taken
out, or a word in place of its opposite. caught_other: dates, codes, addresses, units, names, and sentences of
other passages. clean_flagged: the share of untampered sentences that would be dropped.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.command import arguments, conditions, engine_threads, serving_engine, write
from benchmarks.rewording import REWORDINGS
from benchmarks.tampering import HAN, TAMPERERS, Context, names
from chatbot.grounding import Passage, check
from services.errors import InvalidInput
from services.inference.engine import Engine
from services.inference.values import Priority
from services.text.language import detect
from services.text.sentences import sentences

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

PLANTED = 60
"""Cases that a kind of fact is filled up to with planted sentences."""
GROUPS = {
    "caught_number": ("number",),
    "caught_negation": ("negation_added", "negation_removed", "opposite"),
    "caught_other": ("date", "code", "url", "unit", "entity", "sentence_near", "sentence_far"),
    "clean_flagged": ("verbatim", *REWORDINGS),
}
FLOORS = {"caught_number": 0.98, "caught_negation": 0.80, "caught_other": 0.98, "clean_flagged": 0.05}
_CARRIERS = {
    "number": ("At most {n} of them are kept here.", "这里最多保留{n}份。"),
    "date": ("This was last reviewed on {d} {month} {y}.", "本文最后审阅于{y}年{m}月{d}日。"),
    "code": ("The reference of this part is LM-{n}07.", "这一部分的编号是LM-{n}07。"),
    "url": ("More is told at https://help.example.com/guides/part-{n}.", "详见 https://help.example.com/guides/part-{n}。"),
    "unit": ("It is kept for {d} days.", "资料保存{d}天。"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence of an answer, and the passages that it is judged against."""

    kind: str
    text: str
    given: tuple[Passage, ...]
    original: str


def main() -> None:
    """Parse, make the cases, judge, print, write."""
    parser = arguments(
        __doc__, "folder with passages.jsonl", "which sentences are drawn, and what is changed"
    )
    parser.add_argument("--cases", type=int, default=300, help="most cases of a kind")
    parser.add_argument("--show", type=int, default=0, help="print so many mistakes of each kind")
    args = parser.parse_args()
    passages = read(args.data / "passages.jsonl")
    cases = make(passages, args.cases, random.Random(args.seed))
    with serving_engine() as engine:
        metrics, lines = run(cases, engine, args.show)
        metrics |= {"passages": len(passages), "encoder": engine.encoder().name, "seed": args.seed}
    print("\n".join(lines))
    write(args.json, metrics | conditions(engine_threads()))


def read(path: Path) -> list[Passage]:
    """The sections of every text, as the product's reader cuts them, in order."""
    import django

    django.setup()
    from chatbot.parsing import read_sections

    found = []
    for line in path.open(encoding="utf-8"):
        row = json.loads(line) if line.strip() else {}
        if not row.get("text", "").strip():
            continue
        try:
            sections = read_sections(row["text"].encode(), "text/markdown", row.get("title") or "")
        except InvalidInput:  # nothing but markup
            continue
        for n, section in enumerate(sections):
            heading = " › ".join(dict.fromkeys([row.get("title") or "", *section.title_path]))
            blocks = tuple((block.start, block.end) for block in section.blocks)
            found.append(Passage(f"{row['id']}#{n}", section.text, heading, blocks))
    return found


def make(passages: Sequence[Passage], most: int, draw: random.Random) -> list[Case]:
    """At most so many cases of each kind, from sentences in an order drawn by the seed."""
    places = [(n, text) for n, passage in enumerate(passages) for text in said(passage)]
    draw.shuffle(places)
    others = tuple(name for _, text in places[:2000] for name in names(text))
    counts: Counter[str] = Counter()
    cases = []
    for n, text in places:
        given = _given(passages, n, draw)
        known = _plain(_all(given))
        context = Context(passages[n].text, others, draw)
        for kind, new in _variants(text, context, counts, most):
            if new is not None and (kind == "verbatim" or _plain(new) not in known):
                counts[kind] += 1
                cases.append(Case(kind, new, given, text))
    cases += _strangers(passages, places, most, draw)
    return cases + list(_planted(passages, counts, draw))


def said(passage: Passage) -> Iterator[str]:
    """The sentences of a passage that say something: whole, of middling length, mostly letters."""
    for start, end in passage.blocks:
        for span in sentences(passage.text[start:end]):
            text = span.of(passage.text[start:end])
            length = len(HAN.findall(text)) + len(re.findall(r"[A-Za-z']+", text))
            letters = sum(char.isalpha() or char.isspace() for char in text)
            if 6 <= length <= 60 and text[-1] in ".!。！" and letters >= 0.75 * len(text):
                yield text


def _given(passages: Sequence[Passage], n: int, draw: random.Random) -> tuple[Passage, ...]:
    near = [at for at in (n - 1, n + 1) if 0 <= at < len(passages)]
    order = [n, *near, draw.randrange(len(passages))]
    return tuple(passages[at] for at in dict.fromkeys(order))


def _variants(
    text: str, context: Context, counts: Counter[str], most: int
) -> Iterator[tuple[str, str | None]]:
    if counts["verbatim"] < most:
        yield "verbatim", text
    for kind, reword in REWORDINGS.items():
        if counts[kind] < most:
            yield kind, reword(text)
    for kind, tamper in TAMPERERS.items():
        if counts[kind] < most:
            yield kind, tamper(text, context)


def _strangers(
    passages: Sequence[Passage], places: Sequence[tuple[int, str]], most: int, draw: random.Random
) -> Iterator[Case]:
    """Sentences judged against passages that do not hold them: a few places away, or anywhere."""
    for kind, steps in (("sentence_near", (3, 8)), ("sentence_far", (20, max(21, len(passages) - 20)))):
        made = 0
        for n, text in places:
            at = n + draw.randint(*steps) * draw.choice([-1, 1])
            if kind == "sentence_far":
                at %= len(passages)
            if made == most or not 0 <= at < len(passages):
                continue
            given = _given(passages, at, draw)
            if _plain(text) not in _plain(_all(given)):
                made += 1
                yield Case(kind, text, given, "")


def _planted(passages: Sequence[Passage], counts: Counter[str], draw: random.Random) -> Iterator[Case]:
    """Cases of facts that the texts have too few of, in sentences put into a passage."""
    for kind, carriers in _CARRIERS.items():
        for _ in range(max(0, PLANTED - counts[kind])):
            n = draw.randrange(len(passages))
            filled = {"n": draw.randint(12, 989), "d": draw.randint(2, 28), "m": draw.randint(1, 12)}
            month = draw.choice(["March", "June", "October"])
            carrier = carriers[bool(HAN.search(passages[n].text))]
            text = carrier.format(**filled, month=month, y=draw.randint(2015, 2026))
            whole = f"{passages[n].text}\n{text}"
            blocks = (*passages[n].blocks, (len(whole) - len(text), len(whole)))
            given = (replace(passages[n], text=whole, blocks=blocks), *_given(passages, n, draw)[1:])
            new = TAMPERERS[kind](text, Context(whole, (), draw))
            if new is not None:
                yield Case(kind, new, given, text)


def run(cases: Sequence[Case], engine: Engine, show: int = 0) -> tuple[dict[str, float | str], list[str]]:
    """The metrics, and the table as lines."""
    kept: dict[str, list[bool]] = defaultdict(list)
    shown: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        judged = check(case.text, case.given, language=detect(case.text), engine=engine)
        kept[case.kind].append(bool(judged) and all(one.supported for one in judged))
        if kept[case.kind][-1] != (case.kind in GROUPS["clean_flagged"]):
            why = ", ".join(f"{one.reason} {one.score:.2f}" for one in judged)
            shown[case.kind].append(f"  [{case.kind}: {why}] {case.text}\n      of: {case.original}")
    near, digits = _baselines(cases, engine)
    dropped = {kind: 1 - float(np.mean(values)) for kind, values in kept.items() if values}
    metrics: dict[str, float | str] = {}
    for name, kinds in GROUPS.items():
        present = [kind for kind in kinds if kind in dropped]
        rows = [value for kind in present for value in kept[kind]]
        metrics[name] = round(1 - float(np.mean(rows)), 4) if rows else 0.0
        metrics |= {f"{name.split('_')[0]}_{kind}": round(dropped[kind], 4) for kind in present}
        metrics |= {f"n_{kind}": len(kept[kind]) for kind in present}
        metrics[f"similarity_{name}"] = _of(cases, near, kinds)
    lines = [
        f"{len(cases)} cases",
        "",
        f"{'dropped':24}{'n':>6}{'this':>9}{'similarity':>12}{'+ digits':>10}",
    ]
    for name, kinds in GROUPS.items():
        aim = f"at most {FLOORS[name]}" if name == "clean_flagged" else f"at least {FLOORS[name]}"
        total = sum(len(kept[kind]) for kind in kinds)
        lines.append(
            _line(name, total, float(metrics[name]), _of(cases, near, kinds), _of(cases, digits, kinds))
            + f"   ({aim})"
        )
        for kind in kinds:
            if kind in dropped:
                lines.append(
                    _line(
                        "  " + kind,
                        len(kept[kind]),
                        dropped[kind],
                        _of(cases, near, (kind,)),
                        _of(cases, digits, (kind,)),
                    )
                )
    return metrics, [*lines, *(line for found in shown.values() for line in found[:show])]


def _line(name: str, n: int, *shares: float) -> str:
    return f"{name:24}{n:6}{shares[0]:9.3f}{shares[1]:12.3f}{shares[2]:10.3f}"


def _baselines(cases: Sequence[Case], engine: Engine) -> tuple[list[bool], list[bool]]:
    """Kept by cosine alone, at the border that drops 5 % of the clean; and by that and the same digits."""
    best = np.array([_cosine(case, engine) for case in cases])
    clean = np.array([case.kind in GROUPS["clean_flagged"] for case in cases])
    near = best >= np.quantile(best[clean], 0.05)
    has = [set(re.findall(r"\d+", c.text)) <= set(re.findall(r"\d+", _all(c.given))) for c in cases]
    return near.tolist(), (near & np.array(has)).tolist()


def _cosine(case: Case, engine: Engine) -> float:
    spans = [
        p.text[a:b][s.start : s.end] for p in case.given for a, b in p.blocks for s in sentences(p.text[a:b])
    ]
    vecs = engine.embed([case.text, *spans], priority=Priority.BATCH)
    return float((vecs[1:] @ vecs[0]).max())


def _of(cases: Sequence[Case], kept: Sequence[bool], kinds: Sequence[str]) -> float:
    rows = [keep for case, keep in zip(cases, kept, strict=True) if case.kind in kinds]
    return round(1 - float(np.mean(rows)), 4) if rows else 0.0


def _all(given: Sequence[Passage]) -> str:
    return "\n".join(passage.text for passage in given)


def _plain(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().lower()


if __name__ == "__main__":
    main()
