"""Whether to answer at all: a first, plain threshold on the best passages.

It knows two things: a question whose best passage is far from it in meaning is not answered, and where
meaning cannot be compared (a language the encoder does not read), one whose words are hardly covered.
It is not calibrated, and it cannot tell a question that is on topic yet unanswered.
"""

from __future__ import annotations

from collections.abc import Sequence

from chatbot.retrieval import Found


def answerable(found: Sequence[Found], *, min_similarity: float, min_coverage: float) -> bool:
    """True when a passage's cosine reaches `min_similarity`, or, without cosines, its words' coverage
    reaches `min_coverage`; never on none."""
    if any(hit.dense > 0 for hit in found):
        return any(hit.dense >= min_similarity for hit in found)
    return any(hit.lexical >= min_coverage for hit in found)
