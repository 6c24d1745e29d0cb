"""A company's own words: groups that mean the same, as people write them down, keep them and take them along.

A group is a line: `refund = money back = 退款`, or with commas; in a CSV file a row. All groups of a
knowledge base are kept together, so what is saved is what the page shows. A change counts as one of the
knowledge: the next version is built with it and judged before it goes live (`indexing` writes them into the
index). Writes rows; whoever calls has the new version built.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from chatbot.models import KnowledgeBase, Term
from services.errors import Conflict, InvalidInput
from services.search.equivalents import fold
from services.search.tokens import tokenize

Group = tuple[str, ...]
MOST_GROUPS = 2_000
MOST_WORDS = 20
LONGEST_WORD = 80
SHOWN_PROBLEMS = 10
_SIGNS = re.compile(r"[=,，;；]|＝")


@dataclass(frozen=True, slots=True)
class Saved:
    """What a change came to: groups that are there now, those that are new and those that are gone."""

    groups: int
    added: int
    removed: int

    @property
    def changed(self) -> bool:
        """Whether anything is otherwise than before."""
        return bool(self.added or self.removed)


def groups_of(knowledge_base: KnowledgeBase) -> list[Group]:
    """The groups of a knowledge base, oldest first."""
    return [tuple(map(str, words)) for words in knowledge_base.terms.values_list("words", flat=True)]


def as_lines(groups: Iterable[Group]) -> str:
    """The groups as text that `from_lines` takes, one a line."""
    return "\n".join(" = ".join(words) for words in groups)


def from_lines(text: str) -> list[tuple[int, Group]]:
    """(line number, words) of each line with something on it; "=" or a comma stands between words."""
    lines = ((number, _SIGNS.split(line)) for number, line in enumerate(text.splitlines(), 1))
    return [(number, words) for number, cells in lines if (words := _words(cells))]


def as_csv(groups: Iterable[Group]) -> Iterator[str]:
    """The groups as the lines of a CSV file that `from_csv` takes, one a row."""
    for words in groups:
        out = io.StringIO()
        csv.writer(out).writerow(words)
        yield out.getvalue()


def from_csv(data: bytes) -> list[tuple[int, Group]]:
    """(line number, words) of each row with something in it. Raises InvalidInput: no CSV in UTF-8."""
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        return [(reader.line_num, words) for cells in reader if (words := _words(cells))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(_("The file is not a CSV file in UTF-8."), field="file") from error


def fingerprint(groups: Sequence[Group]) -> str:
    """What tells whether somebody else has changed them meanwhile."""
    return hashlib.sha256(as_lines(sorted(groups)).encode()).hexdigest()[:16]


def save(
    knowledge_base: KnowledgeBase,
    lines: Sequence[tuple[int, Group]],
    *,
    expected: str | None = None,
    keep_others: bool = False,
    field: str = "terms",
) -> Saved:
    """Make these the groups of a knowledge base; with `keep_others`, add them to those there are.

    `expected`: the fingerprint of the groups they were changed from. Raises InvalidInput on `field`, naming
    lines and words; Conflict when the groups are not the expected ones any more. Nothing is written then.
    """
    with transaction.atomic():
        KnowledgeBase.objects.select_for_update().get(pk=knowledge_base.pk)
        kept = {tuple(map(str, row.words)): row.pk for row in knowledge_base.terms.all()}
        if expected is not None and expected != fingerprint(list(kept)):
            raise Conflict(
                _("Somebody else has changed the terms meanwhile. What you wrote is still here: copy it, "
                  "load the page again and put your changes in.")
            )  # fmt: skip
        others = [(0, words) for words in kept] if keep_others else []
        wanted = _checked(
            [*others, *(line for line in lines if line[1] not in kept or not keep_others)], field
        )
        gone = [pk for words, pk in kept.items() if words not in wanted]
        new = [words for words in wanted if words not in kept]
        Term.objects.filter(pk__in=gone).delete()
        Term.objects.bulk_create(Term(knowledge_base=knowledge_base, words=list(words)) for words in new)
        if new or gone:
            KnowledgeBase.objects.filter(pk=knowledge_base.pk).update(revision=F("revision") + 1)
    return Saved(len(wanted), len(new), len(gone))


def _words(cells: Iterable[str]) -> Group:
    """A line's words, without white space around them and without repetitions."""
    found: dict[str, str] = {}
    for cell in cells:
        if word := " ".join(fold(cell).split()):
            found.setdefault(word.casefold(), word)
    return tuple(found.values())


def _checked(lines: Sequence[tuple[int, Group]], field: str) -> list[Group]:
    """The groups, each once. Raises InvalidInput with every problem, up to SHOWN_PROBLEMS."""
    problems: list[str] = []
    owners: dict[tuple[str, ...], tuple[int, Group]] = {}
    groups: dict[Group, None] = {}
    for number, words in lines:
        if words in groups:
            continue
        problem = _wrong(words) or _taken(words, owners)
        if problem:
            problems.append(
                _("Line %(n)d: %(problem)s") % {"n": number, "problem": problem} if number else problem
            )
            continue
        groups[words] = None
        owners.update(dict.fromkeys(map(_seen_as, words), (number, words)))
    if len(groups) > MOST_GROUPS:
        problems.append(_("There are more than %(n)d groups.") % {"n": MOST_GROUPS})
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        told = problems[:SHOWN_PROBLEMS] + (
            [_("And %(n)d more like these.") % {"n": more}] if more > 0 else []
        )
        raise InvalidInput(" ".join(told), field=field)
    return list(groups)


def _wrong(words: Group) -> str:
    """What is wrong with a group by itself; empty when nothing is."""
    if long := next((word for word in words if len(word) > LONGEST_WORD), None):
        told = {"word": long[:40], "n": LONGEST_WORD}
        return _("“%(word)s…” has more than %(n)d characters. Give a word or a short phrase.") % told
    if blank := next((word for word in words if not _seen_as(word)), None):
        return _("“%(word)s” has no letter and no digit: the search cannot see it.") % {"word": blank}
    if len(words) > MOST_WORDS:
        return _("The group has more than %(n)d words. Split it.") % {"n": MOST_WORDS}
    if len({_seen_as(word) for word in words}) < 2:
        if len(words) == 1:
            return _("“%(word)s” stands alone. Give at least one more word that means the same.") % {
                "word": words[0]
            }
        return _("“%(first)s” and “%(second)s” are one word to the search. Give another one.") % {
            "first": words[0], "second": words[1],
        }  # fmt: skip
    return ""


def _taken(words: Group, owners: dict[tuple[str, ...], tuple[int, Group]]) -> str:
    """Which word stands in another group as well; empty when none does."""
    for word in words:
        if (owner := owners.get(_seen_as(word))) is not None:
            told = {"word": word, "group": " = ".join(owner[1])[:80]}
            return (
                _("“%(word)s” is in the group “%(group)s” already. Join the two, or drop it from one.") % told
            )
    return ""


def _seen_as(word: str) -> tuple[str, ...]:
    """The word as the search sees it: the same for refund and Refunds."""
    return tuple(tokenize(word))
