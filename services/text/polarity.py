"""Does one text say no where the other says yes? Word by word near the predicate, English and Chinese.

A negation ("not", "never", "without", 不, 没有, ...) turns round the next word that carries meaning: its
head. A word that says no by itself ("refused", 禁止) is the other side of a pair of opposites, as are
"before" and "after". Each word of the claim is laid beside the same word of the source, in the clause that
shares most:

- one side of a pair against the other differs, unless a negation turns one of them round;
- so does a head that is negated on one side only;
- a difference is made up for by a second one, or by a negation nearby on the side that lacks one: "offers no
  refunds" = "does not offer refunds", "is not possible" = "cannot be done"; otherwise it is a contradiction;
- a claim's negation whose head the source does not have needs some negation of the source to stand for;
- a negation of the source may be left out only together with its clause.

"Not only", "whether or not", 不仅, 能不能 negate nothing; a question says neither yes nor no, but "Can I ...?
No." does. "At least 5" and "at most 5" are opposites, "no more than 5" is "at most 5".
Rules, no parser: irony, "not ... until", quantifiers ("not all", "all ... not") and negations that are only
implied ("too late to return") are not understood.
"""

from __future__ import annotations

from typing import Literal

from services.text.clauses import Cue, Reading, Token, read

Disagreement = Literal["", "opposed", "unsaid"]

COVERED = 0.6
"""Share of a source clause's words that a claim must have to be held to that clause's negation."""
REPEATED = 0.65
"""Share of the words of a claim's clause that the source must have to be said to say the opposite."""
NEAR = 4
"""Words within which a second negation makes up for the first."""


def disagreement(claim: str, source: str, heading: str = "") -> Disagreement:
    """Whether a sentence says yes where a source text says no, or the other way round.

    "opposed": they say opposite things of the same words; "unsaid": they differ, but the source is about
    other things as well, or has no word on it, so another source may say it; "" when they agree.
    `source` is one to a few sentences. A `heading` counts as its first: "What cannot be returned" negates
    what follows, and "Can I return it?" is answered by a source that begins with "No".
    """
    said, given = read(claim), _under(heading, source)
    open_said, open_given = _unmatched(said, given), _unmatched(given, said)
    differences = [*_differences(said, given), *_lost(said, given)]
    while differences:
        token, other = differences.pop(0)
        second = next((pair for pair in differences if _pairs_with(pair, (token, other))), None)
        if second is not None:
            differences.remove(second)
        elif not (
            _makes_up(open_said, token)
            or _makes_up(open_given, other)
            or (token.negated and _repeated(open_given, given, said))
        ):
            return "opposed" if _repeats(token, said, given) else "unsaid"
    for cue in [cue for cue in open_said if cue.demands]:
        if cue in open_said:
            open_said.remove(cue)
            if not _stood_for(cue, open_given, given, said) and not _take(open_said, cue.clause):
                return "unsaid"
    own = [cue for cue in open_given if cue.demands and (cue.head is None or cue.clause > given.heading)]
    if any(_passed_over(cue, given, said) and not _take(open_said, None) for cue in own):
        return "opposed"
    return ""


def _repeats(token: Token, said: Reading, given: Reading) -> bool:
    """Whether the clause of the claim around a word has little that the source has not."""
    ideas = said.ideas(token.clause) - {token.idea}
    return len(ideas & given.all_ideas) >= REPEATED * len(ideas)


def _passed_over(cue: Cue, given: Reading, said: Reading) -> bool:
    """Whether the claim says a negation's clause again, in a clause of its own that negates nothing."""
    around = given.ideas(cue.clause)
    clauses = {token.clause for token in said.tokens if token.idea in around}
    best = max(clauses, key=lambda clause: len(around & said.ideas(clause)), default=-1)
    return _covered(cue, given, said) and not any(other.clause == best for other in said.cues)


def _under(heading: str, source: str) -> Reading:
    """The source, with its heading as a sentence before it where that negates or asks something."""
    asks = heading.rstrip().endswith(("?", "？"))
    if not asks and not read(heading).cues:
        return read(source)
    return read(f"{heading.strip()}\n\n{source}", headed=True)


def _differences(said: Reading, given: Reading) -> list[tuple[Token, Token]]:
    """Words of the claim that every counterpart in the source says the other way.

    Where both texts have both of a pair of opposites, equally often, their clauses only changed places.
    """
    found = []
    for token in said.tokens:
        own = _counterparts(token, said, given)
        if own and all(other.sign != token.sign for other in own):
            by_negation = own[0].side == token.side
            if by_negation or said.sides(token.idea) != given.sides(token.idea):
                found.append((token, own[0]))
    return found


def _lost(said: Reading, given: Reading) -> list[tuple[Token, Token]]:
    """Negations of the source in a clause that the claim repeats, where the claim does not negate that word.

    Only for words that the source has both ways; the others are seen from the claim's side.
    """
    found = []
    for cue in given.cues:
        if cue.head is None or cue.clause <= given.heading or not _covered(cue, given, said):
            continue
        own = _counterparts(cue.head, given, said)
        both = any(t.idea == cue.head.idea and t.sign != cue.head.sign for t in given.tokens)
        if own and both and all(token.sign != cue.head.sign for token in own):
            found.append((own[0], cue.head))
    return found


def _counterparts(token: Token, said: Reading, given: Reading) -> list[Token]:
    """The same idea in the other text, where the clause around it shares most with the token's own."""
    own = [other for other in given.tokens if other.idea == token.idea]
    own = [other for other in own if other.clause > given.heading] or own
    if len(own) < 2:
        return own
    shared = [_alike(token, said, other, given) for other in own]
    return [other for other, share in zip(own, shared, strict=True) if share == max(shared)]


def _alike(token: Token, said: Reading, other: Token, given: Reading) -> float:
    """How alike the clauses around two words are, and their nearest neighbours."""
    clauses = _overlap(said.ideas(token.clause) - {token.idea}, given.ideas(other.clause) - {token.idea})
    return clauses + _overlap(said.beside(token.place, NEAR), given.beside(other.place, NEAR))


def _overlap(one: frozenset[str], two: frozenset[str]) -> float:
    return len(one & two) / max(1, len(one | two))


def _pairs_with(one: tuple[Token, Token], two: tuple[Token, Token]) -> bool:
    """Whether two differences are one negation that stands at another word of the clause."""
    by_negation = all(token.side == other.side for token, other in (one, two))
    near = any(abs(a.place - b.place) <= NEAR and a.clause == b.clause for a, b in zip(one, two, strict=True))
    return by_negation and near and one[0].negated != two[0].negated


def _unmatched(own: Reading, other: Reading) -> list[Cue]:
    """Negations whose head the other text does not have, and words that say no and are strange to it."""
    ideas = other.all_ideas
    found = [cue for cue in own.cues if cue.head is None or cue.head.idea not in ideas]
    found += [
        Cue(token.place, token.clause, token, demands=False)
        for token in own.tokens
        if token.says_no and token.idea not in ideas
    ]
    return found


def _makes_up(cues: list[Cue], token: Token) -> bool:
    for cue in cues:
        near = abs(cue.place - token.place) <= NEAR
        if (near or cue.head is None) and cue.clause == token.clause:
            cues.remove(cue)
            return True
    return False


def _repeated(cues: list[Cue], given: Reading, said: Reading) -> bool:
    """Uses up a negation of the source whose clause the claim repeats in other words."""
    body = [cue for cue in cues if cue.clause > given.heading and _covered(cue, given, said)]
    cue = next((cue for cue in cues if cue.head is None or cue in body), None)
    if cue is not None:
        cues.remove(cue)
    return cue is not None


def _stood_for(cue: Cue, cues: list[Cue], given: Reading, said: Reading) -> bool:
    """Uses up a negation of the source for one of the claim that has another head.

    Their clauses must be about something that both texts have, or both about nothing that they share.
    """
    own = said.ideas(cue.clause)
    for other in cues:
        around = given.ideas(other.clause)
        if other.head is not None:
            around = (around | given.beside(other.head.place, 2)) - {other.head.idea}
        strange = (
            own and around and not own & given.all_ideas and not given.ideas(other.clause) & said.all_ideas
        )
        if around & said.all_ideas or strange:
            cues.remove(other)
            return True
    return False


def _take(cues: list[Cue], clause: int | None) -> bool:
    for cue in cues:
        if clause is None or cue.clause == clause:
            cues.remove(cue)
            return True
    return False


def _covered(cue: Cue, given: Reading, said: Reading) -> bool:
    """Whether the claim says so much of the negation's clause that it should have negated it too."""
    ideas = set(given.ideas(cue.clause))
    if cue.head is not None:
        ideas.discard(cue.head.idea)
    return bool(ideas) and len(ideas & said.all_ideas) >= COVERED * len(ideas)
