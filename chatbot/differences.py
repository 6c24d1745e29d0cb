"""What differs between two versions of the knowledge: passages added, changed and removed, word by word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

from chatbot.models import KnowledgeVersion, Passage
from services.text.language import HAN

MOST_SHOWN = 50
MOST_WORDS = 3_000
_WORD = re.compile(rf"[{HAN}]|[^\W{HAN}]+|\s+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Change:
    """A passage whose words changed. `parts`: ("same" | "gone" | "new", words), in reading order."""

    before: Passage
    after: Passage
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Differences:
    """At most MOST_SHOWN of each; the counts are of all."""

    added: tuple[Passage, ...]
    changed: tuple[Change, ...]
    removed: tuple[Passage, ...]
    added_n: int
    changed_n: int
    removed_n: int

    @property
    def total(self) -> int:
        """Passages that differ."""
        return self.added_n + self.changed_n + self.removed_n


def between(before: KnowledgeVersion, after: KnowledgeVersion) -> Differences:
    """From one version to another; a passage under the same heading of its document is the same, changed."""
    old, new = set(before.passage_ids), set(after.passage_ids)
    gone, come = _places(old - new), _places(new - old)
    both = sorted(set(gone) & set(come))
    removed = [pk for place, pk in gone.items() if place not in come]
    added = [pk for place, pk in come.items() if place not in gone]
    shown = [pk for place in both[:MOST_SHOWN] for pk in (gone[place], come[place])]
    shown += removed[:MOST_SHOWN] + added[:MOST_SHOWN]
    rows = Passage.objects.select_related("document").in_bulk(shown)
    changes = [_change(rows[gone[place]], rows[come[place]]) for place in both[:MOST_SHOWN]]
    return Differences(
        added=tuple(rows[pk] for pk in added[:MOST_SHOWN]),
        changed=tuple(changes),
        removed=tuple(rows[pk] for pk in removed[:MOST_SHOWN]),
        added_n=len(added),
        changed_n=len(both),
        removed_n=len(removed),
    )


def marked(before: str, after: str) -> tuple[tuple[str, str], ...]:
    """Two texts as one, with what is gone and what is new between what stayed."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    if max(len(old), len(new)) > MOST_WORDS:
        return (("gone", before), ("new", after))
    parts: list[tuple[str, str]] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            parts.append(("same", "".join(old[a:b])))
            continue
        parts += [
            (kind, words)
            for kind, words in (("gone", "".join(old[a:b])), ("new", "".join(new[c:d])))
            if words
        ]
    return tuple(parts)


def _change(before: Passage, after: Passage) -> Change:
    if before.text == after.text:  # other wordings of its question
        return Change(before, after, marked("\n".join(before.variants), "\n".join(after.variants)))
    return Change(before, after, marked(before.text, after.text))


def _places(ids: set[int]) -> dict[tuple[int, str, int], int]:
    """Document, heading and which of that heading, to the passage; those cleared away are left out."""
    told: dict[tuple[int, str, int], int] = {}
    rows: list[tuple[int, str, int]] = []
    chosen = sorted(ids)
    for at in range(0, len(chosen), 500):
        some = Passage.objects.filter(pk__in=chosen[at : at + 500]).order_by("document_id", "ordinal", "pk")
        rows += some.values_list("document_id", "heading", "pk")
    for document, heading, pk in rows:
        n = 0
        while (document, heading, n) in told:
            n += 1
        told[document, heading, n] = pk
    return told
