"""Whether to answer at all: a first, plain threshold on the best passage.

It knows one thing only: a question whose best passage is far from it in meaning is not answered.
It is not calibrated, and it cannot tell a question that is on topic yet unanswered.
"""

from __future__ import annotations

from collections.abc import Sequence

from chatbot.retrieval import Found


def answerable(found: Sequence[Found], min_similarity: float) -> bool:
    """True when some passage's cosine with the question reaches `min_similarity`; never on none."""
    return any(hit.dense >= min_similarity for hit in found)
